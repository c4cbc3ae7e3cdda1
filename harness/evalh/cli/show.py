"""`evalh show`: anything that has an id."""

import click

from evalh.cli.app import App, verb


@click.command("show")
@click.argument("name", metavar="[ID]", default="last")
@verb
def command(app: App, name: str) -> None:
    """Show the run, comparison, gate, case, sample or call with this ID.

    Without ID: the newest run.

    For a case: its request, its output and the failed graders in the newest run.
    """
    from functools import partial

    from evalh.report.documents.log import entry_document
    from evalh.report.terminal.log import SHOW

    kind, thing = app.workspace.log_entry(name)
    app.show(thing, partial(entry_document, kind), SHOW[kind])
