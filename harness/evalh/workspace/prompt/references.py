"""What expressions read: the sources, parts of their values, and which values may be compared.

Nothing that is missing, or of another type than it is compared with, is ever false: that would choose a branch
by an accident. It is the failure of the step that gave it.
"""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from evalh.core.errors import WorkspaceError, did_you_mean, some_of
from evalh.core.located import kind_of
from evalh.core.prompt import INPUTS, HandoverError, Reference
from evalh.core.schemas import NoPart, Schema, part_of, refuses_null
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

_ORDERS: Mapping[str, Callable[[JsonValue, JsonValue], bool]] = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}
_ORDERED = frozenset({int, float, str})
_MOST_SHOWN = 40
_SAYS_NO = frozenset({"false", "no", "none", "null", "true", "yes"})


class Shape(Value):
    """What is known of a source before it runs."""

    gives_json: bool = True
    schema: Schema | None = None  # None: nothing is stated
    where: str = ""  # file:line of the schema


Scope: TypeAlias = Mapping[str, Shape]
"""What an expression may read, by name, INPUTS included."""


class Incomparable(Exception):
    """Two values that cannot be compared or computed with, or one that cannot be a condition."""


class SourcePart(Value):
    """A part of one source's value. `required`: its schema does not allow null."""

    reference: Reference
    where: str  # file:line of the expression
    required: bool = False

    def read(self, values: Mapping[str, JsonValue], *, any_null: bool = False) -> JsonValue:
        """Return the value. Raises HandoverError if it is missing, or null where null is not allowed."""
        value = values[self.reference.source]
        for depth, step in enumerate(self.reference.path):
            if not _has(value, step):
                raise self._missing(value, depth)
            value = value[step]
        if value is None and self.required and not any_null:
            raise self.refused(f"{self.reference} is null, which its schema does not allow")
        return value

    def is_there(self, values: Mapping[str, JsonValue]) -> bool:
        """Whether the part exists; it may be null."""
        value = values[self.reference.source]
        for step in self.reference.path:
            if not _has(value, step):
                return False
            value = value[step]
        return True

    def refused(self, what: str) -> HandoverError:
        """Return the error of the source, at this expression's line."""
        return HandoverError(self.reference.source, what, self.where)

    def _missing(self, value: JsonValue, depth: int) -> HandoverError:
        source, path = self.reference.source, self.reference.path
        step = path[depth]
        whole = Reference(source, path[:depth])
        if isinstance(value, Mapping) and isinstance(step, str):
            have = some_of(list(map(str, value))) or "nothing"
            named = "the case has no" if source == INPUTS and depth == 0 else ""
            here = Reference(source, path[: depth + 1])
            return self.refused(
                f"{named} {here}".lstrip() + ("" if named else " is missing") + f" (have: {have[:200]})"
            )
        if isinstance(value, (list, tuple)) and isinstance(step, int):
            return self.refused(f"{whole} has {len(value)} items, so [{step}] does not exist")
        wanted = f"item [{step}]" if isinstance(step, int) else f"field {step!r}"
        return self.refused(f"{whole} is {kind_of(value)}, which has no {wanted}")


