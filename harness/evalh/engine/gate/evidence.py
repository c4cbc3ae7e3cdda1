"""What a gate reports about single cases, and where a prompt begins to differ."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from evalh.analysis.compare.comparison import Comparison, Flip, listed
from evalh.analysis.compare.pairing import CaseResult, Pair
from evalh.analysis.drift import DriftResult
from evalh.analysis.gate.decision import Evidence, Finding, MustPassCase
from evalh.analysis.prompt_diff import PromptDiff, diff
from evalh.core.case import INCIDENT, Case
from evalh.core.errors import ExitCode
from evalh.core.money import plus
from evalh.core.prompt import Pipeline
from evalh.core.suite import GatePolicy, MustPass
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.engine.gate.change import SuiteChange
from evalh.engine.plan import Plan
from evalh.engine.session import Session

_MOST = 10


class Wording(Value):
    """How findings are put into words; handed in, since words are a report's."""

    drift: Callable[[DriftResult], str]
    dollars: Callable[[Decimal | None], str]


def must_pass_case(case: Case, results: Mapping[str, CaseResult], trials: int) -> MustPassCase:
    """Return the result of a case that must pass; trials that were not evaluated are ungraded."""
    found = results.get(case.id)
    if found is None:
        return MustPassCase(case.id, 0, trials, trials)
    return MustPassCase(case.id, found.goods, found.ungraded + trials - found.trials, trials)


def unguarded(rule: MustPass | None, incidents: Sequence[Case]) -> Iterator[str]:
    """Say how many incidents no rule holds: they are in no rate, so a change could lose them unseen."""
    free = [case.id for case in incidents if rule is None or not rule.takes(case.id, case.tags)]
    if free:
        whose = f"{len(free)} of {len(incidents)} incidents ({listed(free, 3)})"
        told = f"no rule checks {whose}, and they count in no rate: a lost one would not be noticed"
        yield f"{told}; gate: must_pass: {{tags: [{INCIDENT}]}}"


def incidents_alone(policy: GatePolicy) -> Finding:
    """Return the finding of a suite whose cases are all incidents."""
    what = "every case is an incident: there is nothing to compare"
    if policy.must_pass is None:
        return Finding("good", ExitCode.INCONCLUSIVE, f"{what}; add a rule: gate: must_pass: {{tags: [{INCIDENT}]}}")
    return Finding("good", ExitCode.YES, f"{what}; only must_pass applies")


def fails(case: CaseResult, graders: Sequence[str]) -> bool:
    """Whether any of these graders fails any of a case's samples."""
    return any(sample.outcomes.get(grader) is Outcome.FAIL for sample in case.samples for grader in graders)


def first_changed_line(change: SuiteChange) -> int:
    """Return the line of head's prompt file where the two versions begin to differ; 1 if they do not."""
    if change.base is None:
        return 1
    if change.head.version.pipeline is not None:
        return _first_changed_step(change.base.version.pipeline, change.head.version.pipeline)
    base = [line for section in change.base.version.sections for line in section.source.split("\n")]
    places = [
        (line, section.line + number)
        for section in change.head.version.sections
        for number, line in enumerate(section.source.split("\n"))
    ]
    same = next((at for at, (line, _) in enumerate(places) if at >= len(base) or line != base[at]), len(places))
    if not places or same == len(places) == len(base):
        return 1
    return places[min(same, len(places) - 1)][1]


def _first_changed_step(base: Pipeline | None, head: Pipeline) -> int:
    before = {} if base is None else {spec.name: spec.document() for spec in base.steps}
    changed = (spec.where for spec in head.steps if spec.document() != before.get(spec.name))
    return min((int(where.rpartition(":")[2]) for where in changed), default=1)


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
    """Say why a side lacks answers."""
    for side, session in (("base", base), ("head", head)):
        if session is not None and (why := session.why_no_answer()) is not None:
            yield f"{side}: {why}"


def evidence_of(
    comparison: Comparison | None, base: Session | None, head: Session | None, pairs: Sequence[Pair]
) -> Iterator[Evidence]:
    """Yield the cases that got worse, the worst first, with what both sides answered.

    Those that were shown again on fresh answers come first, then those that lost most of their trials.
    """
    if comparison is None or base is None or head is None:
        return
    again = {one.case_id for one in comparison.confirmed if one.label is Flip.REGRESSED}

    lost = {one.case_id: one.head.goods / one.head.trials - one.base.goods / one.base.trials for one in pairs}

    for case_id in sorted(comparison.regressed, key=lambda one: (one not in again, lost[one]))[:_MOST]:
        yield Evidence(
            case_id=case_id,
            inputs=head.inputs(case_id),
            base_output=base.output(case_id),
            head_output=head.output(case_id),
            reasons=head.reasons(case_id),
        )


def difference_of(change: SuiteChange) -> PromptDiff | None:
    """Return what differs between the two versions; None where they send the same, or one is missing."""
    base, head = None if change.base is None else change.base.version, change.head.version
    return None if base is None or base.digest == head.digest else diff(base, head)


def spent(sessions: Iterable[Session]) -> Decimal | None:
    """Return what all of them spent, graders included; None if an answer has no price."""
    total: Decimal | None = Decimal(0)
    for session in sessions:
        total = plus(total, session.spent())
    return total


def one_recording(base: Plan | None, head: Plan) -> str | None:
    """Return the recording that answers both sides of a changed prompt alike, whatever the prompts say; else None."""
    if base is None or base.pipeline or head.pipeline or base.version.digest == head.version.digest:
        return None
    recorded, other = (plan.target.first.provider for plan in (base, head))
    path: str | None = getattr(other, "answers_any_prompt", None)
    return path if path is not None and recorded.identity == other.identity else None


def why_not_measured(recording: str) -> str:
    """Say why a recording tells nothing of a changed prompt."""
    return f"{recording} answers both sides, whatever their prompts say: its rows do not name the requests"


def beside_recording(recording: str | None, tested: Sequence[Finding]) -> list[Finding]:
    """Return what was found. A recording that answered both sides alike is told first, and nothing counts for head."""
    if recording is None:
        return list(tested)
    against = (one for one in tested if one.exit is not ExitCode.YES)
    return [Finding("good", ExitCode.CANNOT_MEASURE, why_not_measured(recording)), *against]


def not_compared(change: SuiteChange, cases: Sequence[CaseResult]) -> Finding:
    """Return the finding of a suite without anything to compare; `cases` are head's."""
    if change.base is not None:
        what = "prompt, model and route are the same on both sides: no answer can differ"
        if "graders" in change.parts:
            good, all_ = sum(one.goods for one in cases), sum(one.trials for one in cases)
            what += f"; head's graders call {good} of {all_} samples good"
        return Finding("good", ExitCode.YES, what)
    policy = change.policy
    if policy.good_rate is not None or policy.must_pass is not None or policy.never:
        return Finding("good", ExitCode.YES, "there is nothing to compare with; the rules of its gate apply")
    reason = "there is nothing to compare with, and the suite's gate has no rule for that; add one:"
    return Finding("good", ExitCode.INCONCLUSIVE, f"{reason} gate: {{good_rate: {{at_least: 0.8}}}}")
