"""`evalh ci`: the gate in CI."""

import click

from evalh.cli.app import App, json_option


@click.group("ci")
def command() -> None:
    """Set the gate up in CI."""


@command.command("init")
@click.argument("service", type=click.Choice(["github", "gitlab", "pre-commit"]))
@json_option
@click.pass_obj
def init(app: App, service: str) -> None:
    """Write the file by which SERVICE checks the workspace and runs the gate; none is written over."""
    from evalh.api.ci import write_ci

    place = str(write_ci(app.workspace, service))
    if app.json:
        app.show_json({"schema": "evalh.ci/1", "file": place})
        return
    app.console.print(place, soft_wrap=True)
    app.hints.print("next: read it, then git add it", style="dim")
