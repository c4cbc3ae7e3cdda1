"""What compiled expressions call instead of Jinja2: strictly typed reads, comparisons and arithmetic."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any, NoReturn

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context
from jinja2.tests import TESTS

from evalh.core.located import kind_of
from evalh.core.strict_json import JsonValue
from evalh.workspace.prompt.bodies import RenderError
from evalh.workspace.prompt.jinja2_sandbox import PURSE, RenderBudget, Sandbox
from evalh.workspace.prompt.references import Incomparable, SourcePart, compared, computed, size_of, truth

SOURCES = "evalh sources"  # a blank in the name: no expression can say it
READ, SOFT, AT, KIND = "evalh read", "evalh soft", "evalh at", "evalh kind"
COMPARED, COMPUTED, TRUTH = "evalh compared", "evalh computed", "evalh truth"
NUMBERS = {"int": "evalh int", "float": "evalh float"}
TESTS_HERE = frozenset(
    {"boolean", "defined", "divisibleby", "even", "false", "float", "integer", "lower", "mapping", "none", "number"}
    | {"odd", "string", "true", "undefined", "upper"}
)
COMPARING = {"eq": "eq", "equalto": "eq", "==": "eq", "ne": "ne", "!=": "ne", "lt": "lt", "lessthan": "lt", "<": "lt"}
COMPARING |= {"le": "lteq", "<=": "lteq", "gt": "gt", "greaterthan": "gt", ">": "gt", "ge": "gteq", ">=": "gteq"}
COMPARING |= {"in": "in"}
_JSON = frozenset({str, int, float, bool, dict, list, type(None)})


def failure(parts: tuple[SourcePart, ...], blame: int, what: str) -> Exception:
    """Return the error of the source of a part; for an expression that reads nothing, an error of its author."""
    return parts[blame].refused(what) if parts else RenderError(what)


def _refuse(context: Context, blame: int, what: str) -> NoReturn:
    _, parts = context.parent[SOURCES]
    raise failure(parts, blame, what)


@pass_context
def _read(context: Context, part: int, any_null: bool) -> JsonValue:  # noqa: FBT001 (a filter's arguments)
    values, parts = context.parent[SOURCES]
    return parts[part].read(values, any_null=any_null)


@pass_context
def _soft(context: Context, part: int, _: bool) -> JsonValue:  # noqa: FBT001 (a filter's arguments)
    values, parts = context.parent[SOURCES]
    found: SourcePart = parts[part]
    return found.read(values) if found.is_there(values) else context.environment.undefined(name=str(found.reference))


@pass_context
def _at(context: Context, value: Any, key: Any, blame: int) -> JsonValue:
    value, key = _listed(context, value), _listed(context, key)
    fits = isinstance(value, Mapping) and isinstance(key, str) and key in value
    if not fits and isinstance(value, (list, tuple)) and type(key) is int:
        fits = -len(value) <= key < len(value)
    if not fits:
        _refuse(context, blame, f"{_of(context, blame)}{kind_of(value)} has no part {str(key)[:60]!r}")
    return value[key]


@pass_context
def _kind(context: Context, value: Any, kind: str, method: str, blame: int) -> Any:
    value = _listed(context, value)
    if kind_of(value) != kind:
        _, parts = context.parent[SOURCES]
        _refuse(context, blame, f"{parts[blame].reference if parts else 'it'}: {kind_of(value)} has no .{method}()")
    return value


@pass_context
def _compare(context: Context, value: Any, names: list[str], others: list[Any], blame: int) -> bool:
    left = _listed(context, value)
    for name, other in zip(names, others, strict=True):
        right = _listed(context, other)
        try:
            if not compared(left, name, right):
                return False
        except Incomparable as exc:
            _refuse(context, blame, f"{_of(context, blame)}{exc}")
        left = right
    return True


@pass_context
def _compute(context: Context, value: Any, sign: str, other: Any, blame: int) -> JsonValue:
    left, right = _listed(context, value), _listed(context, other)
    context.parent[PURSE].text(size_of((left, right)))
    try:
        return computed(left, sign, right)
    except (Incomparable, ArithmeticError) as exc:
        _refuse(context, blame, f"{_of(context, blame)}{exc}")


@pass_context
def _true(context: Context, value: Any, blame: int) -> Any:
    value = _listed(context, value)
    try:
        truth(value)
    except Incomparable as exc:
        _refuse(context, blame, f"{_of(context, blame)}{exc}")
    return value


def _of(context: Context, blame: int) -> str:
    _, parts = context.parent[SOURCES]
    return f"{parts[blame].reference}: " if parts else ""


def _number(kind: Callable[[Any], Any], value: Any, default: Any = None) -> JsonValue:
    """Return a number. Anything else is an error, where Jinja2 would return 0."""
    if isinstance(value, Undefined):
        str(value)  # raises, and names it
    try:
        if isinstance(value, (str, int, float)) and math.isfinite(float(value)):
            return kind(float(value)) if kind is int and isinstance(value, str) and "." in value else kind(value)
    except ValueError:
        pass
    if default is None:
        raise Incomparable(f"{str(value)[:40]!r} is not a number; | {kind.__name__}(0) gives 0 instead")
    return default


def _listed(context: Context, value: Any) -> Any:
    """Return a value as JSON; a generator becomes a list. Raises UndefinedError."""
    if type(value) in _JSON:
        return value
    if isinstance(value, Undefined):
        str(value)  # raises, and names it
    return json_of_result(value, context.parent[PURSE])


def json_of_result(value: Any, purse: RenderBudget) -> JsonValue:
    """Return a value without Jinja2's own types."""
    if isinstance(value, Undefined):
        str(value)  # raises, and names it
    if isinstance(value, (str, int, float, type(None))):
        return value
    purse.step()
    if isinstance(value, Mapping):
        return {str(key): json_of_result(item, purse) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [json_of_result(item, purse) for item in value]
    raise RenderError(f"{kind_of(value)} is not JSON")


def _comparison(name: str) -> Callable[[Any, Any], bool]:
    return lambda left, right: compared(left, name, right)


@cache
def environment() -> Sandbox:
    """Return the sandbox of expressions: no functions, and strictly typed tests and filters."""
    sandbox = Sandbox()
    sandbox.globals = {}
    sandbox.filters |= {READ: _read, SOFT: _soft, AT: _at, KIND: _kind, COMPARED: _compare, COMPUTED: _compute}
    sandbox.filters |= {
        TRUTH: _true,
        NUMBERS["int"]: partial(_number, int),
        NUMBERS["float"]: partial(_number, float),
    }
    sandbox.tests = {name: TESTS[name] for name in TESTS_HERE}
    sandbox.tests |= {name: _comparison(op) for name, op in COMPARING.items()}
    return sandbox
