"""Reports: from a run's rows in the log to a page, a text, a document; and what an id of the log names."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.confusion import Labels
from evalh.analysis.failures import Failings
from evalh.analysis.history import history
from evalh.analysis.tradeoff import trade_off
from evalh.api.compare import view_of
from evalh.api.judges import standings_of
from evalh.api.matrix import matrix_page, runs_of
from evalh.api.parts import Parts
from evalh.api.production import is_there, traced, with_grades
from evalh.core.errors import NotFound, UsageError
from evalh.core.log import CallRow, CaseDetail, ComparisonRow, GateRow, RunRow, SampleStory, Shown
from evalh.core.production import TracedItem, WorkflowDetail
from evalh.core.run import RunKind
from evalh.core.sample import Standing
from evalh.core.values import Value
from evalh.providers.registry import traits_of
from evalh.report.documents.compare import ComparisonDocument
from evalh.report.documents.gate import GateDocument, kept_gate
from evalh.report.html.comparison import changes
from evalh.report.html.data import Rows
from evalh.report.html.page import compared_html, gate_html, html
from evalh.report.terminal.compare import ComparisonView
from evalh.report.words import OnBothSides, RunReport

FOLDER = "reports"
_LAST = "last"


def page(parts: Parts, names: Sequence[str], *, linked: bool = False) -> str:
    """Return the HTML page about these runs, about one comparison or one gate; several runs of a suite are a matrix.

    `linked`: the viewer serves it, so it leads back to the list of runs. Raises NotFound, UsageError.
    """
    match parts.log.decided(names[0]) if len(names) == 1 else None:
        case ComparisonRow() as compared:
            return comparison_page(parts, view_of(parts, compared, examples=0), linked=linked)
        case GateRow() as decided:
            return gate_page(parts, kept_gate(decided), linked=linked)
        case None:
            runs = {run.record.id: run for run in map(parts.log.run, names)}
            if len(runs) > 1 and len({run.record.suite for run in runs.values()}) == 1:
                return matrix_page(parts, runs_of(parts, names))
            rows = Rows(linked=linked)
            return html([_reported(parts, run, rows, number) for number, run in enumerate(runs.values())], rows)


def kept(parts: Parts, name: str) -> Path:
    """Return where a page lies by default: in the workspace, called by what it is about. Raises NotFound."""
    about = parts.log.decided(name)
    return parts.root / FOLDER / f"{about.id if about is not None else parts.log.run(name).record.id}.html"


def _reported(parts: Parts, run: RunRow, rows: Rows, number: int, base: "Beside | None" = None) -> RunReport:
    traffic = rows.begin(number, run.record)
    labels = Labels.of(run.record)
    failings = _add(parts, run.record.id, rows, number, base, labels)
    confusion = None if labels is None else labels.confusion()
    rows.label(confusion)
    return replace(_report(parts, run, failings), traffic=traffic, confusion=confusion)


def _report(parts: Parts, run: RunRow, failings: Failings, missed: Sequence[SampleStory] = ()) -> RunReport:
    known = parts.log.suite_runs(run.record.suite)
    return RunReport(
        run=run,
        failings=failings,
        chosen=trade_off(known, run),
        past=history(known, run),
        prices=_prices(parts, run),
        judges=standings_of(parts.tree, run.record),
        missed=missed,
    )


def _add(
    parts: Parts, run: str, rows: Rows, number: int, base: "Beside | None", labels: Labels | None = None
) -> Failings:
    """Put a run's samples into the page; return where it fails."""
    traces = parts.log.traces(run)
    failings = Failings()
    for key, story in _stories(parts, run):
        failings.add(story)
        rows.add(number, story, traces.get(key, ()), None if labels is None else labels.add(story))
        if base is not None and key[0] in base.changed:
            rows.beside(base.stories.get(key), base.changed[key[0]])
    return failings


class Beside(Value):
    """What a comparison shows beside head's samples: the change of each case, and base's samples."""

    changed: Mapping[str, str]
    stories: Mapping[tuple[str, int], SampleStory]


