"""The list of workflows that were traced: filters, which work without a script, and a table."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from msgspec.structs import replace

from evalh.core.production import WorkflowKind, WorkflowLine, WorkflowList, WorkflowOrder, WorkflowQuery
from evalh.report.html.markup import Anchor, Child, Markup, asking, el, join, place
from evalh.report.html.parts import table
from evalh.report.text import dollars, milliseconds, one_line, plural
from evalh.viewer.frame import PageAnswer, framed, tabs

SHOWN = 100
"""Workflows of one page of the list."""

STATES = {"ok": "good", "error": "bad", "interrupted": "bad"}
"""How a status looks; others are not known to be good or bad."""

_KINDS = {
    WorkflowKind.ALL: "All",
    WorkflowKind.FAILED: "Failed",
    WorkflowKind.THUMBS_DOWN: "Thumbs down",
    WorkflowKind.QUIET: "Ended ok, a step failed",
    WorkflowKind.POISONED: "Poisoned",
    WorkflowKind.UNCHECKED: "Not checked",
    WorkflowKind.RUNNING: "Not ended",
}
_ORDERS = {
    WorkflowOrder.NEWEST: "newest first",
    WorkflowOrder.SLOWEST: "slowest first",
    WorkflowOrder.MOST_EXPENSIVE: "most expensive first",
}
_HEADS = ("began (UTC)", "name", "status", ">took", ">steps", ">calls", ">tokens", ">cost", "feedback", "scores")
_MORE = ("what failed first", "session", "user", "workflow")
_LONGEST_ID = 200
_LONGEST_ASKED = 4_000  # characters of an address
_LAST_PAGE = 1_000_000


def query_of(asked: str) -> tuple[WorkflowQuery, int]:
    """Read what stands behind the `?` of an address, and the page's number; what has no meaning is left out."""
    try:
        given = parse_qs(asked[:_LONGEST_ASKED], max_num_fields=20, errors="replace")
    except ValueError:
        given = {}
    texts: dict[str, Any] = {
        name: given[name][-1] for name in ("name", "version", "session", "user", "text") if name in given
    }
    kind, order = given.get("kind", [""])[-1], given.get("order", [""])[-1]
    page = given.get("page", [""])[-1]
    number = int(page) if page.isascii() and page.isdigit() and len(page) < len(str(_LAST_PAGE)) else 1
    query = WorkflowQuery(
        kind=WorkflowKind(kind) if kind in _KINDS else WorkflowKind.ALL,
        order=WorkflowOrder(order) if order in _ORDERS else WorkflowOrder.NEWEST,
        **texts,
    )
    return query, max(1, number)


def nothing_traced(name: str) -> PageAnswer:
    """Show a workspace in which no program was traced."""
    top = el(
        "header",
        el("h1", f"Nothing was traced in {name} yet"),
        el("p", "Start your own program with evalh beside it, in a terminal, in this workspace:"),
        el("pre", "evalh collect -- COMMAND"),
        el("p", "Then load this page again: its workflows are here, with their steps, calls, tokens and costs."),
        class_="verdict",
    )
    return framed("Production", top, links=tabs(), here="Production")


def production_page(name: str, found: WorkflowList, query: WorkflowQuery, page: int) -> PageAnswer:
    """Show workflows, the newest first unless asked otherwise."""
    lost = None
    if found.lost:
        words = f"{plural(found.lost, 'record')} of production could not be stored; why: evalh sql --production "
        lost = el("p", words, el("code", '"select * from losses"'), class_="bad")
    main = join(
        el("header", el("h1", f"Production of {name}"), lost, class_="verdict"),
        el("p", "", id="trouble", role="alert", class_="bad"),
        _filters(found, query),
        el("div", _count(found, query, page), _table(found.lines), _pages(found, query, page), id="found"),
    )
    return framed("Production", main, links=tabs(), here="Production", script="workflows.js")


def address_of(workflow_id: str) -> Anchor | None:
    """Return the link's address of a workflow; None for an id that no address can hold."""
    encodable = workflow_id.encode("utf-8", "replace").decode() == workflow_id
    if workflow_id in {"", ".", ".."} or len(workflow_id) > _LONGEST_ID or not encodable:
        return None
    return place("production", workflow_id)


def instant(seconds: float) -> Markup:
    """Write a time, in UTC."""
    at = datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")[:19]
    return el("time", at, datetime=f"{at}Z")


def tokens(sent: int, got: int, uncounted: int) -> str:
    """Write tokens in and out; what is missing makes them a lower limit, or unknown."""
    if not sent and not got:
        return "unknown" if uncounted else "–"
    return f"{'≥ ' if uncounted else ''}{sent:,} → {got:,}"


def cost(usd: float, unpriced: int, calls: int) -> str:
    """Write a cost; calls without a price make it a lower limit, or unknown."""
    if not calls:
        return "–"
    if unpriced == calls:
        return "not priced"
    return f"{'≥ ' if unpriced else ''}{dollars(usd)}"


# -- filters


