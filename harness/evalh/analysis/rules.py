"""The rules of a gate outside its sequential test: each looks once, and says what it found."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from random import Random

from evalh.analysis.downstream import consequences, loss_differences
from evalh.analysis.pairing import CaseResult, Pair
from evalh.analysis.verdicts import Finding, MustPassCase, listed
from evalh.core.exits import ExitCode
from evalh.core.policy import GatePolicy, MustPass, Never
from evalh.core.sample import Standing
from evalh.core.value import Value
from evalh.core.verdict import Outcome
from evalh.stats.intervals import clopper_pearson, wilson
from evalh.stats.paired import t_test_p
from evalh.stats.quantiles import quantile
from evalh.stats.ratio import cost_per_good_ratio

ALPHA = 0.05
_ONE_SIDED = 0.90  # a two-sided interval whose lower limit errs 5 times in 100
_RESAMPLES = 2000
_P95 = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a suite's rules look at."""

    policy: GatePolicy
    pairs: Sequence[Pair]  # none where the suite is new
    head: Sequence[CaseResult]
    complete: bool  # every case is in
    graders: frozenset[str]  # on head
    must_pass: Sequence[MustPassCase] | None = None  # None: not run
    latencies: Sequence[tuple[float, float]] = ()  # (base, head) of pairs that were asked in one gate
    answers: int = 0  # pairs with a latency, wherever it was measured
    seed: str = ""
    value: Value | None = None


def judge_rules(measured: Measured) -> Iterator[Finding]:
    """Apply every rule that the policy declares."""
    policy = measured.policy
    if policy.must_pass is not None and measured.must_pass is not None:
        yield must_pass(policy.must_pass, measured.must_pass)
    for rule in policy.never:
        yield _never(rule, measured)
    if not measured.complete:
        return  # what is tested once, over all cases, is not tested before they are in: the gate has refused
    if policy.good_rate is not None:
        yield _good_rate(policy.good_rate, measured.head)
    if policy.cost_may_rise is not None and measured.pairs:
        yield _cost(policy.cost_may_rise, measured.pairs)
    if policy.net_loss_may_rise is not None and measured.value is not None and measured.pairs:
        yield _net_loss(policy.net_loss_may_rise, measured.value, measured)
    if policy.latency_may_rise is not None and measured.pairs:
        yield _latency(policy.latency_may_rise, measured)


def must_pass(rule: MustPass, cases: Sequence[MustPassCase]) -> Finding:
    """Refuse where a case is not good often enough."""
    if not cases:
        return Finding("must_pass", ExitCode.INCONCLUSIVE, "must_pass names no case of this dataset: it guards nothing")
    broken = [one for one in cases if one.good + one.ungraded < rule.passes]
    unknown = [one for one in cases if one.good < rule.passes <= one.good + one.ungraded]
    wanted = f"{rule.passes} of {rule.trials}"
    if broken:
        told = [f"{one.case_id} {one.good} of {one.trials}" for one in broken]
        reason = f"must_pass is broken ({wanted} trials must be good): {listed(told)}"
        return Finding("must_pass", ExitCode.NO, reason, tuple(one.case_id for one in broken))
    if unknown:
        names = tuple(one.case_id for one in unknown)
        return Finding("must_pass", ExitCode.CANNOT_MEASURE, f"must_pass could not be measured: {listed(names)}", names)
    return Finding("must_pass", ExitCode.YES, f"must_pass holds: {len(cases)} cases, {wanted} trials good")


