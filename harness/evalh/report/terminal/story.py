"""A run's report in the terminal: what the page tells, without its samples."""

from rich.console import Console
from rich.table import Table

from evalh.analysis.confusion import LabelConfusion
from evalh.analysis.history import History, Moment
from evalh.analysis.tradeoff import Point, TradeOff
from evalh.core.run import Estimate, RunResult
from evalh.report.advice import advice
from evalh.report.terminal.console import GAP, StyledText, columns
from evalh.report.terminal.log import show_result
from evalh.report.text import milliseconds, one_line, percent, safe, short_cost_per_good
from evalh.report.words import RunReport

_BAR = 24
_MOMENTS = 12
_LABEL = 14
_MISTAKES = 10


def show_story(console: Console, result: RunResult, report: RunReport) -> None:
    """Print a finished run: its numbers, which version to ship, what was measured before, where it fails."""
    failings, chosen = report.failings, report.chosen
    show_result(console, result)
    console.print()
    console.print(StyledText("which should I ship?", "bold"))
    for sentence in advice(chosen):
        console.print(StyledText(sentence))
    if len(chosen.points) > 1:
        console.print()
        console.print(_points(chosen))
    if len(report.past.moments) > len(chosen.points):
        console.print()
        console.print(StyledText("history", "bold"))
        console.print(_history(report.past))
    console.print()
    console.print(StyledText("where it fails", "bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(justify="right")
    for reason in failings.reasons():
        table.add_row(f"{reason.count:,}", safe(reason.grader or "no answer"), one_line(reason.text, 70))
    console.print(table if table.row_count else StyledText("nowhere", "dim"))
    if report.confusion is not None:
        console.print()
        console.print(StyledText("which labels it confuses", "bold"))
        _show_confusion(console, report.confusion)
    worst = failings.heat().worst()
    if worst is not None:
        grader, tag, missed, total = worst
        console.print(StyledText(safe(f"tagged {tag}: {grader} does not pass on {missed:,} of {total:,}"), "yellow"))


def _show_confusion(console: Console, confusion: LabelConfusion) -> None:
    """Print the matrix where it has room, else the most frequent mistakes."""
    heads = [one_line(said, _LABEL) for said in confusion.said]
    if sum(len(head) + GAP for head in heads) + _LABEL + len("found") + 2 * GAP > console.width:
        table = columns("gold", "said", ">samples")
        for gold, said, count in confusion.mistakes()[:_MISTAKES]:
            table.add_row(one_line(gold, 30), one_line(said, 30), f"{count:,}")
        console.print(table)
        return
    table = columns("gold", *(f">{head}" for head in heads), ">found")
    for gold in confusion.golds:
        cells = [_confused(confusion, gold, said) for said in confusion.said]
        table.add_row(one_line(gold, _LABEL), *cells, percent(confusion.found(gold).value))
    console.print(table)


def _confused(confusion: LabelConfusion, gold: str, said: str) -> StyledText:
    count = confusion.counts.get((gold, said), 0)
    return StyledText(f"{count:,}" if count else "·", "dim" if not count else "green" if gold == said else "red")


def _points(chosen: TradeOff) -> Table:
    table = columns("version", "model", "good rate", "0 % … 100 %", "cost per good", "p50", "")
    for point in chosen.points:
        summary = point.summary
        marks = _marks(point, "this run")
        cells = (
            percent(summary.good_rate.value),
            bar(summary.good_rate),
            short_cost_per_good(summary.cost_per_good_usd),
        )
        name, model = one_line(point.record.prompt, 24), one_line(point.record.model, 16)
        table.add_row(name, model, *cells, milliseconds(summary.latency_p50_ms), marks)
    return table


def _history(past: History) -> Table:
    table = columns("version", "commit", "model", "good rate", "0 % … 100 %", "cost per good", "")
    for moment in past.moments[-_MOMENTS:]:
        summary = moment.summary
        name, model = one_line(moment.version, 16), one_line(moment.record.model, 16)
        rate, cost = percent(summary.good_rate.value), short_cost_per_good(summary.cost_per_good_usd)
        table.add_row(name, moment.mark, model, rate, bar(summary.good_rate), cost, _marks(moment, "this version"))
    return table


def _marks(one: Point | Moment, here: str) -> str:
    front = isinstance(one, Point) and one.front
    marks = ("front" if front else "", "" if one.measured else "not measured", here if one.here else "")
    return " ".join(filter(None, marks))


def bar(rate: Estimate) -> str:
    """Draw a rate and its interval on a line from 0 to 1."""
    if rate.value is None or rate.low is None or rate.high is None:
        return ""
    low, value, high = (round(limit * (_BAR - 1)) for limit in (rate.low, rate.value, rate.high))
    return "".join("●" if place == value else "─" if low <= place <= high else "·" for place in range(_BAR))
