"""One gate: what was decided, by which rule, and the cases that broke."""

import json
from collections.abc import Mapping
from typing import Any

from evalh.core.log import GateRow
from evalh.report.markup import Markup, el
from evalh.report.page_words import listed
from evalh.viewer.frame import Answer, framed, home, table
from evalh.viewer.list_page import decided, instant


def gate_page(row: GateRow) -> Answer:
    """Show a decision as the log keeps it."""
    content = json.loads(row.content)
    reasons = [el("li", reason) for reason in row.reasons.splitlines()]
    top = el(
        "header",
        el("h1", f"{row.base} → {row.head}: ", el("span", row.decision, class_=decided(row.decision))),
        el("ul", reasons),
        el("p", instant(row.at), f" UTC · exit {row.exit} · ", el("code", row.id), class_="note"),
        [el("p", notice, class_="note") for notice in content.get("notices", ())],
        class_="verdict",
    )
    suites = [_suite(number, suite) for number, suite in enumerate(content.get("suites", ()))]
    return framed(f"gate {row.base} → {row.head}", [top, suites], links=[("Runs", home(1))], script="list.js")


def _suite(number: int, suite: Mapping[str, Any]) -> Markup:
    rows = [
        el(
            "tr",
            el("th", finding["rule"], scope="row"),
            el("td", finding["decision"], class_=decided(finding["decision"])),
            el("td", finding["reason"], class_="wrapped"),
            el("td", listed(finding["cases"], 12), class_="wrapped"),
        )
        for finding in suite["findings"]
    ]
    broken = suite["broken"]
    sides = f"{suite['base'] or 'new'} → {suite['head']} on {suite['model']}"
    return el(
        "section",
        el("h2", f"{suite['suite']}: {suite['decision']}", id=f"suite-{number}"),
        el("p", f"{sides} · looked at {suite['stopped_at']:,} of {suite['of']:,} cases", class_="note"),
        table(f"Rules of {suite['suite']}", ("rule", "decision", "found", "cases"), rows),
        el("p", f"Broken: {listed(broken, 40)}") if broken else None,
        aria_labelledby=f"suite-{number}",
    )
