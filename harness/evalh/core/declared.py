"""Files whose keys are declared once: a table of a file becomes a model, and each mistake has its place.

class Options(FileModel):
    slots: int = Field(4, ge=1, le=64, description="How many requests run at once.")

options = read(Options, table.values, table.where)

Imports pydantic: import this module where a workspace is opened, never for `--help`.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin

from annotated_types import MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import CoreSchema, no_info_plain_validator_function

from evalh.core.errors import MOST_MISTAKES, WorkspaceError, did_you_mean, nearest, some_of
from evalh.core.located import Path, json_of, kind_of
from evalh.core.strict_json import JsonValue

__all__ = ["FileModel", "Refused", "Text", "Texts", "Words", "keys_of", "read"]

M = TypeVar("M", bound=BaseModel)
Where: TypeAlias = Callable[..., str]
"""Returns `file:line` of a path in the table that is read."""

_NULL = object()  # a value that no field accepts
_MOST_KEYS = 12  # of a table, in a hint
_LONGEST = 60  # characters of a wrong word or key in a message


class Words(NamedTuple):
    """In an annotation: how messages describe the field's value, and a hint on what to type."""

    wanted: str | None = None
    hint: str | None = None


Text: TypeAlias = Annotated[str, Field(pattern=r"\S"), Words("text that is not empty")]
Texts: TypeAlias = tuple[Text, ...]


class Refused(ValueError):
    """An error with a validator's own words; `at` is the path from the validated value to the wrong key."""

    def __init__(self, what: str, hint: str | None = None, at: Path = ()) -> None:
        super().__init__(what)
        self.hint = hint
        self.at = at


class FileModel(BaseModel):
    """One table of a file: a field's name or alias is its key; its annotation and `Field` declare the rest.

    Strict, except for what files can write in one way only: a number may become a Decimal or a float, a list a tuple, a
    word a StrEnum. Null is refused where a class does not accept it, also for `int | None = None`: a key without a
    value is left out. A key that BaseModel uses itself, such as `schema`, needs an alias.
    """

    takes_null: ClassVar[bool] = False

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        defer_build=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        hide_input_in_errors=True,
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Inside another table, wait until a file has this one: to build a table of eight keys takes a millisecond."""
        if handler.field_name is None:
            return handler(source)
        return no_info_plain_validator_function(cls.model_validate, metadata={"table": cls})

    @model_validator(mode="before")
    @classmethod
    def _adapt(cls, stated: Any) -> Any:
        if not isinstance(stated, dict | Mapping):
            return stated
        types = _types_of(cls)
        return {
            key: _NULL
            if value is None and not cls.takes_null and types.get(key) is not Any
            else _adapted(types.get(key), value)
            for key, value in stated.items()
        }


@cache
def _types_of(model: type[BaseModel]) -> Mapping[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that a model reads, in its order."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def read(model: type[M], value: JsonValue, where: Where, of: str = "") -> M:
    """Read a table, such as `read(Options, table.values, table.where)`; `of` begins each message.

    Raises WorkspaceError: the first mistake, and the others of the table in the file's order.
    """
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_input=False)[: 2 * MOST_MISTAKES]  # some are the same
        mistakes = [_worded(model, value, one) for one in found]
    begin = f"{of}: " if of else ""
    WorkspaceError.raise_all(
        WorkspaceError(begin + one.what, where=where(*one.path), hint=one.hint) for one in _distinct(mistakes)
    )
    raise AssertionError("a ValidationError has a mistake")


def _adapted(wanted: Any, value: JsonValue) -> JsonValue:
    sides, takes_text = _taken_apart(wanted)
    if takes_text and isinstance(value, str):
        return value
    for side, origin, args, words in sides:
        if side is Any:
            value = json_of(value)
        elif origin is tuple and isinstance(value, list):
            value = tuple(_adapted(args[0], item) for item in value)
        elif origin in (dict, Mapping) and isinstance(value, Mapping):
            value = {key: _adapted(args[1], item) for key, item in value.items()}
        elif isinstance(value, str) and value in words:
            value = side(value)
        elif side is Decimal and type(value) in (int, float):
            value = Decimal(repr(value))
        elif side is float and isinstance(value, Decimal):
            value = float(value)
    return value


_Side: TypeAlias = tuple[Any, Any, tuple[Any, ...], list[str]]
_TAKEN_APART: dict[int, tuple[Any, tuple[list[_Side], bool]]] = {}


def _taken_apart(wanted: Any) -> tuple[list[_Side], bool]:
    """Return the members of a union, each with its origin, arguments and words, and whether a text stays as it is.

    Kept: the rows of a dataset may state a million entries.
    """
    found = _TAKEN_APART.get(id(wanted))  # by identity: not every annotation has a hash
    if found is None:
        sides = [(side, get_origin(side), get_args(side), _words_of(side)) for side in _sides(wanted)]
        takes_text = not any(words or side is Any for side, _, _, words in sides)
        found = _TAKEN_APART[id(wanted)] = (wanted, (sides, takes_text))  # nothing else can get its identity
    return found[1]


def _words_of(side: Any) -> list[str]:
    return [str(one) for one in side] if isinstance(side, type) and issubclass(side, StrEnum) else []


class _Mistake(NamedTuple):
    path: Path
    what: str
    hint: str | None = None
    missing: str = ""  # the missing key
    unknown: str = ""  # the unknown key


def _distinct(mistakes: list[_Mistake]) -> Iterator[_Mistake]:
    """Drop mistakes that another one covers: a missing key that a misspelt one resembles, a union's other member."""
    full = [(*one.path, one.missing) if one.missing else one.path for one in mistakes]
    deeper = {path[:depth] for path in full for depth in range(len(path))}
    seen = set()
    for one in mistakes:
        strangers = [other.unknown for other in mistakes if other.unknown and other.path[:-1] == one.path]
        misspelt = one.missing and any(nearest(stranger, [one.missing]) for stranger in strangers)
        general = not one.missing and not one.unknown and one.path in deeper
        if not misspelt and not general and (one.path, one.missing) not in seen:
            seen.add((one.path, one.missing))
            yield one


