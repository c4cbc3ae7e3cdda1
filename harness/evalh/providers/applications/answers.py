"""What an application answered: its output, tokens and errors stand at paths of its JSON, as the options say."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from evalh.core.attempt import CallError, ErrorKind, Usage
from evalh.core.declared import FileModel, Words
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.providers.answer_parts import count, usage_of
from evalh.providers.http.errors import describe, shown

WHOLE = "$"
_KEYS = 12  # of an answer, in a message
_EMPTY: tuple[JsonValue, ...] = (None, False, "", 0)

AnswerPath = Annotated[
    str,
    Field(pattern=r"^(\$|[^\s.$][^\s.]*(\.[^\s.]+)*)$"),
    Words("a path into the answer's JSON", 'output = "answer.text", or "$" for all of it'),
]


class UsageTable(FileModel):
    """Where an answer says how many tokens it took."""

    input_tokens: AnswerPath | None = Field(None, description="Where the count of input tokens is.")
    output_tokens: AnswerPath | None = Field(None, description="Where the count of output tokens is.")
    cached_tokens: AnswerPath | None = Field(None, description="Where the count of input tokens from a cache is.")
    reasoning_tokens: AnswerPath | None = Field(None, description="Where the count of reasoning tokens is.")


class ErrorTable(FileModel):
    """An answer that is an error: something stands at `path`."""

    path: AnswerPath = Field(description="A place that has a value only if the call failed.")
    kind: Literal[
        "rate_limit",
        "quota",
        "overload",
        "timeout",
        "bad_response",
        "bad_request",
        "auth",
        "context_length",
        "content_filter",
    ] = Field("bad_response", description="The kind of the error.")


class AnswerText(Value):
    """What one answer says."""

    text: str
    usage: Usage


class AnswerReader:
    """Reads answers."""

    def __init__(self, output: str | None, usage: UsageTable, error_if: Iterable[ErrorTable]) -> None:
        self._output = output
        self._usage = {name: path for name in UsageTable.model_fields if (path := getattr(usage, name)) is not None}
        self._errors = tuple(error_if)

    def read(self, body: bytes) -> AnswerText:
        """Read a whole answer. Raises CallError."""
        if self._output is None:
            document = json_or_none(body) if self._usage or self._errors else None
            self.refuse(document)
            return AnswerText(body.decode("utf-8", "replace"), self.usage(document))
        document = json_of(body)
        self.refuse(document)
        if self._output == WHOLE:
            return AnswerText(body.decode("utf-8-sig", "replace"), self.usage(document))
        return AnswerText(text_of(found(document, self._output), self._output, document), self.usage(document))

    def usage(self, document: JsonValue) -> Usage:
        """Read the tokens; unknown where the answer does not say."""

        def told(name: str) -> int | None:
            return count(found(document, self._usage[name])) if name in self._usage else None

        counted = Usage(told("input_tokens"), told("output_tokens"), told("cached_tokens"), told("reasoning_tokens"))
        return usage_of(counted, said=False)

    def refuse(self, document: JsonValue) -> None:
        """Raise CallError if the answer is an error by its content."""
        for one in self._errors:
            value = found(document, one.path)
            if value not in _EMPTY and value not in ([], {}):
                said = value if isinstance(value, str) else _dumped(value)[:4096]
                raise CallError(ErrorKind(one.kind), f"the application reports at {one.path!r}: {shown(said)}")


def json_of(body: bytes) -> JsonValue:
    """Read a body. Raises CallError: it is not JSON."""
    try:
        return parse(body.decode("utf-8-sig"))
    except NotStrictJson as exc:
        raise CallError(ErrorKind.BAD_RESPONSE, f"the answer is not JSON ({exc}): {describe(body)}") from None
    except UnicodeDecodeError:
        raise CallError(ErrorKind.BAD_RESPONSE, "the answer is not JSON: it is not UTF-8") from None


def json_or_none(body: bytes) -> JsonValue:
    """Read a body; None where it is not JSON."""
    try:
        return json_of(body)
    except CallError:
        return None


def found(document: JsonValue, path: str) -> JsonValue:
    """Return what stands at a path, such as `choices.0.text`; None where nothing does."""
    if path == WHOLE:
        return document
    for step in path.split("."):
        match document:
            case Mapping():
                document = document.get(step)
            case list() if step.isascii() and step.isdecimal() and len(step) < 10:  # noqa: PLR2004 (no longer list)
                document = document[int(step)] if int(step) < len(document) else None
            case _:
                return None
    return document


def text_of(value: JsonValue, path: str, document: JsonValue) -> str:
    """Return an output as text: JSON where it is none. Raises CallError where there is none."""
    if isinstance(value, str):
        return plain(value)
    if value is None:
        keys = [shown(key)[:40] for key in document][:_KEYS] if isinstance(document, Mapping) else []
        has = f"it has {', '.join(keys)}" if keys else f"it is {_name(document)}"
        raise CallError(ErrorKind.BAD_RESPONSE, f"the answer has no value at {path!r}: {has}")
    return plain(_dumped(value))


def _dumped(value: JsonValue) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:  # read at the very limit, which writing meets a little earlier
        raise CallError(ErrorKind.BAD_RESPONSE, "the answer is nested too deeply") from None


def plain(text: str) -> str:
    """Return a text as UTF-8 can carry it: half a surrogate becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _name(value: JsonValue) -> str:
    names = {"dict": "an empty object", "list": "a list", "str": "a text", "bool": "true or false", "NoneType": "null"}
    return names.get(type(value).__name__, "a number")
