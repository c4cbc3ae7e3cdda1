"""`evalh cost`: the bill."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from evalh.cli.app import App, verb

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class Since(click.ParamType):  # type: ignore[type-arg] # older clicks are not generic
    """An age such as 30d, 12h or 4w, or a day such as 2026-07-01; becomes the time in the format of the log."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it. Raises click's BadParameter."""
        text = str(value).strip()
        try:
            if age := re.fullmatch(r"(\d{1,5})([hdw])", text):
                instant = datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
            else:
                instant = datetime.fromisoformat(text)
                instant = instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is not a time: write 30d, 12h, 4w or a date such as 2026-07-01.", param, ctx)
        return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@click.command("cost")
@click.option("--since", type=Since(), metavar="AGE", help="Only since then: 30d, 12h, 4w or a date.  [default: all]")
@click.option(
    "--by",
    type=click.Choice(["suite", "owner", "model", "purpose", "version"]),
    default="suite",
    show_default=True,
    help="How to split the cost.",
)
@verb
def command(app: App, *, since: str | None, by: str) -> None:
    """Show the spend on tasks, judges, critics and retries; traced programs apart.

    \b
      evalh cost --since 30d --by owner
      evalh cost --by model --json
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.production import spending
    from evalh.core.totals import SpendBy
    from evalh.report.terminal.log import show_cost

    lines, traced = spending(app.workspace, SpendBy(by), since or "")
    if app.json:
        from evalh.report.documents.log import cost_document

        app.show_json(cost_document(SpendBy(by), since, lines, traced))
    else:
        if lines or not traced:
            show_cost(app.console, SpendBy(by), lines)
        if traced:
            from evalh.report.terminal.workflow import show_spent

            show_spent(app.console, traced)
