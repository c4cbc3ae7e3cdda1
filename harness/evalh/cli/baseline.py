"""`evalh baseline`: accepted results, committed to git."""

from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Group, opposite, takes, verb

if TYPE_CHECKING:
    from evalh.api.options import AcceptOptions


@click.group("baseline", cls=Group)
def command() -> None:
    """Keep accepted results in git, so that a gate asks the model only for new cases."""


@command.command("accept")
@click.argument("ref", required=False)
@click.option("--suite", metavar="NAME", help="The suite.  [default: the prompt's, or the default suite]")
@click.option("-m", "--model", metavar="NAME", help="The model.  [default: the suite's]")
@click.option(
    "--no-outputs",
    "outputs",
    is_flag=True,
    callback=opposite,
    help="Keep outputs out of git. The suite can set this too.",
)
@click.option("--fresh", is_flag=True, help="Ask again, even if the log has the answer.")
@verb
@takes("AcceptOptions")
def accept(app: App, options: "AcceptOptions") -> None:
    """Write a version's baseline to reports/baselines/SUITE/VERSION.MODEL.jsonl.

    REF is v3, triage@v3 or triage@draft. Default: the draft, else live. The model is asked only for answers
    that the log does not hold. Commit the files: a gate reads them from the merge base.
    """
    from evalh.api.baselines import accept as write
    from evalh.cli.progress import progress_for
    from evalh.report.text import incidents, percent, safe

    accepted = write(app.workspace, options, progress_for(app))
    paths = [str(file.relative_to(app.workspace.root)) for one in accepted for file in one.files]
    if app.json:
        from evalh.report.documents.workspace import AcceptedDocument

        app.show_json(AcceptedDocument(files=tuple(paths)))
        return
    for path in paths:
        app.console.print(path, soft_wrap=True)
    for one in accepted:
        told = f"{one.good} of {one.samples} good ({percent(one.good / one.samples if one.samples else None)})"
        if one.incidents.samples:
            told += f", incidents: {incidents(one.incidents)}"
        app.hints.print(safe(f"accepted: {one.prompt} on {one.model}, {told}"), soft_wrap=True)
    app.hints.print("next: git add reports/baselines; git commit", style="dim")


@command.command("status")
@verb
def status(app: App) -> None:
    """List the baselines, which of them are stale, and why."""
    from evalh.api.baselines import states
    from evalh.report.text import percent, safe

    found = states(app.workspace)
    if app.json:
        from evalh.report.documents.workspace import BaselinesDocument

        app.show_json(BaselinesDocument(baselines=tuple(found)))
        return
    for one in found:
        why = ", ".join(one.stale)
        told = f"{one.path}  {one.date}  {percent(one.good_rate)}  {f'stale: {why}' if why else 'fresh'}"
        told += "  no outputs" if one.outputs is False else ""
        app.console.print(safe(told), style="yellow" if why else None, soft_wrap=True)
    for again in dict.fromkeys(one.again for one in found if one.again is not None):
        app.hints.print(safe(f"next: {again}"), style="dim", soft_wrap=True)
    if not found:
        app.hints.print("no baseline yet: evalh baseline accept", style="dim")
