"""`evalh power`: the drop that a suite detects, and what a smaller one needs."""

from functools import partial
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, RateType, takes, verb

if TYPE_CHECKING:
    from evalh.api.options import PowerOptions


@click.command("power")
@click.argument("suite", required=False)
@click.option(
    "--drop", type=RateType(), metavar="SHARE", help="The drop to detect.  [default: the suite's margin, or 0.05]"
)
@click.option("--cases", type=Count(), metavar="N", help="Assume a dataset of N cases.")
@click.option("--trials", type=Count(most=1000), help="Assume N trials of each case.  [default: the suite's]")
@click.option("--discordance", type=RateType(), metavar="SHARE", help="Share of cases with a disagreement.")
@verb
@takes("PowerOptions")
def command(app: App, options: "PowerOptions") -> None:
    """Show which drop a suite detects with 80 % power, and how many cases a smaller drop needs.

    The rate of disagreement between two versions comes from the largest comparison in the log, or gate that
    met every case, else from the suite's policy. Nothing is run.

    \b
      evalh power triage
      evalh power --drop 0.03
      evalh power --cases 500
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.power import planned
    from evalh.core.errors import UsageError
    from evalh.report.documents.document import document_of
    from evalh.report.documents.workspace import PowerDocument
    from evalh.report.terminal.power import show_power

    if options.drop == 0:
        raise UsageError("a drop of 0 cannot be shown", hint="--drop 0.05")
    app.show(planned(app.workspace, options), partial(document_of, PowerDocument), show_power)
