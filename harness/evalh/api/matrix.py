"""The matrix of a suite: which runs are its columns, and their samples side by side."""

from collections.abc import Sequence
from contextlib import suppress
from shlex import quote

from evalh.analysis.matrix import Matrix, MatrixRow, holds, matrix_columns
from evalh.analysis.tradeoff import trade_off
from evalh.api.options import MatrixOptions
from evalh.api.parts import Parts
from evalh.core.errors import NotFound, UsageError, did_you_mean, one_of, some_of
from evalh.core.log import RunRow
from evalh.report.html.matrix_data import MatrixRows
from evalh.report.html.page import matrix_html

MOST_COLUMNS = 32


def columns_of(parts: Parts, options: MatrixOptions) -> list[RunRow]:
    """Return the runs that are the columns: those that are named, or a suite's newest of each version and model.

    Raises NotFound; UsageError for runs of several suites.
    """
    suite = _suite(parts, options.names[0] if options.names else None) if len(options.names) <= 1 else None
    found = newest(parts, suite) if suite is not None else runs_of(parts, options.names)
    runs = [run for run in found if _asked(run, options)]
    if not runs:
        have = some_of(sorted({f"{run.record.prompt} on {run.record.model}" for run in found}))
        raise NotFound("no column has that version and model", hint=f"have: {have}")
    return runs


def _asked(run: RunRow, options: MatrixOptions) -> bool:
    prompt = run.record.prompt
    version = not options.prompts or bool({prompt, prompt.rpartition("@")[2]} & set(options.prompts))
    return version and (not options.models or run.record.model in options.models)


def runs_of(parts: Parts, names: Sequence[str]) -> list[RunRow]:
    """Return runs by name, each once. Raises NotFound; UsageError for runs of several suites, and for too many."""
    found = {run.record.id: run for run in map(parts.log.run, names)}
    suites = sorted({run.record.suite for run in found.values()})
    if len(suites) > 1:
        raise UsageError(
            f"these runs are of several suites: {', '.join(suites)}", hint=f"evalh matrix {quote(suites[0])}"
        )
    if len(found) > MOST_COLUMNS:
        raise UsageError(f"a matrix has at most {MOST_COLUMNS} columns; these are {len(found)}")
    return list(found.values())


def _suite(parts: Parts, name: str | None) -> str | None:
    """Return the suite that is meant; None where the name is a run's."""
    if name is None:
        if parts.config.default_suite is None:
            raise UsageError("which suite?", hint=one_of("evalh matrix {}", parts.suites()))
        return parts.config.default_suite
    if name in parts.suites() or parts.log.suite_runs(name):
        return name
    with suppress(NotFound):
        parts.log.run(name)
        return None
    known = parts.suites()
    raise NotFound(f"no suite or run {name!r}", hint=did_you_mean(name, known))


def newest(parts: Parts, suite: str) -> list[RunRow]:
    """Return a suite's newest complete run of every version and model with the same cases, graders and trials.

    Those of the newest run over the whole dataset count, or of the newest of all if each was over a part of it.
    Raises NotFound if the suite has no run.
    """
    known = parts.log.suite_runs(suite)
    if not known:
        raise NotFound(f"suite {suite!r} has no run", hint=f"evalh run {quote(suite)}")
    counted = [run for run in known if run.summary is not None] or known
    here = next((run for run in counted if not run.record.selection), counted[0])
    runs = [point.run for point in trade_off(known, here).points] or [here]
    ordered = sorted(runs, key=lambda run: (_by_age(run.record.prompt), run.record.model, run.record.id))
    return [parts.log.run(run.record.id) for run in ordered[:MOST_COLUMNS]]


def _by_age(prompt: str) -> tuple[str, bool, int, str]:
    """Return a key that sorts versions as people count them: v2 before v10, and the draft last."""
    name, _, version = prompt.partition("@")
    digits = version.partition("[")[0].removeprefix("v")  # of v3[read@v2]: 3
    return name, version.startswith("draft"), int(digits) if digits.isdecimal() else 0, version


def matrix_page(parts: Parts, runs: Sequence[RunRow], *, linked: bool = False) -> str:
    """Return the HTML page of these runs side by side; `linked`: the viewer serves the pages of the runs, too."""
    return page_of(parts, rows_of(parts, runs, linked=linked))


def rows_of(parts: Parts, runs: Sequence[RunRow], *, linked: bool = False) -> MatrixRows:
    """Read the cells of these runs, which is most of the work of a page. Those of a finished run stay as they are."""
    rows = MatrixRows(runs, linked)
    _fold(parts, runs, [rows])
    return rows


def matrix_of(
    parts: Parts, runs: Sequence[RunRow], step: str | None = None, *, page: bool = False
) -> tuple[Matrix, str | None]:
    """Return these runs side by side, and their HTML page if it is asked for.

    `step`: what that step of a pipeline gave is in the cells, not the results. Raises NotFound.
    """
    known = {one.step: None for run in runs for one in run.record.steps}
    if step is not None and step not in known:
        hint = did_you_mean(step, known) if known else "these runs are of prompts, not of pipelines: they have no steps"
        raise NotFound(f"no step {step!r}", hint=hint)
    matrix, rows = Matrix(matrix_columns(runs, step)), MatrixRows(runs)
    _fold(parts, runs, [matrix, rows] if page else [matrix])
    return matrix, page_of(parts, rows) if page else None


def _fold(parts: Parts, runs: Sequence[RunRow], into: Sequence[Matrix | MatrixRows]) -> None:
    """Read every sample once."""
    for place, run in enumerate(runs):
        for story in parts.log.stories(run.record.id):
            for one in into:
                one.add(place, story)


def page_of(parts: Parts, rows: MatrixRows) -> str:
    """Return the HTML page of these cells, with what the suite's runs say now about which version to ship."""
    first = rows.runs[0]
    return matrix_html(rows.runs, rows, trade_off(parts.log.suite_runs(first.record.suite), first))


def chosen_rows(matrix: Matrix, options: MatrixOptions) -> list[MatrixRow]:
    """Return the rows that were asked for, in the order that was asked for."""
    fits = [] if options.every else [lambda row: row.differs]
    words = options.search
    if words is not None:
        fits.append(lambda row: holds(row, words))
    return matrix.chosen(options.order, fits)
