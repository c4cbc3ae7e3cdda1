"""The rules of a gate outside its sequential tests: each looks once.

A rule that chance can break gives a p-value. All of them, and the sequential tests of every suite, are one family: what
is shown is shown after Holm's method over the whole gate.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import ceil, fsum, log
from random import Random

from msgspec import field
from msgspec.structs import replace

from evalh.analysis.compare.comparison import listed
from evalh.analysis.compare.differences import goods, rate_of
from evalh.analysis.compare.pairing import CaseResult, Pair, cluster_sums, clustered, spending, unanswered
from evalh.analysis.downstream import consequences, loss_differences
from evalh.analysis.gate.decision import Finding, MustPassCase, doubtful
from evalh.core.errors import ExitCode
from evalh.core.sample import Standing
from evalh.core.suite import GatePolicy, MustPass, Never, OutputValue
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.stats.clusters import binomial_tail, rate_below_p
from evalh.stats.intervals import clopper_pearson
from evalh.stats.paired import t_test_p
from evalh.stats.permutation import cost_per_good_rise_p
from evalh.stats.quantiles import quantile

_ONE_SIDED = 0.90  # a two-sided interval whose upper limit errs 5 times in 100
_RESAMPLES = 2000
_P95 = 0.95
_FEWEST_FOR_P95 = 20


class RuleInputs(Value, kw_only=True):
    """What a suite's rules look at."""

    policy: GatePolicy
    pairs: Sequence[Pair]  # none where the suite is new
    head: Sequence[CaseResult]
    complete: bool  # every case is in
    graders: frozenset[str]  # on head
    must_pass: Sequence[MustPassCase] | None = None  # None: not run
    latencies: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # (base, head), of cases asked together
    seed: str = ""
    value: OutputValue | None = None

    def without(self, added: Collection[str]) -> "RuleInputs":
        """Return what the rules that chance can break look at over the other cases alone."""
        never = tuple(one for one in self.policy.never if one.at_most is not None)
        return replace(
            self,
            policy=replace(self.policy, must_pass=None, never=never),
            pairs=[pair for pair in self.pairs if pair.case_id not in added],
            head=[case for case in self.head if case.case_id not in added],
            latencies={case: both for case, both in self.latencies.items() if case not in added},
        )


class Rule(Value):
    """What one rule found: `shown` if chance is ruled out, after Holm's method, and else `otherwise`."""

    p_broken: float | None  # None: nothing is left to chance
    otherwise: Finding
    shown: Finding | None = None

    def finding(self, *, shown: bool) -> Finding:
        """Return what it found."""
        return self.shown if shown and self.shown is not None else self.otherwise


def rules_of(measured: RuleInputs, added: Collection[str] = ()) -> Iterator[Rule]:
    """Apply every rule that the policy declares; where cases were `added`, to the others alone too.

    Cases that suit head make up for what old ones lose in any of these numbers, as they do in good outputs.
    """
    yield from _rules_of(measured)
    if added:
        yield from map(_of_old, _rules_of(measured.without(frozenset(added))))


def _of_old(rule: Rule) -> Rule:
    def of_old(finding: Finding) -> Finding:
        return replace(finding, rule=f"old cases, {finding.rule}", reason=f"old cases, {finding.reason}")

    otherwise = of_old(rule.otherwise)
    if rule.p_broken is not None and otherwise.exit is ExitCode.INCONCLUSIVE and not otherwise.doubt:
        # What a bound must show, all cases may show together: the old ones alone only refuse.
        otherwise = replace(otherwise, exit=ExitCode.YES)
    return Rule(rule.p_broken, otherwise, None if rule.shown is None else of_old(rule.shown))


def _rules_of(measured: RuleInputs) -> Iterator[Rule]:
    policy = measured.policy
    if policy.must_pass is not None and measured.must_pass is not None:
        yield Rule(None, must_pass(policy.must_pass, measured.must_pass))
    for never in policy.never:
        yield _never(never, measured)
    if not measured.complete:
        return  # what is tested once, over all cases, is not tested before they are in: the gate has refused
    if policy.good_rate is not None:
        yield _good_rate(policy.good_rate, measured)
    if policy.cost_may_rise is not None and measured.pairs:
        yield _cost(policy.cost_may_rise, measured)
    if policy.net_loss_may_rise is not None and measured.value is not None and measured.pairs:
        yield _net_loss(policy.net_loss_may_rise, measured.value, measured)
    if policy.latency_may_rise is not None and measured.pairs:
        yield _latency(policy.latency_may_rise, measured)


