"""`evalh ci`: the files that run the gate before a merge."""

import sys
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Group, verb
from evalh.core.errors import UsageError

if TYPE_CHECKING:
    from evalh.api.scaffold import SuiteDoubt

_NEXT = {
    "github": "add the keys as secrets, commit the file, and require the check `gate`",
    "github-nightly": "add the keys as secrets, and commit the file: it runs on the default branch",
    "gitlab": "include the file in .gitlab-ci.yml, scope the keys to the environment evalh, and require its pipelines",
    "gitlab-nightly": "include the file in .gitlab-ci.yml, and create a pipeline schedule on the default branch",
    "pre-commit": "pre-commit install",
}
_GATES = ("github", "gitlab")
_DOUBTS = {
    "accept": "allow the merge, and say so in the headline (exit 0)",
    "inconclusive": "leave it to a person (exit 3)",
    "refuse": "forbid the merge (exit 1)",
}
_STRICTER = "to merge only what is shown to be no worse, add to a suite: gate: {require: no_worse}"


@click.group("ci", cls=Group)
def command() -> None:
    """Set up the gate in CI."""


@command.command("init")
@click.argument("service", type=click.Choice(list(_NEXT)))
@click.option("--doubt", type=click.Choice(list(_DOUBTS)), help="What suites decide about a change in doubt.")
@click.option("--print", "only_print", is_flag=True, help="Print the file instead of writing it.")
@verb
def init(app: App, service: str, *, doubt: str | None, only_print: bool) -> None:
    """Write the CI file that runs `evalh check` and `gate`, or `drift` nightly.

    Existing files are never overwritten. On a terminal it asks what the gate decides about a change that may
    measure worse by chance, and writes `gate: {doubt: ...}` into the suites that do not set it. In a script
    use --doubt. Without an answer the suites do not change.

    \b
      evalh ci init github
      evalh ci init github --doubt inconclusive
      evalh ci init gitlab --print
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.scaffold import FILES, ci_file, place_in_repository, say_doubt, write_ci_file
    from evalh.core.suite import Doubt

    if doubt and (only_print or service not in _GATES):
        why = "--print writes nothing" if only_print else f"{service} runs no gate"
        raise UsageError(f"--doubt is about the suites' gate, and {why}", hint="evalh ci init github --doubt " + doubt)
    top, folder = place_in_repository(app.workspace)
    if service in _GATES and not (doubt or only_print or app.json):
        doubt = _ask()
    text = ci_file(service, folder)
    name = FILES[service][1] if only_print else write_ci_file(top, service, folder)
    suites = () if doubt is None else say_doubt(app.workspace, Doubt(doubt))
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import CiDocument

        app.show_json(document_of(CiDocument, file=name, written=not only_print, text=text, doubt=doubt, suites=suites))
    elif only_print:
        click.echo(text, nl=False, file=app.answer)
    else:
        app.console.print(f"wrote {name}", soft_wrap=True)
        _show_doubt(app, suites, doubt)
        app.hints.print(f"next: {_NEXT[service]}", style="dim")
        if service in _GATES:
            app.hints.print(_STRICTER, style="dim", soft_wrap=True)


def _ask() -> str | None:
    """Ask a person what to do with a doubt; None if nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    click.echo("A harmless change may measure worse by chance. What should the gate decide then?", err=True)
    for word, meaning in _DOUBTS.items():
        click.echo(f"  {word:12}  {meaning}", err=True)
    answer: str = click.prompt("doubt", type=click.Choice(list(_DOUBTS)), default=next(iter(_DOUBTS)), err=True)
    return answer


def _show_doubt(app: App, suites: "tuple[SuiteDoubt, ...]", doubt: str | None) -> None:
    from evalh.report.terminal.console import StyledText

    for one in suites:
        line = {
            "written": f"wrote {one.path}: gate: {{doubt: {doubt}}}",
            "already": f"{one.path}: doubt is {doubt} already",
            "otherwise": f"{one.path}: keeps doubt: {one.now}",
            "by_hand": f"{one.path}: not edited; add this yourself:  gate: {{doubt: {doubt}}}",
        }[one.said]
        app.console.print(StyledText(line), soft_wrap=True)
