"""`evalh show`: whatever an id names."""

import click

from evalh.cli.app import App, json_option


@click.command("show")
@click.argument("name", metavar="[ID]", default="last")
@json_option
@click.pass_obj
def command(app: App, name: str) -> None:
    """Show a run, a comparison, a gate, a case, a sample or a call: ID says which.

    Without ID: the newest run.

    A case is shown as the newest run saw it: what was sent, what came back, which grader failed.
    """
    from evalh.report.terminal.log import SHOW

    kind, thing = app.workspace.log_entry(name)
    if app.json:
        from evalh.report.documents.log import entry_document

        app.show_json(entry_document(kind, thing))
        return
    SHOW[kind](app.console, thing)