def comparison_page(parts: Parts, view: ComparisonView, *, linked: bool = False) -> str:
    """Return the HTML page about a comparison."""
    rows, comparison, head = Rows(linked=linked), view.comparison, None
    if comparison.head.run is not None:
        beside = _beside(parts, comparison, comparison.base.run)
        head = _reported(parts, parts.log.run(comparison.head.run), rows, 0, beside)
    return compared_html(view, head, rows)


def _changed(comparison: Comparison | ComparisonDocument) -> dict[str, str]:
    """Return what became of every case that changed."""
    return {case: kind for kind, cases in changes(comparison).items() for case in cases}


def _beside(parts: Parts, comparison: Comparison | ComparisonDocument, base: str | None) -> Beside:
    changed = _changed(comparison)
    return Beside(changed, {key: story for key, story in _stories(parts, base) if key[0] in changed})


def gate_page(parts: Parts, gate: GateDocument, *, linked: bool = False) -> str:
    """Return the HTML page about a gate's decision, from its document."""
    rows = Rows(linked=linked)
    suites: dict[str, str] = {}  # by head's run
    for suite in gate.suites:
        compared = suite.comparison
        run = None if compared is None else compared.sides.head.run
        if compared is not None and run is not None and run not in suites:
            with suppress(NotFound):
                rows.begin(len(suites), parts.log.run(run).record)
            _add(parts, run, rows, len(suites), _beside(parts, compared, compared.sides.base.run))
            suites[run] = suite.suite
    return gate_html(gate, rows, suites)


def _stories(parts: Parts, run: str | None) -> Iterator[tuple[tuple[str, int], SampleStory]]:
    """Yield a side's samples by case and trial; nothing if the log does not hold its run."""
    for story in parts.log.stories(run) if run is not None else ():
        yield (story.sample.case_id, story.sample.trial), story


def both_sides(parts: Parts, comparison: Comparison) -> Iterator[OnBothSides]:
    """Yield what was compared, in head's order; what base alone has comes last."""
    changed = _changed(comparison)
    base = dict(_stories(parts, comparison.base.run))
    head = ((key, base.pop(key, None), story) for key, story in _stories(parts, comparison.head.run))
    for (case_id, trial), before, after in head:
        yield OnBothSides(case_id=case_id, trial=trial, change=changed.get(case_id, ""), base=before, head=after)
    for (case_id, trial), before in base.items():
        yield OnBothSides(case_id=case_id, trial=trial, change="", base=before, head=None)


def _prices(parts: Parts, run: RunRow) -> dict[str, str]:
    """Say where a model's price comes from as the workspace stands now."""
    spec = parts.config.models.get(run.record.model)
    if spec is not None and spec.price is not None:
        return {"price now": "stated in evalh.toml"}
    if spec is not None and not traits_of(spec.provider).hosted:
        return {}
    from evalh.providers.prices import price_table_date

    return {"price table now": price_table_date()}


def told(parts: Parts, name: str) -> RunReport:
    """Read what a report in text needs. Raises NotFound, UsageError."""
    run, failings = parts.log.run(name), Failings()
    labels = Labels.of(run.record)
    missed: list[SampleStory] = []
    for story in parts.log.stories(run.record.id):
        failings.add(story)
        if labels is not None:
            labels.add(story)
        if story.sample.standing is not Standing.GOOD:
            missed.append(story)
    report = _report(parts, run, failings, missed)
    return report if labels is None else replace(report, confusion=labels.confusion())


def _gate_text(row: GateRow, form: str) -> str:
    from evalh.report.files.junit import gate_junit
    from evalh.report.markdown.gate import COMMENT_BYTES, gate_markdown

    match form:
        case "markdown":
            return gate_markdown(kept_gate(row), COMMENT_BYTES)
        case "junit":
            return gate_junit(kept_gate(row))
        case _:
            hint = f"evalh report {row.id} --format markdown, or junit, or json; the JSON names its runs"
            raise UsageError(f"a gate's decision is not a table: it has no form {form}", hint=hint)


