"""`evalh explain`: what is decided on the user's behalf."""

import click

from evalh.cli.app import App, Count, json_option


@click.command("explain")
@click.argument("name", required=False, metavar="[SUITE | ROUTE | MODEL]")
@click.option("--last", type=Count(), default=5, show_default=True, help="Count over so many last runs.")
@json_option
@click.pass_obj
def command(app: App, name: str | None, last: int) -> None:
    """Say in plain language every decision that is made on your behalf between the calls.

    What happens when a call fails, when the output does not fit, when the model is unsure, when money runs out; beside
    each, how often it was taken in the last runs, what it cost, and whether it helped. Without a name: the default
    suite's model or route.
    """
    from evalh.api.explain import explained
    from evalh.report.terminal.explain import show_explained

    routes = explained(app.workspace, name, last)
    if app.json:
        from evalh.report.documents.judging import explain_document

        app.show_json(explain_document(routes))
        return
    for number, route in enumerate(routes):
        if number:
            app.console.print()
        show_explained(app.console, *route)
