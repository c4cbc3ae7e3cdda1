"""Reading an output: its text, fenced blocks, JSON, one place inside that JSON; and what it is compared with.

The parsed JSON stays in `GradeContext.cache`, so the graders of a sample share one parse.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from pydantic import Field

from evalh.core import strict_json
from evalh.core.case import ABSENT
from evalh.core.strict_json import JsonValue
from evalh.core.text_forms import Form, in_form
from evalh.core.values import Value
from evalh.core.verdict import EarlyVerdict, GradeContext, Verdict
from evalh.graders.kinds import Parameters, Scope
from evalh.graders.paths import JsonPath
from evalh.graders.quoting import kind_of, shown

DEEPEST = 200
"""Levels of nesting beyond which an output is not read: Python's own limit differs between versions, and validators
in native code crash the process on it."""

_JSON_BEGINS = frozenset('{["')  # a text that is JSON itself may hold fences inside its strings


# A line that begins as a fence. Blocks inside lists and quotations stand further in.
_FENCE = re.compile(r"^\ufeff?[ \t>]{0,12}(?P<fence>`{3,}+|~{3,}+)(?P<rest>[^\n]*)$", re.MULTILINE)
_ONE_LINE = re.compile(r"([A-Za-z][\w+-]{0,20})[ \t]{0,8}(?=[\[{])")  # ```json {"a": 1}```


class Block(Value):
    """What stands between two fences; `closed` is false where the text ends first."""

    language: str
    text: str
    closed: bool
    fence: str = "```"


def blocks(text: str) -> Iterator[Block]:
    """Find the fenced blocks of a text, also one that stands on one line: ```{"a": 1}```. Takes linear time."""
    fence, language, begun = "", "", 0
    for found in _FENCE.finditer(text):
        rest = found["rest"].strip()
        if fence:
            if found["fence"].startswith(fence) and not rest:
                yield Block(language, text[begun : max(begun, found.start())], closed=True)
                fence = ""
        elif found["fence"][0] in rest:
            if rest.endswith(found["fence"]) and "`" not in (inside := rest.removesuffix(found["fence"])):
                named = _ONE_LINE.match(inside)
                language_of = named[1] if named else ""
                yield Block(language_of, inside[len(language_of) :].strip(), closed=True)  # else: code inside a line
        else:
            fence, language, begun = found["fence"], rest.split(" ")[0], found.end() + 1
    if fence:
        yield Block(language, text[begun:], closed=False, fence=fence)


def fences(text: str, fence: str) -> int:
    """Count the lines that could open or close a block of such a fence, however they are paired."""
    return sum(found["fence"].startswith(fence) and fence[0] not in found["rest"] for found in _FENCE.finditer(text))


class Unreadable(EarlyVerdict):
    """The output holds no such value: it fails, for this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(Verdict.check(False, reason))


def output_json(ctx: GradeContext, *, fenced: bool = False) -> JsonValue:
    """Return the output's JSON, parsed once per sample. Raises Unreadable.

    Strict: all of the text must be one JSON value, without duplicate keys and NaN. With `fenced`, the text may
    instead hold one fenced block, and that is read.
    """
    key = "fenced json" if fenced else "json"
    if key not in ctx.cache:
        try:
            ctx.cache[key] = _parse(json_text(ctx, fenced=fenced))
        except Unreadable as unreadable:
            ctx.cache[key] = unreadable.verdict
    found = ctx.cache[key]
    if isinstance(found, Verdict):
        raise Unreadable(found.reason)
    return found


def json_text(ctx: GradeContext, *, fenced: bool = False) -> str:
    """Return the text that should be JSON: all of it, or with `fenced` the only fenced block if there is one.

    Where several blocks stand, the only one that says `json` counts. Raises Unreadable, also for a block without an
    end: it is cut off.
    """
    text = ctx.text
    if not fenced or ("```" not in text and "~~~" not in text) or text.lstrip()[:1] in _JSON_BEGINS:
        return text
    found = list(blocks(text))
    if not all(block.closed for block in found):
        raise Unreadable("the output has a fenced block that is not closed")
    said = [block for block in found if block.language.lower() in {"json", "jsonc", "json5"}]
    if len(found) > 1 and len(said) == 1:
        found = said
    if len(found) > 1:
        raise Unreadable(f"the output has {len(found)} fenced blocks; one was expected, or one marked json")
    return found[0].text if found else text


def _parse(text: str) -> JsonValue:
    try:
        value = strict_json.parse(text)
    except strict_json.NotStrictJson as exc:
        raise Unreadable(f"the output is not JSON: {exc}") from None
    if text.count("[") + text.count("{") > DEEPEST and _deeper_than(value, DEEPEST):
        raise Unreadable("the output is not JSON: nested too deeply")
    return value


