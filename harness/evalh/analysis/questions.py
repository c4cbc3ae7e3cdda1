"""The statistical half of a gate: what is tested, how far it is looked, and what was found.

Good outputs are one test; each grader with a rule of its own is another. All tests of one gate pay for each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from evalh.analysis.differences import Differences, Measure, Tally, goods
from evalh.analysis.pairing import CaseResult, Pair
from evalh.analysis.verdicts import Finding as GateFinding
from evalh.analysis.verdicts import listed, points
from evalh.core.exits import ExitCode
from evalh.core.policy import About, GatePolicy, Require
from evalh.core.verdict import Outcome
from evalh.stats.eprocess import p_value
from evalh.stats.looks import BATCH
from evalh.stats.multiplicity import holm
from evalh.stats.paired import Alternative, mcnemar_exact
from evalh.stats.permutation import sign_flip_p
from evalh.stats.planner import cases_for_noninferiority, smallest_difference
from evalh.stats.sequential import (
    Finding,
    LookState,
    PairedDifference,
    SequentialDesign,
    advance,
    findings,
    within_margin,
)

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and where it stands. `state` moves with every look."""

    name: str  # good, or a grader's
    measure: Measure
    design: SequentialDesign
    state: LookState = field(default_factory=LookState)

    @property
    def stopped(self) -> bool:
        """Tell whether no more cases are needed."""
        return self.state.stop is not None

    def look(self, pairs: Sequence[Pair]) -> "Question":
        """Look at the next cases of the order; a test that has stopped stays as it is."""
        if self.stopped:
            return self
        return replace(self, state=advance(self.design, self.state, [_difference(one, self.measure) for one in pairs]))


def questions_of(policy: GatePolicy, cases: int, max_ungraded: float, tests: int) -> list[Question]:
    """Return the tests of a suite's policy. `tests`: how many there are in the whole gate."""

    def design(margin: float) -> SequentialDesign:
        return SequentialDesign(
            cases=cases,
            margin=margin,
            discordance=policy.discordance,
            batch=BATCH if policy.sequential else max(cases, 1),
            require=policy.require,
            target=policy.target,
            waits=policy.waits,
            tests=tests,
            max_ungraded=max_ungraded,
        )

    own = [Question(rule.grader, passes_of(rule.grader), design(rule.margin)) for rule in policy.graders]
    return [Question("good", goods, design(policy.margin)), *own]


def number_of_questions(policy: GatePolicy) -> int:
    """Count the tests of a policy."""
    return 1 + len(policy.graders)


def passes_of(grader: str) -> Measure:
    """Return the measure of one grader's passes; what it did not judge is not known."""

    def measure(case: CaseResult) -> Tally:
        outcomes = [sample.outcomes.get(grader, Outcome.ERROR) for sample in case.samples]
        unknown = sum(outcome in (Outcome.ABSTAIN, Outcome.ERROR) for outcome in outcomes)
        return Tally(case.trials, outcomes.count(Outcome.PASS), unknown)

    return measure


