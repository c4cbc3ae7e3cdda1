"""`evalh dataset`: what is in a dataset."""

import click

from evalh.cli.app import App, json_option


@click.group("dataset")
def command() -> None:
    """Look into a dataset."""


@command.command("clusters")
@click.argument("dataset", required=False)
@json_option
@click.pass_obj
def clusters(app: App, *, dataset: str | None) -> None:
    """Show cases that look alike: the same text but for names and numbers.

    Cases that are alike are right or wrong together, and count as one once their rows name the same
    cluster. What is shown here is a proposal: nothing is assumed, and nothing is written.

    \b
      evalh dataset clusters triage
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.alike import proposals
    from evalh.report.alike import proposals_document, show_proposals

    found = proposals(app.workspace, dataset)
    if app.json:
        app.show_json(proposals_document(found))
    else:
        show_proposals(app.console, found)
