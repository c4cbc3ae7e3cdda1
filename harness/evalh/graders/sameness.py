"""When two answers say the same: by their label, by a number, or as JSON."""

from collections.abc import Callable, Hashable
from typing import Literal, TypeAlias

from msgspec.structs import replace

from evalh.core.attempt import Completion
from evalh.core.digest import JsonValue, canonical
from evalh.core.verdict import GradeContext
from evalh.graders.kinds import Scope
from evalh.graders.numbers import number_reader
from evalh.graders.output import Place, Unreadable, folded

By: TypeAlias = Literal["label", "number", "json"]
Reduced: TypeAlias = Hashable | Unreadable
Reduce: TypeAlias = Callable[[GradeContext], Reduced]
"""Reduces an answer to what must agree."""

_ENDS = " \t\n.,;:!?*_`'\"()[]"


def reducing(scope: Scope, by: By, path: str | None, after: str | None, *, fenced: bool) -> Reduce:
    """Return what reduces an answer. Raises WorkspaceError for a path that cannot be read, or where both are stated."""
    if path is not None and after is not None:
        raise scope.wrong("states both path and after", "one of them says where the answer stands")
    if after == "":
        raise scope.wrong("has an empty tag")
    if by == "json" and after is not None:
        raise scope.wrong("compares JSON, which has no tag", "path: label")
    place = Place(scope.path(path), fenced)
    reader = number_reader()

    def reduce(ctx: GradeContext) -> Reduced:
        source = place.json(ctx) if by == "json" or path is not None else _behind(ctx.text, after)
        if isinstance(source, Unreadable):
            return source
        if by == "number":
            reading = reader.read(source)
            if isinstance(reading, Unreadable):
                return reading
            return Unreadable(reading.doubt) if reading.doubt else reading.key
        if by == "json":
            return canonical(_numbers(folded(source, ignore_case=True, trim=True)))
        text = source if isinstance(source, str) else canonical(source).decode("utf-8", "surrogatepass")
        label = " ".join(text.split()).strip(_ENDS).casefold()
        return label or Unreadable("there is no answer in it")

    return reduce


def _behind(text: str, after: str | None) -> str | Unreadable:
    if after is None:
        return text
    _, tag, behind = text.rpartition(after)
    return behind if tag else Unreadable(f"there is no {after!r} in it")


def _numbers(value: JsonValue) -> JsonValue:
    """Write numbers that are whole as such: in JSON `4.0` is `4`."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _numbers(inner) for key, inner in value.items()}
        case list():
            return [_numbers(inner) for inner in value]
        case _:
            return value


def another(ctx: GradeContext, completion: Completion) -> GradeContext:
    """Return the same sample with another answer."""
    return replace(ctx, completion=completion, cache={})
