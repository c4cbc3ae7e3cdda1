"""A run as a comment: its rate, what to look at, the cases that are not good."""

import re
from collections.abc import Iterator, Sequence

from evalh.analysis.failures import why
from evalh.core.log import RunRow, SampleStory
from evalh.report.advice import advice
from evalh.report.terminal.calibration import judge_facts
from evalh.report.text import cost_per_good, incidents, milliseconds, one_line, rate
from evalh.report.words import RunReport, pointers

_ENTITIES = {ord(char): f"&#{ord(char)};" for char in "\\`*{}[]<>#|!@~&$"}
_ROWS = 20


def code(text: str, width: int = 120) -> str:
    """Write a text as Markdown code on one line: there nothing is a link, an image or a mention."""
    flat = one_line(text, width).replace("|", "\u2502")
    longest = max((len(run) for run in re.findall("`+", flat)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") or not flat else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def prose(text: str, width: int = 400) -> str:
    """Write a sentence of ours in Markdown: names in it stay text, since what has a meaning there becomes an entity.

    What a model or a row says belongs into `code`.
    """
    return one_line(text, width).translate(_ENTITIES)


def run_markdown(report: RunReport) -> Iterator[str]:
    """Yield the lines of a comment about a run."""
    run, chosen = report.run, report.chosen
    yield f"**{code(run.record.prompt)} on {code(run.record.model)}**: {_counts(run)}"
    yield ""
    for one in pointers(run, report.failings):
        yield f"- {code(one.words, 200) if one.quotes else prose(one.words, 200)}"
    yield ""
    if len(chosen.points) > 1:
        yield "| version | model | good rate | cost per good output | median latency |"
        yield "|---|---|---|---|---|"
        for point in chosen.points:
            mark = " **←**" if point.here else ""
            doubt = "" if point.measured else " not measured"
            numbers = (f"{rate(point.summary.good_rate)}{doubt}", cost_per_good(point.summary.cost_per_good_usd))
            latency = milliseconds(point.summary.latency_p50_ms)
            names = f"{code(point.record.prompt)}{mark} | {code(point.record.model)}"
            yield f"| {names} | {' | '.join(numbers)} | {latency} |"
        yield ""
        yield " ".join(prose(sentence) for sentence in advice(chosen))
        yield ""
    yield from _missed(report.missed)
    if report.judges:
        yield ""
    for name, fact in judge_facts(report.judges).items():
        yield f"- {prose(f'{name}: {fact}', 240)}"


def _counts(run: RunRow) -> str:
    summary = run.summary
    if summary is None or not summary.evaluated:
        return "no finished sample"
    more = f" · incidents: {incidents(summary.apart)}" if summary.apart.samples else ""
    if not summary.samples:
        return f"no good rate ({run.status.value}){more}"
    counts = f"{summary.good} good, {summary.bad} bad, {summary.ungraded} ungraded of {summary.samples}"
    price = cost_per_good(summary.cost_per_good_usd)
    return f"{rate(summary.good_rate)} ({counts}; {run.status.value}) · cost per good output {price}{more}"


def _missed(missed: Sequence[SampleStory]) -> Iterator[str]:
    if not missed:
        return
    yield "| case | standing | why | output |"
    yield "|---|---|---|---|"
    for story in missed[:_ROWS]:
        sample = story.sample
        cells = (code(sample.case_id, 60), sample.standing.value, code(why(story)), code(story.output or ""))
        yield f"| {' | '.join(cells)} |"
    if len(missed) > _ROWS:
        yield f"\n{len(missed) - _ROWS} more."