def _settled(rule: str, code: ExitCode, reason: str, cases: tuple[str, ...] = ()) -> Rule:
    return Rule(None, Finding(rule, code, reason, cases))


def _ceiling(name: str, measured: RuleInputs, p_broken: float, number: str, *, limit: str, above: bool) -> Rule:
    """Return the rule of a number, as a sentence begins with it, that may not be above a limit."""
    shown = Finding(name, ExitCode.NO, f"{number} shown to be more than {limit}")
    if above:
        reason = f"{number} more than {limit}, though chance may explain it"
        return Rule(p_broken, doubtful(measured.policy.doubt, name, reason), shown)
    return Rule(p_broken, Finding(name, ExitCode.YES, f"{number} not more than {limit}"), shown)


def must_pass(rule: MustPass, cases: Sequence[MustPassCase]) -> Finding:
    """Refuse where a case is not good often enough."""
    if not cases:
        named = [(what, listed(sorted(names))) for what, names in (("tags", rule.tags), ("cases", rule.cases)) if names]
        wanted = ", ".join(f"{what}: {names}" for what, names in named)
        return Finding("must_pass", ExitCode.INCONCLUSIVE, f"must_pass matches no case of this dataset ({wanted})")
    broken = [one for one in cases if one.good + one.ungraded < rule.passes]
    unknown = [one for one in cases if one.good < rule.passes <= one.good + one.ungraded]
    wanted = f"{rule.passes} of {rule.trials}"
    by_chance = f"{100 * refused_by_chance(rule, len(cases)):.2g} % of the time by chance alone"
    chance = f"cases that are each good 99 times in 100 break this rule {by_chance}"
    if broken:
        counts = [f"{one.case_id} {one.good} of {one.trials}" for one in broken]
        reason = f"must_pass is broken ({wanted} trials must be good): {listed(counts)}; {chance}"
        return Finding("must_pass", ExitCode.NO, reason, tuple(one.case_id for one in broken))
    if unknown:
        names = tuple(one.case_id for one in unknown)
        return Finding("must_pass", ExitCode.CANNOT_MEASURE, f"must_pass could not be measured: {listed(names)}", names)
    return Finding("must_pass", ExitCode.YES, f"must_pass holds: {len(cases)} cases, {wanted} trials good; {chance}")


def refused_by_chance(rule: MustPass, cases: int, rate: float = 0.99) -> float:
    """Return how often `cases` that are each good at this rate break the rule by chance alone."""
    passes = 1 - binomial_tail(rule.passes - 1, rule.trials, rate) if rule.passes else 1.0
    return 1 - passes**cases


def _never(rule: Never, measured: RuleInputs) -> Rule:
    name = f"never {rule.grader}"
    if rule.grader not in measured.graders:
        reason = f"never: head's suite has no grader {rule.grader!r} any more, so nothing is known"
        return _settled(name, ExitCode.INCONCLUSIVE, reason)
    # A claim about cases: ten trials of one case, or ten copies of it, are one chance to fail.
    judged = [case for case in measured.head if _outcomes(case, rule.grader)]
    failed = tuple(case.case_id for case in judged if Outcome.FAIL in _outcomes(case, rule.grader))
    clusters = clustered(judged)
    fails = sum(any(judged[place].case_id in set(failed) for place in places) for places in clusters)
    if not judged:
        return _settled(name, ExitCode.CANNOT_MEASURE, f"never: {rule.grader} judged no output")
    what = "cases" if len(clusters) == len(judged) else "clusters of cases"
    seen = f"never: {rule.grader} failed on {fails} of {len(clusters)} {what}"
    high = 100 * clopper_pearson(fails, len(clusters), _ONE_SIDED).high
    if rule.at_most is None:
        if fails:
            return _settled(name, ExitCode.NO, f"{seen} ({listed(failed)})", failed)
        rarer = f"{seen}; it fails on fewer than {high:.2g} % of such {what}, with 95 % confidence"
        return _settled(name, ExitCode.YES, rarer)
    return _rarer(rule.at_most, name, (fails, len(clusters), seen, failed))


