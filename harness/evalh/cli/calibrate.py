"""`evalh calibrate`: what a judge's verdicts are worth."""

import click

from evalh.cli.app import App, json_option


@click.command("calibrate")
@click.argument("judge", metavar="JUDGE")
@click.option("--suite", metavar="SUITE", help="Where several suites have a grader of that name.")
@click.option("--no-save", is_flag=True, help="Print it, and leave the file in reports/calibrations alone.")
@json_option
@click.pass_obj
def command(app: App, *, judge: str, suite: str | None, no_save: bool) -> None:
    """Hold a judge's verdicts against people's labels: agreement, and the rate that people would give.

    JUDGE is a grader's name, or that of an entry under `compare:`. Of such a judge of two outputs
    the log also says whether the order decides: its position bias, labels or not.

    Only what the judge said as it is now counts: a changed rubric, prompt or model is another
    judge. Nobody is asked. The result is kept in reports/calibrations, for git.

    \b
      evalh label triage --about tone
      evalh calibrate tone
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.calibrate import calibrate, save

    calibration = calibrate(app.workspace, judge, suite)
    kept = None if no_save else save(app.workspace, calibration)
    if app.json:
        from evalh.workspace.kept.calibrations import calibration_document

        app.show_json(calibration_document(calibration))
        return
    from evalh.report.terminal.calibration import show_calibration

    show_calibration(app.console, calibration)
    if kept is not None:
        app.hints.print(f"next: git add {kept}", style="dim")
