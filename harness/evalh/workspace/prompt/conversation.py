"""`inputs.messages`: the conversation so far, from the case."""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.request import Message, Part, Role, Text, ToolCall, ToolResult
from evalh.core.strict_json import JsonValue
from evalh.workspace.prompt.dialect_portable import text_of
from evalh.workspace.prompt.media import LoadMedia, read_media

INPUT = "messages"
"""The input that holds the history."""

_ROLES = {"system": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT, "model": Role.ASSISTANT}
_ROLES["tool"] = Role.TOOL
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")

ReadPart: TypeAlias = Callable[[JsonValue, str], Part]


def read_history(value: JsonValue, load: LoadMedia | None) -> tuple[Message, ...]:
    """Return the messages. Raises WorkspaceError that names the place inside `inputs.messages`."""
    if not isinstance(value, list | tuple):
        raise WorkspaceError(
            f"inputs.{INPUT} is {type(value).__name__}; it holds the case's history",
            hint='a list of {"role": "user", "content": "…"}; another input needs another name',
        )
    return tuple(_message(item, f"inputs.{INPUT}[{index}]", load) for index, item in enumerate(value))


def _message(value: JsonValue, where: str, load: LoadMedia | None) -> Message:
    fields = _fields(value, where, ("role", "content"))
    role = _ROLES.get(fields["role"]) if isinstance(fields["role"], str) else None
    if role is None:
        raise WorkspaceError(
            f"{where}: unknown role {fields['role']!r}", hint=did_you_mean(str(fields["role"]), _ROLES)
        )
    content = fields["content"]
    listed = content if isinstance(content, list | tuple) else [content]
    if not listed:
        raise WorkspaceError(f"{where}: the content is empty")
    parts = tuple(_part(part, f"{where}.content[{index}]", load) for index, part in enumerate(listed))
    for part in parts:
        _check_speaker(role, part, where)
    return Message(role, parts)


def _check_speaker(role: Role, part: Part, where: str) -> None:
    if isinstance(part, ToolCall) and role is not Role.ASSISTANT:
        raise WorkspaceError(f"{where}: only the assistant calls tools, not {role.value}")
    if isinstance(part, ToolResult) != (role is Role.TOOL):
        raise WorkspaceError(f"{where}: a message of role tool holds tool_result parts, and no other does")


def _part(value: JsonValue, where: str, load: LoadMedia | None) -> Part:
    if isinstance(value, str):
        return Text(value)
    kinds: dict[str, ReadPart] = {
        "text": _text,
        "media": lambda inner, place: _media(inner, place, load),
        "tool_call": _tool_call,
        "tool_result": _tool_result,
    }
    if not isinstance(value, Mapping) or len(value) != 1:
        raise WorkspaceError(f"{where}: a part is text, or one of {', '.join(kinds)}")
    kind, inner = next(iter(value.items()))
    if kind not in kinds:
        raise WorkspaceError(f"{where}: unknown part {kind!r}", hint=did_you_mean(str(kind), kinds))
    return kinds[kind](inner, where)


def _text(value: JsonValue, where: str) -> Part:
    return Text(_string(value, f"{where}.text"))


def _media(value: JsonValue, where: str, load: LoadMedia | None) -> Part:
    try:
        return read_media(value, None, load)
    except WorkspaceError as exc:
        raise WorkspaceError(f"{where}: {exc.what}", where=exc.where, hint=exc.hint) from None


def _tool_call(value: JsonValue, where: str) -> Part:
    fields = _fields(value, where, ("id", "name", "arguments"))
    return ToolCall(
        _string(fields["id"], f"{where}.id"), _tool_name(fields["name"], where), text_of(fields["arguments"])
    )


def _tool_result(value: JsonValue, where: str) -> Part:
    fields = _fields(value, where, ("call_id", "name", "content"))
    return ToolResult(
        _string(fields["call_id"], f"{where}.call_id"), _tool_name(fields["name"], where), text_of(fields["content"])
    )


def _tool_name(value: JsonValue, where: str) -> str:
    name = _string(value, f"{where}.name")
    if not _TOOL_NAME.fullmatch(name):
        raise WorkspaceError(f"{where}: {name!r} is not a tool's name")
    return name


def _string(value: JsonValue, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise WorkspaceError(f"{where} is text, and not empty")
    return value


def _fields(value: JsonValue, where: str, keys: tuple[str, ...]) -> Mapping[str, JsonValue]:
    """Return the mapping if it holds just these keys."""
    if not isinstance(value, Mapping):
        raise WorkspaceError(f"{where}: a mapping of {', '.join(keys)}, not {type(value).__name__}")
    for key in value:
        if key not in keys:
            raise WorkspaceError(f"{where}: unknown key {key!r}", hint=did_you_mean(str(key), keys))
    for key in keys:
        if key not in value:
            raise WorkspaceError(f"{where}: {key} is missing")
    return value