def _outcomes(case: CaseResult, grader: str) -> list[Outcome]:
    outcomes = (sample.outcomes.get(grader) for sample in case.samples)
    return [one for one in outcomes if one in (Outcome.PASS, Outcome.FAIL)]


def _rarer(at_most: float, name: str, found: tuple[int, int, str, tuple[str, ...]]) -> Rule:
    fails, cases, seen, failed = found
    bound, high = f"{100 * at_most:g} %", clopper_pearson(fails, cases, _ONE_SIDED).high

    shown = Finding(name, ExitCode.NO, f"{seen}, which is shown to exceed {bound} ({listed(failed)})", failed)
    if high <= at_most:
        otherwise = Finding(name, ExitCode.YES, f"{seen}, shown to be at most {bound}")
    else:
        reason = f"{seen}; at most {bound} is not shown (up to {100 * high:.2g} % is possible)"
        reason += f"; {_clean(at_most)} cases without a failure show it"
        otherwise = Finding(name, ExitCode.INCONCLUSIVE, reason, failed)
    return Rule(1 - binomial_tail(fails - 1, cases, at_most) if fails else 1.0, otherwise, shown)


def _clean(at_most: float) -> str:
    return "no number of" if at_most == 0 else str(ceil(log(0.05) / log(1 - at_most))) if at_most < 1 else "1"


def _good_rate(at_least: float, measured: RuleInputs) -> Rule:
    name, head = "good_rate", measured.head
    samples = sum(case.trials for case in head)
    if not samples:
        return _settled(name, ExitCode.CANNOT_MEASURE, f"{name}: no sample was evaluated")
    if not any(sample.standing is not Standing.UNGRADED for case in head for sample in case.samples):
        return _settled(name, ExitCode.CANNOT_MEASURE, f"{name}: none of {samples} samples could be graded")
    tallies, clusters = [goods(case) for case in head], clustered(head)
    sums, trials = cluster_sums([one.least for one in tallies], clusters), max(one.trials for one in tallies)
    estimate = rate_of(tallies, clusters)
    rate, low = estimate.value or 0.0, estimate.low or 0.0
    counted = f"{name}: {sum(case.goods for case in head)} of {samples} are good, {100 * rate:.1f} %"
    bar = f"{100 * at_least:g} %"
    bad = tuple(case.case_id for case in head if case.goods < case.trials)

    if rate < at_least:
        otherwise = doubtful(measured.policy.doubt, name, f"{counted}, below {bar}; chance may explain it", bad)
    else:
        lower = f"; a rate down to {100 * low:.1f} % is possible" if low < at_least else ""
        otherwise = Finding(name, ExitCode.YES, f"{counted}, not below {bar} as counted{lower}")
    shown = Finding(name, ExitCode.NO, f"{counted}, shown to be below {bar}", bad)
    return Rule(rate_below_p(sums, trials, at_least), otherwise, shown)


def _cost(may_rise: float, measured: RuleInputs) -> Rule:
    name, pairs = "cost_per_good", measured.pairs
    base, head = spending([one.base for one in pairs]), spending([one.head for one in pairs])
    if base is None or head is None:
        return _settled(name, ExitCode.CANNOT_MEASURE, f"{name}: an answer is not priced, so the cost is unknown")
    if not any(base[1]) and not any(head[1]):
        reason = f"{name}: nothing is good on either side, so neither has a cost per good output"
        return _settled(name, ExitCode.INCONCLUSIVE, reason)
    if not any(base[0]):
        free = not any(head[0])
        which = "free on both sides" if free else "base was free, head is not"
        return _settled(name, ExitCode.YES if free else ExitCode.NO, f"{name}: {which}")
    if not any(base[1]):
        reason = f"{name}: nothing is good on base; head's good outputs have a cost"
        return _settled(name, ExitCode.YES, reason)
    p_broken = cost_per_good_rise_p(base, head, may_rise)
    if not any(head[1]):
        nothing = f"{name}: nothing is good on head"
        reason = f"{nothing}; with so few good outputs on base, chance may explain it"
        shown = Finding(name, ExitCode.NO, f"{nothing}, so one good output has no finite cost")
        return Rule(p_broken, doubtful(measured.policy.doubt, name, reason), shown)
    value = fsum(head[0]) / fsum(head[1]) / (fsum(base[0]) / fsum(base[1]))
    return _ratio_ceiling(name, measured, p_broken, value, may_rise)


