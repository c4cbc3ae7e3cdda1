"""`evalh import`: what other programs recorded, and their suites."""

from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Group, verb
from evalh.cli.bring_data import auto, github_prompt, inspect, langfuse_dataset, oaieval, openai_evals, rows
from evalh.cli.bring_otel import otel
from evalh.cli.bring_services import langfuse, phoenix
from evalh.cli.bring_suites import promptfoo
from evalh.core.errors import ExitCode

if TYPE_CHECKING:
    from evalh.api.imports import Imported


@click.group("import", cls=Group)
def command() -> None:
    """Import suites, data and recorded calls of other programs."""


@command.command("calls")
@click.argument("file", metavar="FILE")
@click.option("--as", "name", metavar="NAME", help="Name of the workflows.  [default: the file's name]")
@click.option("--requests", metavar="FILE", help="For the output of a batch: its input file.")
@verb
def calls(app: App, *, file: str, name: str | None, requests: str | None) -> int:
    """Import recorded calls or workflows from JSON Lines; the first lines show the format.

    OpenAI requests with their answers, the output of batches, LiteLLM's logging payloads, Who&When runs. A file
    that is imported twice is counted once. Exit 1 if a line could not be read; the others are kept.

    \b
      evalh import calls calls.jsonl --as triage
      gunzip -c runs.jsonl.gz | evalh import calls - --as team
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.imports import import_calls

    return _show(app, import_calls(app.workspace, file, name=name, requests=requests))


@command.command("feedback")
@click.argument("file", metavar="FILE")
@verb
def feedback(app: App, *, file: str) -> int:
    r"""Import users' votes on answers: JSON Lines of {"workflow": ID, "good": true | false}.

    A line may say "kind" (vote, or copied, retried, escalated), "note", "user" and "at". Exit 1 if a line could
    not be read; the others are kept.
    """
    from evalh.api.imports import import_feedback

    return _show(app, import_feedback(app.workspace, file))


def _show(app: App, found: "Imported") -> int:
    from evalh.report.documents.document import document_of
    from evalh.report.documents.incoming import ImportDocument
    from evalh.report.terminal.workflow import show_import

    app.show(document_of(ImportDocument, found), lambda document: document, show_import)
    if found.newest is not None:
        app.hints.print(f"next: evalh show {found.newest}", style="dim", soft_wrap=True, markup=False)
    return ExitCode.NO if found.bad_lines else ExitCode.YES


command.add_command(otel)
command.add_command(langfuse)
command.add_command(phoenix)
for _format in (promptfoo, openai_evals, oaieval, github_prompt, langfuse_dataset, inspect, rows, auto):
    command.add_command(_format)
