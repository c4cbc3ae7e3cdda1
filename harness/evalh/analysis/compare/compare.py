"""Comparing two sides: pairing, the numbers, the verdict. No I/O; what differs is named, never compared quietly."""

from collections.abc import Callable, Mapping, Sequence
from math import fsum

from msgspec import field

from evalh.analysis.compare.comparison import (
    Comparison,
    ComparisonVerdict,
    IncidentGoods,
    IncidentPair,
    LatencyChange,
    PartComparison,
    PassAt,
    Side,
)
from evalh.analysis.compare.differences import ONE_SIDED, Differences, Measure, TrialTally, goods, rate_of
from evalh.analysis.compare.differing import differing
from evalh.analysis.compare.pairing import CaseResult, Pair, Paired, Results, cluster_sums, clustered, pair, spending
from evalh.analysis.downstream import compare_downstream
from evalh.core.errors import UsageError
from evalh.core.run import DownstreamComparison, Estimate
from evalh.core.sample import Standing
from evalh.core.suite import OutputValue
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.stats.clusters import clustered_rate
from evalh.stats.intervals import Interval, mean_interval, pass_at_k, pass_hat_k
from evalh.stats.multiplicity import benjamini_hochberg, holm
from evalh.stats.quantiles import quantile
from evalh.stats.ratio import cost_per_good, cost_per_good_ratio
from evalh.stats.sequential import SequentialDesign

DEFAULT_MARGIN = 0.05
STOPPED = "stopped"  # an interval for a fixed number of cases would not hold, so none is stated
FALSE_DISCOVERIES = 0.10  # of the tags and graders that are called different, so many may be chance


class Method(Value, kw_only=True):
    """How to compare. `seed` chooses the permutations where there are too many to try all."""

    margin: float = DEFAULT_MARGIN
    intersection: bool = False  # compare the cases that both sides have, although others differ
    exact: bool = False  # McNemar's exact test, for a verdict that blocks
    stopped: SequentialDesign | None = None  # looked at while cases came in: only what is valid at any stopping point
    limits: Mapping[str, Interval] = field(default_factory=dict)  # by a gate's tests, of graders; "": of good outputs
    pass_at: int | None = None
    value: OutputValue | None = None  # what outputs cost downstream
    seed: int = 0


def compare(base: Results, head: Results, options: Method | None = None) -> Comparison:
    """Compare head with base. Raises UsageError for a `pass_at` above the number of trials."""
    options = options or Method()
    paired = pair(base, head)
    comparable = _comparable(paired, options)
    pairs = paired.pairs if comparable else ()
    differences = _differences(pairs, goods, options, options.limits.get(""))
    identical = bool(pairs) and _identical(base, head, pairs)
    on_base, on_head = [one.base for one in pairs], [one.head for one in pairs]
    measured = bool(pairs) and _measured(on_base, base.max_ungraded) and _measured(on_head, head.max_ungraded)
    verdict, reason = _verdict(differences, paired, options, measured=measured, identical=identical)
    won, lost = differences.won, differences.lost
    return Comparison(
        base=_side(base, on_base, options),
        head=_side(head, on_head, options),
        comparable=bool(pairs),
        mismatches=paired.mismatches,
        missing=paired.missing,
        intersection=options.intersection,
        identical=identical,
        n=len(pairs),
        clusters=differences.clusters,
        uneven=differences.uneven,
        wins=len(won),
        losses=len(lost),
        ties=len(pairs) - len(won) - len(lost),
        undecided=differences.undecided,
        difference=Estimate(0.0, 0.0, 0.0, "identical") if identical else differences.estimate,
        p_value=1.0 if identical else differences.p_value,
        test="none" if identical else differences.test,
        margin=options.margin,
        p_no_worse=None if identical else differences.p_no_worse(options.margin),
        verdict=verdict,
        reason=reason,
        measured=measured,
        detectable_drop=differences.detectable_drop(),
        cases_needed=differences.cases_needed(options.margin) if verdict is ComparisonVerdict.INCONCLUSIVE else None,
        cost_per_good_ratio=_ratio(pairs, options),
        latency=LatencyChange(difference_ms=_latency(pairs, options)),
        graders=_graders(pairs, head, options),
        tags=_tags(pairs, options),
        regressed=lost,
        fixed=won,
        unstable=tuple(one.case_id for one in pairs if one.base.flaky or one.head.flaky),
        downstream=_downstream(pairs, options),
        pass_at=_pass_at(pairs, options.pass_at) if options.pass_at is not None and pairs else None,
        incidents=tuple(map(_incident, paired.incidents)) if comparable else (),
        differing=differing((base.fingerprint, head.fingerprint), (base.answering, head.answering), paired.mismatches),
    )


