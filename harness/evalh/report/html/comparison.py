"""A comparison as the page shows it: the verdict, both sides, what differs between the prompts, the history."""

from collections.abc import Sequence

from evalh.analysis.compare.comparison import Comparison, PartComparison, listed
from evalh.analysis.prompt_diff import Change, Edit, MessageBlock, PromptDiff, SectionDiff
from evalh.core.case import ABSENT, INCIDENT
from evalh.core.run import Downstream, DownstreamComparison, Estimate
from evalh.core.strict_json import JsonValue
from evalh.report.documents.compare import ComparisonDocument, DownstreamDocument
from evalh.report.html.markup import Child, Markup, el, join
from evalh.report.html.parts import SideLine, figure, row, section, shown_json, sides_table, table
from evalh.report.terminal.compare import (
    ComparisonView,
    doubts,
    labels,
    points,
    preference,
    sentence,
    told_incidents,
)
from evalh.report.text import in_clusters, limit, plural, short_cost_per_good
from evalh.report.words import Pointer, anchor, consequences_line, cost_range, worth

_TESTS = {
    "mcnemar-exact": "McNemar's exact test",
    "mcnemar-midp": "McNemar's mid-p test",
    "sign-flip": "a sign-flip test",
}
CHANGES = {"regressed": "got worse", "fixed": "got better", "unstable": "unstable"}
"""What became of a case, in a reader's words."""

_PARTS_SHOWN = 20
_OPEN = 6  # messages of a block that are shown without a click


def title(view: ComparisonView) -> str:
    """Name both sides."""
    base, head = labels(view.comparison)
    return f"{base} → {head}"


def verdict(view: ComparisonView) -> str:
    """State the result in one sentence."""
    return f"{title(view)}: {sentence(view.comparison).plain}"


def numbers(comparison: Comparison) -> Markup:
    """Show the difference and both sides."""
    ratio = comparison.cost_per_good_ratio
    times = "unknown" if ratio.value is None else f"{ratio.value:.2f} ×"
    between = "" if ratio.low is None or ratio.high is None else f"[{ratio.low:.2f}, {ratio.high:.2f}]"
    test = _TESTS.get(comparison.test, comparison.test)
    p_value = "" if comparison.p_value is None else f"p = {comparison.p_value:.3g} by {test}"
    counts = f"{comparison.losses:,} worse, {comparison.wins:,} better, {comparison.ties:,} the same"
    drop = comparison.detectable_drop
    seen = "" if drop is None else "the smallest drop found with 80 % power, if cases differ as often as here"
    return el(
        "dl",
        figure(
            "Difference of the good rates",
            _value_of(comparison.difference),
            [_limits_of(comparison.difference), p_value],
        ),
        figure("Cases", in_clusters(comparison.n, comparison.clusters).removesuffix(" cases"), counts),
        figure("Cost per good output", times, [between, " head over base"]),
        figure("Sensitivity", "unknown" if drop is None else f"{100 * drop:.1f} points", seen),
        class_="numbers",
    )


def _value_of(difference: Estimate) -> str:
    return "unknown" if difference.value is None else f"{100 * difference.value:+.1f} points"


def _limits_of(difference: Estimate) -> str:
    if difference.low is None or difference.high is None:
        return ""
    return f"[{limit(difference.low)}, {limit(difference.high)}] "


def look_at(comparison: Comparison) -> list[Pointer]:
    """Return what deserves a look, the gravest first."""
    found = [Pointer(mismatch.what) for mismatch in comparison.mismatches]
    found += [Pointer(line) for line in doubts(comparison)]
    if comparison.missing:
        alone = listed(sorted({one.case_id for one in comparison.missing}), 6)
        found.append(Pointer(f"On one side only, so not compared: {alone}"))
    found += [Pointer(line, anchor(tag=INCIDENT)) for line in told_incidents(comparison.incidents)]
    for name, cases in changes(comparison).items():
        if cases:
            words = f"{plural(len(cases), 'case')} {CHANGES[name]}: {listed(cases, 4)}"
            found.append(Pointer(words, anchor(change=name)))
    ungraded = comparison.base.ungraded + comparison.head.ungraded
    if ungraded:
        found.append(Pointer(f"{plural(ungraded, 'sample')} ungraded on the two sides", anchor(standing="ungraded")))
    return found


def changes(comparison: Comparison | ComparisonDocument) -> dict[str, Sequence[str]]:
    """Return the cases that changed, by what became of them."""
    return {"regressed": comparison.regressed, "fixed": comparison.fixed, "unstable": comparison.unstable}


