"""A gate's decision as the page shows it, from the document of `evalh gate --json`: what the log keeps of it."""

from collections.abc import Sequence

from evalh.analysis.compare.comparison import listed
from evalh.report.documents.compare import SideDocument
from evalh.report.documents.gate import FindingDocument, GateDocument, SuiteDocument
from evalh.report.documents.prompts import difference_of
from evalh.report.html.comparison import CHANGES, changes, differing, net
from evalh.report.html.markup import Child, Markup, el
from evalh.report.html.parts import SideLine, facts, figure, look_at, section, sides_table, table
from evalh.report.terminal.compare import points
from evalh.report.terminal.gate import (
    RELATIVE,
    asked_line,
    certainty,
    decision_word,
    differing_line,
    incidents_line,
    named_sides,
)
from evalh.report.text import one_line, plural
from evalh.report.words import Pointer, anchor

_CLASSES = {"accept": "good", "accepted in doubt": "ungraded", "refuse": "bad", "inconclusive": "ungraded"}
_CASES = 12


def title(gate: GateDocument) -> str:
    """Name both sides: of the suite, where it is one."""
    return named_sides(gate.suites[0], gate.base) if len(gate.suites) == 1 else f"{gate.base} → {gate.head}"


def differences(gate: GateDocument) -> Markup | None:
    """Show what differs between the prompts, each pair once; None if the log holds nothing of it."""
    pairs = {(one.base.digest, one.head.digest): one for suite in gate.suites if (one := suite.difference) is not None}
    if not pairs:
        return None
    parts: list[Child] = []
    for one in pairs.values():
        if len(pairs) > 1:
            parts.append(el("h3", f"{one.base.prompt} → {one.head.prompt}"))
        parts += differing(difference_of(one))
    return section("diff", "What differs between the prompts", parts)


def top(gate: GateDocument) -> Markup:
    """Show the decision, its numbers, and what to look at."""
    said, reasons = decision_word(gate.exit, doubt=gate.doubt), gate.reasons
    why = one_line(reasons[0], 200) if reasons else ""
    more = f" (and {plural(len(reasons) - 1, 'more reason')})" if len(reasons) > 1 else ""
    return el(
        "header",
        el("h1", f"{title(gate)}: ", el("span", said, class_=_CLASSES.get(said, ""))),
        el("p", f"{why}{more}", class_="note") if why else None,
        [el("p", line, class_="note") for line in _differing(gate)],
        el("dl", [_numbers(suite) for suite in gate.suites], class_="numbers") if gate.suites else None,
        look_at(_pointers(gate)),
        class_="verdict",
    )


def _differing(gate: GateDocument) -> list[str]:
    told = {suite.suite: line for suite in gate.suites if (line := differing_line(suite)) is not None}
    return [*told.values()] if len(gate.suites) == 1 else [f"{name}: {line}" for name, line in told.items()]


def _numbers(suite: SuiteDocument) -> list[Child]:
    compared = suite.comparison
    looked = asked_line(suite)
    figures: list[Child] = [figure(suite.suite, _decision(suite), looked)]
    if compared is not None and compared.n:
        counts = f"{compared.losses:,} worse, {compared.wins:,} better, {compared.ties:,} the same"
        sure = certainty(compared.difference, suite.alpha)
        figures.append(figure("Difference of the good rates", points(compared.difference), f"{counts}{sure}"))
    drop = suite.detectable_drop
    seen = "not known" if drop is None else f"{100 * drop:.1f} points"
    figures.append(figure("Smallest drop it could detect", seen, f"margin {100 * suite.margin:g} points"))
    return figures


def _decision(decided: SuiteDocument | FindingDocument) -> str:
    return decision_word(decided.exit, doubt=decided.doubt)


def _pointers(gate: GateDocument) -> list[Pointer]:
    found = [Pointer(one_line(reason, 300)) for reason in gate.reasons[1:]]
    for suite in gate.suites:
        found += [Pointer(f"{suite.suite}: {RELATIVE}: {why}") for why in suite.judge_relative]
        for kind, cases in ({} if suite.comparison is None else changes(suite.comparison)).items():
            if cases:
                words = f"{suite.suite}: {plural(len(cases), 'case')} {CHANGES[kind]}: {listed(cases, 4)}"
                found.append(Pointer(words, anchor(change=kind)))
    return [*found, *(Pointer(one_line(notice, 300)) for notice in gate.notices)]


def suites(gate: GateDocument) -> Markup:
    """Show what every rule found, suite by suite."""
    return section(
        "rules",
        "Rules",
        [_suite(suite, gate.base) for suite in gate.suites],
        None if gate.suites else el("p", "; ".join(gate.reasons), class_="note"),
        el("p", f"Unchanged: {listed(gate.unchanged, 40)}", class_="note") if gate.unchanged else None,
    )


def _suite(suite: SuiteDocument, base: str) -> list[Child]:
    sides = f"{named_sides(suite, base)} on {suite.model}"
    rows = [_finding(finding) for finding in suite.findings]
    parts: list[Child] = [
        el("h3", f"{suite.suite}: {_decision(suite)}"),
        el("p", sides, class_="note"),
        el("p", told, class_="note") if (told := incidents_line(suite)) is not None else None,
        table(f"Rules of {suite.suite}", ("rule", "says", "found", "which cases"), rows),
    ]
    if (compared := suite.comparison) is not None:
        both = [_side(f"base, {base}", compared.sides.base), _side("head", compared.sides.head)]
        parts.append(sides_table(f"Sides of {suite.suite}", both))
        if compared.downstream is not None:
            parts.append(net(compared.downstream, suite.base or compared.base, suite.head, f" of {suite.suite}"))
    return [*parts, [el("p", notice, class_="note") for notice in suite.notices]]


def _finding(finding: FindingDocument) -> Markup:
    said = _decision(finding)
    return el(
        "tr",
        el("th", finding.rule, scope="row"),
        el("td", said, class_=_CLASSES.get(said, "bad")),
        el("td", finding.reason, class_="wrapped"),
        el("td", listed(finding.cases, _CASES), class_="wrapped"),
    )


def _side(name: str, side: SideDocument) -> SideLine:
    latency_ms = side.latency_ms.latency_p50_ms
    version = side.prompt.rpartition(":")[2]  # its commit stands under Provenance
    return SideLine(f"{name}: {version}", side.model, side.good_rate, side.cost_per_good_usd, latency_ms)


def provenance(gate: GateDocument, runs: Sequence[str]) -> Markup:
    """Say what was decided about, and by which runs."""
    rows: list[tuple[str, Child]] = [
        ("gate", el("code", gate.gate or "not in the log: nothing was run")),
        ("exit code", str(gate.exit)),
        ("base", gate.base),
        ("head", gate.head),
        ("merge base", el("code", gate.merge_base or "none: two versions were compared")),
        *(("run", el("code", run)) for run in runs),
    ]
    for suite in gate.suites:
        if (compared := suite.comparison) is not None:
            rows += [
                (f"{suite.suite}, {name}: {part}", el("code", digest))
                for name, side in (("base", compared.sides.base), ("head", compared.sides.head))
                for part, digest in side.fingerprint.document().items()
            ]
    return section("provenance", "Provenance", facts(rows))
