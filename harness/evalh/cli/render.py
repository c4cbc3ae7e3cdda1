"""`evalh render`: exactly what would be sent."""

import click

from evalh.cli.app import App, verb


@click.command("render")
@click.argument("case_id", metavar="CASE")
@click.option("-s", "--suite", help="Suite of the case.  [default: the default suite]")
@click.option("-p", "--prompt", "ref", metavar="REF", help="Version to render.  [default: the draft, else live]")
@click.option("-m", "--model", metavar="NAME", help="Model whose parameters override the version's.")
@click.option("--step", metavar="NAME", help="Step of a pipeline. Steps before it take their outputs from the row.")
@verb
def command(app: App, case_id: str, suite: str | None, ref: str | None, model: str | None, step: str | None) -> None:
    """Show the request for one case, message by message. Nothing is sent."""
    from evalh.api.prompts import render_case
    from evalh.report.documents.prompts import request_document
    from evalh.report.terminal.prompts import show_request

    app.show(
        render_case(app.workspace, case_id, suite=suite, ref=ref, model=model, step=step),
        request_document,
        show_request,
    )
