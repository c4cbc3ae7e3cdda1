"""Why an answer is empty or unfinished, in words: what the model was stopped by is no fault of its wording."""

from msgspec.structs import replace

from evalh.core.attempt import Completion, FinishReason
from evalh.core.verdict import Outcome, Verdict

_STOPPED = {
    FinishReason.CONTENT_FILTER: ("the answer was cut off", "the answer was blocked"),
    FinishReason.REFUSAL: ("the model refused", "the model refused without a word"),
    FinishReason.LENGTH: ("cut off: its tokens ran out", "the answer is empty: its tokens ran out"),
}
"""What is said of an answer that holds something, and of an empty one."""
_BLOCKED = frozenset({FinishReason.CONTENT_FILTER, FinishReason.REFUSAL})


def shortfall(completion: Completion) -> str | None:
    """Say why an answer is empty, or not all of it; None: nothing is known to be missing."""
    empty = not completion.text.strip()
    if completion.tool_calls and empty:
        return None
    said, unsaid = _STOPPED.get(completion.finish, (None, None))
    if not empty:
        return said
    return unsaid if completion.finish in _BLOCKED else _unsaid(completion, unsaid)


def told(completion: Completion) -> str | None:
    """Say the same with the provider's word for it, and what to do."""
    words = shortfall(completion)
    if words is None:
        return None
    finish = completion.finish
    advice = "; raise max_tokens" if finish is FinishReason.LENGTH and not completion.text.strip() else ""
    by = " by the provider's content filter" if finish is FinishReason.CONTENT_FILTER else ""
    return f"{words}{by} (finish: {finish.value}){advice}"


def _unsaid(completion: Completion, otherwise: str | None) -> str | None:
    tokens = completion.usage.reasoning_tokens
    if not tokens and not completion.reasoning:
        return otherwise
    output = completion.usage.output_tokens
    if not tokens:
        return "the answer is empty: there is nothing but reasoning"
    share = "all" if output is not None and tokens >= output else f"{tokens:,} of its"
    count = f"{output:,} " if output is not None else ""
    return f"the answer is empty: {share} {count}tokens went into reasoning"


def with_cause(verdict: Verdict, completion: Completion) -> Verdict:
    """Let a failing verdict say what the model was stopped by, in place of `the output is ""`."""
    if verdict.outcome is not Outcome.FAIL:
        return verdict
    cause = told(completion)
    if cause is None:
        return verdict
    empty = not completion.text.strip()
    return replace(verdict, reason=cause if empty else f"{cause}; {verdict.reason}")
