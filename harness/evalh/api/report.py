"""Reports: from a run's rows in the log to a page, a text, a document."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalh.analysis.failings import Failings
from evalh.analysis.tradeoff import TradeOff, trade_off
from evalh.core.log import RunRow
from evalh.report.page import Reported, html
from evalh.report.page_data import Rows

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace

_AT_HOME = frozenset({"local", "replay", "scripted"})  # no table has their prices


def page(workspace: "Workspace", names: Sequence[str]) -> str:
    """Return the HTML page about these runs, the first one first. Raises NotFound, UsageError."""
    rows, reported = Rows(), []
    for number, run in enumerate(_runs(workspace, names)):
        traces = workspace.log.traces(run.record.id)
        failings = Failings()
        for story in workspace.log.stories(run.record.id):
            failings.add(story)
            calls = traces.get((story.sample.case_id, story.sample.trial), ())
            rows.add(number, story, calls)
        chosen = choice(workspace, run)
        reported.append(Reported(run=run, failings=failings, chosen=chosen, prices=_prices(workspace, run)))
    return html(reported, rows)


def choice(workspace: "Workspace", run: RunRow) -> TradeOff:
    """Return the versions and models that a run can be weighed against."""
    return trade_off(workspace.log.suite_runs(run.record.suite), run)


def _runs(workspace: "Workspace", names: Sequence[str]) -> list[RunRow]:
    runs: list[RunRow] = []
    for name in names:
        run = workspace.log.run(name)
        if run.record.id not in {known.record.id for known in runs}:
            runs.append(run)
    return runs


def _prices(workspace: "Workspace", run: RunRow) -> dict[str, str]:
    """Say where a model's price comes from as the workspace stands now."""
    spec = workspace.config.models.get(run.record.model)
    if spec is not None and spec.price is not None:
        return {"price now": "stated in evalh.toml"}
    if spec is not None and spec.provider in _AT_HOME:
        return {}
    from evalh.providers.prices import price_table_date

    return {"price table now": price_table_date()}
