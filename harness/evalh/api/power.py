"""`evalh power`: what a suite can see, from its policy and from what the log has measured."""

from decimal import Decimal

from evalh.analysis.compare.differences import Differences
from evalh.analysis.compare.pairing import Paired, pair
from evalh.analysis.power import Power, PowerQuestion, power, spread_of
from evalh.api.options import PowerOptions
from evalh.api.parts import Parts
from evalh.api.results import results_of
from evalh.core.errors import NotFound, UsageError, one_of
from evalh.core.money import plus
from evalh.engine.selection import counted_clusters


def planned(parts: Parts, request: PowerOptions) -> Power:
    """Plan for a suite. Raises EvalhError."""
    name = request.suite or parts.config.default_suite
    if name is None:
        raise UsageError("which suite?", hint=one_of("evalh power {}", parts.suites()))
    suite = parts.suite(name)
    dataset = parts.dataset_of(suite)
    have, clusters = counted_clusters(dataset)
    size = have / clusters if have else 1.0
    cases = request.cases or have
    if not cases:
        what = f"dataset {suite.dataset!r} has only incidents, which count in no rate"
        raise UsageError(what, where=suite.where, hint="evalh power --cases N")
    measured = _telling_comparison(parts, name)
    discordance, source = suite.gate.discordance, "policy"
    if measured is not None:
        discordance, source = Differences(measured[1].pairs).discordance, measured[0]
    if request.discordance is not None:
        discordance, source = request.discordance, "option"
    question = PowerQuestion(
        suite=name,
        cases=cases,
        clusters=max(1, round(cases / size)),
        trials=request.trials or suite.trials,
        drop=request.drop if request.drop is not None else suite.gate.margin,
        margin=suite.gate.margin,
        discordance=discordance,
        discordance_from=source,
    )
    spread = None if measured is None else spread_of(measured[1].pairs)
    return power(question, spread, _cost_per_sample(parts, name, suite.model))


def _telling_comparison(parts: Parts, suite: str) -> tuple[str, Paired] | None:
    try:
        log = parts.log
    except NotFound:  # nothing was run yet
        return None
    # Of two versions, not of one on two models; and rather over all cases than over a few that were looked at.
    rows = [row for row in log.comparisons(suite) if row.comparable and row.base != row.head]
    for row in sorted(rows, key=lambda row: -row.n):
        if row.base_run and row.head_run:
            base, head = (results_of(log, log.run(run)) for run in (row.base_run, row.head_run))
            return row.id, pair(base, head)
    return None


def _cost_per_sample(parts: Parts, suite: str, model: str | None) -> Decimal | None:
    try:
        log = parts.log
    except NotFound:
        return None
    for run_id in log.last_runs(model, suite, 20) if model else ():
        summary = log.run(run_id).summary
        if summary is not None and summary.samples:
            spent = plus(summary.cost_usd, summary.cached_cost_usd)
            apart = plus(summary.apart.cost_usd, summary.apart.cached_cost_usd)
            return None if spent is None or apart is None else (spent - apart) / summary.samples
    return None