def lines(parts: Parts, name: str, form: str) -> Iterator[str]:
    """Yield a run, a comparison or a gate as markdown, csv or junit, piece by piece. Raises NotFound, UsageError."""
    from evalh.report.files.junit import comparison_junit, run_junit
    from evalh.report.files.spreadsheet import comparison_csv, run_csv
    from evalh.report.markdown.compare import comparison_markdown
    from evalh.report.markdown.run import run_markdown

    match parts.log.decided(name):
        case GateRow() as decided:
            yield _gate_text(decided, form)
        case ComparisonRow() as compared:
            view = view_of(parts, compared, examples=0)
            both = both_sides(parts, view.comparison)
            if form == "markdown":
                yield from (f"{line}\n" for line in comparison_markdown(view, both))
            else:
                yield from comparison_csv(both) if form == "csv" else comparison_junit(view, both)
        case None if form == "markdown":
            yield from (f"{line}\n" for line in run_markdown(told(parts, name)))
        case None:
            run = parts.log.run(name)
            stories: Iterator[SampleStory] = parts.log.stories(run.record.id)
            yield from run_csv(stories) if form == "csv" else run_junit(run, stories)


def figures(parts: Parts, name: str, file_names: Sequence[str]) -> list[bytes]:
    """Return pictures of a run, or of a comparison's head, as files of their own; their names say which.

    Raises NotFound, UsageError.
    """
    from evalh.report.charts.figures import drawn, figure_of, png

    asked = [figure_of(file_name) for file_name in file_names]
    compared = parts.log.decided(name)
    head = compared.head_run if isinstance(compared, ComparisonRow) else None
    one = told(parts, name if head is None else head)
    svgs = [(drawn(figure, one), kind) for figure, kind in asked]
    return [png(svg) if kind == "png" else svg.encode() for svg, kind in svgs]


def entry(parts: Parts, name: str) -> tuple[str, object]:
    """Return what an id names, and its kind: run, compare, gate, case, sample, call, workflow, … Raises NotFound.

    `last` is the newest run, or the newest traced workflow if that is newer. A workflow is shown as itself after it was
    graded too, when its id is also that of a case.
    """
    from_production = traced(parts, name)
    try:
        log = parts.log
    except NotFound as exc:  # nothing was run here yet
        if from_production is None and is_there(parts):
            raise NotFound(f"no workflow, step or call {name!r}", hint="evalh trace list") from exc
        if from_production is None:
            raise
        return _traced_entry(parts, from_production)
    try:
        found = log.show(name)
    except NotFound:
        if from_production is None:
            raise
        return _traced_entry(parts, from_production)
    newer = isinstance(found, RunRow) and _begun(from_production) > found.record.started_at
    graded = isinstance(found, CaseDetail) and found.run.record.kind is RunKind.PRODUCTION
    begun = isinstance(found, CaseDetail) and found.case_id != name  # a workflow, too, is named by its beginning
    if from_production is not None and (graded or begun or (name == _LAST and newer)):
        return _traced_entry(parts, from_production)
    return _logged_entry(parts, found)


def _begun(traced: WorkflowDetail | TracedItem | None) -> float:
    return traced.workflow.started_at if isinstance(traced, WorkflowDetail) else float("-inf")


def _traced_entry(parts: Parts, found: WorkflowDetail | TracedItem) -> tuple[str, object]:
    return ("workflow", with_grades(parts, found)) if isinstance(found, WorkflowDetail) else ("traced", found)


def _logged_entry(parts: Parts, found: Shown) -> tuple[str, object]:
    match found:
        case ComparisonRow():
            named: tuple[str, object] = "compare", view_of(parts, found)
        case GateRow():
            named = "gate", kept_gate(found)
        case RunRow() if found.summary is None:
            named = "unfinished", found
        case RunRow():
            named = "run", parts.log.result(found.record.id)
        case CaseDetail():
            named = "case", found
        case CallRow():
            named = "call", found
        case _:
            named = "sample", found
    return named
