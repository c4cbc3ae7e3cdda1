"""Reading an output: its text, the JSON in it, and one place inside that JSON.

The parsed JSON stays in `GradeContext.cache`, so the graders of a sample share one parse.

What an output is compared with: a literal from the suite, or a place in the case's `expected`.
"""

from collections.abc import Iterable, Iterator, Mapping

from evalh.core import strict_json
from evalh.core.case import ABSENT
from evalh.core.strict_json import JsonValue
from evalh.core.text_forms import Form, in_form
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.blocks import blocks
from evalh.graders.kinds import Scope
from evalh.graders.paths import JsonPath
from evalh.graders.quoting import kind_of

DEEPEST = 200
"""Levels of nesting beyond which an output is not read: Python's own limit differs between versions, and validators
in native code crash the process on it."""

_JSON_BEGINS = frozenset('{["')  # a text that is JSON itself may hold fences inside its strings


class Unreadable(Value):
    """Why an output holds no such value: the reason of a failing verdict."""

    reason: str


def output_json(ctx: GradeContext, *, fenced: bool = False) -> JsonValue | Unreadable:
    """Return the output's JSON, parsed once per sample.

    Strict: all of the text must be one JSON value, without duplicate keys and NaN. With `fenced`, the text may
    instead hold one fenced block, and that is read.
    """
    key = "fenced json" if fenced else "json"
    if key not in ctx.cache:
        ctx.cache[key] = _parse(json_text(ctx, fenced=fenced))
    return ctx.cache[key]


def json_text(ctx: GradeContext, *, fenced: bool = False) -> str | Unreadable:
    """Return the text that should be JSON: all of it, or with `fenced` the only fenced block if there is one.

    Where several blocks stand, the only one that says `json` counts. A block without an end is cut off.
    """
    text = ctx.text
    if not fenced or ("```" not in text and "~~~" not in text) or text.lstrip()[:1] in _JSON_BEGINS:
        return text
    found = list(blocks(text))
    if not all(block.closed for block in found):
        return Unreadable("the output holds a fenced block without an end")
    said = [block for block in found if block.language.lower() in {"json", "jsonc", "json5"}]
    if len(found) > 1 and len(said) == 1:
        found = said
    if len(found) > 1:
        return Unreadable(f"the output holds {len(found)} fenced blocks; one was expected, or one that says json")
    return found[0].text if found else text


def _parse(text: str | Unreadable) -> JsonValue | Unreadable:
    if isinstance(text, Unreadable):
        return text
    try:
        value = strict_json.parse(text)
    except strict_json.NotStrictJson as exc:
        return Unreadable(f"the output is not JSON: {exc}")
    if text.count("[") + text.count("{") > DEEPEST and _deeper_than(value, DEEPEST):
        return Unreadable("the output is not JSON: nested too deeply")
    return value


def _deeper_than(value: JsonValue, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _inside(outer)]
    return any(isinstance(inner, dict | list) for inner in layer)


def _inside(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def strings_in(value: JsonValue) -> Iterator[str]:
    """Yield every string that a value holds, in order; the keys of objects are not among them."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            waiting.extend(reversed(list(one.values())))
        elif isinstance(one, list | tuple):
            waiting.extend(reversed(one))


class OutputPlace(Value):
    """Where a grader looks: the whole output, or a path in its JSON."""

    path: JsonPath | None = None
    fenced: bool = False

    def json(self, ctx: GradeContext) -> JsonValue | Unreadable:
        """Return the JSON value at this place."""
        value = output_json(ctx, fenced=self.fenced)
        if self.path is None or isinstance(value, Unreadable):
            return value
        found = self.path.find(value)
        return Unreadable(f"the output's JSON has no {self.path}") if found is ABSENT else found

    def text(self, ctx: GradeContext) -> str | Unreadable:
        """Return the text at this place; a path must lead to a string."""
        if self.path is None:
            return ctx.text
        value = self.json(ctx)
        if isinstance(value, str | Unreadable):
            return value
        return Unreadable(f"{self.path} is {kind_of(value)}, not a string")

    def __str__(self) -> str:
        return "the output" if self.path is None else str(self.path)


def folded(value: JsonValue, *, ignore_case: bool = False, trim: bool = False, form: Form = "none") -> JsonValue:
    """Write every string in a value in a normal form, fold its case and trim its ends; keys stay as they are."""
    match value:
        case str():
            text = in_form(value, form)
            text = text.strip() if trim else text
            return in_form(text.casefold(), form) if ignore_case else text
        case Mapping():
            return {key: folded(inner, ignore_case=ignore_case, trim=trim, form=form) for key, inner in value.items()}
        case list() | tuple():
            return [folded(inner, ignore_case=ignore_case, trim=trim, form=form) for inner in value]
        case _:
            return value


NO_EXPECTED = Verdict.abstain("the case has no expected value")


class Expectation(Value):
    """A literal, or a path in `expected` (None: all of it)."""

    literal: JsonValue = ABSENT
    path: JsonPath | None = None

    @classmethod
    def of(cls, scope: Scope, literal: JsonValue, path: str | None, literal_name: str = "value") -> "Expectation":
        """Choose. Raises WorkspaceError where both are stated, and for a path that cannot be read."""
        if literal is not ABSENT and path is not None:
            raise scope.wrong(f"states both {literal_name} and expected", "a literal, or a path in the case's expected")
        return cls(literal, scope.path(path))

    @property
    def needs_expected(self) -> bool:
        """Tell whether a case without `expected` leaves nothing to compare with."""
        return self.literal is ABSENT

    def resolve(self, ctx: GradeContext) -> JsonValue | Verdict:
        """Return the value, or the verdict that there is none: null is a value, absence is not."""
        if self.literal is not ABSENT:
            return self.literal
        expected = ctx.case.expected
        if expected is ABSENT:
            return NO_EXPECTED
        if self.path is None:
            return expected
        found = self.path.find(expected)
        return Verdict.abstain(f"the case's expected has no {self.path}") if found is ABSENT else found
