"""One call on a time axis: every attempt, and every decision between them, with its reason."""

from collections.abc import Iterator

from rich.text import Text

from evalh.core.log import AttemptRow, CallRow, DecisionRow
from evalh.report.text import dollars, milliseconds, one_line

_WIDTH = 62
_WORDS = {
    "retry": "sent again",
    "give_up": "given up",
    "fits": "fits",
    "repair": "does not fit",
    "unrepaired": "still does not fit",
    "fallback": "next model",
    "keep": "trusted",
    "escalate": "in doubt",
    "open": "breaker opens",
    "probe": "probe",
    "close": "breaker closes",
    "shrink": "window shrinks",
}
"""A decision in a person's words."""


def waterfall(call: CallRow) -> Iterator[Text]:
    """Yield a line for each attempt and decision, in the order in which they happened."""
    events: list[tuple[float, int, AttemptRow | DecisionRow]] = [
        *((attempt.started_at, 0 if attempt.number == 1 else 2, attempt) for attempt in call.attempts),
        *((decision.at, 1, decision) for decision in call.decisions),
    ]
    events.sort(key=lambda event: event[:2])
    began = events[0][0] if events else 0.0
    several = len(call.attempts) > 1 or bool(call.decisions)
    for at, _, event in events:
        offset = Text(f"{_offset(at - began):>9}  " if several else "", "dim")
        match event:
            case AttemptRow():
                yield offset + _attempt(event)
                if event.error_kind:
                    yield Text(" " * len(offset)) + Text(
                        f"   {event.error_kind}: {one_line(event.error or '', _WIDTH)}", "red"
                    )
            case DecisionRow():
                yield offset + _decision(event)


def given_up(call: CallRow) -> str:
    """Say why a call was given up; empty where it was answered, or never had a second attempt."""
    last = call.decisions[-1] if call.decisions else None
    return str(last.detail.get("why", "")) if last is not None and last.kind == "give_up" else ""


def _offset(seconds: float) -> str:
    return f"+{milliseconds(seconds * 1000.0)}"


def _attempt(attempt: AttemptRow) -> Text:
    usage = attempt.usage
    tokens = "" if usage.input_tokens is None else f" · {usage.input_tokens} + {usage.output_tokens} tokens"
    cost = f" · {dollars(attempt.cost_usd)}{' at most' if attempt.estimated and attempt.cost_usd is not None else ''}"
    style = "green" if attempt.status == "ok" else "red"
    line = Text.assemble(f"{attempt.number}. {attempt.model}  ", (attempt.status, style))
    line.append(f" · {milliseconds(attempt.latency_ms)}{tokens}{cost}")
    if attempt.reason != "first":
        line.append(f" · {attempt.reason}", "dim")
    return line


def _decision(decision: DecisionRow) -> Text:
    detail = decision.detail
    word = _WORDS.get(decision.kind, decision.kind)
    line = Text.assemble("   ", (word, "yellow" if decision.kind not in {"fits", "keep"} else "green"))
    line.append(f": {one_line(decision.reason, _WIDTH)}")
    if decision.kind == "give_up":
        line.append(f" · {one_line(str(detail.get('why', '')), _WIDTH)}")
    if decision.kind in {"fallback", "escalate"}:
        line.append(f" → {one_line(str(detail.get('to', '')), 20)}", "bold")
    if "wait_s" in detail:
        line.append(f" · waits {milliseconds(1000.0 * float(detail['wait_s']))}", "dim")
    return line
