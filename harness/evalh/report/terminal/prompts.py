"""Prompt versions, their differences, and requests, as text."""

from rich.console import Console
from rich.rule import Rule

from evalh.analysis.prompt_diff import MessageBlock, PromptDiff, step_document
from evalh.core.case import ABSENT
from evalh.core.prompt import Pipeline, PromptVersion
from evalh.core.request import Request, part_document
from evalh.core.request import Text as TextPart
from evalh.core.strict_json import JsonValue
from evalh.report.terminal.console import StyledText, block, named
from evalh.report.text import json_line, one_line, safe

_LINE = 88  # characters of a message in a block


def show_version(console: Console, version: PromptVersion) -> None:
    """Print a version: what it is, its settings, its messages."""
    console.print(StyledText.assemble((version.label, "bold"), f"  {version.digest}"))
    for label, value in (("description", version.description), ("why", version.why), ("path", version.path)):
        if value:
            console.print(named(label, value))
    if version.pipeline is not None:
        _show_steps(console, version.pipeline)
        return
    content = version.content_document()
    for label in ("params", "input", "output", "tools"):
        if content[label]:
            console.print(StyledText.assemble((f"{label}  ", "dim"), json_line(content[label])))
    for section in version.sections:
        console.print(Rule(section.role or "history", align="left", style="dim"))
        console.print(block(section.source))


def _show_steps(console: Console, pipeline: Pipeline) -> None:
    """Print a pipeline's steps in the order in which they can run, and what gives the output."""
    for spec in pipeline.steps:
        console.print(Rule(safe(spec.name), align="left", style="dim"))
        for key, value in step_document(spec).items():
            console.print(named(key, _stated(value)))
    console.print(Rule("output", align="left", style="dim"))
    console.print(", ".join(map(safe, pipeline.output)) + (": the first that ran" if len(pipeline.output) > 1 else ""))


def _stated(value: JsonValue) -> str:
    """Return what a step states of a key, on one line."""
    match value:
        case str():
            return value
        case dict():
            return " · ".join(f"{name}: {_stated(one)}" for name, one in value.items())
        case list():
            return ", ".join(map(_stated, value))
        case _:
            return json_line(value)


def show_diff(console: Console, difference: PromptDiff) -> None:
    """Print what differs between two versions: text, config and schemas apart."""
    console.print(StyledText.assemble((difference.base, "bold"), " → ", (difference.head, "bold")))
    for one in difference.parts:
        if isinstance(one, MessageBlock):
            console.print(Rule(one.title, align="left", style="dim"))
            for section in one.sections:
                role, text = section.head_role or section.base_role, "".join(edit.text for edit in section.edits)
                sign = "-" if section.head_role is None else "+"
                console.print(StyledText(f"{sign} {role}  {one_line(text, _LINE)}", _style(sign)))
            continue
        console.print(Rule(one.title, align="left", style="dim"))
        for line in one.unified():
            console.print(StyledText(line, _style(line)))
    for part, changes in difference.changes.items():
        for change in changes:
            old, new = ("absent" if side is ABSENT else json_line(side) for side in (change.base, change.head))
            console.print(StyledText.assemble((f"{part} {change.key}  ", "dim"), (old, "dim"), " → ", (new, "bold")))
    if difference.same_content:
        console.print("the same content: both versions send the same")


def _style(line: str) -> str:
    """Set what head has in bold and what base had dim: a difference is neither good nor bad."""
    return "bold" if line.startswith("+") else "dim" if line.startswith(("-", "@@")) else ""


def show_request(console: Console, request: Request) -> None:
    console.print(StyledText.assemble((request.settings.model, "bold"), f"  {request.digest()}"))
    for label, value in request.settings.document().items():
        if value and label != "model":
            console.print(StyledText.assemble((f"{label}  ", "dim"), json_line(value)))
    for message in request.messages:
        console.print(Rule(message.role.value, align="left", style="dim"))
        for part in message.parts:
            console.print(block(part.text if isinstance(part, TextPart) else json_line(part_document(part))))
