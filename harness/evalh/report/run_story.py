"""A run's report in the terminal, and as a document: what the page tells, without its samples."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evalh.analysis.failings import Failings
from evalh.analysis.tradeoff import TradeOff
from evalh.core.digest import JsonValue
from evalh.core.log import RunRow
from evalh.core.run import Estimate, RunResult
from evalh.report.advice import advice
from evalh.report.document import run_document
from evalh.report.log import show_result
from evalh.report.page_words import pointers, verdict
from evalh.report.text import milliseconds, one_line, percent, safe, short_cost_per_good

_BAR = 24


def show_story(console: Console, result: RunResult, failings: Failings, chosen: TradeOff) -> None:
    """Print a finished run: its numbers, which version to ship, where it fails."""
    show_result(console, result)
    console.print(Text("\nwhich should I ship?", "bold"))
    for sentence in advice(chosen):
        console.print(Text(safe(sentence)))
    if len(chosen.points) > 1:
        console.print()
        console.print(_points(chosen))
    console.print(Text("\nwhere it fails", "bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(justify="right")
    for reason in failings.reasons():
        table.add_row(f"{reason.count:,}", safe(reason.grader or "no answer"), one_line(reason.text, 70))
    console.print(table if table.row_count else Text("nowhere", "dim"))
    worst = failings.heat().worst()
    if worst is not None:
        grader, tag, missed, total = worst
        console.print(Text(safe(f"tagged {tag}: {grader} does not pass on {missed:,} of {total:,}"), "yellow"))


def _points(chosen: TradeOff) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("version", "model", "good rate", "0 % … 100 %", "cost per good", "p50", ""):
        table.add_column(column)
    for point in chosen.points:
        summary = point.summary
        marks = f"{'front' if point.front else ''} {'this run' if point.here else ''}".strip()
        cells = (
            percent(summary.good_rate.value),
            bar(summary.good_rate),
            short_cost_per_good(summary.cost_per_good_usd),
        )
        name, model = one_line(point.record.prompt, 24), one_line(point.record.model, 16)
        table.add_row(name, model, *cells, milliseconds(summary.latency_p50_ms), marks)
    return table


def bar(rate: Estimate) -> str:
    """Draw a rate and its interval on a line from 0 to 1."""
    if rate.value is None or rate.low is None or rate.high is None:
        return ""
    low, value, high = (round(limit * (_BAR - 1)) for limit in (rate.low, rate.value, rate.high))
    return "".join("●" if place == value else "─" if low <= place <= high else "·" for place in range(_BAR))


def story_document(result: RunResult, run: RunRow, failings: Failings, chosen: TradeOff) -> dict[str, JsonValue]:
    """Return the document of `evalh report --format json`."""
    heat = failings.heat()
    return {
        "schema": "evalh.report/1",
        "verdict": verdict(run),
        "look_at": [one.words for one in pointers(run, failings)],
        "run": run_document([result])["results"][0],
        "advice": advice(chosen),
        "versions": [
            {
                "run": point.record.id,
                "prompt": point.record.prompt,
                "model": point.record.model,
                "good_rate": point.summary.good_rate.document(),
                "cost_per_good_usd": point.summary.cost_per_good_usd.document(),
                "front": point.front,
            }
            for point in chosen.points
        ],
        "reasons": [{"grader": one.grader, "reason": one.text, "count": one.count} for one in failings.reasons()],
        "missed": [
            {
                "grader": grader,
                "tag": tag or None,
                "missed": heat.missed.get((grader, tag), 0),
                "samples": heat.totals[tag],
            }
            for grader in heat.graders
            for tag in heat.tags
        ],
    }
