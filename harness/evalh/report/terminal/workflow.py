"""A traced workflow in a terminal: its steps and calls on a time axis, and what went wrong; a list of traced calls."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from rich.console import Console
from rich.rule import Rule

from evalh.analysis.outline import OutlineLine, outline
from evalh.core.production import (
    ProductionCall,
    Spent,
    TracedItem,
    WorkflowDetail,
    WorkflowGrade,
    WorkflowLine,
    WorkflowList,
)
from evalh.core.sample import Standing
from evalh.report.documents.incoming import ImportDocument
from evalh.report.terminal.console import GAP, StyledText, block, columns, fit
from evalh.report.terminal.steps import story_sentence
from evalh.report.text import dollars, json_line, milliseconds, one_line, plural, show_command
from evalh_trace.records import Call, Feedback, Score, Step

T = TypeVar("T")

_BAR = 24
_LEAST_BAR = 8
_NAME = 36
_SAID = 200
_LEAST_SAID = 20
_LEAST = 8
_MOST_LINES = 1_000  # steps and calls that somebody may read in a terminal
_MOST_SAID = 20  # votes, and scores
_LONG = 2_000  # characters of one content that is shown whole
_WORDS = {"feedback": "vote"}
_STANDINGS = {Standing.GOOD: "green", Standing.BAD: "red", Standing.UNGRADED: "yellow"}
_STYLES = {"ok": "green", "error": "red", "interrupted": "yellow"}


def show_workflow(console: Console, detail: WorkflowDetail) -> None:
    """Print a workflow: a line for each step and call, then what came in, what came out, and what was said of it."""
    workflow = detail.workflow
    console.print(_title(detail))
    about = [("session", workflow.session), ("user", workflow.user), ("tags", ", ".join(workflow.tags) or None)]
    if told := [f"{name} {one_line(value, 40)}" for name, value in about if value]:
        console.print(StyledText(" · ".join(told), "dim"))
    if workflow.error:
        console.print(StyledText(one_line(workflow.error, 200), "red"))
    for grade in detail.grades:
        console.print(_grade(grade), soft_wrap=True)
    _content(console, "inputs", workflow.inputs)
    lines = outline(detail)
    if lines:
        _show_outline(console, detail, lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        left = f"the first {_MOST_LINES:,} of {len(lines):,} steps and calls; the rest: evalh sql --production"
        console.print(StyledText(left, "yellow"))
    _content(console, "output", workflow.output)
    _show_said(console, "score", [one for one in detail.scores if one.step_id is None], _score)
    _show_said(console, "vote", detail.feedback, _vote)


def _grade(grade: WorkflowGrade) -> StyledText:
    by = f"  by {one_line(grade.prompt, _NAME)} in suite {one_line(grade.suite, _NAME)}"
    story = "" if grade.story is None else f"  {grade.story.word}: {story_sentence(grade.story)}"
    where = f"  {show_command(grade.sample_id, 2 * _NAME)}"
    return StyledText.assemble(
        "graded ", (grade.standing.value, _STANDINGS[grade.standing]), (by, "dim"), story, (where, "dim")
    )


def _show_said(console: Console, what: str, said: Sequence[T], words: Callable[[T], StyledText]) -> None:
    """Print scores or votes: the first ones, and how many more there are."""
    for one in said[:_MOST_SAID]:
        console.print(words(one))
    left = len(said) - _MOST_SAID
    if left > 0:
        told = f"and {plural(left, f'{what} more', f'{what}s more')}: evalh sql --production"
        console.print(StyledText(told, "yellow"))


def show_import(console: Console, found: ImportDocument) -> None:
    """Print what came of a file: its form, how much there was, which lines could not be read."""
    counted = [(_WORDS.get(name, name), count) for name, count in found.counts.items() if name != "attempt"]
    what = ", ".join(plural(count, word) for word, count in counted) or "nothing"
    console.print(StyledText(f"{found.file}: {found.form}: {what}"), soft_wrap=True)
    if found.repeated:
        console.print(StyledText(f"{plural(found.repeated, 'repeated line')}: each counts once", "dim"))
    if not found.content:
        note = "content is off: messages, inputs and outputs were left out ([trace] content = true keeps them)"
        console.print(StyledText(note, "yellow"), soft_wrap=True)
    if found.dropped:
        console.print(
            StyledText(f"{plural(found.dropped, 'content')} dropped: the redactor could not read them", "yellow")
        )
    if found.not_here:
        votes = plural(found.not_here, "vote")
        names = ", ".join(one_line(name, _NAME) for name in found.unknown)
        console.print(StyledText(f"{votes} of workflows that are not here: {names}", "yellow"), soft_wrap=True)
    for one in found.mistakes:
        console.print(StyledText(f"{one.where}: {one_line(one.what, _SAID)}", "red"), soft_wrap=True)
    if found.bad_lines > len(found.mistakes):
        console.print(StyledText(f"… and {found.bad_lines - len(found.mistakes)} more lines", "red"))
    if found.bad_lines:
        console.print(StyledText(f"{plural(found.bad_lines, 'line')} could not be read; the others are kept"))


def show_traced(console: Console, traced: TracedItem) -> None:
    """Print one step or call whole: what it was given, what it gave."""
    detail, item = traced.detail, traced.item
    console.print(StyledText.assemble((one_line(item.id, 80), "bold"), f"  of {one_line(detail.workflow.name, 40)}"))
    if isinstance(item, Step):
        console.print(StyledText(f"{item.kind} {one_line(item.name, 60)}"))
        _whole(console, "inputs", item.inputs)
        _whole(console, "output", item.output)
        if item.error:
            _whole(console, "error", item.error)
        _show_said(console, "score", [one for one in detail.scores if one.step_id == item.id], _score)
        return
    for message in item.messages or ():
        _message(console, message)
    for attempt in detail.attempts:
        if attempt.call_id == item.id:
            console.print(Rule(f"attempt {attempt.number or 'unknown'}: {attempt.status}", align="left", style="dim"))
            if attempt.error_kind or attempt.error:
                console.print(StyledText(one_line(_failure(attempt.error_kind, attempt.error), 200), "red"))
            if attempt.text:
                console.print(block(attempt.text))


def _title(detail: WorkflowDetail) -> StyledText:
    workflow = detail.workflow
    status = workflow.status or "not ended"
    title = StyledText.assemble((one_line(workflow.name, 60), "bold"), "  ", (status, _STYLES.get(status, "yellow")))
    parts = []
    if workflow.ended_at is not None and workflow.ended_at > workflow.started_at:
        parts.append(milliseconds(1000.0 * (workflow.ended_at - workflow.started_at)))
    if detail.steps:
        parts.append(plural(len(detail.steps), "step"))
    if detail.calls:
        parts.append(plural(len(detail.calls), "call"))
        parts.append(dollars(_cost(detail)))
    begun = datetime.fromtimestamp(workflow.started_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    door = workflow.door if workflow.dialect is None else f"{workflow.door}, {workflow.dialect}"
    parts += [begun, f"by {one_line(door, 30)}", one_line(workflow.id, 40)]
    return title.append("".join(f" · {part}" for part in parts), "dim")


def _cost(detail: WorkflowDetail) -> float | None:
    """Sum what all attempts cost; None if one of them is unknown, or a call has none."""
    costs = [attempt.cost_usd for attempt in detail.attempts]
    answered = {attempt.call_id for attempt in detail.attempts}
    if any(call.id not in answered for call in detail.calls):
        return None
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _show_outline(console: Console, detail: WorkflowDetail, lines: Sequence[OutlineLine]) -> None:
    whole = max((line.begin_s + line.took_s for line in lines if None not in (line.begin_s, line.took_s)), default=0.0)  # type: ignore[operator]
    timed = whole > 0
    with_calls = bool(detail.calls)
    rows: list[list[StyledText]] = []
    number = 0  # of steps alone: a call has none
    for line in lines:
        took = [StyledText("" if line.took_s is None else milliseconds(1000 * line.took_s))] if timed else []
        rows.append([_name(line, number), *took, *map(StyledText, _counts(line) if with_calls else ())])
        number += isinstance(line.item, Step)
    titles = ["step", *((">took",) if timed else ()), *((">tokens", ">cost", ">attempts") if with_calls else ())]
    table = columns(titles[0], *([""] if timed else []), *titles[1:], "")
    needed = sum(max(len(title), *(row[at].cell_len for row in rows)) + GAP for at, title in enumerate(titles))
    bar = min(_BAR, max(_LEAST_BAR, console.width - needed - 2 * GAP - _LEAST_SAID))
    for line, (name, *counted) in zip(lines, rows, strict=True):
        table.add_row(name, *([_bar(line, whole, bar)] if timed else []), *counted, _said(line))
    fit(console, table, _LEAST)
    console.print(table)


def _name(line: OutlineLine, number: int) -> StyledText:
    item = line.item
    indent = "  " * min(line.depth, 8)
    if isinstance(item, Call):
        model = (item.settings or {}).get("model") or next((one.model for one in line.attempts if one.model), None)
        return StyledText(f"{indent}{item.operation} {one_line(str(model or item.provider or ''), _NAME)}", "dim")
    place = f"{item.position if item.position is not None else number} "
    kind = "" if item.kind in ("step", "agent") else f" ({item.kind})"
    return StyledText.assemble((f"{indent}{place}", "dim"), f"{one_line(item.name, _NAME)}{kind}")


def _bar(line: OutlineLine, whole: float, width: int) -> StyledText:
    if line.begin_s is None or line.took_s is None:
        return StyledText()
    begin, end = (round(width * at / whole) for at in (line.begin_s, line.begin_s + line.took_s))
    failed = line.item.status == "error" if isinstance(line.item, Step) else _failed(line)
    return StyledText.assemble(" " * min(begin, width - 1), ("█" * max(1, end - begin), "red" if failed else "dim"))


def _failed(line: OutlineLine) -> bool:
    return bool(line.attempts) and line.attempts[-1].status == "error"


def _counts(line: OutlineLine) -> tuple[str, str, str]:
    item = line.item
    if isinstance(item, Step):
        return "", "", ""
    pairs = [(one.input_tokens, one.output_tokens) for one in line.attempts if one.input_tokens is not None]
    tokens = f"{sum(sent for sent, _ in pairs)} → {sum(got or 0 for _, got in pairs)}" if pairs else ""
    costs = [one.cost_usd for one in line.attempts]
    cost = None if None in costs or not costs else sum(one for one in costs if one is not None)
    return tokens, dollars(cost), "unknown" if item.attempts is None else str(item.attempts)


def _said(line: OutlineLine) -> StyledText:
    """Say what was wrong with it, otherwise how what it gave begins."""
    item = line.item
    wrong = [f"{one.name}: {one.text or one.outcome}" for one in line.scores if one.outcome == "fail"]
    if isinstance(item, Step):
        wrong += [item.error or "error"] if item.status == "error" else []
        gave = item.output
    else:
        failures = [_failure(one.error_kind, one.error) for one in line.attempts if one.status == "error"]
        gave = next((one.text for one in reversed(line.attempts) if one.text), None)
        if failures and not _failed(line):
            answered = f"answered after {plural(len(failures), 'failed attempt')}: {gave or ''}"
            return StyledText(one_line(answered, _SAID), "dim")
        wrong += failures
    if wrong:
        return StyledText(one_line(" · ".join(wrong), _SAID), "red")
    if gave is None:
        state = item.attributes.get("state") if isinstance(item, Step) else None  # of an ask: it may not have run
        return StyledText(one_line(state, _SAID) if isinstance(state, str) else "", "dim")
    return StyledText(one_line(gave if isinstance(gave, str) else json_line(gave), _SAID), "dim")


def _failure(kind: str | None, text: str | None) -> str:
    return ": ".join(part for part in (kind, text) if part) or "error"


def _content(console: Console, name: str, value: object) -> None:
    if value is not None:
        text = value if isinstance(value, str) else json_line(value)
        console.print(StyledText.assemble((f"{name}  ", "dim"), one_line(text, _LONG)))


def _whole(console: Console, name: str, value: object) -> None:
    if value is not None:
        console.print(Rule(name, align="left", style="dim"))
        console.print(block(value if isinstance(value, str) else json_line(value)))


def _message(console: Console, message: object) -> None:
    if isinstance(message, dict):
        console.print(Rule(one_line(str(message.get("role")), 20), align="left", style="dim"))
        for part in message.get("parts") or ():
            console.print(block(part if isinstance(part, str) else json_line(part)))


def _score(score: Score) -> StyledText:
    style = {"fail": "red", "pass": "green"}.get(score.outcome or "", "yellow")
    value = score.outcome or ("" if score.score is None else f"{score.score:g}")
    source = f" ({one_line(score.source, 30)})" if score.source else ""
    return StyledText.assemble(
        (f"{value:6s}", style), f"{one_line(score.name, 40)}{source}  ", (score.text or "", "dim")
    )


def _vote(vote: Feedback) -> StyledText:
    said = {True: ("good", "green"), False: ("bad", "red"), None: (one_line(vote.kind, 20), "yellow")}[vote.good]
    return StyledText.assemble("a user: ", said, f"  {one_line(vote.note or '', 200)}")


def show_traced_calls(console: Console, calls: Sequence[ProductionCall]) -> None:
    """Print production's calls, a line each."""
    if not calls:
        console.print("no such calls")
        return
    table = columns(
        "call", "workflow", "version", "model", "status", ">attempts", ">latency", ">cost", "what went wrong"
    )
    for one in calls:
        call, last = one.call, one.answer
        wrong = "" if last is None or last.status != "error" else _failure(last.error_kind, last.error)
        table.add_row(
            one_line(call.id, 49),
            one_line(one.workflow, 24),
            one_line(", ".join(one.versions), 32),
            one_line(str((call.settings or {}).get("model") or ""), 24),
            (last.status if last is not None else None) or "unknown",
            "unknown" if call.attempts is None else str(call.attempts),
            milliseconds(call.latency_ms),
            dollars(one.cost_usd),
            one_line(wrong, 80),
        )
    console.print(table)


