"""`evalh prompt`: versions as files in git."""

from shlex import quote
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Group, verb

if TYPE_CHECKING:
    from evalh.report.documents.prompts import VersionRow


@click.group("prompt", cls=Group)
def command() -> None:
    """List, show, compare and release prompt versions."""


@command.command("list")
@click.argument("name", required=False)
@verb
def list_versions(app: App, name: str | None) -> None:
    """List prompts and their versions: digest, live or not, state in git."""
    from evalh.api.prompts import version_rows

    rows = version_rows(app.workspace, name)
    if app.json:
        from evalh.report.documents.prompts import PromptsDocument

        app.show_json(PromptsDocument(versions=tuple(rows)))
        return
    from evalh.report.terminal.console import StyledText, columns
    from evalh.report.text import one_line

    table = columns("version", "digest", "", "git", "description")
    taken = max((len(row.label) + len(row.short_digest) + len(row.git) for row in rows), default=0)
    room = max(app.console.width - taken - len("live") - 5 * 2, 20)  # a description is cut, never an id
    for row in rows:
        state = StyledText("live", "green") if row.live else StyledText("")
        table.add_row(row.label, row.short_digest, state, row.git, one_line(row.description or "", room))
    app.console.print(table)


@command.command("show")
@click.argument("ref")
@verb
def show(app: App, ref: str) -> None:
    """Show one version: what it would send, its settings and schemas.

    REF is v3, triage@v3, triage@draft, triage, or with a git revision HEAD~2:triage@v3.
    """
    from evalh.report.documents.prompts import prompt_document
    from evalh.report.terminal.prompts import show_version

    app.show(app.workspace.version(ref, app.workspace.default_prompt), prompt_document, show_version)


@command.command("diff")
@click.argument("base")
@click.argument("head")
@verb
def diff(app: App, base: str, head: str) -> None:
    """Show the differences between two versions: text, config and schemas."""
    from evalh.api.prompts import diff_versions
    from evalh.report.documents.prompts import diff_document
    from evalh.report.terminal.prompts import show_diff

    app.show(diff_versions(app.workspace, base, head), diff_document, show_diff)


@command.command("release")
@click.argument("name")
@verb
def release(app: App, name: str) -> None:
    """Freeze NAME's draft as the next version, and keep the draft. A pipeline's steps get the versions used."""
    from evalh.api.prompts import measured, release_draft

    row = release_draft(app.workspace, name)
    shown = f"{row.label}  {row.short_digest}  {row.path}"
    then = f"evalh run {quote(row.label)}"
    if not measured(app.workspace, name):
        then = f"write {app.workspace.config.evals_dir}/{name}.yaml, a suite with prompt: {name}; {then}"
    _show_released(app, row, shown, f"git add {quote(row.path)}; {then}")


@command.command("new")
@click.argument("name")
@click.option("--step", "steps", multiple=True, metavar="PROMPT", help="A step of the pipeline; repeats.")
@verb
def new(app: App, name: str, steps: tuple[str, ...]) -> None:
    """Start a prompt: write NAME's first draft.prompt; with --step, a pipeline of existing prompts."""
    from evalh.api.prompts import start_prompt

    row = start_prompt(app.workspace, name, steps)
    _show_released(app, row, f"{row.label}  {row.path}", f"edit {row.path}; then evalh prompt release {quote(name)}")


def _show_released(app: App, row: "VersionRow", shown: str, advice: str) -> None:
    from evalh.report.documents.document import document_of
    from evalh.report.documents.prompts import ReleaseDocument

    if app.json:
        app.show_json(document_of(ReleaseDocument, row))
        return
    app.console.print(shown)
    app.hints.print(f"next: {advice}", style="dim", soft_wrap=True)


@command.command("log")
@click.argument("name")
@verb
def log(app: App, name: str) -> None:
    """List the commits that touched NAME's files, newest first."""
    from evalh.api.prompts import commits

    entries = commits(app.workspace, name)
    if app.json:
        from evalh.report.documents.prompts import PromptLogDocument

        app.show_json(PromptLogDocument(commits=tuple(entries)))
        return
    from evalh.report.text import one_line

    for entry in entries:
        app.console.print(f"{entry.commit[:10]}  {entry.date[:10]}  {one_line(entry.subject, 70)}")