def _never(rule: Never, measured: Measured) -> Finding:
    name = f"never {rule.grader}"
    if rule.grader not in measured.graders:
        reason = f"never: head's suite has no grader {rule.grader!r} any more, so nothing can be said"
        return Finding(name, ExitCode.INCONCLUSIVE, reason)
    outcomes = [(case.case_id, sample.outcomes.get(rule.grader)) for case in measured.head for sample in case.samples]
    failed = tuple(dict.fromkeys(case for case, outcome in outcomes if outcome is Outcome.FAIL))
    fails = sum(outcome is Outcome.FAIL for _, outcome in outcomes)
    judged = fails + sum(outcome is Outcome.PASS for _, outcome in outcomes)
    if not judged:
        return Finding(name, ExitCode.CANNOT_MEASURE, f"never: {rule.grader} judged no output")
    limits = clopper_pearson(fails, judged, _ONE_SIDED)
    seen = f"{rule.grader} failed {fails} of {judged} times"
    if rule.at_most is None:
        if fails:
            return Finding(name, ExitCode.NO, f"never: {seen} ({listed(failed)})", failed)
        return Finding(name, ExitCode.YES, f"never: {seen}; rarer than {100 * limits.high:.2g} %, by 95 % confidence")
    return _rarer(rule.at_most, name, seen, (limits.low, limits.high), failed)


def _rarer(at_most: float, name: str, seen: str, limits: tuple[float, float], failed: tuple[str, ...]) -> Finding:
    low, high = limits
    bound = f"{100 * at_most:g} %"
    if low > at_most:
        return Finding(name, ExitCode.NO, f"never: {seen}, which is shown to exceed {bound} ({listed(failed)})", failed)
    if high <= at_most:
        return Finding(name, ExitCode.YES, f"never: {seen}, shown to be at most {bound}")
    reason = f"never: {seen}; at most {bound} is not shown (up to {100 * high:.2g} % is possible)"
    return Finding(
        name, ExitCode.INCONCLUSIVE, f"{reason}; without a failure {_clean(at_most)} outputs show it", failed
    )


def _clean(at_most: float) -> str:
    from math import ceil, log

    return "no number of" if at_most == 0 else str(ceil(log(0.05) / log(1 - at_most))) if at_most < 1 else "1"


def _good_rate(at_least: float, head: Sequence[CaseResult]) -> Finding:
    good = sum(case.goods for case in head)
    samples = sum(case.trials for case in head)
    if not samples:
        return Finding("good_rate", ExitCode.CANNOT_MEASURE, "good_rate: no sample was evaluated")
    if not any(sample.standing is not Standing.UNGRADED for case in head for sample in case.samples):
        return Finding("good_rate", ExitCode.CANNOT_MEASURE, f"good_rate: none of {samples} samples could be graded")
    limits = wilson(good, samples)
    rate = f"good_rate: {good} of {samples} are good, {100 * good / samples:.1f} %"
    interval = f"[{100 * limits.low:.1f}, {100 * limits.high:.1f}]"
    bad = tuple(case.case_id for case in head if case.goods < case.trials)
    if good < at_least * samples:
        return Finding("good_rate", ExitCode.NO, f"{rate} {interval}, below {100 * at_least:g} %", bad)
    return Finding("good_rate", ExitCode.YES, f"{rate} {interval}, at least {100 * at_least:g} %")


def _cost(may_rise: float, pairs: Sequence[Pair]) -> Finding:
    name = "cost_per_good"
    costs = [(pair.base.cost_usd, pair.head.cost_usd) for pair in pairs]
    base = [float(cost) for cost, _ in costs if cost is not None]
    head = [float(cost) for _, cost in costs if cost is not None]
    if len(base) < len(pairs) or len(head) < len(pairs):
        return Finding(name, ExitCode.CANNOT_MEASURE, f"{name}: an answer is not priced, so the cost is not known")
    goods = [
        [float(case.goods) for case in side] for side in zip(*((one.base, one.head) for one in pairs), strict=True)
    ]
    if not sum(goods[1]):
        return Finding(name, ExitCode.NO, f"{name}: nothing is good on head, so one good output has no finite cost")
    if not sum(goods[0]):
        return Finding(name, ExitCode.YES, f"{name}: nothing was good on base; head's good outputs have a cost")
    ratio = cost_per_good_ratio((base, goods[0]), (head, goods[1]), _ONE_SIDED)
    if ratio.value is None or ratio.low is None:
        free = not sum(base) and not sum(head)
        code = ExitCode.YES if free else ExitCode.NO if not sum(base) else ExitCode.CANNOT_MEASURE
        return Finding(name, code, f"{name}: {'free on both sides' if free else 'base was free, head is not'}")
    return _rises(name, ratio.value, ratio.low, may_rise)


