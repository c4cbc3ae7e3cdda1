"""The statistical half of a gate: what is tested, how far it is looked, and what was found.

Good outputs are one test; each grader with a rule of its own is another. All tests of one gate pay for each other.
"""

from collections.abc import Collection, Sequence
from math import ceil, fsum

from msgspec import field
from msgspec.structs import replace

from evalh.analysis.compare.comparison import listed
from evalh.analysis.compare.differences import Differences, Measure, TrialTally, goods
from evalh.analysis.compare.pairing import CaseResult, Pair, unanswered
from evalh.analysis.gate.decision import Finding, doubtful, points
from evalh.analysis.gate.rules import Rule
from evalh.core.errors import ExitCode
from evalh.core.suite import About, GatePolicy, Require
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.stats.eprocess import p_value
from evalh.stats.intervals import Interval
from evalh.stats.multiplicity import holm
from evalh.stats.paired import Alternative, mcnemar_exact
from evalh.stats.permutation import sign_flip_p
from evalh.stats.planner import (
    cases_for_difference,
    cases_for_noninferiority,
    cases_needed,
    cases_to_refuse,
    detectable_drop,
    smallest_difference,
)
from evalh.stats.sequential import (
    BATCH,
    Conclusion,
    LookState,
    PairedDifference,
    SequentialDesign,
    advance,
    findings,
    stopped_interval,
    within_margin,
)

ALPHA = 0.05
_SLACK = 1 + 1e-12  # a p-value that is 0.05 but for its last digit


class Family(Value):
    """What all that may refuse by chance in one gate shares."""

    tests: int
    alpha: float = ALPHA


