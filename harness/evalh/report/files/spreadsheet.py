"""CSV for a spreadsheet: a run's samples, a comparison's cases, a table of the log. No cell of it is a formula.

Texts of samples are cut where a cell ends; those of a table are whole.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain

from evalh.analysis.failures import why
from evalh.core.log import SampleStory
from evalh.core.tables import Cell, TableRows
from evalh.report.text import inert, usd
from evalh.report.words import OnBothSides

_FORMULA = tuple("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")  # the last are full-width
_BLANKS = " \u00a0\u3000\ufeff"  # a spreadsheet drops them before it looks
_CELL = 30_000  # a spreadsheet's cell holds 32,767 characters


def inert_cell(text: str, longest: int | None = _CELL) -> str:
    """Make a text a spreadsheet's text: what would start a formula stands behind an apostrophe. None: not cut."""
    shown = inert(text)[:longest]
    return f"'{shown}" if shown.lstrip(_BLANKS).startswith(_FORMULA) else shown


class _Told:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


_LINES = csv.writer(_Told())


def _csv_line(cells: Sequence[str | float]) -> str:
    """Write one line of CSV."""
    line: str = _LINES.writerow(cells)
    return line


def run_csv(stories: Iterable[SampleStory]) -> Iterator[str]:
    """Yield a run's samples as lines of CSV, a sample each."""
    heads = "case trial standing tags cost_usd latency_ms input_tokens output_tokens finish from_log why output"
    yield _csv_line(heads.split())
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
        yield _csv_line(cells)


def comparison_csv(both: Iterable[OnBothSides]) -> Iterator[str]:
    """Yield a comparison as lines of CSV: a case and trial each, both sides beside each other."""
    heads = "case trial change base_standing head_standing base_latency_ms head_latency_ms base_why head_why"
    yield _csv_line([*heads.split(), "base_output", "head_output"])
    for one in both:
        sides = zip(_cells(one.base), _cells(one.head), strict=True)
        yield _csv_line([inert_cell(one.case_id), one.trial, one.change, *chain.from_iterable(sides)])


def _cells(story: SampleStory | None) -> tuple[str | float, ...]:
    if story is None:
        return "", "", "", ""
    latency = story.sample.latency.total_ms
    told = (inert_cell(why(story)), inert_cell(story.output or ""))
    return story.sample.standing.value, "" if latency is None else latency, *told


def table_csv(table: TableRows) -> Iterator[str]:
    """Yield the lines of a table of the log: names first, times in UTC. Unknown is an empty cell."""
    yield _csv_line([column.name for column in table.columns])
    for row in table.rows:
        yield _csv_line([_cell(value) for value in row])


def _cell(value: Cell) -> str | float:
    match value:
        case None:
            return ""
        case bool():
            return int(value)
        case str():
            return inert_cell(value, None)
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
        case Decimal():
            return f"{value:f}"
        case _:
            return value
