"""A pipeline's run in a terminal: a line for each step, the kinds of sample, and how faults spread."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from evalh.core.money import plus
from evalh.core.run import ConditionalRate, PipelineSummary, StepTally
from evalh.core.sample import SampleWord
from evalh.report.terminal.console import StyledText, columns
from evalh.report.text import dollars, milliseconds, plural, rate, safe

WORDS = {
    SampleWord.CLEAN: "clean",
    SampleWord.RECOVERED: "recovered",
    SampleWord.LATENT: "bad step, good result",
    SampleWord.UNEXPLAINED: "bad result, no bad step",
    SampleWord.POISONED: "poisoned",
    SampleWord.FAILED_AT_END: "failed at the end",
    SampleWord.NOT_KNOWN: "not known",
}
"""The word for each kind of sample, as people read it."""

_NO_RATE = {
    "few-cases": " (too few cases for a rate)",
    "not-known": " (too many unknown samples for a rate)",
}
_STYLES = {
    SampleWord.CLEAN: "green",
    SampleWord.RECOVERED: "green",
    SampleWord.POISONED: "red",
    SampleWord.FAILED_AT_END: "red",
    SampleWord.UNEXPLAINED: "red",
}


def show_pipeline(console: Console, summary: PipelineSummary) -> None:
    """Print the steps, the kinds of sample, how faults spread, and what was spent after them."""
    console.print(_steps(summary.steps))
    console.print()
    console.print(_lines(summary))


def _steps(tallies: tuple[StepTally, ...]) -> Table:
    counts = (">ran", ">skipped", ">stopped", ">given", ">failed", ">good", ">bad", ">unknown", ">first bad here")
    rows = [
        (one.ran, one.skipped, one.stopped, one.given, one.failed, one.good, one.bad, one.unknown, one.first_bad)
        for one in tallies
    ]
    used = [place for place in range(len(counts)) if place in _ALWAYS or any(row[place] for row in rows)]
    table = columns("step", *(counts[place] for place in used), ">cost", ">p50")
    for tally, row in zip(tallies, rows, strict=True):
        cells = [_count(row[place], bad=place in _BAD) for place in used]
        took = milliseconds(tally.latency_p50_ms) if tally.ran else _count(0, bad=False)
        table.add_row(safe(tally.step), *cells, _cost(tally), took)
    return table


def _cost(tally: StepTally) -> str:
    return dollars(plus(tally.cost_usd, tally.cached_cost_usd))  # an answer from the log counts at its first cost


_ALWAYS = frozenset({0, 5, 6, 8})
_BAD = frozenset({6, 8})


def _count(number: int, *, bad: bool) -> StyledText:
    return StyledText(str(number), "red" if bad else "") if number else StyledText("·", "dim")


def _lines(summary: PipelineSummary) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    if any(summary.words.values()):
        table.add_row("samples", _words(summary))
    for name, text in told_rates(summary):
        table.add_row(name, text)
    if idle := [safe(one.step) for one in summary.steps if one.skipped and not one.ran and not one.given]:
        table.add_row("never ran", f"{', '.join(idle)}: no case reached {'it' if len(idle) == 1 else 'them'}")
    return table


def _words(summary: PipelineSummary) -> StyledText:
    total = sum(summary.words.values())
    line = StyledText()
    for word, told in WORDS.items():
        count = summary.words.get(word.value, 0)
        if count:
            line.append(" · " if line else "").append(f"{count} {told}", _STYLES.get(word, ""))
            line.append(f" {100 * count / total:.0f} %", "dim")
    return line


def told_rates(summary: PipelineSummary) -> Iterator[tuple[str, str]]:
    """Yield each rate and cost of faults, with its name; nothing if there were no faults."""
    if summary.propagation.of:
        yield "propagation", _rate(summary.propagation, "steps that read something bad were bad too")
        yield "recovery", _rate(summary.recovery, "were still good")
    if summary.latent.count:
        yield "bad step, good result", _rate(summary.latent, "good samples: no harm done, or a grader is wrong")
    if summary.unexplained.count:
        yield "not explained", _rate(summary.unexplained, "bad samples: no bad step leads to the result")
    after = summary.after_bad
    if after.samples:
        lost = f" and lose {plural(after.good, 'good sample')}" if after.good else ""
        told = f"{dollars(after.usd)} spent in {plural(after.samples, 'sample')}"
        yield "after a bad step", f"{told}: stopping there would save at most that{lost}"


def _rate(one: ConditionalRate, told: str) -> str:
    found = "" if one.rate.value is None else f"{rate(one.rate)}  "
    return f"{found}{one.count} of {one.of} {told}{_NO_RATE.get(one.rate.method, '')}"
