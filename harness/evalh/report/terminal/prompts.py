"""Prompt versions, their differences, and requests, as text."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.console import Console
from rich.rule import Rule

from evalh.core.case import ABSENT
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request, part_document
from evalh.core.request import Text as TextPart
from evalh.report.text import StyledText, block, json_line, named, safe


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


class TextEdit(Protocol):
    """A stretch of text, and what happens to it from base to head."""

    @property
    def op(self) -> str:
        """`equal`, `delete` or `insert`."""

    @property
    def text(self) -> str:
        """The text."""


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

    @property
    def edits(self) -> Sequence[TextEdit]:
        """What becomes head's text without the deletions, base's without the insertions."""

    def unified(self, context: int = 3) -> list[str]:
        """Return the lines of a unified diff."""


class KeyChange(Protocol):
    """One key that differs; `ABSENT` where a side does not have it."""

    @property
    def key(self) -> str:
        """Its name, or its path in a schema."""

    @property
    def base(self) -> object:
        """The value on base."""

    @property
    def head(self) -> object:
        """The value on head."""


class Difference(Protocol):
    """Two versions beside each other."""

    @property
    def base(self) -> str:
        """The version: `triage@v2`."""

    @property
    def head(self) -> str:
        """The other."""

    @property
    def base_digest(self) -> str:
        """Base's digest."""

    @property
    def head_digest(self) -> str:
        """Head's."""

    @property
    def same_content(self) -> bool:
        """Whether both versions send the same."""

    @property
    def sections(self) -> Sequence[SectionChange]:
        """The messages."""

    @property
    def changes(self) -> Mapping[str, Sequence[KeyChange]]:
        """The keys that differ: of config, schemas, tools and notes."""


def show_diff(console: Console, difference: Difference) -> None:
    """Print what differs between two versions: text, config and schemas apart."""
    console.print(StyledText.assemble((difference.base, "bold"), " → ", (difference.head, "bold")))
    for section in difference.sections:
        if section.changed:
            roles = {section.base_role: None, section.head_role: None}
            console.print(Rule(" → ".join(str(role or "nothing") for role in roles), align="left", style="dim"))
            for line in section.unified():
                console.print(StyledText(safe(line), _style(line)))
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
    """Print a request, message by message."""
    console.print(StyledText.assemble((request.settings.model, "bold"), f"  {request.digest()}"))
    for label, value in request.settings.document().items():
        if value and label != "model":
            console.print(StyledText.assemble((f"{label}  ", "dim"), json_line(value)))
    for message in request.messages:
        console.print(Rule(message.role.value, align="left", style="dim"))
        for part in message.parts:
            console.print(block(part.text if isinstance(part, TextPart) else json_line(part_document(part))))
