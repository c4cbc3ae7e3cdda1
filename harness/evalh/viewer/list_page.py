"""The list of runs, comparisons and gates."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from evalh.analysis.folding import FoldedRun, fold
from evalh.core.log import ComparisonRow, GateRow, RunRow
from evalh.core.run import Estimate, RunStatus
from evalh.report.html.markup import Child, Markup, el, join, place
from evalh.report.html.parts import interval, section
from evalh.report.terminal.gate import decision_word
from evalh.report.text import not_measured, one_line, percent, plural, short_cost_per_good
from evalh.viewer.frame import PageAnswer, framed, sorted_table, tabs

if TYPE_CHECKING:
    from evalh.store.reader import Overview

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What an id in an address looks like; anything else names nothing."""

_MOST_FOLDED = 50
_SHORT = 6  # characters of a digest: runs of one name are few


def list_page(name: str, found: "Overview") -> PageAnswer:
    """Show everything, newest first."""
    running = sum(run.status is RunStatus.RUNNING for run in found.runs)
    under_way = [" ", el("a", f"{plural(running, 'run')} under way.", href=place("live"))] if running else None
    top = el(
        "header", el("h1", f"Runs in {name}"), el("p", _counts(found), under_way), _matrices(found), class_="verdict"
    )
    links: list[tuple[str, str]] = [("Runs", "#runs")]
    parts: list[Child] = [top, _runs(found)]
    if found.comparisons:
        links.append(("Comparisons", "#comparisons"))
        parts.append(_comparisons(found.comparisons))
    if found.gates:
        links.append(("Gates", "#gates"))
        parts.append(_gates(found.gates))
    links += tabs()[1:]
    return framed(name, join(parts), links=links, here="Runs", script="list.js")


def nothing_yet(name: str) -> PageAnswer:
    """Show a workspace without runs."""
    top = el(
        "header",
        el("h1", f"No runs in {name} yet"),
        el("p", "In a terminal, in this workspace:"),
        el("pre", "evalh run"),
        el("p", "Then load this page again, or ", el("a", "watch the run", href=place("live")), " while it goes on."),
        class_="verdict",
    )
    return framed(name, top, links=tabs(), here="Runs")


def linked(kind: str, id_: str, words: Child) -> Child:
    """Link to what an id names; an id that no address can hold stays words."""
    return el("a", words, href=place(kind, id_)) if ID.fullmatch(id_) else words


def _instant(seconds: float) -> Markup:
    """Write a time, in UTC."""
    at = datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")
    return el("time", at[:16], datetime=f"{at[:19]}Z")


def _counts(found: "Overview") -> str:
    suites = len({run.record.suite for run in found.runs})
    left = found.runs_in_all - len(found.runs)
    older = f" The {left:,} oldest are only in the table runs: evalh sql." if left else ""
    one = " Runs with equal answers share a row." if found.runs_in_all > 1 else ""
    return f"{plural(found.runs_in_all, 'run')} of {plural(suites, 'suite')}.{one}{older}"


def _matrices(found: "Overview") -> Markup | None:
    """Link to each suite's matrix where there is more than one column for it."""
    columns = Counter(
        suite for suite, *_ in {(run.record.suite, run.record.prompt, run.record.model) for run in found.runs}
    )
    several = [suite for suite, count in sorted(columns.items()) if count > 1]
    links = [[" ", linked("suite", suite, suite)] for suite in several]
    words = ": every case under every version and model."
    return el("p", "Matrix of", links, words, class_="matrices") if links else None


_HEADS = ("", "version", "good rate", "model", "95 % interval", "cost per good", "samples", "state")
_HEADS_BESIDE = ("suite", "began (UTC)", "run")


def _runs(found: "Overview") -> Markup:
    field = el("input", id="q", type="search", placeholder="Filter: v3 small complete", autocomplete="off")
    label = el("label", el("span", "Filter the runs", class_="hidden"), field, for_="q")
    search = el("p", label, el("span", "", id="count", role="status", class_="note"), class_="search")
    folded = fold([*found.runs, *found.added])
    heads = (*_HEADS, *_HEADS_BESIDE)
    several = _of_several_contents([*folded.rows, *folded.loose])
    parts: list[Child] = [search, sorted_table("Runs", heads, [_run(row, several) for row in folded.rows])]
    parts.append(el("div", id="ticked", class_="ticked", hidden=True, role="status"))
    if folded.loose:
        words = f"{plural(len(folded.loose), 'version')} that only a gate, a baseline or another verb ran"
        table = sorted_table("Added runs", heads, [_run(row, several) for row in folded.loose])
        parts.append(el("details", el("summary", words), table, class_="loose"))
    return section("runs", "Runs", parts)


def _of_several_contents(rows: Iterable[FoldedRun]) -> frozenset[str]:
    """Return the names that stand for several contents, such as a draft that was edited between its runs."""
    contents: dict[str, set[str]] = {}
    for row in rows:
        contents.setdefault(row.run.record.prompt, set()).add(row.run.record.fingerprint.prompt)
    return frozenset(name for name, digests in contents.items() if len(digests) > 1)


def _content(run: RunRow, several: frozenset[str]) -> Markup | None:
    """Tell contents of one name apart by the beginning of their digests."""
    digest = run.record.fingerprint.prompt.removeprefix("sha256:")[:_SHORT]
    return el("code", f" {digest}", class_="dim") if run.record.prompt in several else None


