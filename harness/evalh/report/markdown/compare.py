"""A comparison as a comment: both sides, and the cases that changed."""

from collections.abc import Iterable, Iterator

from evalh.analysis.failures import why
from evalh.core.log import SampleStory
from evalh.report.markdown.run import code
from evalh.report.terminal.compare import ComparisonView, labels, points, sentence, told_incidents
from evalh.report.text import cost_per_good, milliseconds, rate
from evalh.report.words import OnBothSides, sides_differ

_ROWS = 20


def comparison_markdown(view: ComparisonView, both: Iterable[OnBothSides]) -> Iterator[str]:
    """Yield the lines of a comment about a comparison."""
    comparison = view.comparison
    base, head = labels(comparison)
    yield f"**{code(base)} → {code(head)}**: {code(sentence(comparison).plain, 300)}"
    yield ""
    yield code(sides_differ(comparison), 300)
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


def _changed(changed: list[OnBothSides]) -> Iterator[str]:
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
