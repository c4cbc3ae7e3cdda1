"""The bill."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from evalh.core.strict_json import JsonValue
from evalh.core.totals import Spend, SpendBy
from evalh.report.text import StyledText, dollars, one_line


def cost_document(by: SpendBy, since: str | None, lines: Sequence[Spend]) -> dict[str, JsonValue]:
    """Return the document of `evalh cost --json`."""
    return {"schema": "evalh.cost/1", "by": by.value, "since": since, "lines": [_line(line) for line in lines]}


def _line(line: Spend) -> dict[str, JsonValue]:
    return {
        "group": line.group,
        "total_usd": _number(line.total_usd),
        "priced_usd": _number(line.priced_usd),
        "by_purpose": {
            purpose: None if line.unpriced_by_purpose[purpose] else _number(line.by_purpose[purpose])
            for purpose in sorted(line.by_purpose)
        },
        "retries_usd": None if line.unpriced_retries else _number(line.retries_usd),
        "estimated_usd": _number(line.estimated_usd),
        "saved_usd": _number(line.saved_usd),
        "attempts": line.attempts,
        "unpriced": line.unpriced,
        "from_log": line.from_log,
    }


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def show_cost(console: Console, by: SpendBy, lines: Sequence[Spend]) -> None:
    """Print the bill, a line for each group; what has no price is said beside the sum."""
    if not lines:
        console.print("nothing was asked in that time")
        return
    purposes = sorted(
        {purpose for line in lines for purpose in line.by_purpose}, key=lambda name: (name != "task", name)
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(by.value)
    for column in ("total", *(purposes if len(purposes) > 1 else ()), "retries", "saved by the log", "attempts"):
        table.add_column(column, justify="right")
    for line in lines:
        split = [
            _amount(line.by_purpose.get(purpose, Decimal(0)), line.unpriced_by_purpose.get(purpose, 0))
            for purpose in purposes
        ]
        retries = _amount(line.retries_usd, line.unpriced_retries)
        amounts = (*(split if len(purposes) > 1 else ()), retries, dollars(line.saved_usd), f"{line.attempts:,}")
        table.add_row(one_line(line.group, 32), _amount(line.priced_usd, line.unpriced), *amounts)
    console.print(table)
    unpriced = sum(line.unpriced for line in lines)
    if unpriced:
        console.print(StyledText(f"{unpriced:,} attempts have no price", "yellow"))
    estimated = sum((line.estimated_usd for line in lines), Decimal(0))
    if estimated:
        console.print(StyledText(f"{dollars(estimated)} of it is estimated: sent, and never answered", "dim"))


def _amount(priced: Decimal, unpriced: int) -> str:
    """Write a sum of which so many parts have no price: it is at least that much."""
    if unpriced:
        return f"at least {dollars(priced)}" if priced else "not priced"
    return dollars(priced)
