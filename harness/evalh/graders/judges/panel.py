"""Several judges: the mean of their votes, how far they agree, and what each cost.

Which family a model is of, by its name on the wire: judges prefer the answers of their own kind.
"""

import asyncio
import re
from collections.abc import Callable, Sequence

from evalh.core.attempt import Answer, CallError
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Asker, Outcome, Question, Verdict
from evalh.graders.judges.asking import UnreadableReplyError
from evalh.graders.judges.replies import ReplyReading
from evalh.graders.judges.rubric import Scale
from evalh.graders.quoting import one_line

_MAJORITY = 0.5


async def asked_all(asker: Asker, questions: Sequence[Question]) -> list[Answer | CallError]:
    """Ask all questions at once. Raises every error but a failed call, when all are back: NotSent, EvalhError."""
    replies = await asyncio.gather(*(asker.ask(question) for question in questions), return_exceptions=True)
    for reply in replies:
        if isinstance(reply, BaseException) and not isinstance(reply, CallError):
            raise reply
    return [reply for reply in replies if isinstance(reply, Answer | CallError)]


async def answers(asker: Asker, questions: Sequence[Question]) -> list[Answer]:
    """Ask all questions at once, where each answer counts. Raises what `asked_all` raises, and the first CallError."""
    given = []
    for reply in await asked_all(asker, questions):
        if isinstance(reply, CallError):
            raise reply
        given.append(reply)
    return given


async def panel_verdict(
    asker: Asker, questions: Sequence[Question], scale: Scale, read: Callable[[Answer], ReplyReading]
) -> Verdict:
    """Ask every juror. Where one gave no vote there is no verdict: a smaller panel is another panel."""
    votes: list[dict[str, JsonValue]] = []
    verdicts: list[Verdict] = []
    missing: list[str] = []
    for question, reply in zip(questions, await asked_all(asker, questions), strict=True):
        juror = f"{question.model}#{question.draw + 1}" if question.draw else str(question.model)
        verdict = _vote(reply, read, scale)
        if verdict.outcome is Outcome.ERROR:
            missing.append(f"{juror}: {verdict.reason}")
        verdicts.append(verdict)
        cost_usd = float(reply.cost_usd) if isinstance(reply, Answer) and reply.cost_usd is not None else None
        votes.append({"juror": juror, "outcome": verdict.outcome.value, "score": verdict.score, "cost_usd": cost_usd})
    if missing:
        return Verdict(Outcome.ERROR, None, one_line("; ".join(missing), 400), detail={"votes": votes})
    return _joined(scale, verdicts, votes)


def _vote(reply: Answer | CallError, read: Callable[[Answer], ReplyReading], scale: Scale) -> Verdict:
    """Return a juror's verdict; `error` where it gave none."""
    if isinstance(reply, CallError):
        return Verdict.error(f"it gave no answer: {reply}")
    try:
        return scale.verdict(read(reply))
    except UnreadableReplyError as error:
        return Verdict.error(str(error))


def _joined(scale: Scale, verdicts: Sequence[Verdict], votes: list[dict[str, JsonValue]]) -> Verdict:
    passes = sum(verdict.outcome is Outcome.PASS for verdict in verdicts)
    if scale.low is None and not scale.criteria:
        mean = passes / len(verdicts)
        passed = mean > _MAJORITY
    else:
        mean = sum(verdict.score or 0.0 for verdict in verdicts) / len(verdicts)
        passed = mean >= scale.mark_share if scale.low is not None else passes > len(verdicts) * _MAJORITY
    outcome = Outcome.PASS if passed else Outcome.FAIL
    one = next((verdict for verdict in verdicts if verdict.outcome is outcome), verdicts[0])
    reason = one_line(f"{passes} of {len(verdicts)} jurors pass it, mean {mean:.2f}; one says: {one.reason}", 600)
    return Verdict(outcome, mean, reason, detail={"votes": votes})


_FAMILIES = (
    ("GPT", r"gpt|chatgpt|o[1-9](?:-|$)|davinci"),
    ("Claude", r"claude"),
    ("Gemini", r"gemini|gemma|palm|bison"),
    ("Llama", r"llama|vicuna|alpaca"),
    ("Mistral", r"mistral|mixtral|ministral|codestral|magistral"),
    ("Qwen", r"qwen|qwq"),
    ("DeepSeek", r"deepseek"),
    ("Grok", r"grok"),
    ("Phi", r"phi-?[0-9]"),
    ("Command", r"command-"),
    ("SmolLM", r"smollm"),
    ("Granite", r"granite"),
    ("Kimi", r"kimi|moonshot"),
    ("GLM", r"glm|chatglm"),
)
_PATTERNS = tuple((name, re.compile(rf"(?:^|[^a-z])(?:{pattern})")) for name, pattern in _FAMILIES)


def family(model: str) -> str | None:
    """Return the family; None where the name does not tell. The first that stands in the name counts."""
    lowered = model.lower()
    found = [(match.start(), name) for name, pattern in _PATTERNS if (match := pattern.search(lowered))]
    return min(found)[1] if found else None
