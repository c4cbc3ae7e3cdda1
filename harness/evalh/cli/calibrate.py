"""`evalh calibrate`: how reliable a judge's verdicts are."""

from shlex import quote

import click

from evalh.cli.app import App, verb


@click.command("calibrate")
@click.argument("judge", metavar="JUDGE")
@click.option("--suite", metavar="SUITE", help="The suite, if several have this grader.")
@click.option("--no-save", is_flag=True, help="Print only; do not change reports/calibrations.")
@click.option(
    "--against",
    type=click.Choice(["labels", "feedback"]),
    default="labels",
    show_default=True,
    help="Compare with people's labels, or with users' votes in production.",
)
@verb
def command(app: App, *, judge: str, suite: str | None, no_save: bool, against: str) -> None:
    """Compare a judge's verdicts with people's labels: agreement and corrected rate.

    JUDGE is the name of a grader or of an entry under `compare:`. For a judge of two outputs, the log also
    shows position bias, which needs no labels.

    Only verdicts of the current judge count: a changed rubric, prompt or model is another judge. No model is
    asked. The result is saved in reports/calibrations, for git.

    \b
      evalh label triage --about tone
      evalh calibrate tone
      evalh calibrate tone --against feedback
    """  # noqa: D301 (click's \b keeps the examples' lines)
    if against == "feedback":
        from evalh.api.calibrate import against_feedback
        from evalh.report.documents.judging import feedback_document
        from evalh.report.terminal.calibration import show_feedback

        app.show(against_feedback(app.workspace, judge, suite), feedback_document, show_feedback)
        return
    from evalh.api.calibrate import calibrate, save
    from evalh.report.terminal.calibration import show_calibration
    from evalh.workspace.kept.calibrations import calibration_document

    calibration = calibrate(app.workspace, judge, suite)
    kept = None if no_save else save(app.workspace, calibration)
    app.show(calibration, calibration_document, show_calibration)
    if kept is not None and not app.json:
        app.hints.print(f"next: git add {quote(str(kept))}", style="dim")