def _filters(found: WorkflowList, query: WorkflowQuery) -> Markup:
    kinds = [
        el(
            "label",
            el("input", type="radio", name="kind", value=kind.value, checked=kind is query.kind),
            el("span", f"{words} ", el("i", f"{found.counts[kind]:,}", id=f"n-{kind}")),
        )
        for kind, words in _KINDS.items()
    ]
    chosen = [(name, one) for name in ("session", "user") if (one := getattr(query, name)) is not None]
    more: list[Child] = [
        _choice("name", "any name", found.names, query.name),
        _choice("version", "any version", found.versions, query.version),
        _select("order", "Order", [(one.value, words) for one, words in _ORDERS.items()], query.order.value),
        el(
            "label",
            el("span", "Search ids, names, sessions, users", class_="hidden"),
            el(
                "input",
                id="q",
                type="search",
                name="text",
                value=query.text,
                placeholder="id, name, session or user",
                autocomplete="off",
            ),
        ),
    ]
    for name, one in chosen:
        without = _address(replace(query, **{name: None}))
        more.append(el("input", type="hidden", name=name, value=one))
        more.append(
            el("a", f"{name} {one_line(one, 40)} ", el("span", "×", title="remove"), href=without, class_="chip")
        )
    more.append(el("button", "Show", type="submit"))
    legend = el("legend", "Which workflows", class_="hidden")
    return el("form", el("fieldset", legend, el("div", kinds, class_="segments")), more, id="filters", method="get")


def _choice(name: str, any_: str, known: Sequence[str], chosen: str | None) -> Markup | None:
    if not known and chosen is None:
        return None
    values = [*known, *([chosen] if chosen is not None and chosen not in known else [])]
    return _select(name, name, [("", any_), *((one, one_line(one, 40)) for one in values)], chosen or "")


def _select(name: str, said: str, options: Sequence[tuple[str, str]], chosen: str) -> Markup:
    made = [el("option", words, value=value, selected=value == chosen) for value, words in options]
    return el("label", el("span", said, class_="hidden"), el("select", made, name=name))


def _address(query: WorkflowQuery, page: int = 1) -> Anchor:
    values = {name: getattr(query, name) for name in ("name", "version", "session", "user", "text")}
    values["kind"] = None if query.kind is WorkflowKind.ALL else query.kind.value
    values["order"] = None if query.order is WorkflowOrder.NEWEST else query.order.value
    values["page"] = None if page == 1 else str(page)
    return asking(place("production"), **values)


# -- the table


def _count(found: WorkflowList, query: WorkflowQuery, page: int) -> Markup:
    of, every = found.counts[query.kind], found.counts[WorkflowKind.ALL]
    first = (page - 1) * SHOWN + 1
    if not found.lines:
        words = "No workflow fits these filters." if of == 0 else f"There are only {plural(of, 'workflow')}."
    else:
        kind = "" if query.kind is WorkflowKind.ALL else f" of {every:,} in all"
        words = f"{first:,}–{first + len(found.lines) - 1:,} of {plural(of, 'workflow')} shown{kind}"
    return el("p", words, id="count", role="status", class_="note")


def _table(lines: Sequence[WorkflowLine]) -> Markup | None:
    if not lines:
        return None
    heads: list[str | Markup] = [
        el("th", head[1:], scope="col", class_="num") if head.startswith(">") else head for head in (*_HEADS, *_MORE)
    ]
    return table("Workflows", heads, [_line(line) for line in lines])


def _line(line: WorkflowLine) -> Markup:
    to = address_of(line.id)
    name = one_line(line.name, 40) or "(no name)"
    took = "–" if line.status is None else milliseconds(_took_ms(line))
    numbers: tuple[str, ...] = (
        took,
        f"{line.steps:,}" if line.steps else "–",
        f"{line.calls:,}" if line.calls else "–",
    )
    numbers += (
        tokens(line.input_tokens, line.output_tokens, line.uncounted),
        cost(line.usd, line.unpriced, line.calls),
    )
    return el(
        "tr",
        el("td", instant(line.started_at), class_="dim"),
        el("th", name if to is None else el("a", name, href=to), scope="row"),
        el("td", line.status or "not ended", class_=STATES.get(line.status or "", "ungraded")),
        [
            el("td", number, class_="num dim" if number in {"unknown", "not priced", "–"} else "num")
            for number in numbers
        ],
        _counted(("good", line.good_votes, "good"), ("bad", line.bad_votes, "bad"), ("other", line.other_votes, "dim")),
        _counted(("fail", line.failed_scores, "bad"), ("pass", line.passed_scores, "good")),
        el("td", el("div", _failed(line), class_="gist")),
        [_of(name, one) for name, one in (("session", line.session), ("user", line.user))],
        el("td", el("code", one_line(line.id, 40)), class_="dim"),
    )


def _took_ms(line: WorkflowLine) -> float | None:
    return None if line.ended_at is None else 1000.0 * max(0.0, line.ended_at - line.started_at)


def _counted(*counts: tuple[str, int, str]) -> Markup:
    parts: list[Child] = []
    for words, count, class_ in counts:
        if count:
            parts += [" " if parts else None, el("span", f"{count:,} {words}", class_=class_)]
    return el("td", parts)


def _failed(line: WorkflowLine) -> list[Child]:
    first = line.first_failure
    if first is None:
        return [one_line(line.error, 160)] if line.error else []
    place_ = "" if first.position is None else f"{first.position} "
    by = "" if first.source is None else f" (by {one_line(first.source, 30)})"
    reason = el("span", one_line(first.reason, 160), class_="dim") if first.reason else None
    return [el("b", f"{place_}{one_line(first.step, 40)}"), f"{by}  ", reason]


def _of(name: str, one: str | None) -> Markup:
    if one is None:
        return el("td")
    return el("td", el("a", one_line(one, 24), href=asking(place("production"), **{name: one})))


def _pages(found: WorkflowList, query: WorkflowQuery, page: int) -> Markup | None:
    of = found.counts[query.kind]
    links = []
    if page > 1:
        links.append(el("a", "← Before these", href=_address(query, page - 1), rel="prev"))
    if page * SHOWN < of:
        links.append(el("a", "After these →", href=_address(query, page + 1), rel="next"))
    return el("nav", links, class_="pages", aria_label="More workflows") if links else None
