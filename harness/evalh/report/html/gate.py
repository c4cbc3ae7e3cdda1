"""A gate's decision as the page shows it, from the document of `evalh gate --json`: what the log keeps of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalh.core.run import Estimate
from evalh.report.html.comparison import net
from evalh.report.html.markup import Child, Markup, el
from evalh.report.html.parts import SIDES, facts, figure, look_at, section, side_row, table
from evalh.report.terminal.compare import points
from evalh.report.terminal.gate import RELATIVE, certainty, decided
from evalh.report.text import one_line
from evalh.report.words import Pointer, anchor, compared_from, listed, plural

Document = Mapping[str, Any]
_CLASSES = {"accept": "good", "accepted in doubt": "ungraded", "refuse": "bad", "inconclusive": "ungraded"}
_CASES = 12


def title(gate: Document) -> str:
    """Name both sides."""
    return f"{gate['base']} → {gate['head']}"


def top(gate: Document) -> Markup:
    """Show the decision, its numbers, and what to look at."""
    said, reasons = decided(gate), gate["reasons"]
    why = one_line(reasons[0], 200) if reasons else ""
    more = f" (and {plural(len(reasons) - 1, 'more reason')})" if len(reasons) > 1 else ""
    return el(
        "header",
        el("h1", f"{title(gate)}: ", el("span", said, class_=_CLASSES.get(said, "")), f": {why}{more}"),
        el("dl", [_numbers(suite) for suite in gate["suites"]], class_="numbers") if gate["suites"] else None,
        look_at(_pointers(gate)),
        class_="verdict",
    )


def _numbers(suite: Document) -> list[Child]:
    compared = suite["comparison"]
    looked = f"{suite['stopped_at']:,} of {suite['of']:,} cases · {suite['asked']:,} asked"
    told: list[Child] = [figure(suite["suite"], decided(suite), looked)]
    if compared is not None and compared["n"]:
        counts = f"{compared['losses']:,} worse, {compared['wins']:,} better, {compared['ties']:,} the same"
        estimate = Estimate(**compared["difference"])
        sure = certainty(estimate, suite.get("alpha", 0.05))
        told.append(figure("Difference of the good rates", points(estimate), f"{counts}{sure}"))
    drop = suite["detectable_drop"]
    seen = "not known" if drop is None else f"{100 * drop:.1f} points"
    told.append(figure("Smallest drop it could see", seen, f"margin {100 * suite['margin']:g} points"))
    return told


def _pointers(gate: Document) -> list[Pointer]:
    found = [Pointer(one_line(reason, 300)) for reason in gate["reasons"][1:]]
    for suite in gate["suites"]:
        found += [Pointer(f"{suite['suite']}: {RELATIVE}: {why}") for why in suite.get("judge_relative", ())]
        for kind in ("regressed", "fixed", "unstable"):
            cases = (suite["comparison"] or {}).get(kind, ())
            if cases:
                words = f"{suite['suite']}: {plural(len(cases), 'case')} {kind}: {listed(cases, 4)}"
                found.append(Pointer(words, anchor(change=kind)))
    return [*found, *(Pointer(one_line(notice, 300)) for notice in gate["notices"])]


def suites(gate: Document) -> Markup:
    """Show what every rule found, suite by suite."""
    return section(
        "rules",
        "Rules",
        [_suite(suite) for suite in gate["suites"]],
        None if gate["suites"] else el("p", "; ".join(gate["reasons"]), class_="note"),
        el("p", f"Unchanged: {listed(gate['unchanged'], 40)}", class_="note") if gate["unchanged"] else None,
    )


def _suite(suite: Document) -> list[Child]:
    sides = f"{suite['base'] or 'nothing'} → {suite['head']} on {suite['model']}"
    changed = ", ".join(suite["changed"]) or "the version"
    rows = [_finding(finding) for finding in suite["findings"]]
    parts: list[Child] = [
        el("h3", f"{suite['suite']}: {decided(suite)}"),
        el("p", f"{sides} · changed: {changed}", class_="note"),
        table(f"Rules of {suite['suite']}", ("rule", "says", "found", "cases"), rows),
    ]
    if suite["comparison"] is not None:
        both = suite["comparison"]["sides"]
        parts.append(table(f"Sides of {suite['suite']}", SIDES, [_side(name, both[name]) for name in ("base", "head")]))
        if suite["comparison"].get("downstream"):
            downstream = compared_from(suite["comparison"]["downstream"])
            parts.append(net(downstream, suite["base"], suite["head"], f" of {suite['suite']}"))
    return [*parts, [el("p", notice, class_="note") for notice in suite["notices"]]]


def _finding(finding: Document) -> Markup:
    said = decided(finding)
    return el(
        "tr",
        el("th", finding["rule"], scope="row"),
        el("td", said, class_=_CLASSES.get(said, "bad")),
        el("td", finding["reason"], class_="wrapped"),
        el("td", listed(finding["cases"], _CASES), class_="wrapped"),
    )


def _side(name: str, side: Document) -> Markup:
    rate, cost = Estimate(**side["good_rate"]), Estimate(**side["cost_per_good_usd"])
    return side_row(f"{name}: {side['prompt']}", side["model"], rate, cost, side["latency_ms"]["p50"])


def provenance(gate: Document, runs: Sequence[str]) -> Markup:
    """Say what was decided about, and by which runs."""
    told: list[tuple[str, Child]] = [
        ("gate", el("code", gate.get("gate") or "not in the log: nothing was run")),
        ("exit code", str(gate["exit"])),
        ("base", gate["base"]),
        ("head", gate["head"]),
        ("merge base", el("code", gate["merge_base"] or "none: two versions were compared")),
        *(("run", el("code", run)) for run in runs),
    ]
    for suite in gate["suites"]:
        for name, side in ((suite["comparison"] or {}).get("sides") or {}).items():
            of = f"{suite['suite']}, {name}"
            told += ((f"{of}: {part}", el("code", one)) for part, one in side["fingerprint"].items())
    return section("provenance", "Provenance", facts(told))