def _has(value: JsonValue, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(value, (list, tuple)) and -len(value) <= step < len(value)
    return isinstance(value, (dict, Mapping)) and step in value  # dict: Mapping alone takes a microsecond


def bound(reference: Reference, where: str, scope: Scope) -> SourcePart:
    """Return the part that a reference names. Raises WorkspaceError for a part that can never exist."""
    name, path = reference.source, reference.path
    if name not in scope:
        raise _unknown(reference, where, scope)
    shape = scope[name]
    if path and not shape.gives_json:
        raise WorkspaceError(
            f"{name} gives text, and text has no parts: {reference}",
            where=where,
            hint=f"write {name}; for JSON, state `output: {{format: json}}` in its prompt",
        )
    found = part_of(shape.schema, path)
    if isinstance(found, NoPart):
        missing = Reference(name, path[: found.depth + 1])
        whole = Reference(name, path[: found.depth])
        what = f"{whole} is {found.found}: there is no {missing}" if found.found else f"{name} does not give {missing}"
        told = "" if found.found else did_you_mean(str(path[found.depth]), found.have)
        schema = f"its schema: {shape.where}" if shape.where else ""
        raise WorkspaceError(what, where=where, hint=" · ".join(one for one in (told, schema) if one) or None)
    return SourcePart(reference, where, refuses_null(shape.schema, path))


_OTHER_WORDS = {
    "expected": "a step cannot see the gold: it could copy it",
    "null": "write none",
    "nil": "write none",
    "undefined": "write none; or `x.y is defined`",
    "TRUE": "write true",
    "FALSE": "write false",
    "item": "'item' is reserved; a step reads one item as extract.items[0]",
    "steps": "write a step's name alone: extract.order_id",
    "case": "write a case's inputs as inputs.email",
}


def _unknown(reference: Reference, where: str, scope: Scope) -> WorkspaceError:
    name = reference.source
    if name == "expected":
        return WorkspaceError("'expected' is not available here", where=where, hint=_OTHER_WORDS[name])
    what = f"no step {name!r}"
    hint = _OTHER_WORDS.get(name) or did_you_mean(name, scope)
    if name not in _OTHER_WORDS and not reference.path:
        hint += f"; for a text, write '{name}' in quotes"
    return WorkspaceError(what, where=where, hint=hint)


# -- what values mean


def truth(value: JsonValue) -> bool:
    """Return whether a value is true, as in Jinja. Raises Incomparable for text that looks like a condition."""
    if isinstance(value, str) and value.strip().casefold() in _SAYS_NO:
        raise Incomparable(f"the text {value.strip()!r} is always true: compare it with another text")
    return bool(value)


def compared(left: JsonValue, name: str, right: JsonValue) -> bool:
    """Compare two values of one type. Null equals only null. Raises Incomparable."""
    if name in ("in", "notin"):
        return _contains(right, left) is (name == "in")
    if name in ("eq", "ne"):
        if left is not None and right is not None and type(left) is not type(right):
            _refuse_types(left, right)
        return (left == right) is (name == "eq")
    if type(left) is not type(right) or type(left) not in _ORDERED:
        kind = _refuse_types(left, right)
        if kind not in ("a number", "text"):
            raise Incomparable(f"{kind} cannot be ordered: only numbers and texts can")
    return _ORDERS[name](left, right)


def _refuse_types(left: JsonValue, right: JsonValue) -> str:
    left_kind, right_kind = kind_of(left), kind_of(right)
    if left_kind != right_kind:
        raise Incomparable(f"{left_kind} is compared with {right_kind}: {_shown(left)} and {_shown(right)}")
    return left_kind


def _contains(whole: JsonValue, part: JsonValue) -> bool:
    if isinstance(whole, (str, Mapping)):
        if not isinstance(part, str):
            raise Incomparable(f"`in` cannot look for {kind_of(part)} in {kind_of(whole)}")
        return part in whole
    if not isinstance(whole, (list, tuple)):
        raise Incomparable(f"`in` cannot look into {kind_of(whole)}")
    alike = [one for one in whole if one is None or part is None or kind_of(one) == kind_of(part)]
    if whole and not alike:
        raise Incomparable(f"`in` looks for {kind_of(part)} in a list of other types: {_shown(part)}")
    return any(one == part for one in alike)


_COMPUTE: Mapping[str, Callable[[JsonValue, JsonValue], JsonValue]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
MOST_BITS = 1_024


def computed(left: JsonValue, sign: str, right: JsonValue) -> JsonValue:
    """Compute with two numbers, or join two texts or lists by `+`. Raises Incomparable, ArithmeticError."""
    joins = sign == "+" and kind_of(left) == kind_of(right) and isinstance(left, (str, list, tuple))
    if joins:
        return list(left) + list(right) if isinstance(left, (list, tuple)) else left + right
    if not _is_number(left) or not _is_number(right):
        raise Incomparable(f"{sign} takes numbers, not {kind_of(left)} and {kind_of(right)}")
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 1) if sign == "**" else left.bit_length() + right.bit_length()
        if bits > MOST_BITS:
            raise Incomparable("the number would be too big")
    result = _COMPUTE[sign](left, right)
    if isinstance(result, complex) or result != result or result in (float("inf"), float("-inf")):  # noqa: PLR0124 (NaN)
        raise Incomparable("the result is not a number that JSON has")
    return result


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def size_of(values: Sequence[JsonValue]) -> int:
    """Return how many characters or items values have, before they are joined."""
    return sum(len(one) for one in values if isinstance(one, (str, list, tuple)))
