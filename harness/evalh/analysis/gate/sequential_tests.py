"""The statistical half of a gate: its tests, how far each has looked, and their findings.

Good outputs are one test; each grader with a rule of its own is another. All tests of one gate share one error rate.
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
_SLACK = 1 + 1e-12  # rounding: a p-value may differ from 0.05 in its last digit


class Family(Value):
    """What the tests of one gate share: their number and their error rate."""

    tests: int
    alpha: float = ALPHA


class SequentialTest(Value):
    """One test and its state, which changes with every look."""

    name: str  # "good", a grader's name, or that of a test over old cases
    measure: Measure
    design: SequentialDesign
    state: LookState = field(default_factory=LookState)
    differences: tuple[PairedDifference, ...] = ()  # of clusters, in the order of the looks
    without: frozenset[str] = (
        frozenset()
    )  # new cases, left out: rows that expect head's answers would make up for losses

    @property
    def rule(self) -> str:
        """The rule that its finding belongs to."""
        return self.name if self.name == "good" or self.without else f"grader {self.name}"

    @property
    def stopped(self) -> bool:
        """Whether no more cases are needed."""
        return self.state.stop is not None

    def about(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """Return the pairs that this test counts."""
        return [pair for pair in pairs if pair.case_id not in self.without] if self.without else pairs

    def look(self, clusters: Sequence[Sequence[Pair]]) -> "SequentialTest":
        """Look at the next clusters of the order; a test that has stopped does not change."""
        if self.stopped:
            return self
        differences = [_difference(self.about(pairs), self.measure) for pairs in clusters]
        state = advance(self.design, self.state, differences)
        return replace(self, state=state, differences=(*self.differences, *differences))

    def limits(self, *, worse: bool) -> Interval:
        """Bound the difference by this test's bets. `worse`: head is shown to be worse, after adjusting for all tests.

        A test that shows it alone but not among the others is bound at the level that all tests share. So the upper
        limit lies below what counts as worse exactly if head is shown to be worse.
        """
        limits = stopped_interval(self.design, self.differences)
        if worse:
            return limits
        shared = replace(self.design, alpha=self.design.alpha / self.design.tests)
        bound = -self.design.margin if self.design.target is About.DATASET else 0.0
        return limits if limits.high >= bound else Interval(limits.low, stopped_interval(shared, self.differences).high)


def new_tests(
    policy: GatePolicy, cases: int, max_ungraded: float, family: Family, added: Collection[str] = ()
) -> list[SequentialTest]:
    """Return the tests of a suite's policy over `cases` clusters; if cases were `added`, also tests without them."""

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

    measures: list[tuple[str, Measure, float]] = [("good", goods, policy.margin)]
    measures += [(rule.grader, passes_of(rule.grader), rule.margin) for rule in policy.graders]
    tests = [SequentialTest(name, measure, design(margin)) for name, measure, margin in measures]
    if not added:
        return tests
    names = ("old cases" if test.name == "good" else f"old cases, {test.name}" for test in tests)
    old = (replace(test, name=name, without=frozenset(added)) for name, test in zip(names, tests, strict=True))
    return [*tests, *old]


def limits_of(tests: Sequence[SequentialTest], results: Sequence[Finding]) -> dict[str, Interval]:
    """Bound the differences over all cases, by grader; the key of good outputs, the first test, is ""."""
    worse = {finding.rule for finding in results if finding.exit is ExitCode.NO and not finding.doubt}
    return {
        "" if test is tests[0] else test.name: test.limits(worse=test.rule in worse)
        for test in tests
        if not test.without
    }


def number_of_tests(policy: GatePolicy, *, compares: bool, added: Collection[str] = ()) -> int:
    """Count what may refuse by chance: good outputs, graders with a rule of their own, and the other rules."""
    return ((1 + len(policy.graders) if compares else 0) + policy.tests) * (2 if added else 1)


def passes_of(grader: str) -> Measure:
    """Return the measure of one grader's passes; an output that it did not judge is unknown."""

    def measure(case: CaseResult) -> TrialTally:
        outcomes = [sample.outcomes.get(grader, Outcome.ERROR) for sample in case.samples]
        unknown = sum(outcome in (Outcome.ABSTAIN, Outcome.ERROR) for outcome in outcomes)
        return TrialTally(case.trials, outcomes.count(Outcome.PASS), unknown)

    return measure