def _deeper_than(value: JsonValue, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        holders = [one for one in layer if isinstance(one, dict | list)]
        layer = [inner for one in holders for inner in (one.values() if isinstance(one, dict) else one)]
    return any(isinstance(one, dict | list) for one in layer)


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


def output_strings(ctx: GradeContext, *, fenced: bool = False) -> list[str]:
    """Return the strings of a JSON output without its keys; of any other output its text."""
    if fenced or ctx.text.lstrip()[:1] in ("{", "["):
        with suppress(Unreadable):
            value = output_json(ctx, fenced=fenced)
            if isinstance(value, dict | list):
                return list(strings_in(value))
    return [ctx.text]


def behind(text: str, tag: str) -> str:
    """Return what stands behind the last such tag. Raises Unreadable."""
    _, found, rest = text.rpartition(tag)
    if not found:
        raise Unreadable(f"there is no {tag!r} in it")
    return rest


class OutputPlace(Value):
    """Where a grader looks: the whole output, or a path in its JSON."""

    path: JsonPath | None = None
    fenced: bool = False

    def json(self, ctx: GradeContext) -> JsonValue:
        """Return the JSON value at this place. Raises Unreadable."""
        value = output_json(ctx, fenced=self.fenced)
        if self.path is None:
            return value
        found = self.path.find(value)
        if found is ABSENT:
            raise Unreadable(f"the output's JSON has no {self.path}")
        return found

    def text(self, ctx: GradeContext) -> str:
        """Return the text at this place; a path must lead to a string. Raises Unreadable."""
        if self.path is None:
            return ctx.text
        value = self.json(ctx)
        if not isinstance(value, str):
            raise Unreadable(f"{self.path} is {kind_of(value)}, not a string")
        return value

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


class Expectation(Value):
    """A literal, or a path in `expected` (None: all of it)."""

    literal: JsonValue = ABSENT
    path: JsonPath | None = None

    @property
    def needs_expected(self) -> bool:
        """Whether a case without `expected` leaves nothing to compare with."""
        return self.literal is ABSENT

    def resolve(self, ctx: GradeContext) -> JsonValue:
        """Return the value: null is one. Raises EarlyVerdict where there is none."""
        if self.literal is not ABSENT:
            return self.literal
        if ctx.expected is ABSENT:
            raise EarlyVerdict(Verdict.abstain("the case has no expected value"))
        found = ctx.expected if self.path is None else self.path.find(ctx.expected)
        if found is ABSENT:
            raise EarlyVerdict(Verdict.abstain(f"the case's expected has no {self.path}"))
        return found

    def texts(self, ctx: GradeContext, *, blank: bool = True) -> list[str]:
        """Return one text or several; `blank`: empty ones too. Raises EarlyVerdict where there is none."""
        wanted = self.resolve(ctx)
        listed = wanted if isinstance(wanted, list) else [wanted]
        texts = [one for one in listed if isinstance(one, str) and (blank or one.strip())]
        if not texts:
            what = f"the case's expected is {shown(wanted)}; a text or a list of texts is needed"
            raise EarlyVerdict(Verdict.error(what))
        return texts


def absent() -> JsonValue:
    """Return the default of a parameter for which null is a value too."""
    return ABSENT


class Fenced(Parameters):
    """The parameter of a grader that reads JSON."""

    fenced: bool = Field(False, description="The JSON may be in a fenced block.")


class Placed(Fenced):
    """The parameters of a grader that looks at one place of the output."""

    path: str | None = Field(None, description="The place in the output's JSON. Default: the whole output.")

    def place(self, scope: Scope) -> OutputPlace:
        """Return where to look. Raises WorkspaceError for a path that cannot be read."""
        return OutputPlace(scope.path(self.path, "path"), self.fenced)


class Expecting(Parameters):
    """The parameter of a grader that compares with something."""

    expected: str | None = Field(None, description="The place in the case's expected; $ is all of it.")

    def expectation(self, scope: Scope, literal: JsonValue, named: str = "value") -> Expectation:
        """Return what is stated; an ABSENT literal and no path: all of the case's expected.

        Raises WorkspaceError where both are stated, and for a path that cannot be read.
        """
        if literal is not ABSENT and self.expected is not None:
            raise scope.wrong(
                f"states both {named} and expected",
                f"state only one: {named}, or a path in the case's expected",
                (named,),
            )
        return Expectation(
            list(literal) if isinstance(literal, tuple) else literal, scope.path(self.expected, "expected")
        )


class Compared(Placed, Expecting):
    """The parameters of a grader that compares one place of the output with something."""
