"""The bill."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from evalh.core.totals import Spend, SpendBy
from evalh.report.text import StyledText, dollars, one_line


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
