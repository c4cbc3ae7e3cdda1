"""Prompt versions, their differences, and requests, as text."""

from rich.console import Console
from rich.rule import Rule

from evalh.analysis.prompt_diff import PromptDiff
from evalh.core.case import ABSENT
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request, part_document
from evalh.core.request import Text as TextPart
from evalh.report.terminal.console import StyledText, block, named
from evalh.report.text import json_line


def show_version(console: Console, version: PromptVersion) -> None:
    """Print a version: what it is, its settings, its messages."""
    console.print(StyledText.assemble((version.label, "bold"), f"  {version.digest}"))
    for label, value in (("description", version.description), ("why", version.why), ("path", version.path)):
        if value:
            console.print(named(label, value))
    content = version.content_document()
    for label in ("params", "input", "output", "tools"):
        if content[label]:
            console.print(StyledText.assemble((f"{label}  ", "dim"), json_line(content[label])))
    for section in version.sections:
        console.print(Rule(section.role or "history", align="left", style="dim"))
        console.print(block(section.source))


def show_diff(console: Console, difference: PromptDiff) -> None:
    """Print what differs between two versions: text, config and schemas apart."""
    console.print(StyledText.assemble((difference.base, "bold"), " → ", (difference.head, "bold")))
    for section in difference.sections:
        if section.changed:
            roles = {section.base_role: None, section.head_role: None}
            console.print(Rule(" → ".join(str(role or "nothing") for role in roles), align="left", style="dim"))
            for line in section.unified():
                console.print(StyledText(line, _style(line)))
    for part, changes in difference.changes.items():
        for change in changes:
            old, new = ("absent" if side is ABSENT else json_line(side) for side in (change.base, change.head))
            console.print(StyledText.assemble((f"{part} {change.key}  ", "dim"), (old, "red"), " → ", (new, "green")))
    if difference.same_content:
        console.print("the same content: nothing that is sent differs")


def _style(line: str) -> str:
    if line.startswith("+"):
        return "green"
    return "red" if line.startswith("-") else "dim" if line.startswith("@@") else ""


def show_request(console: Console, request: Request) -> None:
    console.print(StyledText.assemble((request.settings.model, "bold"), f"  {request.digest()}"))
    for label, value in request.settings.document().items():
        if value and label != "model":
            console.print(StyledText.assemble((f"{label}  ", "dim"), json_line(value)))
    for message in request.messages:
        console.print(Rule(message.role.value, align="left", style="dim"))
        for part in message.parts:
            console.print(block(part.text if isinstance(part, TextPart) else json_line(part_document(part))))
