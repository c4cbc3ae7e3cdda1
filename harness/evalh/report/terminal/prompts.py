"""Prompt versions, their differences, and requests, as text and as JSON."""

import json
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.rule import Rule

from evalh.core.prompt import PromptVersion
from evalh.core.request import Request, part_document
from evalh.core.request import Text as TextPart
from evalh.core.strict_json import JsonValue
from evalh.report.text import StyledText, block, named, safe


def version_document(version: PromptVersion) -> dict[str, JsonValue]:
    """Return the document of `evalh prompt show --json`."""
    return {
        "schema": "evalh.prompt/1",
        "prompt": version.label,
        "digest": version.digest,
        "path": version.path,
        "description": version.description,
        "why": version.why,
        "model": version.model,
        "variables": sorted(version.variables),
        **version.content_document(),
    }


def show_version(console: Console, version: PromptVersion) -> None:
    """Print a version: what it is, its settings, its messages."""
    console.print(StyledText.assemble((version.label, "bold"), f"  {version.digest}"))
    for label, value in (("description", version.description), ("why", version.why), ("path", version.path)):
        if value:
            console.print(named(label, value))
    content = version.content_document()
    for label in ("params", "input", "output", "tools"):
        if content[label]:
            console.print(StyledText.assemble((f"{label}  ", "dim"), _compact(content[label])))
    for section in version.sections:
        console.print(Rule(section.role or "history", align="left", style="dim"))
        console.print(block(section.source))


class SectionChange(Protocol):
    """One message on both sides."""

    @property
    def base_role(self) -> str | None:
        """None where base does not have it."""

    @property
    def head_role(self) -> str | None:
        """None where head does not have it."""

    @property
    def changed(self) -> bool:
        """Whether the sides differ."""

    def unified(self, context: int = 3) -> list[str]:
        """Return the lines of a unified diff."""


class Difference(Protocol):
    """Two versions beside each other."""

    @property
    def sections(self) -> Sequence[SectionChange]:
        """The messages."""

    def document(self) -> dict[str, JsonValue]:
        """Return the JSON form."""


def show_diff(console: Console, difference: Difference) -> None:
    """Print what differs between two versions: text, config and schemas apart."""
    document = difference.document()
    base, head = document["base"]["prompt"], document["head"]["prompt"]
    console.print(StyledText.assemble((base, "bold"), " → ", (head, "bold")))
    for section in difference.sections:
        if section.changed:
            roles = {section.base_role: None, section.head_role: None}
            console.print(Rule(" → ".join(str(role or "nothing") for role in roles), align="left", style="dim"))
            for line in section.unified():
                console.print(StyledText(safe(line), _style(line)))
    for part in ("config", "schemas", "tools", "notes"):
        for change in document[part]:
            old, new = (_compact(change[side]) if side in change else "absent" for side in ("base", "head"))
            console.print(
                StyledText.assemble((f"{part} {change['key']}  ", "dim"), (old, "red"), " → ", (new, "green"))
            )
    if document["same_content"]:
        console.print("the same content: nothing that is sent differs")


def _style(line: str) -> str:
    if line.startswith("+"):
        return "green"
    return "red" if line.startswith("-") else "dim" if line.startswith("@@") else ""


def request_document(request: Request) -> dict[str, JsonValue]:
    """Return the document of `evalh render --json`."""
    return {
        "schema": "evalh.request/1",
        "digest": request.digest(),
        "settings": request.settings.document(),
        "messages": [message.document() for message in request.messages],
    }


def show_request(console: Console, request: Request) -> None:
    """Print a request, message by message."""
    console.print(StyledText.assemble((request.settings.model, "bold"), f"  {request.digest()}"))
    for label, value in request.settings.document().items():
        if value and label != "model":
            console.print(StyledText.assemble((f"{label}  ", "dim"), _compact(value)))
    for message in request.messages:
        console.print(Rule(message.role.value, align="left", style="dim"))
        for part in message.parts:
            console.print(block(part.text if isinstance(part, TextPart) else _compact(part_document(part))))


def _compact(value: JsonValue) -> str:
    return safe(json.dumps(value, ensure_ascii=False))
