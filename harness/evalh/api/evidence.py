"""What a gate shows of single cases, and where a prompt begins to differ.

Outputs to look at: a case that got worse or better, as both sides answered it.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from evalh.analysis.compare.comparison import Comparison, Example
from evalh.analysis.compare.pairing import CaseResult, Pair
from evalh.analysis.gate.decision import Evidence, Finding, MustPassCase
from evalh.api.changes import SuiteChange
from evalh.core.case import Case
from evalh.core.errors import ExitCode, NotFound
from evalh.core.log import SampleDetail
from evalh.core.sample import Standing
from evalh.core.verdict import Outcome
from evalh.engine.session import Session

if TYPE_CHECKING:
    from evalh.store import Reader


_MOST = 10


def must_pass_case(case: Case, results: Mapping[str, CaseResult], trials: int) -> MustPassCase:
    """Say how a case that must pass went; what was not evaluated is ungraded."""
    found = results.get(case.id)
    if found is None:
        return MustPassCase(case.id, 0, trials, trials)
    return MustPassCase(case.id, found.goods, found.ungraded + trials - found.trials, trials)


def fails(case: CaseResult, graders: Sequence[str]) -> bool:
    """Tell whether any of these graders fails any of a case's samples."""
    return any(sample.outcomes.get(grader) is Outcome.FAIL for sample in case.samples for grader in graders)


def first_changed_line(change: SuiteChange) -> int:
    """Return the line of head's prompt file where the two versions begin to differ; 1 where they do not."""
    if change.base is None:
        return 1
    base = [line for section in change.base.version.sections for line in section.source.split("\n")]
    places = [
        (line, section.line + number)
        for section in change.head.version.sections
        for number, line in enumerate(section.source.split("\n"))
    ]
    matcher = SequenceMatcher(None, base, [line for line, _ in places], autojunk=False)
    for tag, _, _, low, _ in matcher.get_opcodes():
        if tag != "equal" and places:
            return places[min(low, len(places) - 1)][1]
    return 1


def latencies(base: Session | None, head: Session | None, pairs: Sequence[Pair]) -> dict[str, tuple[float, float]]:
    """Return both sides' latencies of the cases that one gate asked on both, interleaved."""
    if base is None or head is None:
        return {}
    return {
        pair.case_id: (pair.base.latency_ms, pair.head.latency_ms)
        for pair in pairs
        if pair.base.latency_ms is not None
        and pair.head.latency_ms is not None
        and pair.base.latency_whole
        and pair.head.latency_whole
        and base.began(pair.case_id, 0) == head.began(pair.case_id, 0) is not None
    }


def unanswered(base: Session | None, head: Session | None) -> Iterator[str]:
    """Say of each side that lacks answers why."""
    for side, session in (("base", base), ("head", head)):
        if session is not None and (why := session.why_no_answer()) is not None:
            yield f"{side}: {why}"


def evidence_of(comparison: Comparison | None, base: Session | None, head: Session | None) -> Iterator[Evidence]:
    """Yield the first cases that got worse, with what both sides answered."""
    if comparison is None or base is None or head is None:
        return
    for case_id in comparison.regressed[:_MOST]:
        yield Evidence(
            case_id=case_id,
            base_output=base.output(case_id),
            head_output=head.output(case_id),
            reasons=head.reasons(case_id),
        )


def not_compared(change: SuiteChange) -> Finding:
    """Say what a suite with nothing to compare comes to."""
    if change.base is not None:
        what = "prompt, model and route are the same on both sides: no answer differs"
        return Finding("good", ExitCode.YES, what)
    policy = change.policy
    if policy.good_rate is not None or policy.must_pass is not None or policy.never:
        return Finding("good", ExitCode.YES, "there is nothing to compare with; the rules of its gate hold")
    reason = "there is nothing to compare with, and the suite's gate has no rule for that; add one:"
    return Finding("good", ExitCode.INCONCLUSIVE, f"{reason} gate: {{good_rate: {{at_least: 0.8}}}}")


def examples_of(log: "Reader", comparison: Comparison, most: int) -> tuple[Example, ...]:
    """Read up to `most` cases that got worse and as many that got better; none where a side is no stored run."""
    base, head = comparison.base.run, comparison.head.run
    if base is None or head is None:
        return ()
    worse = [_example(log, case, (base, head), better=False) for case in comparison.regressed[:most]]
    better = [_example(log, case, (base, head), better=True) for case in comparison.fixed[:most]]
    return tuple(one for one in (*worse, *better) if one is not None)


def _example(log: "Reader", case_id: str, runs: tuple[str, str], *, better: bool) -> Example | None:
    try:
        sides = [{one.sample.trial: one for one in log.case(case_id, run).samples} for run in runs]
    except NotFound:  # rows were removed since
        return None
    trials = sorted(sides[0].keys() & sides[1].keys())
    wanted = (Standing.BAD, Standing.GOOD) if better else (Standing.GOOD, Standing.BAD)
    telling = [trial for trial in trials if tuple(side[trial].sample.standing for side in sides) == wanted]
    if not trials:
        return None
    trial = (telling or trials)[0]
    base, head = (side[trial] for side in sides)
    return Example(
        case_id=case_id,
        better=better,
        trial=trial,
        inputs=dict(head.case.inputs),
        base_output=_output(base),
        head_output=_output(head),
        base_reasons=_reasons(base),
        head_reasons=_reasons(head),
    )


def _output(detail: SampleDetail) -> str | None:
    for call in detail.calls:
        if call.id == detail.sample.call_id and call.answer is not None and call.answer.completion is not None:
            completion = call.answer.completion
            asked = [f"{one.name}({one.arguments})" for one in completion.tool_calls]
            return "\n".join([completion.text, *asked] if completion.text or not asked else asked)
    return None


def _reasons(detail: SampleDetail) -> tuple[tuple[str, str], ...]:
    sample = detail.sample
    if sample.error is not None:
        return (("no answer", sample.error),)
    return tuple(
        (graded.grader, graded.verdict.reason)
        for graded in sample.verdicts
        if graded.required and graded.verdict.outcome is not Outcome.PASS
    )