def _incident(one: Pair) -> IncidentPair:
    base, head = (IncidentGoods(case.goods, case.ungraded, case.trials) for case in (one.base, one.head))
    return IncidentPair(case_id=one.case_id, base=base, head=head)


def _differences(
    pairs: Sequence[Pair], measure: Measure, options: Method, limits: Interval | None = None
) -> Differences:
    return Differences(pairs, measure, exact=options.exact, stopped=options.stopped, limits=limits, seed=options.seed)


def _comparable(paired: Paired, options: Method) -> bool:
    if any(mismatch.part != "dataset" for mismatch in paired.mismatches):
        return False  # other graders: no case is comparable
    return options.intersection or not (paired.mismatches or paired.missing)


def _identical(base: Results, head: Results, pairs: Sequence[Pair]) -> bool:
    """Whether the same content gave the same answers: asked of the log twice, or a run beside itself."""
    here, there = ((one.prompt, one.model, one.route) for one in (base.fingerprint, head.fingerprint))
    return here == there and all(
        one.base.output_digests == one.head.output_digests and None not in one.head.output_digests for one in pairs
    )


def _measured(cases: Sequence[CaseResult], most_ungraded: float) -> bool:
    return sum(case.ungraded for case in cases) <= most_ungraded * sum(case.trials for case in cases)


def _verdict(
    differences: Differences, paired: Paired, options: Method, *, measured: bool, identical: bool
) -> tuple[ComparisonVerdict, str]:
    if not differences.n:
        return ComparisonVerdict.INCONCLUSIVE, _why_nothing(paired)
    if not measured:
        return ComparisonVerdict.INCONCLUSIVE, "too many samples are ungraded for a result"
    if identical:
        return ComparisonVerdict.NO_WORSE, "both sides have the same answers: nothing differs"
    return _shown(differences, options.margin)


def _shown(differences: Differences, margin: float) -> tuple[ComparisonVerdict, str]:
    low, high, points = differences.estimate.low, differences.estimate.high, f"{100 * margin:g} points"
    if high is not None and high < 0:
        return ComparisonVerdict.WORSE, "the whole interval of the difference lies below 0"
    if low is not None and low > 0:
        return ComparisonVerdict.BETTER, "the whole interval of the difference lies above 0"
    p_no_worse = differences.p_no_worse(margin)
    excluded = low is not None and low > -margin if differences.stopped is not None else False
    if excluded or (p_no_worse is not None and p_no_worse <= ONE_SIDED):
        return ComparisonVerdict.NO_WORSE, f"a drop of {points} or more is excluded, at 5 % error"
    return ComparisonVerdict.INCONCLUSIVE, f"no difference is shown, and a drop of {points} or more is not excluded"


def _why_nothing(paired: Paired) -> str:
    if paired.mismatches:
        return "; ".join(mismatch.what for mismatch in paired.mismatches)
    if paired.missing:
        return f"{len(paired.missing)} cases were evaluated on one side only, or in fewer trials"
    if paired.incidents:
        return "every case that both sides have is an incident: incidents are counted apart, and no test compares them"
    return "the two sides have no case in common"


# -- sides


