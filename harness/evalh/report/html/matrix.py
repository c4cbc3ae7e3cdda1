"""The page of a matrix: the versions and models as a table, and every case under each of them."""

from collections.abc import Mapping, Sequence

from evalh.analysis.matrix import MatrixColumn, matrix_columns
from evalh.analysis.tradeoff import MeasuredRun, TradeOff, counted_alike, has_rate, measured_by
from evalh.core.log import RunRow
from evalh.core.run import RunStatus
from evalh.report.html.markup import Child, Markup, el, join, place
from evalh.report.html.matrix_data import MatrixRows
from evalh.report.html.parts import interval, look_at, section, sort_button, table
from evalh.report.html.sections import trade_offs
from evalh.report.text import milliseconds, not_measured, percent, plural, rate, short_cost_per_good
from evalh.report.words import Pointer, anchor, cost_range

_SHOWN = {"all": "all", "differs": "verdicts differ", "outputs": "outputs differ", "none": "none is good"}
_ORDERS = {"disagreement": "most disagreement first", "dataset": "dataset order", "worst": "fewest good first"}
_HEADS = ("version", "model", "good rate", "95 % interval", "good", "cost per good", "95 % interval", "median latency")
_MOST_NAMED = 2
_KEYS = {
    "← ↑ ↓ → or h k j l": "move from cell to cell",
    "Enter": "open the cell, close it",
    "n p": "next, previous cell that is not good",
    "d": "only cases whose verdicts differ, or all",
    "o": "next order",
    "/": "search",
    "c": "choose columns",
    "Esc": "close, leave the search",
    "?": "these keys",
}
_FEW = (
    ("Enter", " opens a cell, "),
    ("n", " goes to the next that is not good, "),
    ("d", " shows what differs, "),
    ("/", " searches, "),
    ("?", " all keys."),
)


def top(columns: Sequence[MatrixColumn], rows: MatrixRows) -> Markup:
    """Say how many versions and models there are, which is good most often, and what to look at."""
    runs = [column.run for column in columns]
    first, counts = _best(runs), rows.counts()
    several = plural(len(runs), "version and model", "versions and models")
    told = f"{runs[0].record.suite}: {several} over {plural(rows.cases, 'case')}"
    if first:
        names = {column.run.record.id: column.name for column in columns}
        which = " and ".join(names[one.record.id] for one in first[:_MOST_NAMED])
        more = f" and {len(first) - _MOST_NAMED} more" if len(first) > _MOST_NAMED else ""
        are = "is" if len(first) == 1 else "are"
        told += f"; {which}{more} {are} good most often: {rate(first[0].summary.good_rate)}"
    found = [Pointer(words) for words in _apart(columns)]
    if counts["differs"]:
        words = f"{plural(counts['differs'], 'case')} where one is good and another is not"
        found.append(Pointer(words, anchor(show="differs")))
    if counts["none"]:
        found.append(Pointer(f"{plural(counts['none'], 'case')} on which none is good", anchor(show="none")))
    return el("header", el("h1", f"{told}."), look_at(found), class_="verdict")


def _best(runs: Sequence[RunRow]) -> list[MeasuredRun]:
    """Return the runs that are good most often; none of two that are equal is called the better one."""
    rated = [one for run in runs if has_rate(run) and (one := MeasuredRun(run=run, here=True)).measured]
    most = max((one.rate for one in rated), default=0.0)
    return [one for one in rated if one.rate == most] if len(rated) > 1 else []


def _apart(columns: Sequence[MatrixColumn]) -> list[str]:
    """Say which columns did not measure what the first one did, or not enough: do not compare their rates."""
    words = ("other cases", "other graders", "another number of trials")
    wrong = [
        f"{column.name} has {name} than the first column: do not compare their rates"
        for column in columns[1:]
        for name, one, other in zip(words, measured_by(column.run), measured_by(columns[0].run), strict=True)
        if one != other
    ]
    wrong += [
        f"{column.name} and the first column do not both leave incidents out of the rate"
        for column in columns[1:]
        if not counted_alike(column.run, columns[0].run)
    ]
    wrong += [
        f"{column.name} is not measured: {told}"
        for column in columns
        if (run := column.run).summary is not None and run.status is RunStatus.COMPLETE
        for told in not_measured(run.record, run.summary)
    ]
    return wrong[:3]


def versions(columns: Sequence[MatrixColumn], *, linked: bool) -> Markup:
    """Show every column's numbers, as its run's summary has them."""
    heads = [head if head.startswith("95") else sort_button(head) for head in _HEADS]
    return section(
        "versions",
        "Versions and models",
        table("Versions and models", heads, [_version(column, linked) for column in columns]),
    )


