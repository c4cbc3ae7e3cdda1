"""A value of any type with everything in it: no field is None, no tuple is empty. So a document says all it can."""

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from evalh.core.errors import EvalhError

PLAIN: dict[Any, Any] = {
    str: "text",
    int: 3,
    float: 0.25,
    bool: True,
    Decimal: Decimal("0.0125"),
    Any: {"key": "value"},
    object: "thing",
    type(None): None,
}
_UNDER_WAY: list[Any] = []


def filled(kind: Any, **more: Any) -> Any:  # noqa: PLR0911 (a return for each kind of type)
    """Make a value of a type; `more` states fields of the outermost."""
    if kind in PLAIN:
        return PLAIN[kind]
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return filled(next(part for part in parts if part is not type(None)))
    if origin is Literal:
        return parts[0]
    if origin in (tuple, list, Sequence, frozenset, set):
        texts = [filled(part) for part in parts if part is not ...]
        return origin(texts) if origin in (list, frozenset, set) else tuple(texts)
    if origin in (dict, Mapping):
        key, value = parts
        return {filled(key): filled(value)}
    if isinstance(kind, typing.TypeVar) or kind is Mapping:
        return {}
    if issubclass(kind, Enum):
        return next(iter(kind))
    if issubclass(kind, EvalhError):
        return kind("what is wrong", where="evalh.toml:3", hint="what to type next")
    assert issubclass(kind, Struct) or is_dataclass(kind), kind
    if kind in _UNDER_WAY:  # a call that holds a call
        return None
    hints = get_type_hints(kind)
    names = kind.__struct_fields__ if issubclass(kind, Struct) else [field.name for field in fields(kind) if field.init]
    _UNDER_WAY.append(kind)
    try:
        return kind(**{name: more[name] if name in more else filled(hints[name]) for name in names})
    finally:
        _UNDER_WAY.pop()
