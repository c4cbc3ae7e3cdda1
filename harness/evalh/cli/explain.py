"""`evalh explain`: what evalh decides for the user."""

import click

from evalh.cli.app import App, Count, verb


@click.command("explain")
@click.argument("name", required=False, metavar="[SUITE | ROUTE | MODEL]")
@click.option("--last", type=Count(), default=5, show_default=True, help="Count over the last N runs.")
@verb
def command(app: App, name: str | None, last: int) -> None:
    """Explain every decision that evalh makes for you between the calls.

    It states what happens when a call fails, the output does not fit, the model is unsure or money runs out.
    For each decision it shows how often it was taken in the last runs, its cost, and whether it helped.
    Default: the default suite's model or route.
    """
    from evalh.api.explain import explained
    from evalh.report.documents.judging import explain_document
    from evalh.report.terminal.explain import show_explained

    app.show(explained(app.workspace, name, last), explain_document, show_explained)
