"""Jinja2 that cannot reach Python, repeats itself, and ends.

Jinja2's own sandbox keeps templates from Python's insides. It does not bound time or memory, so loops, calls and text
are paid for here from one purse per rendering, and what could spend without paying is not there.
"""

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import StrictUndefined, Undefined, UndefinedError, nodes, pass_context, pass_environment
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing
from jinja2.visitor import NodeTransformer

from evalh.workspace.prompt.bodies import MissingInput, RenderError
from evalh.workspace.prompt.dialect_portable import text_of

PURSE = "evalh purse"  # a blank in the name: no template can say it
_COUNTED = "evalh counted"
_JOINED = "evalh joined"
_METHOD = "evalh method"
_JSON = (dict, list, tuple, str, int, float, type(None))
_MAX_STEPS = 100_000
_MAX_CHARACTERS = 4_000_000
_MAX_BITS = 4_096
_MAX_INDENT = 16
_PIECE = 10  # what a piece of JSON costs beside its characters: it takes that much time

# Not here: what is random, what formats (a width is a memory bomb), what reads attributes by name, HTML.
_FILTERS = frozenset(
    {"abs", "count", "d", "default", "dictsort", "first", "float", "groupby", "int", "items", "last", "length", "list"}
    | {"map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "sum", "unique"}
)
_TEXT_FILTERS = frozenset({"capitalize", "lower", "title", "trim", "upper", "wordcount"})
METHODS = {
    str: frozenset(
        {"capitalize", "casefold", "count", "endswith", "find", "isalpha", "isdigit", "isspace", "lower", "lstrip"}
        | {"partition", "removeprefix", "removesuffix", "rfind", "rpartition", "rsplit", "rstrip", "split"}
        | {"splitlines", "startswith", "strip", "title", "upper"}
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    LoopContext: frozenset({"changed", "cycle"}),
}
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).iterencode


class TooMuch(Exception):
    """A template has spent what one rendering may."""


class RenderBudget:
    """What one rendering may still spend."""

    def __init__(self) -> None:
        self._steps = _MAX_STEPS
        self._characters = _MAX_CHARACTERS

    def step(self, number: int = 1) -> None:
        """Pay for loop rounds and calls. Raises TooMuch."""
        self._steps -= number
        if self._steps < 0:
            raise TooMuch(f"more than {_MAX_STEPS:,} loop rounds and calls")

    def text(self, characters: int) -> None:
        """Pay for text, before it is made where it could be big. Raises TooMuch."""
        self._characters -= characters
        if self._characters < 0:
            raise TooMuch(f"more than {_MAX_CHARACTERS:,} characters")


def _purse(context: Context) -> RenderBudget:
    purse: RenderBudget = context.parent[PURSE]
    return purse


class MissingVariable(StrictUndefined):
    """An input that is not there: any use of it is an error that names it."""

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = UndefinedError
    ) -> None:
        if exc is UndefinedError:
            exc = self._named
        super().__init__(hint, obj, name, exc)

    def _named(self, message: str | None) -> Exception:
        if self._undefined_obj is missing and self._undefined_name is not None:
            return MissingInput(str(self._undefined_name))
        return UndefinedError(message)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment that every Jinja2 prompt is compiled in."""

    # `+`, `*` and `**` can spend; `%` formats. Intercepted operators are not folded at compile time either.
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=MissingVariable,
            autoescape=False,
            keep_trailing_newline=True,
            finalize=_finalized,
            optimized=False,
        )
        self.globals = {"range": _range, "namespace": Namespace, "dict": dict}
        self.filters = {name: FILTERS[name] for name in _FILTERS}
        self.filters |= {name: _of_text(FILTERS[name]) for name in _TEXT_FILTERS}
        self.filters |= {
            "indent": _indent,
            "join": _join,
            "replace": _replace,
            "string": _finalized,
            "tojson": _tojson,
            "truncate": _truncate,
            _COUNTED: _counted,
            _JOINED: _join,
            _METHOD: _method,
        }

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return what a template names by a dot: of a case's value a key, and never a method of Python's.

        `{% if order.items %}` asks the order. A method is reached where it is called: `order.items()`.
        """
        return self.getitem(obj, attribute) if isinstance(obj, _JSON) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return what a template names in brackets, or by `attribute=`: a key, or an element."""
        if not isinstance(obj, _JSON):
            return super().getitem(obj, argument)
        try:
            return obj[argument]  # type: ignore[index]  # a number has none, which is a TypeError
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)

    def method(self, obj: Any, name: str) -> Any:
        """Return what a template calls by a dot."""
        return super().getattr(obj, name)

    def is_safe_callable(self, obj: Any) -> bool:
        """Allow macros, our own functions, and methods that read."""
        if isinstance(obj, (Macro, LoopContext)) or any(obj is ours for ours in (_range, Namespace, dict)):
            return True
        owner = getattr(obj, "__self__", None)
        return any(isinstance(owner, kind) and getattr(obj, "__name__", "") in names for kind, names in METHODS.items())

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls. Raises TooMuch, SecurityError."""
        if isinstance(obj, Undefined):
            str(obj)  # raises, and names it
        owner = getattr(obj, "__self__", None)
        _purse(context).step()
        _purse(context).text(len(owner) if isinstance(owner, str) else 0)
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute, after paying. Raises TooMuch, SecurityError."""
        _purse(context).text(_size(operator, left, right))
        return super().call_binop(context, operator, left, right)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:  # noqa: ARG002 (Jinja2's own signature)
        """Say no to what leads to Python's insides."""
        raise SecurityError(f"a template cannot use {attribute!r}")