def _net_loss(may_rise: float, value: OutputValue, measured: RuleInputs) -> Rule:
    """Hold what a case costs in all to its rule: a mean, so that the differences themselves are tested."""
    name = "net_loss"
    gone = sorted(value.review - measured.graders)
    if gone:
        reason = f"{name}: head's suite has no grader {gone[0]!r} any more, so it is unknown what is reviewed"
        return _settled(name, ExitCode.INCONCLUSIVE, reason)
    base = consequences((pair.base for pair in measured.pairs), value)
    head = consequences((pair.head for pair in measured.pairs), value)
    if base is None or head is None:
        return _settled(name, ExitCode.CANNOT_MEASURE, f"{name}: an answer is not priced, so the cost is unknown")
    losses = [side.net_losses(value.prices) for side in (base, head)]
    before, after = (fsum(side) / len(side) for side in losses)
    number = f"{name}: with its consequences a case costs {before:.4g} USD on base, {after:.4g} on head:"
    excess = loss_differences(base, head, value.prices, may_rise)
    above = fsum(excess) / len(excess) > 0
    p_broken = t_test_p(excess) / 2 if above and len(excess) > 1 else 1.0
    return _ceiling(name, measured, p_broken, number, limit=f"a rise of {100 * may_rise:g} %", above=above)


def _latency(may_rise: float, measured: RuleInputs) -> Rule:
    name, known = "latency_p95", measured.latencies
    if len(known) < len(measured.pairs):
        reason = (
            f"{name}: {len(measured.pairs) - len(known)} of {len(measured.pairs)} cases were not asked on both sides in"
            " one gate, and latencies of different days are not comparable (--fresh asks all of them)"
        )
        return _settled(name, ExitCode.INCONCLUSIVE, reason)
    clusters = [
        [known[measured.pairs[place].case_id] for place in places]
        for places in clustered([pair.head for pair in measured.pairs])
    ]
    if len(clusters) < _FEWEST_FOR_P95:
        reason = (
            f"{name}: {len(clusters)} cases are too few for a 95th percentile; at least {_FEWEST_FOR_P95} are needed"
        )
        return _settled(name, ExitCode.INCONCLUSIVE, reason)
    value = _ratio([pair for one in clusters for pair in one])
    ratios = _resampled(clusters, measured.seed)
    if value is None or not ratios:
        return _settled(name, ExitCode.CANNOT_MEASURE, f"{name}: no latency was measured")
    within = sum(ratio <= 1 + may_rise for ratio in ratios)
    return _ratio_ceiling(name, measured, (within + 1) / (len(ratios) + 1), value, may_rise)


def _ratio_ceiling(name: str, measured: RuleInputs, p_broken: float, ratio: float, may_rise: float) -> Rule:
    number, most = f"{name}: head's is {ratio:.3g} times base's,", 1 + may_rise
    return _ceiling(name, measured, p_broken, number, limit=f"{most:g} times", above=ratio > most)


def _resampled(clusters: Sequence[Sequence[tuple[float, float]]], seed: str) -> list[float]:
    """Return the ratio of the p95s of resampled clusters: the paired bootstrap."""
    chance = Random(f"{seed}-latency")  # noqa: S311 (reproducible on purpose)
    ratios = []
    for _ in range(_RESAMPLES):
        ratio = _ratio([pair for one in chance.choices(clusters, k=len(clusters)) for pair in one])
        if ratio is not None:
            ratios.append(ratio)
    return ratios


def _ratio(pairs: Sequence[tuple[float, float]]) -> float | None:
    base, head = (quantile(side, _P95) for side in zip(*pairs, strict=True))
    return head / base if base and head is not None else None


def ungraded(head: Iterable[CaseResult], most: float) -> Finding | None:
    """Say where more samples are ungraded than a verdict may rest on: for suites that are not compared."""
    cases = list(head)
    standings = [sample.standing for case in cases for sample in case.samples]
    missing = standings.count(Standing.UNGRADED)
    if missing <= most * len(standings):
        return None
    lost = unanswered(cases)
    answers = f"; {lost} are without an answer" if lost else ""
    reason = f"{missing} of {len(standings)} samples are ungraded, more than {100 * most:g} %{answers}"
    return Finding("ungraded", ExitCode.CANNOT_MEASURE, reason)
