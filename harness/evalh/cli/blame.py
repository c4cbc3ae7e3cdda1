"""`evalh blame`: find which step of a pipeline makes cases bad."""

from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, asking_options, takes, verb

if TYPE_CHECKING:
    from evalh.api.options import BlameOptions

_DESIGNS = ("in-order", "halving", "single", "all-sets")


@click.command("blame")
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--stand-in", metavar="MODEL", help="Replace outputs by this model's instead of by gold.")
@click.option(
    "--design", type=click.Choice(_DESIGNS), default=_DESIGNS[0], help="Which outputs to replace.", show_default=True
)
@click.option("--reruns", type=Count(most=100), default=3, help="Reruns of each case and set.", show_default=True)
@click.option("--cases", type=Count(), metavar="K", help="Use only the first K bad cases.  [default: all]")
@asking_options(budget="Most that it may spend.")
@click.option("--dry-run", is_flag=True, help="Show the plan and the worst-case cost; send nothing.")
@verb
@takes("BlameOptions")
def command(app: App, *, options: "BlameOptions", dry_run: bool) -> int:
    """Rerun the bad cases of a pipeline's run with good outputs in place of the steps' own.

    A step loses as many cases as become good when its output is replaced too. Default: the newest run.

    \b
      evalh blame --dry-run
      evalh blame --budget 0.50
      evalh blame r20261129 --stand-in strong
    """  # noqa: D301 (click's \b keeps the examples' lines)
    if dry_run:
        from evalh.api.blame import blame_cost
        from evalh.report.documents.blame import blame_cost_document
        from evalh.report.terminal.blame import show_cost

        app.show(blame_cost(app.workspace, options), blame_cost_document, show_cost)
        return 0
    from evalh.api.blame import blamed
    from evalh.cli.progress import progress_for
    from evalh.core.errors import ExitCode
    from evalh.report.documents.blame import blame_document
    from evalh.report.terminal.blame import show_blame

    found = blamed(app.workspace, options, progress_for(app))
    app.show(found, blame_document, show_blame)
    return ExitCode.YES if found.blame.measured else ExitCode.CANNOT_MEASURE