def _size(operator: str, left: Any, right: Any) -> int:
    """Return how many characters or items an operation makes, 0 for numbers. Raises TooMuch, SecurityError."""
    if operator == "%" and isinstance(left, str):
        raise SecurityError("% does not format text here; use ~")
    if operator == "+" and isinstance(left, (str, list, tuple)):
        return len(left) + (len(right) if isinstance(right, (str, list, tuple)) else 0)
    if operator == "*":
        for many, times in ((left, right), (right, left)):
            if isinstance(many, (str, list, tuple)) and isinstance(times, int):
                return len(many) * max(times, 0)
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 0) if operator == "**" else left.bit_length() + right.bit_length()
        if bits > _MAX_BITS:
            raise TooMuch("a number that is too big")
    return 0


def _text(context: Context, value: Any) -> str:
    """Return what a value prints, paid for. Raises TooMuch, RenderError."""
    purse = _purse(context)
    if isinstance(value, Undefined):
        return str(value)  # raises
    if isinstance(value, (list, tuple, dict)):
        chunks: list[str] = []
        try:
            for chunk in _encode(value):  # in pieces: a list may hold another many times
                purse.text(len(chunk) + _PIECE)
                chunks.append(chunk)
        except (TypeError, ValueError, RecursionError) as exc:
            raise RenderError(f"a value is not JSON: {exc}") from None
        return "".join(chunks)
    text = text_of(value)
    purse.text(len(text))
    return text


@pass_context
def _finalized(context: Context, value: Any) -> str:
    return _text(context, value)


def _of_text(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Let a filter see text only: made from anything else, it is paid for."""

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        return filter_(_text(context, value), *args, **kwargs)

    return run


@pass_context
def _range(context: Context, *bounds: int) -> range:
    numbers = range(*bounds)
    try:
        _purse(context).step(len(numbers))
    except OverflowError:
        raise TooMuch(f"more than {_MAX_STEPS:,} loop rounds and calls") from None
    return numbers


@pass_context
def _counted(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    purse = _purse(context)
    for item in items:
        purse.step()
        yield item


@pass_context
def _join(context: Context, values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    texts: list[str] = []
    for value in values:
        _purse(context).text(len(d))
        texts.append(_text(context, value if attribute is None else context.environment.getitem(value, attribute)))
    return d.join(texts)


@pass_context
def _replace(context: Context, value: Any, old: str, new: str, count: int = -1) -> str:
    text = _text(context, value)
    _purse(context).text(text.count(old) * len(new))
    return text.replace(old, new, count)


@pass_context
def _truncate(context: Context, value: Any, *args: Any, **kwargs: Any) -> str:
    cut: str = FILTERS["truncate"](context.environment, _text(context, value), *args, **kwargs)
    return cut


@pass_context
def _indent(context: Context, value: Any, width: int = 4, first: bool = False) -> str:  # noqa: FBT001, FBT002 (Jinja2's own signature)
    _indented(width)
    first_line, newline, rest = _text(context, value).partition("\n")
    _purse(context).text((rest.count("\n") + 1) * width)
    return (" " * width if first else "") + first_line + newline + textwrap.indent(rest, " " * width)


@pass_context
def _tojson(context: Context, value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _text(context, value)
    if indent is None or isinstance(value, str):
        return text
    _indented(indent)
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


@pass_environment
def _method(environment: Sandbox, value: Any, name: str) -> Any:
    return environment.method(value, name)


def _indented(width: int) -> None:
    if not 0 <= width <= _MAX_INDENT:
        raise TooMuch(f"an indent over {_MAX_INDENT}")


class _Paying(NodeTransformer):
    """Makes loops and `~` pay, and tells a method that is called from a key."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 (Jinja2's visitor names)
        self.generic_visit(node)
        if isinstance(called := node.node, nodes.Getattr):
            name = nodes.Const(called.attr)
            node.node = nodes.Filter(called.node, _METHOD, [name], [], None, None, lineno=node.lineno)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 (Jinja2's visitor names)
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, _COUNTED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 (Jinja2's visitor names)
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes), _JOINED, [], [], None, None, lineno=node.lineno)


def paying(tree: nodes.Template) -> nodes.Template:
    """Return the template's tree with every loop and concatenation paid for, and its methods told from keys."""
    paid: nodes.Template = _Paying().visit(tree)
    return paid
