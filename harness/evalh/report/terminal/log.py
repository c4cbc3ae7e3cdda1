"""What is in the log: runs, cases, samples, calls, and the bill.

One call on a time axis: every attempt, and every decision between them, with its reason.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule

from evalh.core.attempt import Completion
from evalh.core.case import ABSENT
from evalh.core.log import AttemptRow, CallRow, CaseDetail, DecisionRow, RunRow, SampleDetail
from evalh.core.run import RunResult
from evalh.core.totals import Spend, SpendBy, SpendPart
from evalh.core.verdict import told
from evalh.report.terminal.compare import show_comparison
from evalh.report.terminal.console import StyledText, block, columns
from evalh.report.terminal.gate import show_gate
from evalh.report.terminal.run import run_title, show_run
from evalh.report.terminal.steps import show_steps, verdict_lines
from evalh.report.terminal.workflow import show_traced, show_workflow
from evalh.report.text import dollars, json_line, milliseconds, one_line

_WIDTH = 62
_WORDS = {
    "retry": "sent again",
    "give_up": "given up",
    "fits": "fits",
    "repair": "fails a check",
    "unrepaired": "still fails a check",
    "fallback": "next model",
    "keep": "trusted",
    "escalate": "in doubt",
    "open": "breaker opens",
    "probe": "probe",
    "close": "breaker closes",
    "shrink": "window shrinks",
    "stop": "stopped here",
    "review": "for review by a person",
}
"""A decision in a person's words."""
_REASONS = {"retry": "retries", "repair": "repairs", "fallback": "fallbacks", "escalation": "escalations"}
"""Why attempts after a call's first were made, as columns of the bill."""


def waterfall(call: CallRow) -> Iterator[StyledText]:
    """Yield a line for each attempt and decision, in the order in which they happened."""
    events: list[tuple[float, int, AttemptRow | DecisionRow]] = [
        *((attempt.started_at, 0 if attempt.number == 1 else 2, attempt) for attempt in call.attempts),
        *((decision.at, 1, decision) for decision in call.decisions),
    ]
    events.sort(key=lambda event: event[:2])
    began = events[0][0] if events else 0.0
    several = len(call.attempts) > 1 or bool(call.decisions)
    for at, _, event in events:
        after = f"+{milliseconds(1000.0 * (at - began))}"
        offset = StyledText(f"{after:>9}  " if several else "", "dim")
        match event:
            case AttemptRow():
                yield StyledText.assemble(offset, _attempt(event))
                if event.error_kind:
                    wrong = f"   {event.error_kind}: {one_line(event.error or '', _WIDTH)}"
                    yield StyledText.assemble(" " * len(offset), (wrong, "red"))
            case DecisionRow():
                yield StyledText.assemble(offset, _decision(event))


def given_up(call: CallRow) -> str:
    """Say why a call was given up; empty if it was answered, or never had a second attempt."""
    last = call.decisions[-1] if call.decisions else None
    return str(last.detail.get("why", "")) if last is not None and last.kind == "give_up" else ""


def _attempt(attempt: AttemptRow) -> StyledText:
    usage = attempt.usage
    tokens = "" if usage.input_tokens is None else f" · {usage.input_tokens} + {usage.output_tokens} tokens"
    cost = f" · {dollars(attempt.cost_usd)}{' at most' if attempt.estimated and attempt.cost_usd is not None else ''}"
    style = "green" if attempt.status == "ok" else "red"
    line = StyledText.assemble(f"{attempt.number}. {attempt.model}  ", (attempt.status, style))
    line.append(f" · {milliseconds(attempt.latency_ms)}{tokens}{cost}")
    if attempt.reason != "first":
        line.append(f" · {attempt.reason}", "dim")
    return line


def _decision(decision: DecisionRow) -> StyledText:
    detail = decision.detail
    word = _WORDS.get(decision.kind, decision.kind)
    line = StyledText.assemble("   ", (word, "yellow" if decision.kind not in {"fits", "keep"} else "green"))
    line.append(f": {one_line(decision.reason, _WIDTH)}")
    if decision.kind == "give_up":
        line.append(f" · {one_line(str(detail.get('why', '')), _WIDTH)}")
    if decision.kind in {"fallback", "escalate"}:
        line.append(f" → {one_line(str(detail.get('to', '')), 20)}", "bold")
    if "wait_s" in detail:
        line.append(f" · waits {milliseconds(1000.0 * float(detail['wait_s']))}", "dim")
    return line


def show_unfinished(console: Console, run: RunRow) -> None:
    """Print a run that has no summary: it runs, or was killed."""
    console.print(run_title(run.record))
    console.print(StyledText(f"{run.status.value}: {run.reason or 'no summary yet'}", "yellow"))