def show_spent(console: Console, lines: Sequence[Spent]) -> None:
    """Print production's bill, a line for each name."""
    if not lines:
        console.print("no workflows in that time")
        return
    table = columns("production", ">total", ">workflows", ">calls", ">of all")
    for one in lines:
        total = f"at least {dollars(one.usd)}" if one.unpriced and one.usd else dollars(one.usd)
        total = "not priced" if one.unpriced == one.workflows else total
        sampled = round(one.stands_for) != one.workflows
        of_all = f"about {dollars(one.usd_of_all)} for {one.stands_for:,.0f}" if sampled else ""
        table.add_row(one_line(one.name, 32), total, f"{one.workflows:,}", f"{one.calls:,}", of_all)
    console.print(table)
    if any(one.unpriced for one in lines):
        count = sum(one.unpriced for one in lines)
        console.print(StyledText(f"{plural(count, 'workflow')} with a call that has no price", "yellow"))


def _wrong(one: WorkflowLine) -> str:
    """Say what is known to be wrong with a workflow: its own error, its first bad step, what users said."""
    first = one.first_failure
    parts = [one.error or ""]
    if first is not None:
        parts.append(f"{first.step}: {first.reason or 'failed'}")
    if one.bad_votes:
        parts.append(f"{one.bad_votes} × thumbs down")
    return " · ".join(filter(None, parts))


def show_workflows(console: Console, found: WorkflowList) -> None:
    """Print workflows, a line each."""
    if not found.lines:
        console.print("no such workflows")
        return
    table = columns("workflow", "name", "status", "when", ">took", ">calls", ">cost", "what went wrong")
    for one in found.lines:
        took = None if one.ended_at is None else 1000.0 * max(0.0, one.ended_at - one.started_at)
        status = one.status or "not ended"
        table.add_row(
            one_line(one.id, 40),
            one_line(one.name, 32),
            StyledText(status, _STYLES.get(status, "yellow")),
            datetime.fromtimestamp(one.started_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
            "" if took is None else milliseconds(took),
            f"{one.calls:,}",
            "" if not one.calls else dollars(one.usd) if not one.unpriced else "not priced",
            one_line(_wrong(one), 60),
        )
    fit(console, table, _LEAST)
    console.print(table)