def _version(column: MatrixColumn, linked: bool) -> Markup:  # noqa: FBT001 (a table's row)
    run = column.run
    record, summary = run.record, run.summary
    name: Child = el("a", record.prompt, href=place("..", "run", record.id)) if linked else record.prompt
    cells: list[Markup] = [el("th", name, scope="row"), el("td", column.model)]
    if summary is None:
        return el("tr", cells, el("td", f"{run.status.value}: no numbers yet", colspan=6, class_="dim"))
    good, cost = summary.good_rate, summary.cost_per_good_usd
    numbers: list[tuple[str, float | None]] = [
        (percent(good.value), good.value),
        (f"{summary.good:,} of {summary.samples:,}", summary.good),
        (short_cost_per_good(cost), cost.value),
        (milliseconds(summary.latency_p50_ms), summary.latency_p50_ms),
    ]
    shown = [el("td", text, class_="num", data_v="" if value is None else repr(value)) for text, value in numbers]
    limits = el("td", interval(good), class_="dim"), el("td", cost_range(cost.low, cost.high), class_="dim")
    return el("tr", cells, shown[0], limits[0], shown[1:3], limits[1], shown[3])


def cells(rows: MatrixRows) -> Markup:
    """Build the frame that the page's script fills with cells."""
    return section(
        "matrix",
        "Every case",
        el("p", "", id="count", role="status", class_="note"),
        el("noscript", el("p", "The cells need this page's own script. Without it: evalh matrix.")),
        _filters(rows),
        el("div", id="grid", role="grid", tabindex=0, aria_label="Cases by version and model", class_="grid"),
        el("article", id="detail", aria_label="The chosen cell", tabindex=-1, hidden=True),
        el("p", _left_out(rows), class_="note"),
        el("p", "Keys: ", [[el("kbd", key), words] for key, words in _FEW], class_="note keys"),
    )


def _filters(rows: MatrixRows) -> Markup:
    radios = [
        el(
            "label",
            el("input", type="radio", name="show", value=name, checked=name == "all"),
            el("span", words, " ", el("i", "", id=f"n-{name}")),
        )
        for name, words in _SHOWN.items()
    ]
    words = "search ids, inputs, outputs, reasons"
    search = el("input", type="search", id="q", placeholder=words, autocomplete="off", spellcheck="false")
    tags, graders = rows.tags(), rows.graders()
    return el(
        "form",
        el("fieldset", el("legend", "Cases", class_="hidden"), radios, class_="segments"),
        _label("Search", search),
        _label("Tag", _select("tag", {"": "any tag", **{tag: tag for tag in tags}})) if tags else None,
        _label("Grader", _select("grader", {"": "any grader", **{name: f"{name} missed" for name in graders}})),
        _label("Order", _select("sort", _ORDERS)),
        el("details", el("summary", "Columns"), el("div", id="columns"), class_="columns"),
        id="filters",
        role="search",
    )


def _label(name: str, control: Markup) -> Markup:
    return el("label", el("span", name, class_="hidden"), control)


def _select(name: str, options: Mapping[str, str]) -> Markup:
    return el("select", [el("option", words, value=value) for value, words in options.items()], id=name)


def _left_out(rows: MatrixRows) -> str:
    parts = []
    if rows.clipped:
        parts.append(
            f"Of {plural(rows.clipped, 'text')} only the beginning is here. The log has them whole: evalh show ID."
        )
    if rows.left_out:
        parts.append(f"{plural(rows.left_out, 'sample')} of further cases are not here: the page would be too large.")
    return " ".join(parts)


def measured(columns: Sequence[MatrixColumn]) -> Markup:
    """Say which runs the columns are."""
    rows = [
        el(
            "tr",
            el("th", column.name, scope="row"),
            el("td", el("code", one.id)),
            el("td", el("code", one.commit or "not in a git repository")),
            el("td", el("code", one.fingerprint.prompt)),
        )
        for column in columns
        for one in [column.run.record]
    ]
    heads = ("column", "run", "commit", "fingerprint of the prompt")
    return section("provenance", "Provenance", table("Provenance", heads, rows))


def keys() -> Markup:
    """Explain the keys."""
    rows = [el("tr", el("th", el("kbd", key), scope="row"), el("td", words)) for key, words in _KEYS.items()]
    close = el("form", el("button", "Close", value="close"), method="dialog")
    return el("dialog", el("h2", "Keys"), el("table", el("tbody", rows)), close, id="help", aria_label="Keys")


def main(runs: Sequence[RunRow], rows: MatrixRows, chosen: TradeOff) -> Markup:
    """Build all parts of the page."""
    columns = matrix_columns(runs)
    parts: list[Child] = [top(columns, rows), versions(columns, linked=rows.linked), cells(rows), trade_offs(chosen)]
    return join(parts, measured(columns))
