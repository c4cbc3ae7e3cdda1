"""`evalh compare`: which cases got worse, and whether the difference is real."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, RateType, asking_options, opposite, selection_options, takes, verb
from evalh.cli.output import report_option, write_report

if TYPE_CHECKING:
    from evalh.analysis.compare.comparison import Comparison
    from evalh.api.options import CompareOptions
    from evalh.report.terminal.compare import ComparisonView


@click.command("compare")
@click.argument("base")
@click.argument("head", required=False)
@click.option("--suite", metavar="NAME", help="Suite to compare over.  [default: the prompt's, or the default suite]")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Model of both sides; give it twice for base and head.",
)
@click.option("--trials", type=Count(most=1000), help="Repetitions of each case.")
@selection_options
@click.option(
    "--margin", type=RateType(), metavar="SHARE", help="The largest harmless drop.  [default: the suite's, or 0.05]"
)
@click.option("--intersection", is_flag=True, help="Compare the common cases, even if others differ.")
@click.option("--pass-at", type=Count(most=1000), metavar="K", help="Also show pass@K and pass^K; needs K trials.")
@click.option("--confirm", is_flag=True, help="Ask again, 5 times a side, what got worse: regressed or noise?")
@click.option("--no-prefer", "prefer", is_flag=True, callback=opposite, help="Leave out the suite's `compare:` judges.")
@click.option("--examples", type=Count(0, 1000), default=3, metavar="N", help="Examples of each kind.  [default: 3]")
@asking_options()
@click.option(
    "--fail-on",
    type=click.Choice(["worse", "inconclusive"]),
    help="worse: exit 1 if head is worse. inconclusive: also exit 3 if nothing is shown.",
)
@report_option
@verb
@takes("CompareOptions")
def command(app: App, *, options: "CompareOptions", fail_on: str | None, report: Path | None) -> int:
    """Compare HEAD with BASE, case by case: better, no worse, worse or inconclusive.

    A side is a version, a version on a model, or a saved run. The model is asked only for answers that the log
    does not hold.

    \b
      evalh compare v2 v3
      evalh compare main:triage triage@draft
      evalh compare v3@small v3@strong
      evalh compare v3 --model small --model strong
      evalh compare r20261124-014246-3f9c2e last
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.compare import compared
    from evalh.cli.progress import progress_for

    view = compared(app.workspace, options, progress_for(app))
    if report is not None:
        from evalh.api.report import comparison_page

        write_report(app, report, comparison_page(app.workspace, view))
    _show(app, view)
    return _exit_code(view.comparison, fail_on)


def _show(app: App, view: "ComparisonView") -> None:
    if app.json:
        from evalh.report.documents.compare import compared_document

        app.show_json(compared_document(view.comparison, view.id))
        return
    from evalh.report.terminal.compare import show_comparison

    show_comparison(app.console, view)
    app.hints.print()
    recorded = any(app.is_recorded(side.model) for side in (view.comparison.base, view.comparison.head))
    for line in _next(view, recorded=recorded):
        app.hints.print(f"next: {line}", style="dim", soft_wrap=True)


def _next(view: "ComparisonView", *, recorded: bool) -> list[str]:
    """Return what to type next; a recording cannot be asked again."""
    from evalh.report.text import typable

    comparison = view.comparison
    again = f"evalh show {view.id}   this comparison again"
    if not comparison.comparable:
        if any(mismatch.part == "graders" for mismatch in comparison.mismatches):
            base, head = comparison.base, comparison.head
            sides = f"{quote(f'{base.prompt}@{base.model}')} {quote(f'{head.prompt}@{head.model}')}"
            return [f"evalh compare {sides}   grades both with the current suite; answers come from the log", again]
        return ["--intersection   compares the cases that both sides have, with the same rows", again]
    lines = []
    if comparison.regressed and not comparison.confirmed and not recorded:
        lines.append("--confirm   asks again what got worse: regressed, unstable or noise")
    if comparison.regressed and (name := typable(comparison.regressed[0])):
        lines.append(f"evalh show {name}   what was sent, what came back, which grader failed")
    return [*lines, f"evalh report {view.id}   a page: both outputs of each changed case", again]


def _exit_code(comparison: "Comparison", fail_on: str | None) -> int:
    from evalh.analysis.compare.comparison import ComparisonVerdict
    from evalh.core.errors import ExitCode, worst

    codes = [ExitCode.YES]
    if not comparison.comparable:
        codes.append(ExitCode.INCONCLUSIVE)
    elif not comparison.measured:
        codes.append(ExitCode.CANNOT_MEASURE)
    elif fail_on is not None and comparison.verdict is ComparisonVerdict.WORSE:
        codes.append(ExitCode.NO)
    elif fail_on == "inconclusive" and comparison.verdict is ComparisonVerdict.INCONCLUSIVE:
        codes.append(ExitCode.INCONCLUSIVE)
    return worst(codes)
