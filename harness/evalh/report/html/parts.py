"""What several pages are made of: sections, tables, numbers with their intervals, facts."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from evalh.core.run import Estimate
from evalh.core.strict_json import JsonValue
from evalh.report.charts.small import interval_bar
from evalh.report.html.markup import Attribute, Child, Markup, el
from evalh.report.text import limits, milliseconds, percent, short_cost_per_good
from evalh.report.words import Pointer, cost_range

_SIDES = ("side", "model", "good rate", "95 % interval", "cost per good", "95 % interval", "median latency")
NUMBERS = frozenset({"good rate", "good", "cost per good", "net cost per good", "samples", "median latency"})
NUMBERS |= {"worse", "better", "cases", "difference", "p, adjusted"}
"""Columns of numbers: their heads stand above them, to the right."""

_TALL = 14  # rows of a table that is not moved up and down


def section(name: str, title: str, *children: Child) -> Markup:
    """Build a part of the page that the bar at its top links to."""
    return el("section", el("h2", title, id=f"{name}-title"), children, id=name, aria_labelledby=f"{name}-title")


def scrollable(child: Child, name: str, rows: int = 0) -> Markup:
    """Let what is wider than the screen be moved sideways, by the keyboard too; many rows up and down."""
    class_ = "scroll tall" if rows > _TALL else "scroll"
    return el("div", child, class_=class_, tabindex=0, role="region", aria_label=name)


def table(name: str, heads: Sequence[str | Markup], rows: Sequence[Markup]) -> Markup:
    """Build a table that scrolls sideways; a head may be a finished cell, and one without words is empty."""
    cells = [head if isinstance(head, Markup) else _head(head) if head else el("td") for head in heads]
    return scrollable(captioned(name, cells, rows), name)


def _head(head: str, child: Child = None, **attributes: Attribute) -> Markup:
    class_ = "num" if head in NUMBERS else None
    return el("th", head if child is None else child, scope="col", class_=class_, **attributes)


def captioned(name: str, heads: Sequence[Markup], rows: Sequence[Markup]) -> Markup:
    """Build a table whose name is read aloud, not shown."""
    return el("table", el("caption", name, class_="hidden"), el("thead", el("tr", heads)), el("tbody", rows))


def row(head: Child, *cells: Child, class_: str | None = None) -> Markup:
    """Build a line of a table: its head, and cells of one class."""
    return el("tr", el("th", head, scope="row"), [el("td", cell, class_=class_) for cell in cells])


def sort_button(head: str) -> Markup:
    """Build the head of a column that the page's script sorts by."""
    return _head(head, el("button", head, type="button", class_="sort"), aria_sort="none")


class SideLine(NamedTuple):
    """What a table shows of base or head."""

    name: str
    model: str
    rate: Estimate
    cost: Estimate
    latency_ms: float | None


def sides_table(name: str, sides: Sequence[SideLine]) -> Markup:
    """Show base and head, one below the other; a column that neither fills is left out."""
    lines: list[tuple[Child, ...]] = [
        (
            side.model,
            percent(side.rate.value),
            interval(side.rate) if limits(side.rate) else "",
            short_cost_per_good(side.cost),
            cost_range(side.cost.low, side.cost.high),
            milliseconds(side.latency_ms),
        )
        for side in sides
    ]
    filled = [place for place in range(len(lines[0])) if any(line[place] for line in lines)]
    rows = [
        el("tr", el("th", side.name, scope="row"), [_side_cell(_SIDES[place + 1], line[place]) for place in filled])
        for side, line in zip(sides, lines, strict=True)
    ]
    return table(name, [_SIDES[0], *(_SIDES[place + 1] for place in filled)], rows)


def _side_cell(head: str, child: Child) -> Markup:
    return el("td", child, class_="num" if head in NUMBERS else "dim" if head.endswith("interval") else None)


def figure(name: str, value: str, more: Child) -> Markup:
    """Build one of the numbers at the top."""
    return el("div", el("dt", name), el("dd", el("strong", value), el("small", more)))


def interval(rate: Estimate) -> list[Child]:
    """Draw the limits of a rate, and write them."""
    return [interval_bar(rate), limits(rate)]


def facts(rows: Sequence[tuple[str, Child]]) -> Markup:
    """Show names with their values."""
    return el("dl", [[el("dt", name), el("dd", value)] for name, value in rows], class_="facts")


def look_at(found: Sequence[Pointer]) -> Markup | None:
    """Show what deserves a look, as links to the samples."""
    items = [el("li", el("a", one.words, href=one.anchor) if one.anchor else one.words) for one in found]
    shown = el("h2", "Look at"), el("ul", items)
    return el("nav", shown, class_="look", aria_label="What to look at") if items else None


def shown_json(value: JsonValue) -> str:
    """Write a value as JSON."""
    return json.dumps(value, ensure_ascii=False)
