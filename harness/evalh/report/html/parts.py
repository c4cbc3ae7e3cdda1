"""What several pages are made of: sections, tables, numbers with their intervals, facts."""

import json
from collections.abc import Sequence

from evalh.core.run import Estimate
from evalh.core.strict_json import JsonValue
from evalh.report.charts.small import interval_bar
from evalh.report.html.markup import Attribute, Child, Markup, el
from evalh.report.text import limits, milliseconds, percent, short_cost_per_good
from evalh.report.words import Pointer, cost_range

SIDES = ("side", "model", "good rate", "95 % interval", "cost per good", "95 % interval", "median latency")
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
    cells = [head if isinstance(head, Markup) else el("th", head, scope="col") if head else el("td") for head in heads]
    return scrollable(captioned(name, cells, rows), name)


def captioned(name: str, heads: Sequence[Markup], rows: Sequence[Markup]) -> Markup:
    """Build a table whose name is read aloud, not shown."""
    return el("table", el("caption", name, class_="hidden"), el("thead", el("tr", heads)), el("tbody", rows))


def row(head: Child, *cells: Child, class_: str | None = None) -> Markup:
    """Build a line of a table: its head, and cells of one class."""
    return el("tr", el("th", head, scope="row"), [el("td", cell, class_=class_) for cell in cells])


def sort_button(head: str, **attributes: Attribute) -> Markup:
    """Build the head of a column that the page's script sorts by."""
    button = el("button", head, type="button", class_="sort")
    return el("th", button, scope="col", aria_sort="none", **attributes)


def side_row(name: str, model: str, rate: Estimate, cost: Estimate, latency_ms: float | None) -> Markup:
    """Build a line of a table of `SIDES`."""
    costs = (short_cost_per_good(cost), cost_range(cost.low, cost.high))
    return row(name, model, percent(rate.value), interval(rate), *costs, milliseconds(latency_ms))


def figure(name: str, value: str, more: Child) -> Markup:
    """Build one of the numbers at the top."""
    return el("div", el("dt", name), el("dd", el("strong", value), el("small", more)))


def interval(rate: Estimate) -> list[Child]:
    """Show the limits of a rate, and draw them."""
    return [limits(rate), interval_bar(rate)]


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
