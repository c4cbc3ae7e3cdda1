"""Where a pipeline's samples went wrong, below the numbers of its run: each step, each kind of sample, what it cost."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from evalh.core.money import plus
from evalh.core.run import ConditionalRate, PipelineSummary, SpentAfterBad, StepTally
from evalh.core.sample import SampleWord, StepState
from evalh.report.text import StyledText, columns, dollars, milliseconds, one_line, percent, plural, rate

_NAME = 24
_STATES = (StepState.RAN, StepState.SKIPPED, StepState.STOPPED, StepState.GIVEN, StepState.FAILED)
_WORDS = {
    SampleWord.CLEAN: ("clean", "green"),
    SampleWord.RECOVERED: ("recovered", "green"),
    SampleWord.LATENT: ("bad step, good result", "yellow"),
    SampleWord.UNEXPLAINED: ("bad result, no bad step", "red"),
    SampleWord.POISONED: ("poisoned", "red"),
    SampleWord.FAILED_AT_END: ("failed at the end", "red"),
    SampleWord.NOT_KNOWN: ("not known", "yellow"),
}


def show_faults(console: Console, pipeline: PipelineSummary) -> None:
    """Print the steps of a run, and what became of their faults."""
    console.print(_steps(pipeline.steps))
    console.print()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    for number, line in enumerate(_kinds(pipeline)):
        table.add_row("" if number else "samples", line)
    table.add_row("propagation", f"{_rate(pipeline.propagation)} steps that read a bad output are bad")
    table.add_row("recovery", f"{_rate(pipeline.recovery)} are good")
    table.add_row("spent too late", _spent(pipeline.after_bad))
    console.print(table)


def _steps(steps: tuple[StepTally, ...]) -> Table:
    """Set up a row for each step; a column of zeros but for `ran` is left out."""
    states = [one for one in _STATES if one is StepState.RAN or any(getattr(step, one.value) for step in steps)]
    unknown = any(step.unknown for step in steps)
    counted = [*(one.value for one in states), "good", "bad", *(["unknown"] if unknown else []), "first_bad"]
    names = (f">{name.replace('_', ' ')}" for name in counted)
    table = columns("step", *names, ">cost", ">p50")
    for step in steps:
        counts = [getattr(step, name) for name in counted]
        cells = [str(count) if count else StyledText("·", "dim") for count in counts]
        cost = dollars(plus(step.cost_usd, step.cached_cost_usd))
        p50 = "" if step.latency_p50_ms is None else milliseconds(step.latency_p50_ms)
        table.add_row(one_line(step.step, _NAME), *cells, cost, p50)
    return table


def _kinds(pipeline: PipelineSummary) -> Iterator[StyledText]:
    samples = sum(pipeline.words.values())
    for word, (name, style) in _WORDS.items():
        if count := pipeline.words[word.value]:
            yield StyledText(f"{percent(count / samples):>7}  ").append(name, style).append(f"  {count:,}", "dim")


def _rate(one: ConditionalRate) -> str:
    if one.rate.value is not None:
        return f"{rate(one.rate)}  {one.count} of {one.of}"
    why = {"not-known": " (too many samples are not known for a rate)", "few-cases": " (too few cases for a rate)"}
    return f"{one.count} of {one.of}{why[one.rate.method]}"


def _spent(after: SpentAfterBad) -> str:
    if not after.samples:
        return "nothing behind a bad step"
    lost = plural(after.good, "good output") if after.good else "no good output"
    where = f"{dollars(after.usd)} behind a bad step, in {plural(after.samples, 'sample')}"
    return f"{where}: a bound on what stopping there saves; it loses {lost}"