def sides(comparison: Comparison) -> Markup:
    """Show both sides beside each other, and the difference by grader and by tag."""
    both = [
        SideLine(f"{name}: {one.prompt}", one.model, one.good_rate, one.cost_per_good_usd, one.latency_p50_ms)
        for name, one in (("base", comparison.base), ("head", comparison.head))
    ]
    return section(
        "sides",
        "Both sides",
        el("p", f"{comparison.reason[:1].upper()}{comparison.reason[1:]}.", class_="note"),
        sides_table("Both sides", both),
        None if comparison.downstream is None else net(comparison.downstream, *labels(comparison)),
        _parts("grader", comparison.graders),
        _parts("tag", sorted(comparison.tags, key=lambda tag: tag.wins - tag.losses)) if comparison.tags else None,
        [
            el("p", el("strong", one.grader), " ", " · ".join(preference(one)), class_="note")
            for one in comparison.preferred
        ],
    )


def net(one: DownstreamComparison | DownstreamDocument, base: str, head: str, of: str = "") -> Markup:
    """Show what follows the outputs of both sides, and at which price of a bad output the preferred one flips.

    `of` names the suite where a page shows several: no two of its regions may have one name.
    """
    heads = ("side", "net cost per good", "95 % interval", "the consequences of its outputs")
    rows = [_net(name, side) for name, side in ((f"base: {base}", one.base), (f"head: {head}", one.head))]
    return join(table(f"Net cost per good output{of}", heads, rows), el("p", worth(one, base, head), class_="note"))


def _net(name: str, side: Downstream) -> Markup:
    cost = side.net_cost_per_good_usd
    return row(name, short_cost_per_good(cost), cost_range(cost.low, cost.high), consequences_line(side))


def _parts(kind: str, parts: Sequence[PartComparison]) -> Markup:
    heads = (kind, "worse", "better", "cases", "difference", "p, adjusted", "result")
    rows = [_part(kind, part) for part in parts[:_PARTS_SHOWN]]
    return join(el("h3", f"By {kind}"), table(f"Difference by {kind}", heads, rows))


def _part(kind: str, part: PartComparison) -> Markup:
    p_value = "" if part.p_adjusted is None else f"{part.p_adjusted:.3g}"
    numbers = [*(f"{count:,}" for count in (part.losses, part.wins, part.n)), points(part.difference), p_value]
    name = el("a", part.name, href=anchor(**{kind: part.name}))
    cells = [el("td", number, class_="num") for number in numbers]
    return el("tr", el("th", name, scope="row"), cells, el("td", _result(part)))


def _result(part: PartComparison) -> Markup:
    if not part.shown:
        return el("span", "inconclusive", class_="dim")
    better = (part.difference.value or 0.0) > 0
    return el("span", "better" if better else "worse", class_="good" if better else "bad")


def prompt_diff(difference: PromptDiff | None) -> Markup:
    """Show what differs between the prompts: text word by word, config, schemas and tools apart."""
    if difference is None:
        words = "The prompts are the same, or one of them is no longer in the log."
        return section("diff", "What differs", el("p", words, class_="note"))
    return section("diff", "What differs between the prompts", differing(difference))


def differing(difference: PromptDiff) -> list[Child]:
    """Return the parts of a diff, messages first."""
    parts: list[Child] = []
    for one in difference.parts:
        parts += _block(one) if isinstance(one, MessageBlock) else [*_message(one)]
    for kind, changed in difference.changes.items():
        parts += _changed(kind, changed)
    if difference.same_content:
        parts.append(el("p", "The same content: both versions send the same.", class_="note"))
    return parts


def _block(block: MessageBlock) -> list[Markup]:
    """Show messages that one side lacks as one thing, folded where there are many."""
    rows = [
        el(
            "tr",
            el("th", section.head_role or section.base_role, scope="row"),
            el("td", "".join(edit.text for edit in section.edits), class_="wrapped"),
        )
        for section in block.sections
    ]
    table = el("table", el("caption", block.title, class_="hidden"), el("tbody", rows), class_="messages")
    return [el("details", el("summary", block.title), table, open=len(rows) <= _OPEN)]


def _message(section: SectionDiff) -> list[Markup]:
    both = section.base_role is not None and section.head_role is not None
    # What came or went whole is said by the title; marking all of it would only be harder to read.
    shown = [_edit(edit) if both else edit.text for edit in section.edits]
    return [el("h3", section.title), el("pre", shown)]


def _edit(edit: Edit) -> Markup | str:
    name = {"delete": "del", "insert": "ins"}.get(edit.op)
    return edit.text if name is None else el(name, edit.text, class_=name)


def _changed(kind: str, changed: Sequence[Change]) -> list[Markup]:
    rows = [row(change.key, _value(change.base, "del"), _value(change.head, "ins")) for change in changed]
    heads = el("thead", el("tr", el("td"), [el("th", side, scope="col") for side in ("base", "head")]))
    return [el("h3", kind), el("table", heads, el("tbody", rows), class_="changes")] if rows else []


def _value(value: JsonValue, name: str) -> Markup:
    return el("span", "absent", class_="dim") if value is ABSENT else el(name, shown_json(value), class_=name)
