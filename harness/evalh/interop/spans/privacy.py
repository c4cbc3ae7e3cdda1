"""What of a record is content, and how it is left out or redacted before anything is written."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from msgspec.structs import replace

from evalh.core.strict_json import JsonValue
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Score, Step, Workflow

Keep: TypeAlias = Callable[[AnyRecord], AnyRecord]
"""Returns a record as it may be written. Raises what a redactor raises; the content is dropped then."""


class Redacts(Protocol):
    """`evalh_trace.redaction.Redactor`."""

    def value(self, value: Any) -> Any:
        """Return a JSON value without personal data."""

    def messages(self, messages: Any) -> Any:
        """Return messages without personal data; their own keys and roles stay."""

    def text(self, text: str) -> str:
        """Return a text without personal data."""


def whole(record: AnyRecord) -> AnyRecord:
    """Return a record as it is."""
    return record


def without_content(record: AnyRecord) -> AnyRecord:
    """Return a record without what users, models and tools said; of an error its class stays, of a tool its name."""
    match record:
        case Workflow() | Step():
            return replace(record, inputs=None, output=None, error=_class_of(record.error))
        case Call():
            return replace(record, messages=None, settings=_plain(record.settings))
        case Attempt():
            return replace(record, text=None, tool_calls=None, reasoning=None, error=_class_of(record.error))
        case Feedback():
            return replace(record, note=None)
        case Score():
            return replace(record, text=None)
        case _:
            return record


def redacting(redactor: Redacts) -> Keep:
    """Return what redacts the content of records."""

    def text(said: str | None) -> str | None:
        return None if said is None else redactor.text(said)

    def settings(told: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if told is None:
            return None
        named = {key: told[key] for key in ("model", "sent_to") if key in told}
        return {**redactor.messages({key: one for key, one in told.items() if key not in named}), **named}

    def keep(record: AnyRecord) -> AnyRecord:
        match record:
            case Workflow() | Step():
                told = {"inputs": redactor.value(record.inputs), "output": redactor.value(record.output)}
                return replace(record, **told, error=text(record.error))
            case Call():
                told = {"messages": redactor.messages(record.messages), "settings": settings(record.settings)}
                return replace(record, **told)
            case Attempt():
                told = {"text": text(record.text), "reasoning": text(record.reasoning), "error": text(record.error)}
                return replace(record, **told, tool_calls=redactor.messages(record.tool_calls))
            case Feedback():
                return replace(record, note=text(record.note))
            case Score():
                return replace(record, text=text(record.text))
            case _:
                return record

    return keep


def _class_of(error: str | None) -> str | None:
    return None if error is None else error.partition(": ")[0]


def _plain(settings: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
    """Return settings without texts: where an answer shall stop, or what a tool is for, may be content."""
    if settings is None:
        return None
    params = {key: one for key, one in (settings.get("params") or {}).items() if isinstance(one, int | float)}
    tools = [{"name": tool["name"]} for tool in settings.get("tools") or ()]
    plain = {**settings, "params": params, "tools": tools}
    return {key: one for key, one in plain.items() if one or key in settings.keys() - {"params", "tools"}}