def _run(row: FoldedRun, several: frozenset[str]) -> Markup:
    run = row.run
    record, summary = run.record, run.summary
    rate = None if summary is None else summary.good_rate
    cost = None if summary is None else summary.cost_per_good_usd
    done = f"of {record.planned:,}" if summary is None else f"{summary.samples:,}"
    if summary is not None and summary.apart.samples:
        done += f" + {summary.apart.samples:,} of incidents"
    ticked = {"data_run": record.id, "data_suite": record.suite, "data_name": f"{record.prompt} on {record.model}"}
    return el(
        "tr",
        el("td", class_="tick", **(ticked if ID.fullmatch(record.id) else {})),
        el(
            "th",
            linked("run", record.id, record.prompt),
            _content(run, several),
            _others(row),
            scope="row",
            data_v=record.prompt,
        ),
        _number(None if rate is None else percent(rate.value), rate),
        el("td", record.model),
        el("td", None if rate is None else _interval(rate), class_="dim"),
        _number(None if cost is None else short_cost_per_good(cost), cost),
        el("td", done, class_="num", data_v=record.planned if summary is None else summary.samples),
        _state(run),
        el("td", record.suite),
        el("td", _instant(record.started_at), data_v=record.id),
        el("td", el("code", record.id), class_="dim"),
    )


def _others(row: FoldedRun) -> Markup | None:
    """List the runs that a row stands for; what they show is on its page already."""
    told = [
        plural(len(row.same), "equal run") if row.same else "",
        f"{len(row.added):,} added" if row.added else "",
    ]
    if not any(told):
        return None
    runs = sorted([*row.same, *row.added], key=lambda run: run.record.id, reverse=True)
    items = [
        el("li", linked("run", run.record.id, run.record.id), f" {run.record.kind.value}, {_rate(run)}") for run in runs
    ]
    return el("details", el("summary", " · ".join(filter(None, told))), el("ul", items[:_MOST_FOLDED]))


def _rate(run: RunRow) -> str:
    return run.status.value if run.summary is None else percent(run.summary.good_rate.value)


@lru_cache(maxsize=4096)
def _interval(rate: Estimate) -> list[Child]:
    return interval(rate)  # so many samples, so many good: many runs have the same


def _number(text: str | None, estimate: Estimate | None) -> Markup:
    value = None if estimate is None else estimate.value
    return el("td", text or "–", class_="num", data_v="" if value is None else repr(value))


def _state(run: RunRow) -> Markup:
    if run.status is RunStatus.RUNNING:
        return el("td", el("a", "under way", href=place("live")))
    if run.status is RunStatus.COMPLETE and run.summary is not None and not_measured(run.record, run.summary):
        return el(
            "td", "complete, not measured", class_="ungraded", title="; ".join(not_measured(run.record, run.summary))
        )
    reason = f": {one_line(run.reason, 60)}" if run.reason and run.reason != run.status.value else ""
    return el("td", f"{run.status.value}{reason}", class_="dim" if run.status is RunStatus.COMPLETE else "ungraded")


def _comparisons(rows: Sequence[ComparisonRow]) -> Markup:
    heads = ("base → head", "verdict", "difference", "95 % interval", "worse", "better", "cases", "suite", "at (UTC)")
    return section("comparisons", "Comparisons", sorted_table("Comparisons", heads, [_comparison(row) for row in rows]))


def _comparison(row: ComparisonRow) -> Markup:
    models = "" if row.base_model == row.head_model else f" ({row.base_model} → {row.head_model})"
    known = row.low is not None and row.high is not None
    verdict = row.verdict.replace("_", " ") if row.comparable else "not comparable"
    return el(
        "tr",
        el("th", linked("comparison", row.id, f"{row.base} → {row.head}{models}"), scope="row"),
        el("td", verdict, class_={"better": "good", "no_worse": "good", "worse": "bad"}.get(row.verdict, "ungraded")),
        el("td", _points(row.difference), class_="num", data_v="" if row.difference is None else repr(row.difference)),
        el("td", f"[{_points(row.low)}, {_points(row.high)}]" if known else "", class_="dim"),
        [el("td", f"{count:,}", class_="num") for count in (row.losses, row.wins, row.n)],
        el("td", row.suite),
        el("td", _instant(row.at), data_v=row.id),
    )


def _points(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:+.1f}"


def _gates(rows: Sequence[GateRow]) -> Markup:
    heads = ("base → head", "decision", "suite", "at (UTC)", "because")
    return section("gates", "Gates", sorted_table("Gates", heads, [_gate(row) for row in rows]))


class _Suite(msgspec.Struct):
    suite: str = ""


class _InList(msgspec.Struct):
    """What the list shows of a kept decision: the rest of its document is skipped unread."""

    doubt: bool = False
    suites: tuple[_Suite, ...] = ()


def _told(row: GateRow) -> _InList:
    try:
        return msgspec.json.decode(row.content, type=_InList)
    except (msgspec.MsgspecError, UnicodeError):
        return _InList()  # its own page says what is damaged


def _gate(row: GateRow) -> Markup:
    reasons = row.reasons.splitlines()
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    told = _told(row)
    said = decision_word(row.exit, doubt=told.doubt)
    return el(
        "tr",
        el("th", linked("gate", row.id, f"{row.base} → {row.head}"), scope="row"),
        el("td", said, class_={"accept": "good", "refuse": "bad"}.get(said, "ungraded")),
        el("td", one_line(", ".join(one.suite for one in told.suites), 80)),
        el("td", _instant(row.at), data_v=row.id),
        el("td", f"{one_line(reasons[0] if reasons else '', 120)}{more}", class_="wrapped because"),
    )
