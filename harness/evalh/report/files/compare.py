"""A comparison as text for other places: a comment, a spreadsheet, a build's test view. Nothing in it is live there."""

from collections.abc import Iterable, Iterator
from itertools import chain
from xml.sax.saxutils import escape

from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.failures import why
from evalh.core.log import SampleStory
from evalh.core.sample import Standing
from evalh.core.values import Value
from evalh.report.documents.compare import ComparisonDocument
from evalh.report.files.gate import relative_to
from evalh.report.files.run import attribute, code, csv_line, inert_cell, xml
from evalh.report.html.comparison import changes
from evalh.report.terminal.compare import ComparisonView, labels, points, sentence, told_incidents
from evalh.report.text import cost_per_good, milliseconds, rate

_ROWS = 20
_OUTPUT = 4000


class Both(Value, kw_only=True):
    """One case and trial on both sides; a side is None if it was not evaluated there."""

    case_id: str
    trial: int
    change: str  # regressed, fixed, unstable; empty: none
    base: SampleStory | None
    head: SampleStory | None


def changed_cases(comparison: Comparison | ComparisonDocument) -> dict[str, str]:
    """Return what became of every case that changed."""
    return {case: kind for kind, cases in changes(comparison).items() for case in cases}


def markdown(view: ComparisonView, both: Iterable[Both]) -> Iterator[str]:
    """Yield the lines of a comment about a comparison."""
    comparison = view.comparison
    base, head = labels(comparison)
    yield f"**{code(base)} → {code(head)}**: {code(sentence(comparison).plain, 300)}"
    yield ""
    for mismatch in comparison.mismatches:
        yield f"- {code(mismatch.what, 300)}"
    yield "| side | model | good rate | cost per good output | median latency |"
    yield "|---|---|---|---|---|"
    for name, side in (("base", comparison.base), ("head", comparison.head)):
        numbers = (rate(side.good_rate), cost_per_good(side.cost_per_good_usd), milliseconds(side.latency_p50_ms))
        yield f"| {name} {code(side.prompt)} | {code(side.model)} | {' | '.join(numbers)} |"
    yield ""
    counts = f"{comparison.losses:,} worse, {comparison.wins:,} better, {comparison.ties:,} alike of {comparison.n:,}"
    yield f"{counts} · difference {points(comparison.difference)} · {code(view.id)}"
    for line in told_incidents(comparison.incidents):
        yield from ("", code(line, 400))
    yield ""
    yield from _changed([one for one in both if one.change])


def _changed(changed: list[Both]) -> Iterator[str]:
    if not changed:
        return
    order = {"regressed": 0, "unstable": 1, "fixed": 2}
    yield "| case | change | why | base | head |"
    yield "|---|---|---|---|---|"
    for one in sorted(changed, key=lambda both: order[both.change])[:_ROWS]:
        told = code("" if one.head is None else why(one.head))
        yield f"| {code(one.case_id, 60)} | {one.change} | {told} | {_shown(one.base)} | {_shown(one.head)} |"
    if len(changed) > _ROWS:
        yield f"\n{len(changed) - _ROWS} more."


def _shown(story: SampleStory | None) -> str:
    return code("" if story is None else story.output or "")


def csv_text(both: Iterable[Both]) -> Iterator[str]:
    """Yield a comparison as lines of CSV: a case and trial each, both sides beside each other."""
    heads = "case trial change base_standing head_standing base_latency_ms head_latency_ms base_why head_why"
    yield csv_line([*heads.split(), "base_output", "head_output"])
    for one in both:
        sides = zip(_cells(one.base), _cells(one.head), strict=True)
        yield csv_line([inert_cell(one.case_id), one.trial, one.change, *chain.from_iterable(sides)])


def _cells(story: SampleStory | None) -> tuple[str | float, ...]:
    if story is None:
        return "", "", "", ""
    latency = story.sample.latency.total_ms
    told = (inert_cell(why(story)), inert_cell(story.output or ""))
    return story.sample.standing.value, "" if latency is None else latency, *told


def junit(view: ComparisonView, both: Iterable[Both]) -> Iterator[str]:
    """Yield JUnit XML: a sample is a test; failure = good on base and bad on head, error = ungraded on head."""
    tests, failures, errors = [], 0, 0
    suite, (base, head) = view.comparison.head.suite, labels(view.comparison)
    for one in both:
        kind = _kind(one)
        failures, errors = failures + (kind == "failure"), errors + (kind == "error")
        tests.append(_test(one, kind, f"{base} to {head}"))
    told = f'tests="{len(tests)}" failures="{failures}" errors="{errors}"'
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh compare" {told}>\n'
    yield f"<testsuite name={attribute(suite)} {told}>\n{relative_to(view.comparison.judge_relative)}"
    yield from tests
    yield "</testsuite>\n</testsuites>\n"


def _kind(one: Both) -> str | None:
    if one.head is None or one.head.sample.standing is Standing.UNGRADED:
        return "error"
    worse = one.change == "regressed" or (one.base is not None and one.base.sample.standing is Standing.GOOD)
    return "failure" if worse and one.head.sample.standing is Standing.BAD else None


def _test(one: Both, kind: str | None, sides: str) -> str:
    trial = f" trial {one.trial}" if one.trial else ""
    head = f"<testcase classname={attribute(sides)} name={attribute(f'{one.case_id}{trial}')}"
    if kind is None:
        return f"{head}/>\n"
    told = "was not evaluated on head" if one.head is None else why(one.head)
    outputs = "\n".join(_side(name, story) for name, story in (("base", one.base), ("head", one.head)))
    return f"{head}><{kind} message={attribute(told)}>{escape(xml(outputs))}</{kind}></testcase>\n"


def _side(name: str, story: SampleStory | None) -> str:
    return f"{name}: {'' if story is None else story.output or ''}"[:_OUTPUT]
