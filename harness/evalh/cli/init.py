"""`evalh init`: a workspace that runs at once."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, verb
from evalh.core.errors import UsageError

if TYPE_CHECKING:
    from evalh.api.columns import OwnRows

_TASKS = {
    "label": "sort texts into categories",
    "extract": "read fields out of a text",
    "reply": "write a short answer",
}
_MODELS = {
    "small": "runs inside evalh, no key: pip install 'evalh[local]'",
    "recorded": "answers that are shipped; nothing is asked",
    "openai": "needs OPENAI_API_KEY",
    "anthropic": "needs ANTHROPIC_API_KEY",
    "gemini": "needs GEMINI_API_KEY",
    "server": "your own, with OpenAI's chat completions",
}
_SERVICES = {
    "none": "not now; evalh ci init does it later",
    "github": ".github/workflows/evalh.yml",
    "gitlab": ".gitlab/evalh.gitlab-ci.yml",
    "pre-commit": ".pre-commit-config.yaml",
}


@click.command("init")
@click.argument("folder", default=".", type=click.Path(file_okay=False))
@click.option("--task", type=click.Choice(list(_TASKS)), help="What the prompt does.  [default: label]")
@click.option("--model", type=click.Choice(list(_MODELS)), help="The suite's model.  [default: small, where installed]")
@click.option("--ci", type=click.Choice(list(_SERVICES)), help="Also write the file that checks prompts in CI.")
@click.option("--from", "source", metavar="FILE", help="Your rows: .jsonl, .csv or .tsv. Suite and prompt fit them.")
@click.option("--map", "mapping", multiple=True, metavar="NAME=COLUMN", help="What a column of FILE is; repeats.")
@verb
def command(  # noqa: PLR0913 (one parameter per option is click's contract)
    app: App,
    *,
    folder: str,
    task: str | None,
    model: str | None,
    ci: str | None,
    source: str | None,
    mapping: tuple[str, ...],
) -> None:
    """Write a small workspace into FOLDER: a prompt in two versions, a dataset, a suite.

    On a terminal it asks what the prompt does, which model answers, and about CI; in a script use the options.
    Existing files are never changed.

    With --from, the dataset is your file. NAME is id, expected, tags, cluster or an input of the prompt; if
    inputs are named, other columns are left out. What --map does not name is guessed and shown.

    \b
      evalh init support --task extract --ci github
      evalh init support --from tickets.csv --map expected=queue,text=body
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from importlib.util import find_spec

    from evalh.api.columns import read_rows
    from evalh.api.first_suite import first_suite
    from evalh.api.new_workspace import NewWorkspace, Task, usable_model, write_workspace

    if mapping and source is None:
        raise UsageError("--map is about --from", hint=f"evalh init {folder} --from FILE --map {mapping[0]}")
    if task is not None and source is not None:
        raise UsageError("--task names a starter, and --from brings your own rows", hint="leave out --task")
    if source is not None and model == "recorded":
        raise UsageError("nothing is recorded for your own rows", hint="--model small")
    rows = None if source is None else read_rows(Path(app.folder) / source, mapping)
    usual = usable_model(os.environ, installed=find_spec("xllamacpp") is not None, own=rows is not None)
    if not app.json and sys.stdin.isatty() and sys.stderr.isatty():
        task = task or (_ask("What does the prompt do?", "task", _TASKS, "label") if rows is None else None)
        model = model or _ask("Which model answers?", "model", _offered(own=rows is not None), usual)
        ci = ci or _ask("Check the prompts of every change in CI?", "ci", _SERVICES, "none")
    wanted = NewWorkspace(
        task=Task(task or "label"), model=model or usual, own=None if rows is None else first_suite(rows)
    )
    target = Path(app.folder) / folder
    written = write_workspace(target, wanted)
    if ci not in (None, "none"):
        written.append(_write_ci(target, str(ci)))
    _show(app, folder, written, wanted.model, rows)


def _offered(*, own: bool) -> dict[str, str]:
    return {name: told for name, told in _MODELS.items() if not own or name != "recorded"}


def _ask(question: str, name: str, choices: dict[str, str], default: str) -> str:
    click.echo(question, err=True)
    for word, meaning in choices.items():
        click.echo(f"  {word:10}  {meaning}", err=True)
    answer: str = click.prompt(name, type=click.Choice(list(choices)), default=default, show_choices=False, err=True)
    return answer


def _write_ci(target: Path, service: str) -> str:
    """Write the service's file; return its name, from the new workspace."""
    from evalh.api.scaffold import place_in_repository, write_ci_file
    from evalh.api.workspace import Workspace

    top, folder = place_in_repository(Workspace.open(target))
    name = write_ci_file(top, service, folder)
    return os.path.relpath(top / name, target.resolve())


def _show(app: App, folder: str, written: list[str], model: str, rows: "OwnRows | None") -> None:
    columns = () if rows is None else tuple((one.name, one.role.value, one.key) for one in rows.columns)
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import InitColumn, InitDocument

        named = tuple(document_of(InitColumn, column=name, role=role, name=key) for name, role, key in columns)
        app.show_json(document_of(InitDocument, folder=folder, written=tuple(written), model=model, columns=named))
        return
    from evalh.report.text import safe

    for name, role, key in columns:
        called = f" {key}" if role == "input" and key != name else ""
        app.console.print(f"column {safe(name)}: {role}{called}", soft_wrap=True)
    for name in written:
        app.console.print(f"wrote {name}", soft_wrap=True)
    if model == "recorded":
        told = "the first run uses recorded answers; to ask a real model"
        app.hints.print(f"{told}: pip install 'evalh[local]', then evalh run -m small", soft_wrap=True)
    where = "" if folder == "." else f"cd {folder} && "
    versions = "evalh run" if rows is not None else "evalh run --prompt v1 --prompt v2"
    app.hints.print(f"next: {where}{versions}", style="dim", soft_wrap=True)
