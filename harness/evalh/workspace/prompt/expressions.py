"""Expressions of a pipeline: Jinja's own, with nothing that is silently false.

`extract.order_id` is compiled once to a way through values; whatever is more is compiled by Jinja2, in its sandbox.
What a Python programmer would type means what it seems to, or is refused with what to type instead.
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
"""What Jinja2 reads as something other than a name."""

_LONGEST = 4_000
_MOST_SHOWN = 60
_STEP = r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(-?[0-9]{1,9})\]|\[\"([^\"\\\]]*)\"\]|\['([^'\\\]]*)'\]"
_STEPS = re.compile(_STEP)
_PLAIN = re.compile(rf"([A-Za-z_][A-Za-z0-9_]*)((?:{_STEP})*)")
_TEXTS = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_HABITS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), what, hint)
    for pattern, what, hint in (
        (r"\{\{|\{%|\{#", "{} opens a template, and this is an expression", "leave the braces out: extract.order_id"),
        (r"&&?", "{} is not read here", "write `and`"),
        (r"\|\|", "{} is not read here", "write `or`"),
        (r"===", "{} is not read here", "write =="),
        (r"!==", "{} is not read here", "write !="),
        (r"<>", "{} is not read here", "write !="),
        (r"!(?!=)", "{} is not read here", "write `not`"),
        (r"\?\.", "{} is not read here", "x.y | default(none) takes what may be missing"),
        (r"\?", "{} is not read here", "write a.b if c.d else e.f"),
        (r":=", "{} is not read here", "an expression assigns nothing"),
        (r"=>|->|(?<!\.)\blambda\b", "{} is not read here", "x | selectattr('late'), x | map(attribute='id')"),
        (r"(?<!\.)\bfor\b", "{} is not read here", "x | selectattr('late'), x | map(attribute='id')"),
        (r"\b[frbu]+(?=['\"])", "text is not written {}'…' here", "join with ~: 'order ' ~ order.id"),
        (r"\bis\s+not\s+(?=['\"0-9\[{])|\bis\s+(?=['\"0-9\[{])", "{} takes the name of a test", "write == or !="),
    )
)


class PlainExpression(Value):
    """A reference and nothing else: no Jinja at run time."""

    text: str
    part: SourcePart

    @property
    def where(self) -> str:
        """Where it stands: file:line."""
        return self.part.where

    @property
    def references(self) -> tuple[Reference, ...]:
        """The one thing that it reads."""
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
    """An expression that Jinja2 has compiled."""

    text: str
    where: str
    code: "Code"

    @property
    def references(self) -> tuple[Reference, ...]:
        """All that it may read."""
        return tuple(part.reference for part in self.code.parts)

    @property
    def needed(self) -> frozenset[Reference]:
        """What it fails without, as far as it comes to read it."""
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
    """Compile what stands at `where`. `scope`: what it may read. Raises WorkspaceError."""
    text = text.strip()
    if not text:
        raise WorkspaceError("the expression is empty", where=where, hint="write extract.order_id")
    if len(text) > _LONGEST:
        what = f"an expression of {len(text):,} characters; at most {_LONGEST:,}"
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
            code.run({})  # a constant, or what is none
    except NotAnExpression as exc:
        raise WorkspaceError(f"{_shown(text)}: {exc.what}", where=where, hint=exc.hint) from None
    except (RenderError, HandoverError) as exc:
        raise WorkspaceError(f"{_shown(text)}: {exc}", where=where) from None
    return ComputedExpression(text, where, code)


def _plain(text: str) -> Reference | None:
    """Return what a plain reference names; None for anything else."""
    found = _PLAIN.fullmatch(text)
    if found is None or found[1] in WORDS:
        return None
    path: list[str | int] = []
    for name, index, double, single in _STEPS.findall(found[2]):
        path.append(int(index) if index else name or double or single)
    return Reference(found[1], tuple(path))


def _refuse_habits(text: str, where: str) -> None:
    """Refuse what other languages write, before Jinja2 says what it makes of it."""
    bare = _TEXTS.sub(lambda found: f"'{'x' * (len(found[0]) - 2)}'", text)
    for pattern, what, hint in _HABITS:
        found = pattern.search(bare)
        if found is not None:
            raise WorkspaceError(f"{_shown(text)}: {what.format(found[0].strip())}", where=where, hint=hint)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…")
