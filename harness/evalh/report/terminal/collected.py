"""What came over spans: how much, what it cost, what was lost, and how content is switched on."""

from rich.console import Console

from evalh.report.documents.incoming import FetchedDocument
from evalh.report.documents.workspace import CollectedDocument
from evalh.report.terminal.console import StyledText
from evalh.report.text import dollars, one_line, plural

_LONGEST = 200
_SWITCHES = {
    "genai": "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true",
    "openllmetry": "TRACELOOP_TRACE_CONTENT=true",
    "openinference": "OPENINFERENCE_HIDE_INPUTS=false OPENINFERENCE_HIDE_OUTPUTS=false",
}
"""The variable that an instrumentor reads, by its dialect."""

_WHY = {
    "unreadable": "could not be read",
    "too large": "were too large: their content is missing",
    "full": "came while the disk was full",
    "disk": "could not be written",
    "redaction": "could not be redacted: their content is missing",
}


def show_collected(console: Console, found: CollectedDocument) -> None:
    """Print what arrived."""
    _counts(console, found, "collected")
    if found.dropped:
        console.print(StyledText(f"{plural(found.dropped, 'span')} did not concern models", "dim"))
    _lost(console, found)
    if found.forwarding is not None:
        console.print(StyledText(_forwarded(found)), soft_wrap=True)
    for line in _advice(found):
        console.print(StyledText(line, "dim"), soft_wrap=True)


def show_fetched(console: Console, found: FetchedDocument) -> None:
    """Print what a service held."""
    _counts(console, found, f"{found.service}:")
    for what, count in sorted(found.left_out.items()):
        console.print(StyledText(f"left out: {one_line(what, _LONGEST)} ({count:,})", "dim"), soft_wrap=True)
    if found.not_here:
        told = f"{plural(found.not_here, 'vote or score', 'votes and scores')} of workflows that are not here"
        console.print(StyledText(told, "yellow"), soft_wrap=True)
    _lost(console, found)
    for one in found.mistakes:
        console.print(StyledText(f"{one.where}: {one_line(one.what, _LONGEST)}", "red"), soft_wrap=True)
    if found.bad_lines:
        console.print(StyledText(f"{plural(found.bad_lines, 'line')} could not be read; the others are kept"))
    if found.workflows:
        console.print(StyledText("next: evalh show last", "dim"), soft_wrap=True)
    if found.workflows and found.content == "off":
        told = "content was left out: --content, or [trace] content = true, keeps it"
        console.print(StyledText(told, "dim"), soft_wrap=True)


def _counts(console: Console, found: CollectedDocument | FetchedDocument, first: str) -> None:
    counted = [
        plural(found.workflows, "workflow"),
        plural(found.steps, "step"),
        plural(found.calls, "call"),
        f"{found.input_tokens:,} tokens in",
        f"{found.output_tokens:,} out",
    ]
    counted += [plural(count, word) for count, word in ((found.feedback, "vote"), (found.scores, "score")) if count]
    console.print(StyledText(f"{first} {', '.join(counted)}"), soft_wrap=True)
    if found.calls:
        console.print(StyledText(_cost(found)), soft_wrap=True)


def _lost(console: Console, found: CollectedDocument | FetchedDocument) -> None:
    for why, count in sorted(found.losses.items()):
        console.print(StyledText(f"{count:,} spans or records {_WHY.get(why, why)}", "yellow"), soft_wrap=True)
    if found.trouble:
        console.print(StyledText(one_line(found.trouble, _LONGEST), "red"), soft_wrap=True)


def _cost(found: CollectedDocument | FetchedDocument) -> str:
    if found.unpriced == found.calls:
        told = "cost unknown"
    else:
        told = f"cost {dollars(found.cost_usd)}"
        if found.unpriced:
            told += f", and unknown for {plural(found.unpriced, 'call')}"
    return told + (f"; tokens unknown for {plural(found.uncounted, 'call')}" if found.uncounted else "")


def _forwarded(found: CollectedDocument) -> str:
    assert found.forwarding is not None
    told = f"{plural(found.forwarding.sent, 'batch', 'batches')} sent on"
    if found.forwarding.failed:
        told += f"; {found.forwarding.failed} failed: {one_line(found.forwarding.why or '', _LONGEST)}"
    return told


def _advice(found: CollectedDocument) -> list[str]:
    if not found.calls and not found.workflows:
        return [
            "no model calls arrived: is the program instrumented? docs/reference/collect.md",
            "what evalh.trace records is written without spans: evalh trace list",
        ]
    lines = ["next: evalh show last"]
    if found.content == "off":
        lines.append("content was left out: evalh collect --content, or [trace] content = true, keeps it")
    lines += [f"{name} spans came without content: {_SWITCHES[name]} switches it on" for name in found.silent]
    return lines
