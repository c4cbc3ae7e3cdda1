"""`tool_calls`: the model called the right tools with the right arguments, and none that it must not."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from evalh.core import strict_json
from evalh.core.case import ABSENT
from evalh.core.request import Tool, ToolCall
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import EarlyVerdict, GradeContext, Verdict
from evalh.graders.compare import same
from evalh.graders.json_likeness import Subset, Tolerance, TooMuchError, pairs
from evalh.graders.json_output import BadSchemaError, compiled_schema
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.quoting import kind_of, one_line, shown
from evalh.graders.reading import Expectation, Expecting, Unreadable, folded

_MOST_CALLS = 200
_Validate = Callable[[JsonValue], str | None]


class Wanted(Value):
    """An expected call; ABSENT arguments: any."""

    name: str
    arguments: JsonValue


@built_in("tool_calls", semantics=2)
class ToolCalls(Expecting):
    """The model called the expected tools; or, without expected calls, only valid tools that are not forbidden."""

    value: tuple[JsonValue, ...] | None = Field(None, description="The expected calls, instead of the case's.")
    arguments: Literal["same", "subset", "ignore"] = Field(
        "same", description="How arguments are compared. subset: the model may state more keys."
    )
    order: Literal["any", "same"] = Field("any", description="Whether the order of the calls counts.")
    allow_more: bool = Field(False, description="Allow calls that were not expected.")
    forbidden: tuple[str, ...] = Field((), description="Tools that must not be called.")
    valid: bool = Field(False, description="Every call must name a tool that was sent, and fit its schema.")

    def compile(self, scope: Scope) -> Compiled:
        """Fix the calls that are wanted. Rules alone need no gold, but what there is counts."""
        try:
            _wanted(list(self.value or ()))
        except Unreadable as exc:
            raise scope.wrong(f"has a value that is not a list of calls: {exc}", _SHAPE, ("value",)) from None
        expectation = self.expectation(scope, ABSENT if self.value is None else self.value)
        compares = (self.arguments, self.order, self.allow_more) != ("same", "any", False)
        rules_suffice = self.expected is None and not compares and (self.valid or bool(self.forbidden))
        forbidden, schemas = frozenset(self.forbidden), _Schemas()

        def judge(ctx: GradeContext) -> Verdict:
            calls = ctx.completion.tool_calls
            try:
                expected = _expected(expectation, ctx)
            except EarlyVerdict:
                if not rules_suffice:
                    raise
                expected = None
            if len(calls) > _MOST_CALLS:
                return Verdict.check(False, f"{len(calls)} calls; at most {_MOST_CALLS} can be checked")
            wrong = self._wrong(ctx, calls, forbidden, schemas)
            if wrong is not None:
                return wrong
            if expected is None:
                return Verdict.check(True, f"{len(calls)} call{'' if len(calls) == 1 else 's'}, none of them wrong")
            return self._match(calls, expected)

        return Compiled(judge, needs_expected=expectation.needs_expected and not rules_suffice)

    def _wrong(
        self, ctx: GradeContext, calls: Sequence[ToolCall], forbidden: frozenset[str], schemas: "_Schemas"
    ) -> Verdict | None:
        for call in calls:
            if call.name in forbidden:
                return Verdict.check(False, f"{shown(call.name)} must not be called")
        if not self.valid:
            return None
        if ctx.request is None:
            return Verdict.abstain("which tools the model had is not known")
        for call in calls:
            tool = next((one for one in ctx.request.settings.tools if one.name == call.name), None)
            if tool is None:
                return Verdict.check(False, f"there is no tool {shown(call.name)}")
            wrong = schemas.wrong(call, tool)
            if wrong is not None:
                return wrong
        return None

    def _match(self, calls: Sequence[ToolCall], wanted: Sequence[Wanted]) -> Verdict:
        got = [(call.name, _arguments_or_absent(call)) for call in calls]

        def fits(number: int, other: int) -> bool:
            name, arguments = got[other]
            return name == wanted[number].name and self._same(arguments, wanted[number].arguments)

        try:
            found = (_in_order if self.order == "same" else pairs)(len(wanted), len(got), fits)
        except TooMuchError as exc:
            return Verdict.error(str(exc))
        missing = [one for number, one in enumerate(wanted) if number not in found]
        more = [] if self.allow_more else [got[other][0] for other in range(len(got)) if other not in found.values()]
        of = len(wanted) + len(more)
        reason = f"{len(found)} of {len(wanted)} calls as expected"
        if missing:
            said = "" if missing[0].arguments is ABSENT else shown(missing[0].arguments)
            reason += f"; {one_line(missing[0].name, 40)}({said}) is missing"
        if more:
            reason += f"; {one_line(more[0], 40)} was not expected"
        return Verdict.scored(len(found) / of if of else 1.0, 1.0, reason)

    def _same(self, got: JsonValue, wanted: JsonValue) -> bool:
        if self.arguments == "ignore" or wanted is ABSENT:
            return True
        if got is ABSENT:
            return False
        got, wanted = folded(got, form="nfc"), folded(wanted, form="nfc")
        if self.arguments == "same":
            return same(got, wanted)
        fit, of = Subset(Tolerance(), "ordered").count(got, wanted)
        return fit == of


_SHAPE = "value: [{name: refund, arguments: {order: 17}}]"


class _Schemas:
    """Compiles a tool's schema once: the tools of a run stay the same objects."""

    def __init__(self) -> None:
        self._compiled: dict[str, tuple[Mapping[str, JsonValue], _Validate]] = {}

    def wrong(self, call: ToolCall, tool: Tool) -> Verdict | None:
        """Return the verdict on arguments that do not fit the tool's schema; None: they fit."""
        known = self._compiled.get(tool.name)
        try:
            if known is None or known[0] is not tool.parameters:
                known = self._compiled[tool.name] = tool.parameters, compiled_schema(dict(tool.parameters))
            said = known[1](_parsed(call.arguments))
        except BadSchemaError as exc:
            return Verdict.error(f"the schema of {shown(call.name)} cannot be used: {exc}")
        except Unreadable as exc:
            said = str(exc)
        return None if said is None else Verdict.check(False, one_line(f"{call.name}: {said}"))


