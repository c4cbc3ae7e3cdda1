"""Reports: from a run's rows in the log to a page, a text, a document.

What an id of the log names: `evalh show`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.failures import Failings
from evalh.analysis.history import history
from evalh.analysis.tradeoff import trade_off
from evalh.api.compare import view_of
from evalh.api.judges import standings_of
from evalh.core.calibration import JudgeStanding
from evalh.core.errors import UsageError
from evalh.core.log import CallRow, CaseDetail, ComparisonRow, GateRow, RunRow, SampleStory
from evalh.core.sample import Standing
from evalh.core.values import Value
from evalh.providers.registry import traits_of
from evalh.report.files.compare import Both, changed_cases
from evalh.report.html.data import Rows
from evalh.report.html.page import Reported, compared_html, gate_html, html
from evalh.report.terminal.story import RunTold

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace
    from evalh.report.terminal.compare import ComparisonView


FOLDER = "reports"


def page(workspace: "Workspace", names: Sequence[str]) -> str:
    """Return the HTML page about these runs, about one comparison or one gate. Raises NotFound, UsageError."""
    compared = workspace.log.comparison(names[0]) if len(names) == 1 else None
    if compared is not None:
        from evalh.api.compare import view_of

        return comparison_page(workspace, view_of(workspace, compared, examples=0))
    decided = workspace.log.gate(names[0]) if len(names) == 1 else None
    if decided is not None:
        return gate_page(workspace, {**json.loads(decided.content), "gate": decided.id})
    rows = Rows()
    runs = _runs(workspace, names)
    return html([_reported(workspace, run, rows, number) for number, run in enumerate(runs)], rows)


def kept(workspace: "Workspace", name: str) -> Path:
    """Return where a page lies by default: in the workspace, called by what it is about. Raises NotFound."""
    log = workspace.log
    about = log.comparison(name) or log.gate(name)
    return workspace.root / FOLDER / f"{about.id if about is not None else log.run(name).record.id}.html"


def _reported(workspace: "Workspace", run: RunRow, rows: Rows, number: int, base: "Beside | None" = None) -> Reported:
    failings = _add(workspace, run.record.id, rows, number, base)
    known = workspace.log.suite_runs(run.record.suite)
    return Reported(
        run=run,
        failings=failings,
        chosen=trade_off(known, run),
        past=history(known, run),
        prices=_prices(workspace, run),
        judges=_judges(workspace, run),
    )


def _add(workspace: "Workspace", run: str, rows: Rows, number: int, base: "Beside | None") -> Failings:
    """Put a run's samples into the page; return where it fails."""
    traces = workspace.log.traces(run)
    failings = Failings()
    for key, story in _stories(workspace, run):
        failings.add(story)
        rows.add(number, story, traces.get(key, ()))
        if base is not None and key[0] in base.changed:
            rows.beside(base.stories.get(key), base.changed[key[0]])
    return failings


class Beside(Value):
    """What stands beside head's samples in a comparison: what became of a case, and base's samples of those."""

    changed: Mapping[str, str]
    stories: Mapping[tuple[str, int], SampleStory]


def comparison_page(workspace: "Workspace", view: "ComparisonView") -> str:
    """Return the HTML page about a comparison."""
    rows = Rows()
    changed = changed_cases(view.comparison)
    stories = {key: story for key, story in _stories(workspace, view.comparison.base.run) if key[0] in changed}
    head_run = view.comparison.head.run
    head = None
    if head_run is not None:
        head = _reported(workspace, workspace.log.run(head_run), rows, 0, Beside(changed, stories))
    return compared_html(view, head, rows)


def gate_page(workspace: "Workspace", gate: Mapping[str, Any]) -> str:
    """Return the HTML page about a gate's decision, from its document."""
    rows = Rows()
    runs: list[str] = []
    names: list[str] = []
    for suite in gate["suites"]:
        compared = suite["comparison"] or {"sides": {"head": {"run": None}}}
        run = compared["sides"]["head"]["run"]
        if run is None or run in runs:
            continue
        changed = {case: kind for kind in ("regressed", "fixed", "unstable") for case in compared[kind]}
        base = _stories(workspace, compared["sides"]["base"]["run"])
        beside = Beside(changed, {key: story for key, story in base if key[0] in changed})
        _add(workspace, run, rows, len(runs), beside)
        runs.append(run)
        names.append(suite["suite"])
    return gate_html(gate, rows, runs, names)


