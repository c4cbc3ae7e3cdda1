"""`evalh init`: a workspace that runs at once."""

import click

from evalh.cli.app import App, json_option


@click.command("init")
@click.argument("folder", default=".", type=click.Path(file_okay=False))
@json_option
@click.pass_obj
def command(app: App, folder: str) -> None:
    """Write a small workspace into FOLDER: a prompt in two versions, a dataset, a suite.

    Files that exist are never touched; what is already there is said.
    """
    from pathlib import Path

    from evalh.api.starter import write_starter

    target = Path(app.folder) / folder
    written = write_starter(target)
    if app.json:
        app.show_json({"schema": "evalh.init/1", "folder": folder, "written": written})
        return
    for name in written:
        app.console.print(f"wrote {name}", soft_wrap=True)
    where = "" if folder == "." else f"cd {folder} && "
    app.hints.print(f"next: {where}evalh run", style="dim")
