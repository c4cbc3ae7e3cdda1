"""`evalh power`: what a suite can see, from its policy and from what the log has measured."""

from collections.abc import Iterator
from decimal import Decimal

from evalh.analysis.compare.differences import Differences
from evalh.analysis.compare.pairing import Paired, pair
from evalh.analysis.power import Power, PowerQuestion, power, spread_of
from evalh.api.options import PowerOptions
from evalh.api.parts import Parts
from evalh.api.results import results_of
from evalh.core.errors import NotFound, UsageError, WorkspaceError, one_of
from evalh.core.log import GateRow
from evalh.core.money import plus
from evalh.engine.selection import counted_clusters
from evalh.report.documents.compare import ComparisonDocument
from evalh.report.documents.gate import kept_gate

_GATES = 20  # the newest are looked at


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
    """Return the id of the comparison or gate of two versions that met most cases, with its pairs."""
    try:
        log = parts.log
    except NotFound:  # nothing was run yet
        return None
    # Of two versions, not of one on two models; and rather over all cases than over a few that were looked at.
    told = [
        (row.n, row.id, row.base_run, row.head_run)
        for row in log.comparisons(suite)
        if row.comparable and row.base != row.head
    ]
    told += [
        (compared.n, row.id, base.run, head.run)
        for row in log.gates(_GATES)
        for compared in _whole_comparisons(row, suite)
        for base, head in [(compared.sides.base, compared.sides.head)]
        if base.fingerprint.prompt != head.fingerprint.prompt and base.model == head.model
    ]
    for _, name, *runs in sorted(told, key=lambda one: -one[0]):
        if all(runs):
            base, head = (results_of(log, log.run(str(run))) for run in runs)
            return name, pair(base, head)
    return None


def _whole_comparisons(row: GateRow, suite: str) -> Iterator[ComparisonDocument]:
    """Yield a gate's comparison of a suite where it met every case: one that ended early met too many that differ."""
    try:
        gate = kept_gate(row)
    except WorkspaceError:  # a damaged row is told where it is shown
        return
    for one in gate.suites:
        if one.suite == suite and one.stopped_at == one.of and one.comparison is not None and one.comparison.comparable:
            yield one.comparison


def _cost_per_sample(parts: Parts, suite: str, model: str | None) -> Decimal | None:
    try:
        log = parts.log
    except NotFound:
        return None
    for run_id in log.last_runs(model, suite, 20) if model else ():
        summary = log.run(run_id).summary
        if summary is None:
            continue
        answered = summary.samples - sum(summary.errors.values())
        if answered > 0:  # without an answer nothing is spent, and that is not a price of 0
            spent = plus(summary.cost_usd, summary.cached_cost_usd)
            apart = plus(summary.apart.cost_usd, summary.apart.cached_cost_usd)
            if spent is not None and apart is not None:
                return (spent - apart) / answered
    return None
