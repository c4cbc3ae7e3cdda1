"""What an application is sent: a body of JSON with slots, `{question = "{{prompt}}", user = "{{inputs.user}}"}`.

A slot that is a whole text becomes the value itself, any other becomes text. Values are put in after the body was read
and are encoded with it, so no value can end a text or open another slot.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from evalh.core.attempt import Call
from evalh.core.declared import Refused
from evalh.core.errors import did_you_mean
from evalh.core.request import Request, Role
from evalh.core.strict_json import JsonValue
from evalh.providers.request_parts import only_text, unsupported

_SLOT = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_READS: Mapping[str, Callable[[Request, Call], JsonValue]] = {
    "prompt": lambda request, _: _texts(request, Role.USER)[-1:],
    "system": lambda request, _: _texts(request, Role.SYSTEM),
    "messages": lambda request, _: [
        {"role": message.role.value, "content": only_text(message, "an application")} for message in request.messages
    ],
    "inputs": lambda request, _: None if request.inputs is None else dict(request.inputs),
    "params": lambda request, _: dict(request.settings.params),
    "case_id": lambda _, call: call.key.case_id,
    "trial": lambda _, call: call.key.trial,
}
_JOINED = frozenset({"prompt", "system"})  # texts
_OPEN = frozenset({"inputs", "params"})  # what is in them is read by a path: `inputs.user.name`
WORDS = tuple(_READS)
"""The slots."""

Fill: TypeAlias = Callable[[Request, Call], JsonValue]
"""Fills a body. Raises CallError."""


def value_of(name: str, request: Request, call: Call) -> JsonValue:
    """Return what a slot stands for. Raises CallError for an input that the case lacks, and for what is not text."""
    word, *path = name.split(".")
    value = _READS[word](request, call)
    if word in _JOINED:
        return "\n\n".join(value)
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            raise unsupported("an application", f"case {call.key.case_id!r}: it has no {name}")
        value = value[step]
    return value


def compiled(body: JsonValue) -> Fill:
    """Return what fills a body. Raises Refused for a slot that does not exist."""
    match body:
        case str():
            return _text(body)
        case Mapping():
            table = {key: compiled(value) for key, value in body.items()}
            return lambda request, call: {key: fill(request, call) for key, fill in table.items()}
        case list() | tuple():
            items = [compiled(value) for value in body]
            return lambda request, call: [fill(request, call) for fill in items]
    return lambda *_: body


def _text(text: str) -> Fill:
    for name in _SLOT.findall(text):
        word, *path = name.split(".")
        if word not in _READS or (path and word not in _OPEN) or "" in path:
            raise Refused(f"no slot {'{{' + name[:60] + '}}'!r}", did_you_mean(name, (*WORDS, "inputs.NAME")))
    if (whole := _SLOT.fullmatch(text)) is not None:
        return partial(value_of, whole[1])
    fixed, names = _SLOT.split(text)[::2], _SLOT.findall(text)

    def fill(request: Request, call: Call) -> str:
        values = [_as_text(value_of(name, request, call)) for name in names]
        return "".join(part for pair in zip(fixed, [*values, ""], strict=True) for part in pair)

    return fill if names else lambda *_: text


def _as_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(request: Request, role: Role) -> list[str]:
    return [only_text(message, "an application") for message in request.messages if message.role is role]