def _stories(workspace: "Workspace", run: str | None) -> Iterator[tuple[tuple[str, int], SampleStory]]:
    """Yield a side's samples by case and trial; nothing where the log does not hold its run."""
    for story in workspace.log.stories(run) if run is not None else ():
        yield (story.sample.case_id, story.sample.trial), story


def both_sides(workspace: "Workspace", comparison: Comparison) -> Iterator[Both]:
    """Yield what was compared, in head's order; what base alone has comes last."""
    changed = changed_cases(comparison)
    base = dict(_stories(workspace, comparison.base.run))
    head = ((key, base.pop(key, None), story) for key, story in _stories(workspace, comparison.head.run))
    for (case_id, trial), before, after in head:
        yield Both(case_id=case_id, trial=trial, change=changed.get(case_id, ""), base=before, head=after)
    for (case_id, trial), before in base.items():
        yield Both(case_id=case_id, trial=trial, change="", base=before, head=None)


def comparison_lines(workspace: "Workspace", row: ComparisonRow, form: str) -> Iterator[str]:
    """Yield a comparison as markdown, csv or junit, piece by piece."""
    from evalh.api.compare import view_of
    from evalh.report.files import compare as texts

    view = view_of(workspace, row, examples=0)
    both = both_sides(workspace, view.comparison)
    if form == "markdown":
        return (f"{line}\n" for line in texts.markdown(view, both))
    return texts.csv_text(both) if form == "csv" else texts.junit(view, both)


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
    if spec is not None and not traits_of(spec.provider).hosted:
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


def _gate_text(row: GateRow, form: str) -> str:
    from evalh.report.files.gate import COMMENT_BYTES, gate_junit, gate_markdown

    match form:
        case "markdown":
            return gate_markdown(json.loads(row.content), COMMENT_BYTES)
        case "junit":
            return gate_junit(json.loads(row.content))
        case _:
            hint = f"evalh report {row.id} --format markdown | junit | json; its runs' ids are in the last"
            raise UsageError(f"a gate's decision is not a table: not to be told as {form}", hint=hint)


def lines(workspace: "Workspace", name: str, form: str) -> Iterator[str]:
    """Yield a run, a comparison or a gate as markdown, csv or junit, piece by piece. Raises NotFound, UsageError."""
    from evalh.report.files.run import csv_text, judge_lines, junit, markdown

    compared = workspace.log.comparison(name)
    if compared is not None:
        yield from comparison_lines(workspace, compared, form)
        return
    decided = workspace.log.gate(name)
    if decided is not None:
        yield _gate_text(decided, form)
        return
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
    """Return pictures of a run, or of a comparison's head, as files of their own; their names say which.

    Raises NotFound, UsageError.
    """
    from evalh.report.charts.figures import Drawable, drawn, figure_of, png

    asked = [figure_of(file_name) for file_name in file_names]
    compared = workspace.log.comparison(name)
    one = told(workspace, name if compared is None or compared.head_run is None else compared.head_run)
    run = Drawable(chosen=one.chosen, past=one.past, failings=one.failings)
    svgs = [(drawn(figure, run, one.run.record.id), kind) for figure, kind in asked]
    return [png(svg) if kind == "png" else svg.encode() for svg, kind in svgs]


def entry(workspace: "Workspace", name: str) -> tuple[str, object]:
    """Return what an id names, and its kind: run, unfinished, compare, gate, case, sample or call. Raises NotFound."""
    shown = workspace.log.show(name)
    match shown:
        case ComparisonRow():
            named: tuple[str, object] = "compare", view_of(workspace, shown)
        case GateRow():
            named = "gate", {**json.loads(shown.content), "gate": shown.id}  # an older evalh left its id out
        case RunRow() if shown.summary is None:
            named = "unfinished", shown
        case RunRow():
            named = "run", workspace.log.result(shown.record.id)
        case CaseDetail():
            named = "case", shown
        case CallRow():
            named = "call", shown
        case _:
            named = "sample", shown
    return named
