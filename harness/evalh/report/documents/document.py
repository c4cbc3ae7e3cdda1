"""What all documents are: a value that names its form first, filled from a value's attributes of the same names."""

import json
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Struct, convert, to_builtins
from msgspec.structs import fields

from evalh.core.values import Value

AnyStruct = TypeVar("AnyStruct", bound=Struct)


class Document(Value, tag_field="schema", kw_only=True):
    """A document; each states its `schema` as its tag."""


def document_of(kind: type[AnyStruct], *sources: object, **more: object) -> AnyStruct:
    """Fill a document from the first source that has an attribute of a field's name.

    `more` states the others, by the names in JSON. What is nested is filled likewise.
    """
    values = dict(more)
    for field in fields(kind):
        source = next((source for source in sources if hasattr(source, field.name)), None)
        if field.encode_name not in values and source is not None:
            values[field.encode_name] = getattr(source, field.name)
    return convert(values, kind, from_attributes=True)


def text_of(document: Struct, **how: Any) -> str:
    """Write a document as JSON; amounts become floats, since JSON has no other number. `how` is for `json.dumps`."""
    return json.dumps(to_builtins(document, builtin_types=(Decimal,)), default=float, allow_nan=False, **how)
