"""`evalh check`: the whole workspace, offline."""

import click

from evalh.cli.app import App, verb


@click.command("check")
@verb
def command(app: App) -> int:
    """Check every file of the workspace, offline. No model is asked.

    Reads prompts, suites, datasets and evalh.toml as a run does, and labels and baselines as calibrate and gate do.
    Finds graders that can only fail or abstain. A version that is frozen on the base branch must not change. Exit 2 if
    anything is wrong.
    """
    from evalh.api.check import check_workspace
    from evalh.core.errors import worst
    from evalh.report.text import safe

    outcome = check_workspace(app.workspace)
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import CheckDocument

        app.show_json(document_of(CheckDocument, outcome))
        return worst(problem.exit_code for problem in outcome.problems)
    for problem in outcome.problems:
        place = f"{problem.where}: " if problem.where else ""
        app.console.print(safe(f"{place}{problem.what}"), style="red", soft_wrap=True)
        for line in (problem.hint or "").splitlines():
            app.console.print(safe(f"  {line}"), soft_wrap=True)
    for notice in outcome.notices:
        app.hints.print(safe(f"note: {notice}"), style="dim", soft_wrap=True)
    app.console.print(outcome.line, soft_wrap=True)
    return worst(problem.exit_code for problem in outcome.problems)
