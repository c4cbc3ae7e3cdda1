"""`evalh matrix`: every case under every version and model."""

import shlex
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, takes, verb
from evalh.cli.output import report_option, write_report

if TYPE_CHECKING:
    from evalh.api.options import MatrixOptions


@click.command("matrix")
@click.argument("names", metavar="[SUITE | RUN…]", nargs=-1)
@click.option(
    "-p", "--prompt", "prompts", multiple=True, metavar="VERSION", help="Only columns of this version; repeats."
)
@click.option("-m", "--model", "models", multiple=True, metavar="NAME", help="Only columns of this model; repeats.")
@click.option("--step", metavar="STEP", help="Show this step's outputs instead of the results.")
@click.option("--all", "every", is_flag=True, help="Show all cases, not only those whose verdicts differ.")
@click.option("--search", metavar="TEXT", help="Only cases with this text in id, inputs, output or reason.")
@click.option(
    "--sort",
    "order",
    type=click.Choice(["disagreement", "dataset", "worst"]),
    default="disagreement",
    help="disagreement: the most first. worst: the fewest good first.  [default: disagreement]",
)
@click.option("--limit", type=Count(), default=20, help="Cases to print.  [default: 20]")
@report_option
@verb
@takes("MatrixOptions")
def command(app: App, *, options: "MatrixOptions", report: Path | None) -> None:
    """Show every case under every version and model: each cell an output with its verdict.

    Columns are the suite's newest complete runs that the same cases and graders measured, or the runs that you name.
    --report writes the page: it filters, sorts, searches and shows whole outputs.

    \b
      evalh matrix
      evalh matrix triage -p v2 -p v3 --report matrix.html
      evalh matrix order_status --step read
      evalh matrix r20261124-014246-3f9c2e last --all --json
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.matrix import chosen_rows, columns_of, matrix_of

    runs = columns_of(app.workspace, options)
    matrix, page = matrix_of(app.workspace, runs, options.step, page=report is not None)
    if report is not None and page is not None:
        write_report(app, report, page)
    rows = chosen_rows(matrix, options)
    if app.json:
        from evalh.report.documents.matrix import matrix_document

        app.show_json(matrix_document(matrix, rows))
        return
    from evalh.report.terminal.matrix import show_matrix

    show_matrix(app.console, matrix, rows, options.limit)
    if not rows and not options.every:
        app.hints.print("next: evalh matrix --all   shows the cases whose verdicts are equal, too", style="dim")
    if report is None:
        app.hints.print()
        app.hints.print(f"next: {_again(options)}   a page: filters, search, whole outputs", style="dim")


def _again(options: "MatrixOptions") -> str:
    """Return the command that writes these columns as a page."""
    chosen = [(name, one) for name, named in (("-p", options.prompts), ("-m", options.models)) for one in named]
    if options.step is not None:
        chosen.append(("--step", options.step))
    return shlex.join(["evalh", "matrix", *options.names, *chain(*chosen), "--report", "matrix.html"])
