"""A run as a person reads it in a terminal of 100 columns."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from evalh.core.money import total
from evalh.core.run import FailedSample, Forecast, GraderTally, Incidents, RunRecord, RunResult, RunStatus, RunSummary
from evalh.report.terminal.console import BREAK, StyledText, columns, lines
from evalh.report.text import (
    BY_THE_HOUR,
    cost_per_good,
    dollars,
    in_clusters,
    latency,
    latency_parts,
    limits,
    milliseconds,
    one_line,
    percent,
    rate,
    safe,
    short_cost_per_good,
    unmeasured_lines,
)
from evalh.report.words import net_line

_STYLES = {"good": "green", "bad": "red", "ungraded": "yellow"}
_WIDTH = 88


def run_title(record: RunRecord) -> StyledText:
    """Name a run by its version, model and suite."""
    return StyledText.assemble((record.prompt, "bold"), " on ", (record.model, "bold"), f" · suite {record.suite}")


def show_run(console: Console, result: RunResult) -> None:
    """Print one run: the counts, the numbers, the graders, failures, and what to type next."""
    record, summary = result.record, result.summary
    console.print(run_title(record))
    console.print()
    console.print(_numbers(summary, record.trials))
    if not summary.of_incidents_alone:
        _show_parts(console, summary)
    if summary.all_errors:
        kinds = ", ".join(f"{count} × {kind}" for kind, count in summary.all_errors.items())
        console.print()
        console.print(StyledText(f"without an answer: {kinds}", style="yellow"))
    for failure in result.failures:
        _show_failure(console, failure)
    for line in unmeasured_lines([result]):
        console.print()
        console.print(StyledText(line, "red"), soft_wrap=True)
    if result.status is not RunStatus.COMPLETE:
        console.print()
        console.print(
            StyledText(f"{result.status.value} after {summary.evaluated} of {record.planned} samples", "yellow")
        )
        if result.stopped_because:
            console.print(StyledText(one_line(result.stopped_because, 300), "yellow"))


def _show_parts(console: Console, summary: RunSummary) -> None:
    if summary.pipeline is not None:
        from evalh.report.terminal.pipeline import show_pipeline

        console.print()
        show_pipeline(console, summary.pipeline)
    console.print()
    console.print(_graders(summary.graders))


def _numbers(summary: RunSummary, trials: int) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    if not summary.of_incidents_alone:
        _add_rates(table, summary, trials)
    if summary.apart.samples:
        table.add_row("incidents", _counted(summary.apart).append(", in no good rate", "dim"))
    table.add_row("spent", _spent(summary))
    if not summary.of_incidents_alone:
        table.add_row("latency", lines(latency(summary)))
    parts = latency_parts(summary.latency_parts_ms)
    if parts is not None:
        table.add_row("", StyledText(parts, "dim"))
    asked = f"{summary.calls - summary.cache_hits} asked, {summary.cache_hits} answered by the log"
    table.add_row("calls", f"{summary.calls}: {asked} · {summary.attempts} attempts")
    return table


def _counted(of: RunSummary | Incidents) -> StyledText:
    counts = [f"{of.good} good", f"{of.bad} bad", f"{of.ungraded} ungraded"]
    styles = [_STYLES[count.split()[1]] if not count.startswith("0 ") else "dim" for count in counts]
    line = StyledText(f"{of.samples}: ")
    for position, (count, style) in enumerate(zip(counts, styles, strict=True)):
        line.append(" · " if position else "").append(count, style)
    return line


def _add_rates(table: Table, summary: RunSummary, trials: int) -> None:
    table.add_row("samples", _counted(summary))
    cases = summary.samples // trials
    if summary.clusters is not None and summary.clusters < cases:
        table.add_row("cases", f"{in_clusters(cases, summary.clusters)}: similar cases count as one")
    interval = "  95 % interval" if summary.good_rate.low is not None else ""
    table.add_row("good rate", StyledText(rate(summary.good_rate), "bold").append(interval, "dim"))
    table.add_row("cost per good output", StyledText(cost_per_good(summary.cost_per_good_usd), "bold"))
    if summary.by_the_hour:
        table.add_row("", StyledText(BY_THE_HOUR, "dim"))
    if summary.downstream is not None:
        table.add_row("net cost per good", StyledText(net_line(summary.downstream), "bold"))


def _spent(*summaries: RunSummary) -> str:
    cost = total(one.cost_usd for one in summaries)
    cached = total(one.cached_cost_usd for one in summaries)
    judges = total(one.judge_cost_usd for one in summaries)
    if cost is None or cached is None:
        parts = [dollars(None)]
    else:
        parts = [dollars(cost)]
        if cached or any(one.cache_hits for one in summaries):
            parts.append(f"the log's answers cost {dollars(cached)} when they were bought")
    if judges != 0:
        parts.append(f"graders {dollars(judges)}")
    return " · ".join(parts)


def _graders(tallies: Sequence[GraderTally]) -> Table:
    table = columns("grader", ">pass", ">fail", ">abstain", ">error", "")
    for tally in tallies:
        counts = (tally.passed, tally.failed, tally.abstained, tally.erred)
        cells = [str(count) if count else StyledText("·", "dim") for count in counts]
        table.add_row(safe(tally.grader), *cells, StyledText("" if tally.required else "not required", "dim"))
    return table


def _show_failure(console: Console, failure: FailedSample) -> None:
    console.print()
    trial = f" trial {failure.trial}" if failure.trial else ""
    console.print(
        StyledText.assemble((failure.standing, _STYLES[failure.standing]), f"  {one_line(failure.case_id, 60)}{trial}")
    )
    lines = StyledText()
    for name, value in failure.inputs.items():
        text = value if isinstance(value, str) else repr(value)
        lines.append(f"{safe(name)}  ", "dim").append(one_line(text, _WIDTH - len(name))).append(BREAK)
    if failure.output is not None:
        lines.append("output  ", "dim").append(one_line(failure.output, _WIDTH - 8) or "(empty)").append(BREAK)
    if failure.error:
        lines.append(one_line(failure.error, _WIDTH), "yellow").append(BREAK)
    else:
        for grader, reason in failure.reasons:
            lines.append(f"{safe(grader)}  ", "dim").append(one_line(reason, _WIDTH - len(grader))).append(BREAK)
    lines.rstrip()
    console.print(Padding(lines, (0, 0, 0, 2)))


def show_table(console: Console, results: Sequence[RunResult]) -> None:
    """Print one line per run: every pair of version and model."""
    several = len({result.record.suite for result in results}) > 1
    promises = [">incidents"] if any(result.summary.apart.samples for result in results) else []
    numbers = (">samples", ">good", ">ungraded", "good rate", "interval", "cost per good", "p50", *promises)
    table = columns(*(["suite"] if several else []), "prompt", "model", *numbers)
    for result in results:
        summary = result.summary
        cells = [
            result.record.prompt,
            result.record.model,
            str(summary.samples),
            str(summary.good),
            str(summary.ungraded),
            percent(summary.good_rate.value),
            limits(summary.good_rate),
            short_cost_per_good(summary.cost_per_good_usd),
            milliseconds(summary.latency_p50_ms),
            *([f"{summary.apart.good}/{summary.apart.samples}"] if promises else []),
        ]
        table.add_row(*([result.record.suite] if several else []), *cells)
    console.print(table)
    summaries = [result.summary for result in results]
    if any(one.judge_cost_usd != 0 or one.cached_cost_usd for one in summaries):  # no column has these
        console.print(StyledText.assemble(("spent  ", "dim"), _spent(*summaries)))
    for line in unmeasured_lines(results):
        console.print(StyledText(line, "red"), soft_wrap=True)


def show_plans(console: Console, plans: Sequence[tuple[str, str, str, Forecast]]) -> None:
    """Print what runs would send and cost at most; plans are (suite, prompt, model, forecast)."""
    table = columns("suite", "prompt", "model", ">samples", ">in the log", ">to ask", ">each asked once", ">at most")
    for suite, prompt, model, forecast in plans:
        ceiling = "unknown" if forecast.worst_case_usd is None else dollars(forecast.worst_case_usd)
        counts = (str(forecast.samples), str(forecast.answered), str(forecast.to_ask))
        once = "unknown" if forecast.once_usd is None else dollars(forecast.once_usd)
        table.add_row(suite, prompt, model, *counts, once, ceiling)
    console.print(table)
    if any(forecast.worst_case_usd for *_, forecast in plans):
        outputs = ", outputs of functions as long as max_chars allows" if any(one[-1].by_chars for one in plans) else ""
        told = f"upper bounds: a token for each byte, answers as long as max_tokens allows{outputs}"
        console.print(StyledText(f"{told}; at most: every retry, too", "dim"))
    for reason in sorted({forecast.why_unknown for *_, forecast in plans if forecast.why_unknown}):
        console.print(StyledText(f"the worst case is unknown: {reason}", "yellow"))
    if names := sorted({name for *_, forecast in plans for name in forecast.not_called}):
        told = f"not called here: {', '.join(map(safe, names))}; the steps that read them count as asked"
        console.print(StyledText(told, "dim"))
