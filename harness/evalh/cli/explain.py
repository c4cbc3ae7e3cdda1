"""`evalh explain`: what evalh decides for the user."""

from shlex import quote

import click

from evalh.cli.app import App, Count, verb
from evalh.core.errors import UsageError


@click.command("explain")
@click.argument("name", required=False, metavar="[SUITE | ROUTE | MODEL]")
@click.option("--last", type=Count(), default=5, show_default=True, help="Count over the last N runs.")
@click.option("--workflow", metavar="WORKFLOW", help="Explain a traced workflow: its id, its name, or last.")
@verb
def command(app: App, *, name: str | None, last: int, workflow: str | None) -> None:
    """Explain every decision that evalh makes for you between the calls.

    It states what happens when a call fails, the output does not fit, the model is unsure or money runs out.
    For each decision it shows how often it was taken in the last runs, its cost, and whether it helped.
    Default: the default suite's model or route.

    --workflow says what a program does between its calls that evalh did not run: requests that it sent again,
    fallbacks, answers that nobody checked; and first what the records cannot show.
    """
    if workflow is not None:
        _explain_workflow(app, name, workflow)
        return
    from evalh.api.explain import explained
    from evalh.report.documents.judging import explain_document
    from evalh.report.terminal.explain import show_explained

    app.show(explained(app.workspace, name, last), explain_document, show_explained)


def _explain_workflow(app: App, name: str | None, workflow: str) -> None:
    from evalh.api.production import observed
    from evalh.report.documents.judging import observed_document
    from evalh.report.terminal.explain import show_observed

    if name is not None:
        raise UsageError(
            f"{name!r} and --workflow exclude each other", hint=f"evalh explain --workflow {quote(workflow)}"
        )
    app.show(observed(app.workspace, workflow), observed_document, show_observed)
