"""`evalh ci`: the files that put the gate before a merge."""

from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, json_option

if TYPE_CHECKING:
    from pathlib import Path

_NEXT = {
    "github": "add the keys as secrets, commit the file, and require the check `gate`",
    "github-nightly": "add the keys as secrets, and commit the file: it runs on the default branch",
    "gitlab": "include the file in .gitlab-ci.yml, scope the keys to the environment evalh, and require its pipelines",
    "gitlab-nightly": "include the file in .gitlab-ci.yml, and make a pipeline schedule on the default branch",
    "pre-commit": "pre-commit install",
}


@click.group("ci")
def command() -> None:
    """Put the gate before a merge."""


@command.command("init")
@click.argument("service", type=click.Choice(list(_NEXT)))
@click.option("--print", "only_print", is_flag=True, help="Print the file, and write nothing.")
@json_option
@click.pass_obj
def init(app: App, service: str, *, only_print: bool) -> None:
    """Write the file that runs `evalh check`, `gate` or (nightly) `drift` on a service, into the repository's root.

    A file that exists is never overwritten.

    \b
      evalh ci init github
      evalh ci init gitlab --print
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.ci_files import FILES, ci_file, write_ci_file

    top, folder = _place(app)
    text = ci_file(service, folder)
    name = FILES[service][1] if only_print else write_ci_file(top, service, folder)
    if app.json:
        app.show_json({"schema": "evalh.ci/1", "file": name, "written": not only_print, "text": text})
    elif only_print:
        click.echo(text, nl=False, file=app.answer)
    else:
        app.console.print(f"wrote {name}", soft_wrap=True)
        app.hints.print(f"next: {_NEXT[service]}", style="dim")


def _place(app: App) -> "tuple[Path, str]":
    """Return the repository's root, and the workspace's folder in it. Without git the workspace is the root."""
    root, repository = app.workspace.root.resolve(), app.workspace.repository
    top = root if repository is None else repository.top
    folder = root.relative_to(top).as_posix()
    return top, "" if folder == "." else folder
