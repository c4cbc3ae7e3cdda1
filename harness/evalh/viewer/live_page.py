"""Runs under way: the numbers as they stand when the page is loaded, and what its script asks for after that."""

import json
from collections import Counter
from collections.abc import Sequence

from evalh.core.log import RunRow, UnderWay
from evalh.core.run import Estimate, RunStatus
from evalh.report.html.markup import Markup, el, join, place
from evalh.report.text import cost_per_good, dollars, incidents, inert, one_line, rate
from evalh.report.words import verdict
from evalh.viewer.frame import PageAnswer, framed, tabs
from evalh.viewer.list_page import ID

_EMPTY = "No run is under way. Type this in a terminal; the run appears here when it begins:"
_HOW = "The numbers are updated every second. The title of a run leads to its report, also before it ends."
_FIELDS = {"rate": "Good rate", "cost": "Cost per good output", "spent": "Spent", "pace": "Pace"}


def live_page(runs: Sequence[UnderWay], now: float) -> PageAnswer:
    """Show the runs under way. Without scripts it is right at the moment when it is loaded."""
    blank = dict.fromkeys(("title", "done", *_FIELDS, "note"), "")
    main = join(
        el("header", el("h1", "Under way"), el("p", _HOW, class_="note"), class_="verdict"),
        el("p", "", id="trouble", role="alert", class_="bad"),
        el("p", "", id="ended", role="status", class_="hidden"),
        el("div", el("p", _EMPTY), el("pre", "evalh run"), id="empty", hidden=bool(runs)),
        el("div", [_card(_told(one, now), one.run.record.id) for one in runs], id="cards"),
        el("template", _card({"fields": blank, "of": 1, "value": 0, "link": ""}, ""), id="card"),
        el("noscript", el("p", "This page's own script does not run here: reload the page for newer numbers.")),
    )
    return framed("Under way", main, links=tabs(), here="Under way", script="live.js")


def live_document(runs: Sequence[UnderWay], ended: Sequence[RunRow], now: float) -> PageAnswer:
    """Send the page's script what changed: runs under way, and how those ended that it asked about."""
    cards = [{"id": one.run.record.id, **_told(one, now)} for one in runs]
    cards += [{"id": row.record.id, **_ended(row)} for row in ended]
    return PageAnswer(json.dumps({"runs": cards}).encode(), type="application/json")


def _card(card: dict[str, object], run_id: str) -> Markup:
    fields = card["fields"]
    assert isinstance(fields, dict)
    numbers = [
        el("div", el("dt", words), el("dd", el("strong", fields[name], data_f=name))) for name, words in _FIELDS.items()
    ]
    return el(
        "article",
        el("h2", el("a", fields["title"], data_f="title", href=place("run", run_id) if ID.fullmatch(run_id) else "#")),
        el("p", fields["done"], data_f="done"),
        el("progress", value=str(card["value"]), max=str(card["of"]), aria_label="Samples evaluated"),
        el("dl", numbers, class_="numbers"),
        el("p", fields["note"], data_f="note", class_="note"),
        class_="card",
        data_run=run_id,
    )


def _told(one: UnderWay, now: float) -> dict[str, object]:
    record = one.run.record
    errors = Counter(one.errors) + Counter(one.incidents.errors)
    kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(errors.items()))
    parts = [f"{one.evaluated:,} of {record.planned:,} samples: {one.good:,} good, {one.bad:,} bad"]
    if one.ungraded:
        parts.append(f"{one.ungraded:,} ungraded")
    if one.incidents.samples:
        parts.append(f"incidents: {incidents(one.incidents)}")
    if one.hits:
        parts.append(f"{one.hits:,} answered by the log")
    fields = {
        "title": f"{record.prompt} on {record.model} · {record.suite}",
        "done": ", ".join(parts),
        "rate": _so_far(rate(one.good_rate), one.good_rate),
        "cost": cost_per_good(one.cost_per_good_usd) if one.samples else "–",
        "spent": dollars(one.spent_usd),
        "pace": _pace(one, now),
        "note": f"No answer: {kinds}" if kinds else "",
    }
    return {"fields": _inert(fields), "value": one.evaluated, "of": max(record.planned, 1), "over": False}


def _so_far(text: str, estimate: Estimate) -> str:
    return "–" if estimate.value is None else text


def _pace(one: UnderWay, now: float) -> str:
    elapsed = now - one.run.record.started_at
    if not one.evaluated or elapsed <= 0:
        return "–"
    speed = one.evaluated / elapsed
    minutes, seconds = divmod(round((one.run.record.planned - one.evaluated) / speed), 60)
    return f"{speed:,.1f}/s, {minutes}:{seconds:02d} left"


def _ended(row: RunRow) -> dict[str, object]:
    summary = row.summary
    fields = {"done": verdict(row), "pace": row.status.value, "note": one_line(row.reason or "", 200)}
    if summary is not None:
        fields |= {
            "rate": _so_far(rate(summary.good_rate), summary.good_rate),
            "cost": cost_per_good(summary.cost_per_good_usd) if summary.samples else "–",
            "spent": dollars(summary.cost_usd),
        }
    value = row.record.planned if row.status is RunStatus.COMPLETE else summary.evaluated if summary is not None else 0
    return {"fields": _inert(fields), "value": value, "of": max(row.record.planned, 1), "over": True}


def _inert(fields: dict[str, str]) -> dict[str, str]:
    return {name: inert(text) for name, text in fields.items()}
