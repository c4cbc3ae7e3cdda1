"""`evalh trace`: what programs did that evalh did not run."""

import click

from evalh.cli.app import App, Count, Group, verb
from evalh.cli.cost import Since
from evalh.core.errors import UsageError


@click.group("trace", cls=Group)
def command() -> None:
    """List traced workflows, or delete some."""


@command.command("list")
@click.option("--failed", is_flag=True, help="Only those that failed, or that a user or a score calls bad.")
@click.option(
    "--poisoned", is_flag=True, help="Only those that evalh grade found poisoned: a bad step led to the output."
)
@click.option("--name", metavar="NAME", help="Only workflows of this name.")
@click.option("--since", type=Since(), metavar="AGE", help="Only since then: 30d, 12h, 4w or a date.  [default: all]")
@click.option("--limit", type=Count(), default=20, show_default=True, help="Most workflows to list.")
@verb
def list_(app: App, *, failed: bool, poisoned: bool, name: str | None, since: str | None, limit: int) -> None:
    """List traced workflows, newest first."""
    from evalh.api.production import poisoned as poisoned_of
    from evalh.core.production import WorkflowKind, WorkflowQuery
    from evalh.report.documents.log import workflows_document
    from evalh.report.terminal.workflow import show_workflows

    if failed and poisoned:
        raise UsageError("--failed and --poisoned exclude each other", hint="evalh trace list --poisoned")
    kind = WorkflowKind.FAILED if failed else WorkflowKind.POISONED if poisoned else WorkflowKind.ALL
    query = WorkflowQuery(kind=kind, name=name, since=since or "", poisoned=poisoned_of(app.workspace))
    app.show(app.workspace.production.listed(query, limit=limit), workflows_document, show_workflows)


@command.command("forget")
@click.option("--user", metavar="USER", help="Delete all workflows of this user.")
@click.option("--session", metavar="SESSION", help="Delete all workflows of this session.")
@verb
def forget(app: App, *, user: str | None, session: str | None) -> None:
    """Delete all workflows of a user or a session, with every byte of them."""
    from evalh.report.documents.log import ForgottenDocument
    from evalh.report.text import plural

    if (user is None) == (session is None):
        raise UsageError("whose workflows?", hint="evalh trace forget --user U, or --session S")
    workspace = app.workspace
    count = workspace.forget("user", user) if user is not None else workspace.forget("session", session or "")
    if app.json:
        app.show_json(ForgottenDocument(workflows=count))
    else:
        app.console.print(f"{plural(count, 'workflow')} forgotten", markup=False)