def _arguments_or_absent(call: ToolCall) -> JsonValue:
    try:
        return _parsed(call.arguments)
    except Unreadable:
        return ABSENT


def _parsed(text: str) -> JsonValue:
    """Read arguments that are JSON text; some models send nothing or null for a tool without parameters.

    Raises Unreadable.
    """
    if not text.strip():
        return {}
    try:
        value = strict_json.parse(text)
    except strict_json.NotStrictJson as exc:
        raise Unreadable(f"its arguments are not JSON: {exc}") from None
    return {} if value is None else value


def _expected(expectation: Expectation, ctx: GradeContext) -> list[Wanted]:
    stated = expectation.resolve(ctx)
    try:
        return _wanted(stated)
    except Unreadable as exc:
        what = f"the case's expected is not a list of calls: {exc}"
        raise EarlyVerdict(Verdict.error(what)) from None


def _wanted(value: JsonValue) -> list[Wanted]:
    """Read a list of calls. Raises Unreadable."""
    if not isinstance(value, list):
        raise Unreadable(f"it is {kind_of(value)}")
    wanted = []
    for one in value:
        call = {"name": one} if isinstance(one, str) else one
        if (
            not isinstance(call, Mapping)
            or not isinstance(call.get("name"), str)
            or call.keys() - {"name", "arguments"}
        ):
            raise Unreadable(f"{shown(one)} is not a call")
        arguments = call.get("arguments", ABSENT)
        try:
            arguments = _parsed(arguments) if isinstance(arguments, str) else arguments
        except Unreadable as exc:
            raise Unreadable(f"{call['name']}: {exc}") from None
        wanted.append(Wanted(call["name"], {} if arguments is None else arguments))
    return wanted


def _in_order(wanted: int, got: int, fits: Callable[[int, int], bool]) -> dict[int, int]:
    """Pair the longest part of both that stands in the same order (the longest common subsequence)."""
    if wanted * got > _MOST_CALLS**2:
        raise TooMuchError(f"too large to compare: {wanted} calls with {got}")
    longest = [[0] * (got + 1) for _ in range(wanted + 1)]
    fit = [[fits(number, other) for other in range(got)] for number in range(wanted)]
    for number in reversed(range(wanted)):
        for other in reversed(range(got)):
            both = longest[number + 1][other + 1] + 1 if fit[number][other] else 0
            longest[number][other] = max(both, longest[number + 1][other], longest[number][other + 1])
    found, number, other = {}, 0, 0
    while number < wanted and other < got:
        if fit[number][other] and longest[number][other] == longest[number + 1][other + 1] + 1:
            found[number] = other
            number, other = number + 1, other + 1
        elif longest[number + 1][other] >= longest[number][other + 1]:
            number += 1
        else:
            other += 1
    return found