class SequentialTest(Value):
    """One question, and where it stands. `state` moves with every look."""

    name: str  # good, a grader's, or of old cases
    measure: Measure
    design: SequentialDesign
    state: LookState = field(default_factory=LookState)
    seen: tuple[PairedDifference, ...] = ()  # of clusters, in the order of the looks
    without: frozenset[str] = frozenset()  # new cases: rows that expect head's answers make up for what old ones lose

    @property
    def rule(self) -> str:
        """The rule that its finding is of."""
        return self.name if self.name == "good" or self.without else f"grader {self.name}"

    @property
    def stopped(self) -> bool:
        """Whether no more cases are needed."""
        return self.state.stop is not None

    def about(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """Return the cases that it asks of."""
        return [pair for pair in pairs if pair.case_id not in self.without] if self.without else pairs

    def look(self, clusters: Sequence[Sequence[Pair]]) -> "SequentialTest":
        """Look at the next clusters of the order; a test that has stopped stays as it is."""
        if self.stopped:
            return self
        differences = [_difference(self.about(pairs), self.measure) for pairs in clusters]
        state = advance(self.design, self.state, differences)
        return replace(self, state=state, seen=(*self.seen, *differences))

    def limits(self, *, worse: bool) -> Interval:
        """Bound the difference by its own bets; `worse`: that head is worse is shown, after all tests of the gate.

        A test that would show it by itself, and does not among the others, is bound at the level that all of them have:
        so the upper limit is below what is called worse exactly where it is shown.
        """
        limits = stopped_interval(self.design, self.seen)
        if worse:
            return limits
        shared = replace(self.design, alpha=self.design.alpha / self.design.tests)
        bound = -self.design.margin if self.design.target is About.DATASET else 0.0
        return limits if limits.high >= bound else Interval(limits.low, stopped_interval(shared, self.seen).high)


def questions_of(
    policy: GatePolicy, cases: int, max_ungraded: float, family: Family, added: Collection[str] = ()
) -> list[SequentialTest]:
    """Return the tests of a suite's policy over so many clusters; where cases were `added`, of the others alone too."""

    def design(margin: float) -> SequentialDesign:
        return SequentialDesign(
            cases=cases,
            margin=margin,
            discordance=policy.discordance,
            batch=BATCH if policy.sequential else max(cases, 1),
            require=policy.require,
            target=policy.target,
            waits=policy.waits,
            tests=family.tests,
            alpha=family.alpha,
            max_ungraded=max_ungraded,
        )

    asked: list[tuple[str, Measure, float]] = [("good", goods, policy.margin)]
    asked += [(rule.grader, passes_of(rule.grader), rule.margin) for rule in policy.graders]
    questions = [SequentialTest(name, measure, design(margin)) for name, measure, margin in asked]
    if not added:
        return questions
    names = ("old cases" if one.name == "good" else f"old cases, {one.name}" for one in questions)
    old = (replace(one, name=name, without=frozenset(added)) for name, one in zip(names, questions, strict=True))
    return [*questions, *old]


def limits_of(questions: Sequence[SequentialTest], tested: Sequence[Finding]) -> dict[str, Interval]:
    """Bound the differences that were bet on over all cases, by grader; "" are good outputs, the first question."""
    worse = {one.rule for one in tested if one.exit is ExitCode.NO and not one.doubt}
    return {
        "" if one is questions[0] else one.name: one.limits(worse=one.rule in worse)
        for one in questions
        if not one.without
    }


def number_of_tests(policy: GatePolicy, *, compares: bool, added: Collection[str] = ()) -> int:
    """Count what may refuse by chance: good outputs, graders with a rule of their own, and the other rules."""
    return ((1 + len(policy.graders) if compares else 0) + policy.tests) * (2 if added else 1)


def passes_of(grader: str) -> Measure:
    """Return the measure of one grader's passes; what it did not judge is not known."""

    def measure(case: CaseResult) -> TrialTally:
        outcomes = [sample.outcomes.get(grader, Outcome.ERROR) for sample in case.samples]
        unknown = sum(outcome in (Outcome.ABSTAIN, Outcome.ERROR) for outcome in outcomes)
        return TrialTally(case.trials, outcomes.count(Outcome.PASS), unknown)

    return measure


def _difference(pairs: Sequence[Pair], measure: Measure) -> PairedDifference:
    """Return the difference of one cluster: the mean of its cases'."""
    tallies = [(measure(pair.base), measure(pair.head)) for pair in pairs]
    if measure is not goods:  # a grader that has nothing to judge by, on either side, says nothing of a case
        tallies = [(base, head) for base, head in tallies if base.unknown < base.trials or head.unknown < head.trials]
    if not tallies:
        return PairedDifference(0.0, 0.0)
    return PairedDifference(
        fsum(head.least - base.most for base, head in tallies) / len(tallies),
        fsum(head.most - base.least for base, head in tallies) / len(tallies),
        ungraded=sum(base.unknown + head.unknown for base, head in tallies),
        samples=sum(base.trials + head.trials for base, head in tallies),
    )


class SuiteTests(Value, kw_only=True):
    """The tests of one suite, with what they looked at."""

    suite: str
    policy: GatePolicy
    questions: Sequence[SequentialTest]
    pairs: Sequence[Pair]  # in the order, up to the stop
    rules: Sequence[Rule] = ()
    fixed: bool = False  # every case was run, and is judged once

    def differences(self, test: SequentialTest) -> Differences:
        """Return the differences that a test is about."""
        return Differences(test.about(self.pairs), test.measure, exact=True)


def judge(asked: Sequence[SuiteTests], alpha: float = ALPHA) -> list[list[Finding]]:
    """Say what each suite's tests and rules found, in their order: one family, over the whole gate."""
    family = [_p_worse(one, test) for one in asked for test in one.questions]
    family += [rule.p_broken for one in asked for rule in one.rules if rule.p_broken is not None]
    adjusted = iter(holm(family))
    tested = [[_told(one, test, _found(one, test, next(adjusted))) for test in one.questions] for one in asked]
    ruled = [
        [rule.finding(shown=rule.p_broken is not None and next(adjusted) <= alpha * _SLACK) for rule in one.rules]
        for one in asked
    ]
    return [[*tests, *rules] for tests, rules in zip(tested, ruled, strict=True)]


def _p_worse(asked: SuiteTests, test: SequentialTest) -> float:
    if not asked.fixed:
        return p_value(test.state.log_e_worse)
    differences = asked.differences(test)
    values = differences.for_head
    if not values:
        return 1.0
    if differences.binary:
        wins, losses = sum(value > 0 for value in values), sum(value < 0 for value in values)
        return mcnemar_exact(wins, losses, Alternative.WORSE)
    return sign_flip_p(values, Alternative.WORSE)


def _found(asked: SuiteTests, test: SequentialTest, p_worse: float) -> Conclusion:
    (alone,) = findings([(test.design, test.state)])
    everything = test.state.seen == test.design.cases
    if alone is Conclusion.UNMEASURED or (test.design.target is About.DATASET and everything):
        return alone  # no test that pays for another
    if p_worse <= test.design.alpha * _SLACK:
        return Conclusion.WORSE
    differences = asked.differences(test)
    if asked.fixed and differences.binary:
        p_no_worse = differences.p_no_worse(test.design.margin)
        return Conclusion.NO_WORSE if p_no_worse is not None and p_no_worse <= test.design.alpha else Conclusion.NEITHER
    # Where trials or clusters make the differences other than -1, 0 and 1, only the bets hold their level.
    no_worse = test.state.log_e_no_worse >= test.design.log_threshold
    return Conclusion.NO_WORSE if no_worse else Conclusion.NEITHER


def _told(asked: SuiteTests, test: SequentialTest, found: Conclusion) -> Finding:
    what = "" if test.name == "good" else f"{test.name}: "
    rule, margin = test.rule, points(test.design.margin)
    match found:
        case Conclusion.WORSE:
            return Finding(rule, ExitCode.NO, *_worse(asked, test, what))
        case Conclusion.NO_WORSE:
            error = f"{100 * test.design.alpha:.2g} % error"
            shown = f"{what}shown to be no worse: a drop of {margin} or more is excluded at {error}"
            return Finding(rule, ExitCode.YES, shown)
        case Conclusion.UNMEASURED:
            return Finding(rule, ExitCode.CANNOT_MEASURE, f"{what}{_ungraded(asked, test)}")
        case Conclusion.NEITHER:
            return _neither(asked, test, rule, what)


def _ungraded(asked: SuiteTests, test: SequentialTest) -> str:
    ungraded = f"{test.state.ungraded} of {test.state.samples} samples are ungraded"
    limit = f"more than {100 * test.design.max_ungraded:g} %: no verdict rests on that"
    pairs = test.about(asked.pairs)
    base, head = unanswered(pair.base for pair in pairs), unanswered(pair.head for pair in pairs)
    answers = f"; without an answer: {base} on base, {head} on head" if base or head else ""
    return f"{ungraded}, {limit}{answers}"


def _neither(asked: SuiteTests, test: SequentialTest, rule: str, what: str) -> Finding:
    differences = asked.differences(test)
    value = differences.value
    if asked.policy.require is Require.NO_WORSE:
        return Finding(rule, ExitCode.INCONCLUSIVE, f"{what}{_undecided(asked, test)}")
    noticed = f"{what}not shown worse; {_noticed(asked, test)}"
    if value is None or value >= -test.design.margin:
        return Finding(rule, ExitCode.YES, noticed)
    more = cases_to_tell(asked, test, -value)
    tell = "no practical number of cases would tell" if more is None else f"about {more} cases in all would tell"
    reason = f"{what}worse by {points(-value)} as measured, and chance may explain it: {tell}"
    return doubtful(asked.policy.doubt, rule, reason, differences.lost)


def _worse(asked: SuiteTests, test: SequentialTest, what: str) -> tuple[str, tuple[str, ...]]:
    differences = asked.differences(test)
    lost = differences.lost
    worse = f"{what}shown to be worse: {len(lost)} of {differences.n} cases got worse, {len(differences.won)} better"
    if not asked.fixed and within_margin(test.design, test.state):
        worse += f", though by less than {points(test.design.margin)}"
    return f"{worse} ({listed(lost)})", lost


def seen_discordance(asked: SuiteTests, test: SequentialTest) -> float:
    """Return how much cases disagree: as the policy expects, or as they did where that is more."""
    differences = asked.differences(test)
    seen = differences.discordance if differences.n else 0.0
    return max(test.design.discordance, ceil(100 * seen) / 100)


def drop_of(asked: SuiteTests, test: SequentialTest) -> float | None:
    """Return the smallest drop that is refused with 80 % power; None: not even one from 1 to 0."""
    if asked.fixed:
        return smallest_difference(test.design.cases, seen_discordance(asked, test))
    return detectable_drop(test.design, seen_discordance(asked, test))


def needed_by(asked: SuiteTests, test: SequentialTest) -> int | None:
    """Return how many cases show with 80 % power that a harmless change is no worse; None: no practical number."""
    if asked.fixed:
        clusters = ceil(cases_for_noninferiority(seen_discordance(asked, test), test.design.margin))
    else:
        needed = cases_needed(test.design, seen_discordance(asked, test))
        if needed is None:
            return None
        clusters = needed
    return _in_cases(asked, clusters)


def cases_to_tell(asked: SuiteTests, test: SequentialTest, drop: float) -> int | None:
    """Return how many cases refuse a drop of this size with 80 % power; None: no practical number."""
    if asked.fixed:
        discordance = max(seen_discordance(asked, test), drop)
        return _in_cases(asked, ceil(cases_for_difference(discordance, drop)))
    clusters = cases_to_refuse(test.design, seen_discordance(asked, test), round(drop, 3))
    return None if clusters is None else _in_cases(asked, clusters)


def _in_cases(asked: SuiteTests, clusters: int) -> int:
    """Return how many cases so many clusters are, at the size that these have."""
    differences = Differences(asked.pairs, goods)
    return ceil(clusters * differences.n / differences.clusters) if differences.n else clusters


def _noticed(asked: SuiteTests, test: SequentialTest) -> str:
    drop, differ = drop_of(asked, test), f"where {100 * seen_discordance(asked, test):.3g} % of cases differ"
    if drop is None:
        return f"{differ}, so few cases refuse no drop, however large, with 80 % power"
    return f"{differ}, a drop of {points(drop)} is refused with 80 % power"


def _undecided(asked: SuiteTests, test: SequentialTest) -> str:
    needed = needed_by(asked, test)
    cases = f"about {needed} cases are needed" if needed is not None else "no practical number of cases is enough"
    here = f"neither worse nor no worse is shown with {len(asked.pairs)} cases"
    return f"{here}; {cases} to show that a harmless change is no worse by {points(test.design.margin)} (80 % power)"