def _worded(model: type[BaseModel], value: JsonValue, error: Any) -> _Mistake:
    """Say what is wrong in our own words, not pydantic's."""
    path, wanted, found = _walk(model, value, error["loc"])
    cause = error.get("ctx", {}).get("error")
    names = [step for step in path if isinstance(step, str)]
    key = repr(_short(names[-1])) if names else "the file"
    must = f"{key} must {'hold' if path and isinstance(path[-1], int) else 'be'}"
    match error["type"]:
        case "missing":
            missing = str(error["loc"][-1])
            return _Mistake(path, f"{missing!r} is missing", _words(_field(wanted, missing)).hint, missing=missing)
        case "extra_forbidden":
            _, around, _ = _walk(model, value, error["loc"][:-1])
            known = keys_of(_model(around) or model)
            hint = did_you_mean(str(path[-1]), known) if known else "it takes no keys"
            return _Mistake(path, f"unknown key {_short(str(path[-1]))!r}", hint, unknown=str(path[-1]))
        case "value_error" if isinstance(cause, Refused):
            return _Mistake((*path, *cause.at), str(cause), cause.hint or _words(wanted).hint)
        case "value_error" | "assertion_error":
            return _Mistake(path, f"{key}: {cause}", _words(wanted).hint)
    choices = [one for one in _choices(wanted) if isinstance(one, str)]
    words = _words(wanted)
    if choices and isinstance(found, str):
        hint = words.hint or did_you_mean(found, choices)
        return _Mistake(path, f"{must} {_described(wanted)}, not {_short(found)!r}", hint)
    what, kind = _described(wanted), kind_of(found)
    what = "text" if what.startswith("text ") and not isinstance(found, str) else what
    typed = error["type"].endswith(("_type", "literal_error", "is_instance_of"))
    of_another_kind = typed and f" {kind.removeprefix('a ')} " not in f" {what} "
    table = _model(wanted) if of_another_kind else None
    keys = None if table is None else f"its keys: {some_of(keys_of(table), most=_MOST_KEYS)}"
    return _Mistake(path, f"{must} {what}{f', not {kind}' if of_another_kind else ''}", words.hint or keys)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _walk(model: type[BaseModel], value: JsonValue, loc: tuple[str | int, ...]) -> tuple[Path, Any, JsonValue]:
    """Follow `loc` through the file's own value; return its path, the annotation there, and the value.

    Pydantic also puts the names of a union's members into `loc`; the file does not have them.
    """
    path: Path = ()
    wanted: Any = model
    for step in loc:
        match value:
            case Mapping() if step in value:
                wanted, value = _field(wanted, str(step)), value[step]
            case list() | tuple() if isinstance(step, int) and step < len(value):
                wanted, value = next((get_args(side)[0] for side in _sides(wanted) if get_args(side)), Any), value[step]
            case _:
                continue
        path = (*path, step)
    return path, wanted, value