def _difference(pairs: Sequence[Pair], measure: Measure) -> PairedDifference:
    """Return the difference of one cluster: the mean of its cases'."""
    tallies = [(measure(pair.base), measure(pair.head)) for pair in pairs]
    if measure is not goods:  # where a grader could judge neither side, the case says nothing
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
    """The tests of one suite, with the cases that they looked at."""

    suite: str
    policy: GatePolicy
    tests: Sequence[SequentialTest]
    pairs: Sequence[Pair]  # in the order, up to the stop
    rules: Sequence[Rule] = ()
    fixed: bool = False  # every case was run, and is judged once

    def differences(self, test: SequentialTest) -> Differences:
        """Return the differences that a test is about."""
        return Differences(test.about(self.pairs), test.measure, exact=True)


def judge(suites: Sequence[SuiteTests], alpha: float = ALPHA) -> list[list[Finding]]:
    """Return the findings of each suite's tests and rules, in order: one family of tests for the whole gate."""
    family = [_p_worse(suite, test) for suite in suites for test in suite.tests]
    family += [rule.p_broken for suite in suites for rule in suite.rules if rule.p_broken is not None]
    adjusted = iter(holm(family))
    of_tests = [
        [_finding(suite, test, _conclusion(suite, test, next(adjusted))) for test in suite.tests] for suite in suites
    ]
    of_rules = [
        [rule.finding(shown=rule.p_broken is not None and next(adjusted) <= alpha * _SLACK) for rule in suite.rules]
        for suite in suites
    ]
    return [[*tests, *rules] for tests, rules in zip(of_tests, of_rules, strict=True)]


def _p_worse(suite: SuiteTests, test: SequentialTest) -> float:
    if not suite.fixed:
        return p_value(test.state.log_e_worse)
    differences = suite.differences(test)
    values = differences.for_head
    if not values:
        return 1.0
    if differences.binary:
        wins, losses = sum(value > 0 for value in values), sum(value < 0 for value in values)
        return mcnemar_exact(wins, losses, Alternative.WORSE)
    return sign_flip_p(values, Alternative.WORSE)


def _conclusion(suite: SuiteTests, test: SequentialTest, p_worse: float) -> Conclusion:
    (alone,) = findings([(test.design, test.state)])
    everything = test.state.seen == test.design.cases
    if alone is Conclusion.UNMEASURED or (test.design.target is About.DATASET and everything):
        return alone  # needs no adjustment for other tests
    if p_worse <= test.design.alpha * _SLACK:
        return Conclusion.WORSE
    differences = suite.differences(test)
    if suite.fixed and differences.binary:
        p_no_worse = differences.p_no_worse(test.design.margin)
        return Conclusion.NO_WORSE if p_no_worse is not None and p_no_worse <= test.design.alpha else Conclusion.NEITHER
    # Where trials or clusters make the differences other than -1, 0 and 1, only the bets hold their level.
    no_worse = test.state.log_e_no_worse >= test.design.log_threshold
    return Conclusion.NO_WORSE if no_worse else Conclusion.NEITHER


def _finding(suite: SuiteTests, test: SequentialTest, conclusion: Conclusion) -> Finding:
    prefix = "" if test.name == "good" else f"{test.name}: "
    rule, margin = test.rule, points(test.design.margin)
    match conclusion:
        case Conclusion.WORSE:
            return Finding(rule, ExitCode.NO, *_worse(suite, test, prefix))
        case Conclusion.NO_WORSE:
            error = f"{100 * test.design.alpha:.2g} % error"
            shown = f"{prefix}shown to be no worse: a drop of {margin} or more is excluded at {error}"
            return Finding(rule, ExitCode.YES, shown)
        case Conclusion.UNMEASURED:
            return Finding(rule, ExitCode.CANNOT_MEASURE, f"{prefix}{_ungraded(suite, test)}")
        case Conclusion.NEITHER:
            return _neither(suite, test, rule, prefix)