def _side(results: Results, cases: Sequence[CaseResult], options: Method) -> Side:
    samples = [sample for case in cases for sample in case.samples]
    standings = [sample.standing for sample in samples]
    latencies = [sample.latency_ms for sample in samples if sample.latency_ms is not None]
    return Side(
        run=results.run,
        suite=results.suite,
        prompt=results.prompt,
        model=results.model,
        fingerprint=results.fingerprint,
        trials=results.trials,
        samples=len(samples),
        good=standings.count(Standing.GOOD),
        bad=standings.count(Standing.BAD),
        ungraded=standings.count(Standing.UNGRADED),
        good_rate=_rate([goods(case) for case in cases], clustered(cases), options),
        cost_per_good_usd=_cost_per_good(cases, options),
        latency_p50_ms=quantile(latencies, 0.5),
        latency_p95_ms=quantile(latencies, 0.95),
        by_the_hour=results.by_the_hour,
        last_attempts=sum(not sample.latency_whole for sample in samples if sample.latency_ms is not None),
    )


def _rate(tallies: Sequence[TrialTally], clusters: Sequence[Sequence[int]], options: Method) -> Estimate:
    return _without_limits(rate_of(tallies, clusters), options)


def _without_limits(estimate: Estimate, options: Method) -> Estimate:
    """Leave the limits out where cases were looked at while they came in: they would not hold."""
    stopped = options.stopped is not None and estimate.value is not None
    return Estimate(estimate.value, None, None, STOPPED) if stopped else estimate


# -- costs and latency


def _cost_per_good(cases: Sequence[CaseResult], options: Method) -> Estimate:
    spent = spending(cases)
    if spent is None:
        return Estimate(None, None, None, "unpriced")
    samples = sum(case.trials for case in cases)
    return _without_limits(cost_per_good(*spent, trials=samples / len(spent[0]) if samples else 1), options)


def _ratio(pairs: Sequence[Pair], options: Method) -> Estimate:
    """Estimate head's over base's cost per good output; a limit that Fieller's set does not have is None."""
    base, head = spending([one.base for one in pairs]), spending([one.head for one in pairs])
    if base is None or head is None:
        return Estimate(None, None, None, "unpriced")
    if len(base[0]) < 2:  # noqa: PLR2004 (a variance needs two values)
        return Estimate(None, None, None, "none")
    if not any(base[1]) or not any(head[1]):
        return Estimate(None, None, None, "zero-goods")
    ratio = cost_per_good_ratio(base, head)
    if options.stopped is not None:
        return Estimate(ratio.value, None, None, "free" if ratio.value is None else STOPPED)
    low, high = ratio.low, ratio.high
    if cost_per_good(*head).high is None:
        high = None  # head's cost per good output has no finite upper limit
    if cost_per_good(*base).high is None and low is not None:
        low = 0.0  # nor has base's, so that the ratio may be as small as can be
    method = ratio.method if (low, high) == (ratio.low, ratio.high) else "fieller"
    return Estimate(ratio.value, low, high, "free" if ratio.value is None else method)


def _latency(pairs: Sequence[Pair], options: Method) -> Estimate:
    measured = [one for one in pairs if None not in (one.base.latency_ms, one.head.latency_ms)]
    if len({side.latency_whole for one in measured for side in (one.base, one.head)}) > 1:
        return Estimate(None, None, None, "other-definition")  # the last attempt's alone beside the whole
    by_case = [(one.head.latency_ms or 0.0) - (one.base.latency_ms or 0.0) for one in measured]
    clusters = clustered([one.head for one in measured])
    differences = [fsum(by_case[place] for place in places) / len(places) for places in clusters]
    value = fsum(differences) / len(differences) if differences else None
    stopped = options.stopped is not None
    if len(differences) < 2 or stopped:  # noqa: PLR2004 (a spread needs two values)
        return Estimate(value, None, None, STOPPED if stopped else "none")
    interval = mean_interval(differences)
    return Estimate(value, interval.low, interval.high, "paired-t")


# -- parts


