"""`evalh grader`: your own graders."""

import click

from evalh.cli.app import App, Count, Group, verb


@click.group("grader", cls=Group)
def command() -> None:
    """Try your own graders on outputs of the log."""


@command.command("test")
@click.argument("file", metavar="FILE")
@click.option("--run", default="last", metavar="RUN", help="Judge this run's outputs.  [default: the newest run]")
@click.option("--limit", type=Count(most=100_000), default=100, metavar="N", help="Outputs to judge.  [default: 100]")
@verb
def test(app: App, *, file: str, run: str, limit: int) -> int:
    """Judge outputs of the log with every grader in FILE. No model is asked, nothing is saved.

    Parameters come from the suites, otherwise from the defaults. Exit 1 if a grader raises, hangs or returns
    no verdict.

    \b
      evalh grader test evals/graders.py
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.graders import try_graders
    from evalh.core.errors import ExitCode
    from evalh.report.terminal.calibration import show_trials

    trials = try_graders(app.workspace, file, run, limit)
    if app.json:
        from evalh.report.documents.judging import GraderTestDocument

        app.show_json(GraderTestDocument(graders=tuple(trials)))
    else:
        show_trials(app.console, trials)
    return ExitCode.NO if any(trial.counts["error"] for trial in trials) else ExitCode.YES