def _difference(pair: Pair, measure: Measure) -> PairedDifference:
    base, head = measure(pair.base), measure(pair.head)
    if base.unknown == base.trials and head.unknown == head.trials and measure is not goods:
        return PairedDifference(0.0, 0.0)  # a grader that has nothing to judge by, on either side
    return PairedDifference(
        head.least - base.most,
        head.most - base.least,
        ungraded=base.unknown + head.unknown,
        samples=base.trials + head.trials,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The tests of one suite, with what they looked at."""

    suite: str
    policy: GatePolicy
    questions: Sequence[Question]
    pairs: Sequence[Pair]  # in the order, up to the stop
    fixed: bool = False  # every case was run, and is judged once


def judge(asked: Sequence[Asked]) -> list[list[GateFinding]]:
    """Say what each suite's tests found, in their order."""
    flat = [(one, test) for one in asked for test in one.questions]
    adjusted = holm([_p_worse(one, test) for one, test in flat])
    verdicts: dict[str, list[GateFinding]] = {one.suite: [] for one in asked}
    for (one, test), p in zip(flat, adjusted, strict=True):
        verdicts[one.suite].append(_told(one, test, _found(one, test, p)))
    return [verdicts[one.suite] for one in asked]


def _p_worse(asked: Asked, test: Question) -> float:
    if not asked.fixed:
        return p_value(test.state.log_e_worse)
    differences = Differences(asked.pairs, test.measure, exact=True)
    values = differences.for_head
    if not values:
        return 1.0
    if differences.binary:
        wins, losses = sum(value > 0 for value in values), sum(value < 0 for value in values)
        return mcnemar_exact(wins, losses, Alternative.WORSE)
    return sign_flip_p(values, Alternative.WORSE)


def _found(asked: Asked, test: Question, p_worse: float) -> Finding:
    (alone,) = findings([(test.design, test.state)])
    everything = test.state.seen == test.design.cases
    if alone is Finding.UNMEASURED or (test.design.target is About.DATASET and everything):
        return alone  # no test that pays for another
    if p_worse <= ALPHA * (1 + 1e-12):
        return Finding.WORSE
    if asked.fixed:
        p_no_worse = Differences(asked.pairs, test.measure).p_no_worse(test.design.margin)
        return Finding.NO_WORSE if p_no_worse is not None and p_no_worse <= ALPHA else Finding.NEITHER
    return Finding.NO_WORSE if alone is Finding.NO_WORSE or _no_worse(test) else Finding.NEITHER


def _no_worse(test: Question) -> bool:
    return test.state.log_e_no_worse >= test.design.log_threshold


def _told(asked: Asked, test: Question, found: Finding) -> GateFinding:
    what = "" if test.name == "good" else f"{test.name}: "
    rule = "good" if test.name == "good" else f"grader {test.name}"
    margin = points(test.design.margin)
    match found:
        case Finding.WORSE:
            return GateFinding(rule, ExitCode.NO, *_worse(asked, test, what))
        case Finding.NO_WORSE:
            return GateFinding(
                rule, ExitCode.YES, f"{what}shown to be no worse: a drop of {margin} or more is excluded"
            )
        case Finding.UNMEASURED:
            ungraded = f"{what}{test.state.ungraded} of {test.state.samples} samples are ungraded"
            most = f"more than {100 * test.design.max_ungraded:g} %"
            return GateFinding(rule, ExitCode.CANNOT_MEASURE, f"{ungraded}, {most}: no verdict rests on that")
        case Finding.NEITHER if asked.policy.require is Require.NOT_WORSE_SHOWN:
            return GateFinding(rule, ExitCode.YES, f"{what}not shown worse; {noticed(drop_of(asked, test))}")
        case Finding.NEITHER:
            return GateFinding(rule, ExitCode.INCONCLUSIVE, f"{what}{_undecided(asked, test)}")


def _worse(asked: Asked, test: Question, what: str) -> tuple[str, tuple[str, ...]]:
    differences = Differences(asked.pairs, test.measure)
    lost = [pair.case_id for pair, yes in zip(asked.pairs, differences.lost, strict=True) if yes]
    worse = f"{what}shown to be worse: {len(lost)} of {len(asked.pairs)} cases got worse, {sum(differences.won)} better"
    if not asked.fixed and within_margin(test.design, test.state):
        worse += f", though by less than {points(test.design.margin)}"
    return f"{worse} ({listed(lost)})", tuple(lost)


def drop_of(asked: Asked, test: Question) -> float | None:
    """Return the smallest drop that is noticed 4 times in 5; None: not even one from 1 to 0."""
    if asked.fixed:
        return smallest_difference(test.design.cases, test.design.discordance)
    from evalh.stats.simulation import detectable_drop

    return detectable_drop(test.design)


def needed_by(asked: Asked, test: Question) -> int | None:
    """Return how many cases show 4 times in 5 that a harmless change is no worse; None: no practical number."""
    if asked.fixed:
        return ceil(cases_for_noninferiority(test.design.discordance, test.design.margin))
    from evalh.stats.simulation import cases_needed

    return cases_needed(test.design)


def noticed(drop: float | None) -> str:
    """Say which drop would have been seen."""
    if drop is None:
        return "so few cases notice no drop, however large, 4 times in 5"
    return f"this suite notices a drop of {points(drop)} 4 times in 5"


def _undecided(asked: Asked, test: Question) -> str:
    needed = needed_by(asked, test)
    cases = f"about {needed} cases are needed" if needed is not None else "no practical number of cases is enough"
    here = f"neither worse nor no worse is shown with {len(asked.pairs)} cases"
    return f"{here}; {cases} to show 4 times in 5 that a harmless change is no worse by {points(test.design.margin)}"
