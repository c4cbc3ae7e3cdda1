"""What is sent to a model: messages made of parts, and settings.

A request's digest covers everything that is physically sent. The settings' half is digested once per run, the
messages' half once per call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TypeAlias, assert_never

import msgspec

from evalh.core.digest import canonical, digest
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value


class Role(StrEnum):
    """Who speaks. Dotprompt's `model` and OpenAI's `assistant` are one role."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Text(Value):
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a file. Its identity is its SHA-256 and content type; the log keeps no bytes."""

    sha256: str  # 64 hex digits
    content_type: str  # "image/png"
    data: bytes = field(repr=False, compare=False)

    @classmethod
    def of(cls, data: bytes, content_type: str) -> "Media":
        """Wrap the bytes."""
        return cls(sha256(data).hexdigest(), content_type, data)


class ToolCall(Value):
    """A model's call of a tool. `arguments` is the JSON text as the model wrote it; it may be invalid."""

    id: str
    name: str
    arguments: str


class ToolResult(Value):
    """A prepared answer of a tool, from the case."""

    call_id: str
    name: str
    content: str


Part: TypeAlias = Text | Media | ToolCall | ToolResult


class Message(Value):
    """One message; its parts stay separate until it is sent."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> "Message":
        """Build a message of one text."""
        return cls(role, (Text(text),))

    @property
    def text(self) -> str:
        """All text parts, concatenated."""
        if len(self.parts) == 1 and isinstance(only := self.parts[0], Text):
            return only.text
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    def document(self) -> dict[str, JsonValue]:
        """Return the message as JSON: what the digest covers and the log shows."""
        return {"role": self.role.value, "parts": [part_document(part) for part in self.parts]}


def part_document(part: Part) -> JsonValue:
    """Return one part as JSON; a text is a bare string."""
    match part:
        case Text():
            return part.text
        case Media():
            return {"media": {"sha256": part.sha256, "content_type": part.content_type}}
        case ToolCall():
            return {"tool_call": {"id": part.id, "name": part.name, "arguments": part.arguments}}
        case ToolResult():
            return {"tool_result": {"call_id": part.call_id, "name": part.name, "content": part.content}}
        case other:
            assert_never(other)


class Tool(Value):
    """A tool that the model may call."""

    name: str
    description: str
    parameters: Mapping[str, JsonValue]  # JSON Schema of the arguments

    def document(self) -> dict[str, JsonValue]:
        """Return the tool as JSON."""
        return msgspec.structs.asdict(self)


class Settings(Value, kw_only=True):
    """Everything of a request but its messages; the same for all calls of one step.

    `sent_to` is the provider's identity: provider, base_url, non-secret headers, or a local model's weights.
    `params` are the sampling parameters under evalh's names (temperature, max_tokens, top_p, stop, seed, …);
    a provider maps them to its own.
    """

    model: str
    sent_to: Mapping[str, JsonValue]
    params: Mapping[str, JsonValue] = msgspec.field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    json_output: bool = False
    output_schema: Mapping[str, JsonValue] | None = None
    stream: bool = False
    reads_inputs: bool = False  # the case's inputs are sent too, beside the messages

    def document(self) -> dict[str, JsonValue]:
        """Return the settings as JSON: what the digest covers and the log shows."""
        return {
            "model": self.model,
            "sent_to": dict(self.sent_to),
            "params": dict(self.params),
            "tools": [tool.document() for tool in self.tools],
            "json_output": self.json_output,
            "output_schema": self.output_schema,
            "stream": self.stream,
            **({"reads_inputs": True} if self.reads_inputs else {}),
        }

    @property
    def max_tokens(self) -> int | None:
        """The declared limit on output tokens; None: no limit."""
        bound = self.params.get("max_tokens")
        return bound if isinstance(bound, int) else None


def content_digest(settings: Mapping[str, JsonValue], messages: JsonValue) -> str:
    """Return a digest that no model changes: settings and messages as documents, without `model` and `sent_to`.

    A recording is made on one provider and replayed by another, so a request's own digest would never match.
    """
    return digest([{key: part for key, part in settings.items() if key not in ("model", "sent_to")}, messages])


class Request:
    """One request. Immutable by convention; the digest is computed once, when it is first asked for."""

    __slots__ = ("_digest", "_settings_digest", "inputs", "messages", "settings")

    def __init__(
        self,
        messages: tuple[Message, ...],
        settings: Settings,
        settings_digest: str | None = None,
        inputs: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self.messages = messages
        self.settings = settings
        self.inputs = inputs  # what the messages were rendered from; None: they were not
        self._settings_digest = settings_digest
        self._digest: str | None = None

    def digest(self) -> str:
        """Return the request digest, `sha256:…`."""
        if self._digest is None:
            head = self._settings_digest or digest(self.settings.document())
            state = sha256(head.encode())
            state.update(canonical([message.document() for message in self.messages]))
            if self.settings.reads_inputs:
                state.update(canonical(self.inputs))
            self._digest = f"sha256:{state.hexdigest()}"
        return self._digest

    def messages_json(self) -> str:
        """Return the messages as JSON text, for the log."""
        return canonical([message.document() for message in self.messages]).decode("utf-8", "surrogatepass")
