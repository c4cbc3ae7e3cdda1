"""Reports: from a run's rows in the log to a page, a text, a document."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalh.analysis.failings import Failings
from evalh.analysis.history import history
from evalh.analysis.tradeoff import trade_off
from evalh.api.judge_identity import standings_of
from evalh.core.calibration import JudgeStanding
from evalh.core.log import ComparisonRow, RunRow
from evalh.core.sample import Standing
from evalh.core.story import SampleStory
from evalh.report.page import Reported, compared_html, html
from evalh.report.page_comparison import changes
from evalh.report.page_data import Rows
from evalh.report.run_story import RunTold

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace

_AT_HOME = frozenset({"local", "replay", "scripted"})  # no table has their prices


def page(workspace: "Workspace", names: Sequence[str]) -> str:
    """Return the HTML page about these runs, or about one comparison. Raises NotFound, UsageError."""
    compared = workspace.log.comparison(names[0]) if len(names) == 1 else None
    if compared is not None:
        return _compared(workspace, compared)
    rows = Rows()
    runs = _runs(workspace, names)
    return html([_reported(workspace, run, rows, number) for number, run in enumerate(runs)], rows)


def _reported(workspace: "Workspace", run: RunRow, rows: Rows, number: int, base: "Beside | None" = None) -> Reported:
    traces = workspace.log.traces(run.record.id)
    failings = Failings()
    for story in workspace.log.stories(run.record.id):
        failings.add(story)
        key = (story.sample.case_id, story.sample.trial)
        rows.add(number, story, traces.get(key, ()))
        if base is not None and key[0] in base.changed:
            rows.beside(base.stories.get(key), base.changed[key[0]])
    known = workspace.log.suite_runs(run.record.suite)
    return Reported(
        run=run,
        failings=failings,
        chosen=trade_off(known, run),
        past=history(known, run),
        prices=_prices(workspace, run),
        judges=_judges(workspace, run),
    )


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside head's samples in a comparison: what became of a case, and base's samples of those."""

    changed: Mapping[str, str]
    stories: Mapping[tuple[str, int], SampleStory]


def _compared(workspace: "Workspace", row: ComparisonRow) -> str:
    from evalh.api.comparing import view_of

    view, rows = view_of(workspace, row, examples=0), Rows()
    changed = {case: name for name, cases in changes(view.comparison).items() for case in cases}
    stories: dict[tuple[str, int], SampleStory] = {}
    if view.comparison.base.run is not None:
        for story in workspace.log.stories(view.comparison.base.run):
            if story.sample.case_id in changed:
                stories[story.sample.case_id, story.sample.trial] = story
    head_run = view.comparison.head.run
    head = None
    if head_run is not None:
        head = _reported(workspace, workspace.log.run(head_run), rows, 0, Beside(changed, stories))
    return compared_html(view, head, rows)


def _runs(workspace: "Workspace", names: Sequence[str]) -> list[RunRow]:
    runs: list[RunRow] = []
    for name in names:
        run = workspace.log.run(name)
        if run.record.id not in {known.record.id for known in runs}:
            runs.append(run)
    return runs


def _judges(workspace: "Workspace", run: RunRow) -> tuple[JudgeStanding, ...]:
    return standings_of(workspace.tree, run.record)


def _prices(workspace: "Workspace", run: RunRow) -> dict[str, str]:
    """Say where a model's price comes from as the workspace stands now."""
    spec = workspace.config.models.get(run.record.model)
    if spec is not None and spec.price is not None:
        return {"price now": "stated in evalh.toml"}
    if spec is not None and spec.provider in _AT_HOME:
        return {}
    from evalh.providers.prices import price_table_date

    return {"price table now": price_table_date()}


def told(workspace: "Workspace", name: str) -> RunTold:
    """Read what a report in text needs. Raises NotFound, UsageError."""
    run, failings = workspace.log.run(name), Failings()
    missed: list[SampleStory] = []
    for story in workspace.log.stories(run.record.id):
        failings.add(story)
        if story.sample.standing is not Standing.GOOD:
            missed.append(story)
    known = workspace.log.suite_runs(run.record.suite)
    return RunTold(run, failings, trade_off(known, run), history(known, run), missed, _judges(workspace, run))


def lines(workspace: "Workspace", name: str, form: str) -> Iterator[str]:
    """Yield a run as markdown, csv or junit, piece by piece. Raises NotFound, UsageError."""
    from evalh.report.run_texts import csv_text, judge_lines, junit, markdown

    if form == "markdown":
        one = told(workspace, name)
        for line in markdown(one.run, one.failings, one.chosen, one.missed):
            yield f"{line}\n"
        yield from (f"{line}\n" for line in judge_lines(one.judges))
        return
    run = workspace.log.run(name)
    stories: Iterator[SampleStory] = workspace.log.stories(run.record.id)
    yield from csv_text(stories) if form == "csv" else junit(run, stories)


def figures(workspace: "Workspace", name: str, file_names: Sequence[str]) -> list[bytes]:
    """Return pictures of a run as files of their own; each file's name says which, and as what.

    Raises NotFound, UsageError.
    """
    from evalh.report.figures import Drawable, drawn, figure_of, png

    asked = [figure_of(file_name) for file_name in file_names]
    one = told(workspace, name)
    run = Drawable(chosen=one.chosen, past=one.past, failings=one.failings)
    svgs = [(drawn(figure, run, one.run.record.id), kind) for figure, kind in asked]
    return [png(svg) if kind == "png" else svg.encode() for svg, kind in svgs]
