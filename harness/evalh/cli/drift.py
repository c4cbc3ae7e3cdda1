"""`evalh drift`: whether the model behind a name changed."""

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, RateType, asking_options, takes, verb

if TYPE_CHECKING:
    from evalh.analysis.drift import Drift
    from evalh.api.options import DriftOptions

_MOST = 0.5


@click.command("drift")
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@click.option("--prompt", metavar="VERSION", help="The version whose baseline is used.  [default: the one in use]")
@click.option("-m", "--model", metavar="NAME", help="The model.  [default: the suite's]")
@click.option("--cases", type=Count(), metavar="K", help="Ask K cases, always the same ones.  [default: all]")
@click.option(
    "--alpha",
    type=RateType(),
    default=0.01,
    metavar="SHARE",
    help="The rate of false alarms.  [default: 0.01]",
)
@asking_options(budget="Most that each suite may spend.", fresh="Ask again, even if asked today.", fresh_first=True)
@click.option("--dry-run", is_flag=True, help="Show the plan and the worst-case cost; send nothing.")
@verb
@takes("DriftOptions")
def command(app: App, options: "DriftOptions", *, dry_run: bool) -> int:
    """Test whether a hosted model changed since its baseline: yes (exit 1) or no (exit 0).

    Asks the baseline's cases again, with its version and model, and compares the answers with the accepted
    ones by an exact test. Without a suite: every suite with a baseline. Made for a nightly job.

    \b
      evalh drift
      evalh drift --dry-run
      evalh drift triage --cases 60 --budget 0.50
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.drift import drift, drift_forecasts
    from evalh.cli.progress import progress_for
    from evalh.core.errors import ExitCode, UsageError, worst

    if not 0 < options.alpha <= _MOST:
        raise UsageError(f"--alpha {options.alpha:g} is not a rate of false alarms", hint="--alpha 0.01; at most 0.5")
    if dry_run:
        from evalh.report.documents.run import plan_document
        from evalh.report.terminal.run import show_plans

        app.show(drift_forecasts(app.workspace, options), plan_document, show_plans)
        return ExitCode.YES
    found = drift(app.workspace, options, progress_for(app))
    _show(app, found)
    return worst(one.exit for one in found)


def _show(app: App, found: "list[Drift]") -> None:
    from evalh.core.errors import EvalhError, ExitCode
    from evalh.report.documents.drift import drift_document
    from evalh.report.terminal.drift import show_drift
    from evalh.report.text import typable

    if app.json:
        app.show_json(drift_document(found))
        return
    show_drift(app.console, found)
    if any(one.exit is ExitCode.CANNOT_MEASURE for one in found):
        errors = ""
        with suppress(EvalhError):  # no log: nothing was asked
            errors = "evalh calls --errors; then " if app.workspace.calls("errors", None, 1) else ""
        again = f"{errors}the same command, which asks only what was not answered"
        app.hints.print(f"next: {again}", style="dim", soft_wrap=True)
    for one in found:
        names = [typable(name) for name in (one.prompt, one.suite, one.model)]
        if one.exit is ExitCode.NO and None not in names:
            again = f"evalh baseline accept --fresh {names[0]} --suite {names[1]} --model {names[2]}"
            app.hints.print(f"next: {again}   once you have looked", style="dim", soft_wrap=True)