def show_result(console: Console, result: RunResult) -> None:
    """Print a finished run as it was reported, and when and where it was run."""
    show_run(console, result)
    record = result.record
    started = datetime.fromtimestamp(record.started_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    commit = "" if record.commit is None else f" · commit {record.commit[:10]}{' with changes' if record.dirty else ''}"
    console.print()
    console.print(StyledText(f"{record.id} · {started} · evalh {record.evalh_version}{commit}", "dim"))


def show_case(console: Console, case: CaseDetail) -> None:
    """Print a case as one run saw it: every trial's request, answer and verdicts."""
    record = case.run.record
    console.print(StyledText.assemble((case.case_id, "bold"), f"  {record.prompt} on {record.model} · {record.id}"))
    for sample in case.samples:
        show_sample(console, sample)


def show_sample(console: Console, detail: SampleDetail) -> None:
    sample = detail.sample
    console.print()
    title = f"{sample.standing.value} · trial {sample.trial}" if sample.trial else sample.standing.value
    console.print(Rule(title, align="left", style="dim"))
    if detail.case.expected is not ABSENT:
        console.print(StyledText.assemble(("expected  ", "dim"), json_line(detail.case.expected)))
    if detail.case.tags:
        console.print(StyledText.assemble(("tags  ", "dim"), ", ".join(sorted(detail.case.tags))))
    for graded in sample.verdicts:
        for line in verdict_lines(graded):
            console.print(line)
    if sample.steps:
        show_steps(console, detail)
        return
    for call in detail.calls:
        show_call(console, call)


def show_call(console: Console, call: CallRow) -> None:
    """Print a call: the messages as they were sent, every attempt, the answer."""
    for message in call.messages or ():
        console.print(Rule(str(message["role"]), align="left", style="dim"))
        for part in message["parts"]:
            console.print(block(part if isinstance(part, str) else json_line(part)))
    if call.answer is not None and call.answer.completion is not None:
        _show_answer(console, call.answer.completion)
    step = f" · {one_line(call.step, 24)}" if call.step else ""
    console.print(Rule(f"call {call.id}{step}", align="left", style="dim"))
    if call.cache_hit and call.answer is not None:
        console.print(StyledText(f"answered by the log: attempt {call.answer.id}", "dim"))
    for line in waterfall(call.origin or call):
        console.print(Padding(line, (0, 0, 0, 2)))


def _show_answer(console: Console, completion: Completion) -> None:
    if completion.reasoning:
        console.print(Rule("reasoning, not graded", align="left", style="dim"))
        console.print(block(completion.reasoning, "dim"))
    console.print(Rule("answer", align="left", style="dim"))
    cause = told(completion)
    if completion.text.strip():
        console.print(block(completion.text))
    elif cause is None and not completion.tool_calls:
        console.print(StyledText("(empty)", "dim"))
    if cause is not None:
        console.print(StyledText(cause, "yellow"))
    for asked in completion.tool_calls:
        console.print(block(f"{asked.name}({asked.arguments})"))


def show_calls(console: Console, calls: Sequence[CallRow]) -> None:
    if not calls:
        console.print("no such calls")
        return
    table = columns("call", "case", "status", ">attempts", ">latency", ">cost", "what went wrong")
    for call in calls:
        last = call.attempts[-1] if call.attempts else call.answer
        status = "from the log" if call.cache_hit else last.status if last else "nothing sent"
        failed = f"{last.error_kind}: {last.error}" if last is not None and last.error_kind else ""
        wrong = " · ".join(filter(None, (given_up(call), failed)))
        took = call.latency.total_ms if call.latency.whole else None if last is None else last.latency_ms
        latency = milliseconds(took) if last is not None else ""
        which = (f" trial {call.trial}" if call.trial else "") + (f" · {one_line(call.step, 24)}" if call.step else "")
        cells = (str(len(call.attempts)), latency, dollars(call.cost_usd), one_line(wrong, 100))
        table.add_row(call.id, one_line(call.case_id, 24) + which, status, *cells)
    console.print(table)


def show_cost(console: Console, by: SpendBy, lines: Sequence[Spend]) -> None:
    """Print the bill, a line for each group; what has no price is said beside the sum."""
    if not lines:
        console.print("no calls in that time")
        return
    purposes = sorted(
        {purpose for line in lines for purpose in line.by_purpose}, key=lambda name: (name != "task", name)
    )
    purposes = purposes if len(purposes) > 1 else []
    reasons = {reason: name for reason, name in _REASONS.items() if any(reason in line.by_reason for line in lines)}
    amounts = ("total", *purposes, *reasons.values(), "saved by the log", "attempts")
    table = columns(by.value, *(f">{name}" for name in amounts))
    for line in lines:
        parts = [line.by_purpose.get(purpose, SpendPart()) for purpose in purposes]
        parts += [line.by_reason.get(reason, SpendPart()) for reason in reasons]
        total = _amount(SpendPart(line.priced_usd, line.unpriced))
        table.add_row(
            one_line(line.group, 32), total, *map(_amount, parts), dollars(line.saved_usd), f"{line.attempts:,}"
        )
    console.print(table)
    unpriced = sum(line.unpriced for line in lines)
    if unpriced:
        console.print(StyledText(f"{unpriced:,} attempts have no price", "yellow"))
    estimated = sum((line.estimated_usd for line in lines), Decimal(0))
    if estimated:
        console.print(StyledText(f"{dollars(estimated)} of it is estimated: sent, but not answered", "dim"))


def _amount(part: SpendPart) -> str:
    """Write a part of the bill; where attempts have no price it is at least the sum of the others."""
    if part.unpriced and part.priced_usd:
        return f"at least {dollars(part.priced_usd)}"
    return dollars(part.usd)


SHOW: Mapping[str, Callable[[Console, Any], None]] = {
    "run": show_result,
    "unfinished": show_unfinished,
    "compare": show_comparison,
    "gate": show_gate,
    "case": show_case,
    "sample": show_sample,
    "call": show_call,
    "workflow": show_workflow,
    "traced": show_traced,
}
"""How each kind of thing that an id may name is printed."""