def _graders(pairs: Sequence[Pair], head: Results, options: Method) -> tuple[PartComparison, ...]:
    if not pairs:
        return ()
    required = [name for name, needed in head.graders if needed]
    others = [name for name, needed in head.graders if not needed]
    read = {name: _by_grader(pairs, name, options) for name in (*required, *others)}
    decided = _adjusted(required, read, holm, options, needed=True)
    decided |= _adjusted(others, read, benjamini_hochberg, options, needed=False)
    return tuple(decided[name] for name, _ in head.graders)


def _by_grader(pairs: Sequence[Pair], name: str, options: Method) -> Differences:
    def measure(case: CaseResult) -> TrialTally:
        outcomes = [sample.outcomes.get(name) for sample in case.samples]
        return TrialTally(
            trials=len(outcomes),
            passed=outcomes.count(Outcome.PASS),
            unknown=len(outcomes) - outcomes.count(Outcome.PASS) - outcomes.count(Outcome.FAIL),
        )

    # A case that the grader judged on neither side says nothing of it: `n` tells how many it judged.
    judged = [one for one in pairs if any(tally.unknown < tally.trials for tally in map(measure, (one.base, one.head)))]
    return _differences(judged, measure, options, options.limits.get(name))


def _tags(pairs: Sequence[Pair], options: Method) -> tuple[PartComparison, ...]:
    tags = sorted({tag for one in pairs for tag in one.head.tags})
    read = {tag: _differences([one for one in pairs if tag in one.head.tags], goods, options) for tag in tags}
    return tuple(_adjusted(tags, read, benjamini_hochberg, options, needed=False).values())


def _adjusted(
    parts: Sequence[str],
    read: dict[str, Differences],
    adjust: Callable[[Sequence[float]], list[float]],
    options: Method,
    *,
    needed: bool,
) -> dict[str, PartComparison]:
    p_values = {name: p for name in parts if (p := read[name].p_value) is not None}
    adjusted = dict(zip(p_values, adjust(list(p_values.values())), strict=True))
    return {name: _part(name, read[name], adjusted.get(name), options, needed=needed) for name in parts}


def _part(
    name: str, differences: Differences, p_adjusted: float | None, options: Method, *, needed: bool
) -> PartComparison:
    wins, losses = len(differences.won), len(differences.lost)
    clusters = clustered([one.head for one in differences.pairs])
    level = ONE_SIDED if needed else FALSE_DISCOVERIES
    return PartComparison(
        name=name,
        required=needed,
        n=differences.n,
        wins=wins,
        losses=losses,
        ties=differences.n - wins - losses,
        base_rate=_rate([differences.measure(one.base) for one in differences.pairs], clusters, options),
        head_rate=_rate([differences.measure(one.head) for one in differences.pairs], clusters, options),
        difference=differences.estimate,
        p_value=differences.p_value,
        p_adjusted=p_adjusted,
        adjusted_by="holm" if needed else "bh",
        shown=p_adjusted is not None and p_adjusted <= level,
    )


def _downstream(pairs: Sequence[Pair], options: Method) -> DownstreamComparison | None:
    if options.value is None or not pairs:
        return None
    return compare_downstream(pairs, options.value, stopped=options.stopped is not None)


def _pass_at(pairs: Sequence[Pair], k: int) -> PassAt:
    sides = ([one.base for one in pairs], [one.head for one in pairs])
    fewest = min(case.trials for cases in sides for case in cases)
    if not 1 <= k <= fewest:
        raise UsageError(f"pass@{k} needs {k} trials of each case; here are {fewest}", hint=f"--trials {k}")
    chances = (pass_at_k, pass_hat_k)
    (base_any, base_all), (head_any, head_all) = (
        tuple(_mean([chance(case.trials, case.goods, k) for case in cases], clustered(cases)) for chance in chances)
        for cases in sides
    )
    return PassAt(k=k, base_any=base_any, head_any=head_any, base_all=base_all, head_all=head_all)


def _mean(chances: Sequence[float], clusters: Sequence[Sequence[int]]) -> Estimate:
    """Bound a mean of chances as a rate: where all agree, a t interval would have no width."""
    mean = clustered_rate(cluster_sums(chances, clusters), 1)
    return Estimate(mean.rate, mean.low, mean.high, "wilson-clustered")
