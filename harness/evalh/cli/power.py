"""`evalh power`: how small a drop a suite shows, and what showing a smaller one takes."""

import click

from evalh.cli.app import App, Count, RateType, json_option


@click.command("power")
@click.argument("suite", required=False)
@click.option(
    "--drop", type=RateType(), metavar="SHARE", help="The drop to show.  [default: the suite's margin, or 0.05]"
)
@click.option("--cases", type=Count(), metavar="N", help="As if the dataset had N cases.")
@click.option("--trials", type=Count(most=1000), help="As if each case ran so often.  [default: the suite's]")
@click.option("--discordance", type=RateType(), metavar="SHARE", help="Cases on which two versions disagree.")
@json_option
@click.pass_obj
def command(
    app: App,
    *,
    suite: str | None,
    drop: float | None,
    cases: int | None,
    trials: int | None,
    discordance: float | None,
) -> None:
    """Say which drop of the good rate a suite shows with 80 % power, and what a smaller one takes.

    How often two versions disagree comes from the widest comparison in the log, else from the
    suite's gate. Nothing is run.

    \b
      evalh power triage
      evalh power --drop 0.03
      evalh power --cases 500
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.power import PowerRequest, planned
    from evalh.core.errors import UsageError
    from evalh.report.terminal.power import show_power

    if drop == 0:
        raise UsageError("no number of cases shows a drop of 0", hint="--drop 0.05")
    request = PowerRequest(suite=suite, drop=drop, cases=cases, trials=trials, discordance=discordance)
    plan = planned(app.workspace, request)
    if app.json:
        from evalh.report.documents.workspace import power_document

        app.show_json(power_document(plan))
        return
    show_power(app.console, plan)