def _field(wanted: Any, key: str) -> Any:
    for side in _sides(wanted):
        if (model := _model(side)) is not None:
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            if key in fields:
                return _annotated(fields[key])
        elif get_origin(side) in (dict, Mapping):
            return get_args(side)[1]
    return Any


def _annotated(field: FieldInfo) -> Any:
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _sides(wanted: Any) -> list[Any]:
    """Return the members of a union, without None and without their metadata."""
    if get_origin(wanted) is Annotated:
        return _sides(get_args(wanted)[0])
    if get_origin(wanted) in (Union, UnionType):
        return [each for side in get_args(wanted) if side is not type(None) for each in _sides(side)]
    return [wanted]


def _model(wanted: Any) -> type[BaseModel] | None:
    models = [side for side in _sides(wanted) if isinstance(side, type) and issubclass(side, BaseModel)]
    return models[0] if models else None


def _said(wanted: Any) -> list[Any]:
    """Return an annotation's metadata, with that of a union's members."""
    if get_origin(wanted) is Annotated:
        inner, *said = get_args(wanted)
        flat = [each for one in said for each in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return [*flat, *_said(inner)]
    if get_origin(wanted) in (Union, UnionType):
        return [each for side in get_args(wanted) for each in _said(side)]
    return []


def _words(wanted: Any) -> Words:
    said = [one for one in _said(wanted) if isinstance(one, Words)]
    return Words(
        next((one.wanted for one in said if one.wanted), None), next((one.hint for one in said if one.hint), None)
    )


def _choices(wanted: Any) -> list[Any]:
    return [
        each for side in _sides(wanted) for each in (get_args(side) if get_origin(side) is Literal else _words_of(side))
    ]


def _described(wanted: Any) -> str:
    """Describe the expected value with its limits: "a number from 0 to 1"."""
    words = _words(wanted).wanted
    if words is not None:
        return words
    found = []
    for side in _sides(wanted):
        if choices := _choices(side):
            found += [str(each).lower() if isinstance(each, bool) else str(each) for each in choices]
        else:
            found.append(_kind(side, _said(wanted)))
    return " or ".join(dict.fromkeys(found))


def _kind(side: Any, said: list[Any]) -> str:
    filled = " that is not empty" if any(isinstance(one, MinLen) and one.min_length for one in said) else ""
    if side is bool:
        return "true or false"
    if side is int:
        return f"a whole number{_limits(said)}"
    if side in (float, Decimal):
        return f"a number{_limits(said)}"
    if side is str:
        return f"text{filled}"
    if get_origin(side) in (tuple, list, set, frozenset):
        inner = _sides(get_args(side)[0])[0]
        return f"a list{' of texts' if inner is str else ' of mappings' if _model(inner) else ''}{filled}"
    return "a mapping"


def _limits(said: list[Any]) -> str:
    limits = {name: getattr(one, name) for one in said for name in ("ge", "gt", "le", "lt") if hasattr(one, name)}
    low, high = limits.get("ge"), limits.get("le")
    if low is not None and high is not None:
        return f" from {low:,} to {high:,}"
    words = {"ge": "of at least", "gt": "above", "le": "up to", "lt": "below"}
    told = " and ".join(f"{words[name]} {limit:,}" for name, limit in limits.items())
    return f" {told}" if told else ""
