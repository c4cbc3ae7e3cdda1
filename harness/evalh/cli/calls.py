"""`evalh calls`: the log of requests."""

import click

from evalh.cli.app import App, Count, verb
from evalh.core.errors import UsageError


@click.command("calls")
@click.option("--errors", "which", flag_value="errors", help="Only calls with a failed attempt.")
@click.option("--slow", "which", flag_value="slow", help="The slowest first.")
@click.option("--retried", "which", flag_value="retried", help="Only calls with more than one attempt.")
@click.option("--escalated", "which", flag_value="escalated", help="Only calls that a stronger model answered.")
@click.option("--run", "run_id", metavar="RUN", help="Only calls of this run: its id, the start of its id, or last.")
@click.option("--production", is_flag=True, help="List calls of traced programs instead of runs.")
@click.option("--limit", type=Count(), default=20, show_default=True, help="Most calls to list.")
@verb
def command(app: App, *, which: str | None, run_id: str | None, production: bool, limit: int) -> None:
    """List calls and their attempts: requests, durations, costs and errors."""
    if production:
        if run_id is not None or which == "escalated":
            raise UsageError("--production excludes --run and --escalated", hint="evalh calls --production --errors")
        from evalh.report.documents.log import traced_calls_document
        from evalh.report.terminal.workflow import show_traced_calls

        calls = app.workspace.production.calls(which or "all", limit=limit)
        app.show(calls, traced_calls_document, show_traced_calls)
        return
    from evalh.report.documents.log import calls_document
    from evalh.report.terminal.log import show_calls

    app.show(app.workspace.calls(which or "all", run_id, limit), calls_document, show_calls)
