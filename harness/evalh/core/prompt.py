"""Prompts, their versions, and references to them."""

import re
from collections.abc import Mapping
from enum import StrEnum

from msgspec import field

from evalh.core.errors import UsageError
from evalh.core.request import Tool
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

DRAFT = "draft"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_VERSION = re.compile(r"v[1-9][0-9]*")


class Dialect(StrEnum):
    """The syntax of a body's slots. `portable` is the subset that is the same in all of them."""

    PORTABLE = "portable"
    JINJA2 = "jinja2"
    HANDLEBARS = "handlebars"


def version_number(version: str) -> int | None:
    """Return 3 for `v3`; None for `draft` and for anything else."""
    return int(version[1:]) if _VERSION.fullmatch(version) else None


class PromptRef(Value):
    """A reference as typed: `v3`, `triage@v3`, `triage`, `triage@draft`, `HEAD~2:triage@v3`, `main:triage`."""

    name: str | None  # None: the suite's prompt
    version: str | None  # None: the draft if there is one, else live
    revision: str | None = None  # None: the work tree

    @classmethod
    def parse(cls, text: str) -> "PromptRef":
        """Read a reference. Raises UsageError with the forms that exist."""
        revision, colon, rest = text.rpartition(":")
        name, at, version = rest.partition("@")
        if not at and (version_number(rest) is not None or rest == DRAFT):
            name, version = "", rest
        bad_version = bool(version) and version != DRAFT and version_number(version) is None
        if (
            bad_version
            or (at and not version)
            or (name and not _NAME.fullmatch(name))
            or not rest
            or (colon and not revision)
        ):
            raise UsageError(
                f"{text!r} names no prompt version",
                hint="forms: v3 · triage@v3 · triage@draft · triage · HEAD~2:triage@v3 · main:triage",
            )
        return cls(name or None, version or None, revision or None)

    def __str__(self) -> str:
        revision = f"{self.revision}:" if self.revision else ""
        if self.name is None:
            return f"{revision}{self.version}"
        return f"{revision}{self.name}" + (f"@{self.version}" if self.version else "")


class Section(Value):
    """One message's source in a version's body; `role` is None for the place of the case's history."""

    role: str | None
    source: str
    line: int = 1  # in the file, for messages


class PromptVersion(Value, kw_only=True):
    """One content of a prompt, partials inlined and Picoschema resolved."""

    name: str
    version: str
    path: str  # in the tree: "prompts/triage/v3.prompt"
    sections: tuple[Section, ...]
    dialect: Dialect = Dialect.PORTABLE
    revision: str | None = None  # None: the work tree
    description: str | None = None
    why: str | None = None
    model: str | None = None
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    input_schema: Mapping[str, JsonValue] | None = None
    input_defaults: Mapping[str, JsonValue] = field(default_factory=dict)
    json_output: bool = False
    output_schema: Mapping[str, JsonValue] | None = None
    tools: tuple[Tool, ...] = ()
    variables: frozenset[str] = frozenset()  # the inputs that the body uses
    digest: str = ""  # of `content_document`

    def content_document(self) -> dict[str, JsonValue]:
        """Return what the digest covers: what would be sent, without description, why, path and model."""
        return {
            "dialect": self.dialect.value,
            "sections": [[section.role, section.source] for section in self.sections],
            "params": dict(self.params),
            "input": {"schema": self.input_schema, "default": dict(self.input_defaults)},
            "output": {"json": self.json_output, "schema": self.output_schema},
            "tools": [tool.document() for tool in self.tools],
        }

    @property
    def label(self) -> str:
        """`triage@v3`, with the revision if it was read from one."""
        return str(PromptRef(self.name, self.version, self.revision))
