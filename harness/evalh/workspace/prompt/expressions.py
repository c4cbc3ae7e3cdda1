"""Expressions of a pipeline: Jinja's, but a mistake is an error and never silently false.

`extract.order_id` is compiled to a path of keys; any other expression is compiled by Jinja2, in its sandbox.
Python syntax works as in Python, or is refused with a hint what to type instead.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from evalh.core.errors import WorkspaceError
from evalh.core.prompt import HandoverError, Reference
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import RenderError
from evalh.workspace.prompt.references import Incomparable, Scope, SourcePart, bound, truth

if TYPE_CHECKING:
    from evalh.workspace.prompt.jinja2_expressions import Code

WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "True", "false", "False", "none", "None"})
"""The words that Jinja2 does not read as names."""

_LONGEST = 4_000
_MOST_SHOWN = 60
_STEP = r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(-?[0-9]{1,9})\]|\[\"([^\"\\\]]*)\"\]|\['([^'\\\]]*)'\]"
_STEPS = re.compile(_STEP)
_PLAIN = re.compile(rf"([A-Za-z_][A-Za-z0-9_]*)((?:{_STEP})*)")
_TEXTS = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_HABITS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), what, hint)
    for pattern, what, hint in (
        (
            r"\{\{|\{%|\{#",
            "{} opens a template tag, and this is an expression",
            "write it without braces: extract.order_id",
        ),
        (r"&&?", "{} is not an operator here", "write `and`"),
        (r"\|\|", "{} is not an operator here", "write `or`"),
        (r"===", "{} is not an operator here", "write =="),
        (r"!==", "{} is not an operator here", "write !="),
        (r"<>", "{} is not an operator here", "write !="),
        (r"!(?!=)", "{} is not an operator here", "write `not`"),
        (r"\?\.", "{} is not an operator here", "for a field that may be missing, write x.y | default(none)"),
        (r"\?", "{} is not an operator here", "write a.b if c.d else e.f"),
        (r":=", "{} is not an operator here", "an expression cannot assign"),
        (r"=>|->|(?<!\.)\blambda\b", "{} is not allowed here", "x | selectattr('late'), x | map(attribute='id')"),
        (r"(?<!\.)\bfor\b", "{} is not allowed here", "x | selectattr('late'), x | map(attribute='id')"),
        (r"\b[frbu]+(?=['\"])", "text is not written {}'…' here", "join with ~: 'order ' ~ order.id"),
        (
            r"\bis\s+not\s+(?=['\"0-9\[{])|\bis\s+(?=['\"0-9\[{])",
            "{} must be followed by the name of a test",
            "write == or !=",
        ),
    )
)


class PlainExpression(Value):
    """An expression that is only a reference: it needs no Jinja at run time."""

    text: str
    part: SourcePart

    @property
    def where(self) -> str:
        """Its place: file:line."""
        return self.part.where

    @property
    def references(self) -> tuple[Reference, ...]:
        """The one reference that it reads."""
        return (self.part.reference,)

    @property
    def needed(self) -> frozenset[Reference]:
        """What it fails without."""
        return frozenset(self.references)

    def evaluate(self, values: Mapping[str, JsonValue]) -> JsonValue:
        """Return its value. Raises HandoverError."""
        return self.part.read(values)

    def holds(self, values: Mapping[str, JsonValue]) -> bool:
        """Return whether it is true. Raises HandoverError."""
        try:
            return truth(self.part.read(values))
        except Incomparable as exc:
            raise self.part.refused(f"{self.part.reference}: {exc}") from None


class ComputedExpression(Value):
    """An expression compiled by Jinja2."""

    text: str
    where: str
    code: "Code"

    @property
    def references(self) -> tuple[Reference, ...]:
        """All references that it may read."""
        return tuple(part.reference for part in self.code.parts)

    @property
    def needed(self) -> frozenset[Reference]:
        """The references that it always reads, and fails without."""
        return self.code.needed

    def evaluate(self, values: Mapping[str, JsonValue]) -> JsonValue:
        """Return its value. Raises HandoverError."""
        return self.code.run(values)

    def holds(self, values: Mapping[str, JsonValue]) -> bool:
        """Return whether it is true. Raises HandoverError."""
        try:
            return truth(self.code.run(values))
        except Incomparable as exc:
            raise self.code.parts[0].refused(f"{self.text[:60]}: {exc}") from None


Compiled: TypeAlias = PlainExpression | ComputedExpression


def compile_expression(text: str, where: str, scope: Scope, *, condition: bool = False) -> Compiled:
    """Compile the expression at `where`. `scope`: what it may read. Raises WorkspaceError."""
    text = text.strip()
    if not text:
        raise WorkspaceError("the expression is empty", where=where, hint="write extract.order_id")
    if len(text) > _LONGEST:
        what = f"the expression has {len(text):,} characters; at most {_LONGEST:,} are allowed"
        raise WorkspaceError(what, where=where, hint="compute it in a function step")
    reference = _plain(text)
    if reference is not None:
        return PlainExpression(text, bound(reference, where, scope))
    _refuse_habits(text, where)
    from evalh.workspace.prompt.expression_trees import NotAnExpression
    from evalh.workspace.prompt.jinja2_expressions import compile_code

    try:
        code = compile_code(text, where, scope, condition=condition)
        if not code.parts:
            code.run({})  # a constant, or an error
    except NotAnExpression as exc:
        raise WorkspaceError(f"{_shown(text)}: {exc.what}", where=where, hint=exc.hint) from None
    except (RenderError, HandoverError) as exc:
        raise WorkspaceError(f"{_shown(text)}: {exc}", where=where) from None
    return ComputedExpression(text, where, code)


def _plain(text: str) -> Reference | None:
    """Return the reference that the text is; None if it is more than one reference."""
    found = _PLAIN.fullmatch(text)
    if found is None or found[1] in WORDS:
        return None
    path: list[str | int] = []
    for name, index, double, single in _STEPS.findall(found[2]):
        path.append(int(index) if index else name or double or single)
    return Reference(found[1], tuple(path))


def _refuse_habits(text: str, where: str) -> None:
    """Refuse the syntax of other languages, before Jinja2 reads it in its own way."""
    bare = _TEXTS.sub(lambda found: f"'{'x' * (len(found[0]) - 2)}'", text)
    for pattern, what, hint in _HABITS:
        found = pattern.search(bare)
        if found is not None:
            raise WorkspaceError(f"{_shown(text)}: {what.format(found[0].strip())}", where=where, hint=hint)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…")
