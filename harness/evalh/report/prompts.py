"""Prompt versions, their differences, and requests, as text and as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from evalh.core.digest import JsonValue
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request, part_document
from evalh.core.request import Text as TextPart
from evalh.report.text import safe


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
    console.print(Text.assemble((version.label, "bold"), f"  {version.digest}"))
    for label, value in (("description", version.description), ("why", version.why), ("path", version.path)):
        if value:
            console.print(Text.assemble((f"{label}  ", "dim"), safe(value)))
    content = version.content_document()
    for label in ("params", "input", "output", "tools"):
        if content[label]:
            console.print(Text.assemble((f"{label}  ", "dim"), _compact(content[label])))
    for section in version.sections:
        console.print(Rule(section.role or "history", align="left", style="dim"))
        console.print(Text(safe(section.source)))


def show_diff(console: Console, difference: Mapping[str, Any]) -> None:
    """Print a `PromptDiff` document: text, config and schemas apart."""
    console.print(Text.assemble((str(difference["base"]), "bold"), " → ", (str(difference["head"]), "bold")))
    nothing = True
    for line in difference["text"]:
        nothing = False
        console.print(Text(safe(line), _style(line)))
    for part in ("config", "schemas", "tools"):
        for change in difference[part]:
            nothing = False
            old, new = _compact(change["base"]), _compact(change["head"])
            console.print(Text.assemble((f"{part} {change['key']}  ", "dim"), (old, "red"), " → ", (new, "green")))
    if nothing:
        console.print("the same content")


def _style(line: str) -> str:
    if line.startswith("+"):
        return "green"
    return "red" if line.startswith("-") else ""


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
    console.print(Text.assemble((request.settings.model, "bold"), f"  {request.digest()}"))
    for label, value in request.settings.document().items():
        if value and label != "model":
            console.print(Text.assemble((f"{label}  ", "dim"), _compact(value)))
    for message in request.messages:
        console.print(Rule(message.role.value, align="left", style="dim"))
        for part in message.parts:
            console.print(Text(safe(part.text if isinstance(part, TextPart) else _compact(part_document(part)))))


def _compact(value: JsonValue) -> str:
    return safe(json.dumps(value, ensure_ascii=False))
