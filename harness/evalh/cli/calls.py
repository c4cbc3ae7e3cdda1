"""`evalh calls`: the log of requests."""

import click

from evalh.cli.app import App, Count, verb


@click.command("calls")
@click.option("--errors", "which", flag_value="errors", help="Only calls with a failed attempt.")
@click.option("--slow", "which", flag_value="slow", help="The slowest first.")
@click.option("--retried", "which", flag_value="retried", help="Only calls with more than one attempt.")
@click.option("--escalated", "which", flag_value="escalated", help="Only calls that a stronger model answered.")
@click.option("--run", "run_id", metavar="RUN", help="Only calls of this run: its id, the start of it, or last.")
@click.option("--limit", type=Count(), default=20, show_default=True, help="Most calls to list.")
@verb
def command(app: App, *, which: str | None, run_id: str | None, limit: int) -> None:
    """List calls and their attempts: requests, durations, costs and errors."""
    from evalh.report.documents.log import calls_document
    from evalh.report.terminal.log import show_calls

    app.show(app.workspace.calls(which or "all", run_id, limit), calls_document, show_calls)