def _ungraded(suite: SuiteTests, test: SequentialTest) -> str:
    ungraded = f"{test.state.ungraded} of {test.state.samples} samples are ungraded"
    limit = f"more than {100 * test.design.max_ungraded:g} %: too many for a verdict"
    pairs = test.about(suite.pairs)
    base, head = unanswered(pair.base for pair in pairs), unanswered(pair.head for pair in pairs)
    answers = f"; without an answer: {base} on base, {head} on head" if base or head else ""
    return f"{ungraded}, {limit}{answers}"


def _neither(suite: SuiteTests, test: SequentialTest, rule: str, prefix: str) -> Finding:
    differences = suite.differences(test)
    value = differences.value
    if suite.policy.require is Require.NO_WORSE:
        return Finding(rule, ExitCode.INCONCLUSIVE, f"{prefix}{_cases_missing(suite, test)}")
    not_shown = f"{prefix}not shown worse; {_detectable(suite, test)}"
    if value is None or value >= -test.design.margin:
        return Finding(rule, ExitCode.YES, not_shown)
    more = cases_to_tell(suite, test, -value)
    tell = "no practical number of cases would decide" if more is None else f"about {more} cases in all would decide"
    reason = f"{prefix}worse by {points(-value)} as measured, and chance may explain it: {tell}"
    return doubtful(suite.policy.doubt, rule, reason, differences.lost)


def _worse(suite: SuiteTests, test: SequentialTest, prefix: str) -> tuple[str, tuple[str, ...]]:
    differences = suite.differences(test)
    lost = differences.lost
    worse = f"{prefix}shown to be worse: {len(lost)} of {differences.n} cases got worse ({listed(lost)})"
    worse += f", {len(differences.won)} better"
    if not suite.fixed and within_margin(test.design, test.state):
        worse += f", though by less than {points(test.design.margin)}"
    return worse, lost


def discordance_of(suite: SuiteTests, test: SequentialTest) -> float:
    """Return the share of cases that differ: what the policy expects, or what was observed if that is more."""
    differences = suite.differences(test)
    observed = differences.discordance if differences.n else 0.0
    return max(test.design.discordance, ceil(100 * observed) / 100)


def drop_of(suite: SuiteTests, test: SequentialTest) -> float | None:
    """Return the smallest drop that is refused with 80 % power; None: not even one from 1 to 0."""
    if suite.fixed:
        return smallest_difference(test.design.cases, discordance_of(suite, test))
    return detectable_drop(test.design, discordance_of(suite, test))


def needed_by(suite: SuiteTests, test: SequentialTest) -> int | None:
    """Return how many cases show with 80 % power that a harmless change is no worse; None: no practical number."""
    if suite.fixed:
        clusters = ceil(cases_for_noninferiority(discordance_of(suite, test), test.design.margin))
    else:
        needed = cases_needed(test.design, discordance_of(suite, test))
        if needed is None:
            return None
        clusters = needed
    return _in_cases(suite, clusters)


def cases_to_tell(suite: SuiteTests, test: SequentialTest, drop: float) -> int | None:
    """Return how many cases refuse a drop of this size with 80 % power; None: no practical number."""
    if suite.fixed:
        discordance = max(discordance_of(suite, test), drop)
        return _in_cases(suite, ceil(cases_for_difference(discordance, drop)))
    clusters = cases_to_refuse(test.design, discordance_of(suite, test), round(drop, 3))
    return None if clusters is None else _in_cases(suite, clusters)


def _in_cases(suite: SuiteTests, clusters: int) -> int:
    """Convert a number of clusters to cases, at the average size of these clusters."""
    differences = Differences(suite.pairs, goods)
    return ceil(clusters * differences.n / differences.clusters) if differences.n else clusters


def _detectable(suite: SuiteTests, test: SequentialTest) -> str:
    drop, differ = drop_of(suite, test), f"if {100 * discordance_of(suite, test):.3g} % of cases differ"
    if drop is None:
        return f"{differ}, these are too few cases to refuse any drop with 80 % power"
    return f"{differ}, a drop of {points(drop)} is refused with 80 % power"


def _cases_missing(suite: SuiteTests, test: SequentialTest) -> str:
    needed = needed_by(suite, test)
    cases = f"about {needed} cases are needed" if needed is not None else "no practical number of cases is enough"
    here = f"neither worse nor no worse is shown with {len(suite.pairs)} cases"
    return f"{here}; {cases} to show that a harmless change is no worse by {points(test.design.margin)} (80 % power)"
