"""`evalh grade`: judge what production answered."""

from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, RateType, Usd, takes, verb
from evalh.cli.cost import Since
from evalh.core.errors import UsageError, one_of

if TYPE_CHECKING:
    from evalh.analysis.production import GradedProduction
    from evalh.api.options import GradeOptions


@click.command("grade")
@click.argument("suite", required=False)
@click.option("--production", is_flag=True, help="Judge the answers of traced programs.")
@click.option("--since", type=Since(), metavar="AGE", help="Only since then: 30d, 12h, 4w or a date.  [default: all]")
@click.option("--against", type=Since(), metavar="AGE", help="Compare with the time from this to --since.")
@click.option("--feedback", type=click.Choice(["good", "bad", "none"]), help="Only workflows with this vote of users.")
@click.option("--sample", type=Count(), metavar="N", help="Judge N randomly drawn workflows.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random draw.")
@click.option("--concurrency", type=Count(most=4096), help="Most calls of judges in flight.  [default: 32]")
@click.option("--budget", "budget_usd", type=Usd(), help="Most that the judges of each version may spend.")
@click.option("--at-least", type=RateType(), metavar="RATE", help="Exit 1 if the good rate is lower.")
@verb
@takes("GradeOptions")
def command(app: App, *, options: "GradeOptions", production: bool, at_least: float | None) -> int:
    """Judge production's answers with a suite's graders. Only judges are asked.

    A call counts for the version whose template its messages fit. Graders that compare with gold are left out.
    Rates are weighted by how many workflows each one stands for, and answers of one session count as one cluster.

    \b
      evalh grade triage --production --since 24h
      evalh grade triage --production --since 7d --against 14d
      evalh grade triage --production --since 1h --at-least 0.9
      evalh grade triage --production --feedback bad
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.grade import grade
    from evalh.cli.progress import progress_for
    from evalh.report.documents.production import graded_document
    from evalh.report.terminal.production import show_graded

    if not production:
        suites = (options.suite,) if options.suite else app.workspace.suites()
        raise UsageError("which answers?", hint=one_of("evalh grade {} --production", suites))
    found = grade(app.workspace, options, progress_for(app))
    app.show(found, graded_document, show_graded)
    return _exit_code(app, found, at_least)


def _exit_code(app: App, found: "GradedProduction", at_least: float | None) -> int:
    from evalh.core.errors import ExitCode
    from evalh.report.text import percent, plural, too_many_ungraded

    whole = found.whole
    too_many = whole.ungraded > found.max_ungraded * whole.answers
    if too_many:
        told = too_many_ungraded(whole.ungraded, plural(whole.answers, "answer"), found.max_ungraded)
        app.hints.print(f"not measured: {told}", style="red", soft_wrap=True)
    if too_many or whole.good_rate.value is None:
        return ExitCode.CANNOT_MEASURE
    if at_least is not None and whole.good_rate.value < at_least:
        told = f"no: {percent(whole.good_rate.value)} of production's answers are good"
        app.hints.print(f"{told}, at least {100 * at_least:g} % required", style="red", soft_wrap=True)
        return ExitCode.NO
    return ExitCode.YES