def _net_loss(may_rise: float, value: Value, measured: Measured) -> Finding:
    """Hold what a case costs in all to its rule: a mean, so that the cases' own differences are tested."""
    name = "net_loss"
    gone = sorted(value.review - measured.graders)
    if gone:
        reason = f"{name}: head's suite has no grader {gone[0]!r} any more, so nobody knows what is reviewed"
        return Finding(name, ExitCode.INCONCLUSIVE, reason)
    base = consequences((pair.base for pair in measured.pairs), value)
    head = consequences((pair.head for pair in measured.pairs), value)
    if base is None or head is None:
        return Finding(name, ExitCode.CANNOT_MEASURE, f"{name}: an answer is not priced, so the cost is not known")
    before, after = (fsum(side.net_losses(value.prices)) / len(measured.pairs) for side in (base, head))
    told = f"{name}: with what follows it a case costs {before:.4g} USD on base, {after:.4g} on head"
    excess = loss_differences(base, head, value.prices, may_rise)
    mean, limit = fsum(excess) / len(excess), f"a rise of {100 * may_rise:g} %"
    shown = mean > 0 and len(excess) > 1 and t_test_p(excess) / 2 <= ALPHA
    if shown:
        return Finding(name, ExitCode.NO, f"{told}: shown to be more than {limit}")
    return Finding(name, ExitCode.YES, f"{told}: not shown to be more than {limit}")


def _latency(may_rise: float, measured: Measured) -> Finding:
    name = "latency_p95"
    pairs = measured.latencies
    if len(pairs) < len(measured.pairs):
        reason = (
            f"{name}: {len(measured.pairs) - len(pairs)} of {len(measured.pairs)} cases were not asked on both sides in"
            " one gate, and latencies of different days are not comparable (--fresh asks all of them)"
        )
        return Finding(name, ExitCode.INCONCLUSIVE, reason)
    value, low = _p95_ratio(pairs, measured.seed)
    if value is None or low is None:
        return Finding(name, ExitCode.CANNOT_MEASURE, f"{name}: the answers took no time that was measured")
    return _rises(name, value, low, may_rise)


def _rises(name: str, value: float, low: float, may_rise: float) -> Finding:
    told = f"{name}: head's is {value:.3g} times base's"
    if low > 1 + may_rise:
        return Finding(name, ExitCode.NO, f"{told}, shown to be more than {1 + may_rise:g} times")
    return Finding(name, ExitCode.YES, f"{told}, not shown to be more than {1 + may_rise:g} times")


def _p95_ratio(pairs: Sequence[tuple[float, float]], seed: str) -> tuple[float | None, float | None]:
    """Return the ratio of the p95s, and the limit that the paired bootstrap exceeds 95 times in 100."""
    chance = Random(f"{seed}-latency")  # noqa: S311 (reproducible on purpose)
    ratios = []
    for _ in range(_RESAMPLES):
        ratio = _ratio(chance.choices(pairs, k=len(pairs)))
        if ratio is not None:
            ratios.append(ratio)
    return _ratio(pairs), quantile(ratios, 1 - _P95) if ratios else None


def _ratio(pairs: Sequence[tuple[float, float]]) -> float | None:
    base, head = (quantile(side, _P95) for side in zip(*pairs, strict=True))
    return head / base if base and head is not None else None


def ungraded(head: Iterable[CaseResult], most: float) -> Finding | None:
    """Say where more samples are ungraded than a verdict may rest on: for suites that are not compared."""
    standings = [sample.standing for case in head for sample in case.samples]
    missing = standings.count(Standing.UNGRADED)
    if missing <= most * len(standings):
        return None
    reason = f"{missing} of {len(standings)} samples are ungraded, more than {100 * most:g} %"
    return Finding("ungraded", ExitCode.CANNOT_MEASURE, reason)
