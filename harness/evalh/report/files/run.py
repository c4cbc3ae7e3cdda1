"""A run as text for other places: a comment, a spreadsheet, a build's test view. Nothing in it is live there."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from evalh.analysis.failures import why
from evalh.core.log import RunRow, SampleStory
from evalh.core.sample import Standing
from evalh.report.advice import advice
from evalh.report.terminal.calibration import judge_facts
from evalh.report.text import cost_per_good, incidents, inert, milliseconds, one_line, rate, usd
from evalh.report.words import RunReport, pointers

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORMULA = tuple("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")  # the last are full-width
_ENTITIES = {ord(char): f"&#{ord(char)};" for char in "\\`*{}[]<>#|!@~&$"}
_BLANKS = " \u00a0\u3000\ufeff"  # a spreadsheet drops them before it looks
_ROWS = 20
_CELL = 30_000  # a spreadsheet's cell holds 32,767 characters


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


def markdown(report: RunReport) -> Iterator[str]:
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
            numbers = (rate(point.summary.good_rate), cost_per_good(point.summary.cost_per_good_usd))
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


def inert_cell(text: str, longest: int | None = _CELL) -> str:
    """Make a text a spreadsheet's text: what would start a formula stands behind an apostrophe. None: not cut."""
    shown = inert(text)[:longest]
    return f"'{shown}" if shown.lstrip(_BLANKS).startswith(_FORMULA) else shown


def csv_text(stories: Iterable[SampleStory]) -> Iterator[str]:
    """Yield a run's samples as lines of CSV, a sample each."""
    heads = "case trial standing tags cost_usd latency_ms input_tokens output_tokens finish from_log why output"
    yield csv_line(heads.split())
    for story in stories:
        sample = story.sample
        spent, cached = usd(sample.cost_usd), usd(sample.cached_cost_usd)
        numbers = [
            None if spent is None or cached is None else spent + cached,
            sample.latency.total_ms,
            story.usage.input_tokens,
            story.usage.output_tokens,
        ]
        texts = (sample.finish or "", str(int(sample.cache_hit)), why(story), story.output or "")
        tags = inert_cell(" ".join(sorted(story.case.tags)))
        cells: list[str | float] = [inert_cell(sample.case_id), sample.trial, sample.standing.value, tags]
        cells += ["" if number is None else number for number in numbers]
        cells += [inert_cell(text) for text in texts]
        yield csv_line(cells)


class _Told:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


_LINES = csv.writer(_Told())


def csv_line(cells: Sequence[str | float]) -> str:
    """Write one line of CSV."""
    line: str = _LINES.writerow(cells)
    return line


def junit(run: RunRow, stories: Iterable[SampleStory]) -> Iterator[str]:
    """Yield JUnit XML: a sample is a test; failure = bad, error = ungraded."""
    summary = run.summary
    counts = (0, 0, 0)
    if summary is not None:  # incidents too: a test is a sample, and no rate
        apart = summary.apart
        counts = (summary.evaluated, summary.bad + apart.bad, summary.ungraded + apart.ungraded)
    told = f'tests="{counts[0]}" failures="{counts[1]}" errors="{counts[2]}"'
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh" {told}>\n'
    yield f"<testsuite name={attribute(run.record.suite)} {told}>\n"
    for story in stories:
        yield _test(run, story)
    yield "</testsuite>\n</testsuites>\n"


def _test(run: RunRow, story: SampleStory) -> str:
    sample = story.sample
    trial = f" trial {sample.trial}" if sample.trial else ""
    seconds = "" if sample.latency.total_ms is None else f' time="{sample.latency.total_ms / 1000:.3f}"'
    name = attribute(f"{sample.case_id}{trial}")
    head = f"<testcase classname={attribute(f'{run.record.prompt} on {run.record.model}')} name={name}{seconds}"
    if sample.standing is Standing.GOOD:
        return f"{head}/>\n"
    kind = "failure" if sample.standing is Standing.BAD else "error"
    output = escape(xml(story.output or "")[:4000])
    return f"{head}><{kind} message={attribute(why(story))}>{output}</{kind}></testcase>\n"


def xml(text: str) -> str:
    """Make a text one that XML can hold; it is to be escaped yet."""
    return _NOT_XML.sub("\ufffd", inert(text))


def attribute(text: str) -> str:
    """Quote a text for an XML attribute, cut where nobody reads on."""
    return quoteattr(xml(text)[:1000])
