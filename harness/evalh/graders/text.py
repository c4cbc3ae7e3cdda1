"""`contains`, `regex` and `length`: what stands in the text."""

import json
from collections.abc import Callable
from functools import partial
from typing import Literal

from pydantic import Field

from evalh.core.case import ABSENT
from evalh.core.declared import keys_of
from evalh.core.strict_json import JsonValue
from evalh.core.text_forms import Form, code_points_apart, in_form
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.patterns import Match, Pattern, compiled
from evalh.graders.quoting import shown
from evalh.graders.reading import Compared, OutputPlace, folded


@built_in("contains", semantics=2)
class Contains(Compared):
    """The output contains a text, or several."""

    value: str | tuple[str, ...] | None = Field(None, description="A text, or a list of texts, instead of the case's.")
    match: Literal["all", "any"] = Field("all", description="Whether all of the texts must occur, or any of them.")
    ignore_case: bool = Field(False, description="Ignore upper and lower case.")
    normalize: Form = Field("nfc", description="The Unicode form in which texts are compared.")

    def compile(self, scope: Scope) -> Compiled:
        if self.value is not None and _needles(self.value) is None:
            raise scope.wrong("looks for an empty text, which is in every output", at=("value",))
        place = self.place(scope)
        expectation = self.expectation(scope, ABSENT if self.value is None else self.value)

        def judge(ctx: GradeContext) -> Verdict:
            wanted = expectation.resolve(ctx)
            needles = _needles(wanted)
            if needles is None:
                return Verdict.error(f"the case's expected is {shown(wanted)}; texts that are not empty are needed")
            return self._search(place.text(ctx), needles)

        return Compiled(judge, needs_expected=expectation.needs_expected)

    def _search(self, text: str, needles: list[str]) -> Verdict:
        found = self._found(text, needles, self.normalize)
        if self.match == "any" and found:
            return Verdict.check(True, f"contains {shown(found[0])}")
        missing = [needle for needle in needles if needle not in found]
        if not missing:
            all_of_them = shown(needles[0]) if len(needles) == 1 else f"all of {shown(needles)}"
            return Verdict.check(True, f"contains {all_of_them}")
        what = f"contains none of {shown(needles)}" if self.match == "any" else f"does not contain {shown(missing[0])}"
        forms: tuple[Form, ...] = ("nfc", "nfkc")
        other = next((form for form in forms if missing[0] in self._found(text, missing[:1], form)), None)
        hint = "" if other is None else f" in this Unicode form, but does in another: normalize: {other}"
        return Verdict.check(False, what + hint)

    def _found(self, text: str, needles: list[str], form: Form) -> list[str]:
        fold = partial(folded, ignore_case=self.ignore_case, form=form)
        text = fold(text)
        return [needle for needle in needles if fold(needle) in text]


def _needles(wanted: JsonValue) -> list[str] | None:
    needles = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    return needles if needles and all(isinstance(needle, str) and needle for needle in needles) else None


@built_in("regex", short="pattern", semantics=2)
class Regex(Compared):
    """A pattern (RE2) matches; what its group matched may be compared."""

    pattern: str = Field(description="The pattern, in RE2's syntax.")
    value: str | None = Field(None, description="What the group must have matched, instead of the case's value.")
    group: int | str | None = Field(None, description="The group's number or name. Default: the first group.")
    which: Literal["first", "last"] = Field("first", description="Compare the first or the last match.")
    ignore_case: bool = Field(False, description="Ignore upper and lower case.")
    normalize: Form = Field("nfc", description="The Unicode form of the text.")

    def compile(self, scope: Scope) -> Compiled:
        """Compile the pattern; RE2 needs linear time for any pattern and any text."""
        written = in_form(self.pattern, "none" if self.normalize == "none" else "nfc")
        pattern = _compiled(written, ignore_case=self.ignore_case, scope=scope)
        place = self.place(scope)
        if self.value is None and self.expected is None:
            if self.group is not None:
                hint = "add value: …, or expected: a path ($: all of it)"
                raise scope.wrong("names a group but nothing to compare it with", hint, ("group",))
            return Compiled(partial(self._match, place, pattern))
        group = self._group(pattern, scope)
        expectation = self.expectation(scope, ABSENT if self.value is None else self.value)

        def judge(ctx: GradeContext) -> Verdict:
            wanted = expectation.resolve(ctx)
            found = pattern.find(in_form(place.text(ctx), self.normalize), last=self.which == "last")
            return self._compare(pattern, found, group, wanted)

        return Compiled(judge, needs_expected=expectation.needs_expected)

    def _group(self, pattern: Pattern, scope: Scope) -> int:
        """Return the number of the group that is compared: the stated one, else the first, else the whole match."""
        if self.group is None:
            return 1 if pattern.groups else 0
        named = pattern.names
        number = self.group if isinstance(self.group, int) else named.get(self.group, -1)
        if not 0 <= number <= pattern.groups:
            have = ", ".join([*map(str, range(pattern.groups + 1)), *named])
            raise scope.wrong(f"has no group {self.group!r} in its pattern", f"have: {have}", ("group",))
        return number

    def _compare(self, pattern: Pattern, found: Match | None, group: int, wanted: JsonValue) -> Verdict:
        if found is None:
            return Verdict.check(False, f"the pattern does not match{_ascii_only(pattern)}")
        caught = found[group]
        if caught is None:
            return Verdict.check(False, f"the pattern matches, but its group {self.group or group} matched nothing")
        text = wanted if isinstance(wanted, str) else json.dumps(wanted, ensure_ascii=False)
        one, other = (folded(each, ignore_case=self.ignore_case, form=self.normalize) for each in (caught, text))
        if one == other:
            return Verdict.check(True, f"matched {shown(caught)}")
        apart = code_points_apart(one, other)
        apart = f"; {apart}{_ascii_only(pattern)}" if apart else _ascii_only(pattern)
        return Verdict.check(False, f"matched {shown(caught)}; expected {shown(text)}{apart}")

    def _match(self, place: OutputPlace, pattern: Pattern, ctx: GradeContext) -> Verdict:
        if pattern.find(in_form(place.text(ctx), self.normalize)) is None:
            return Verdict.check(False, f"the pattern does not match{_ascii_only(pattern)}")
        return Verdict.check(True, "the pattern matches")


def _ascii_only(pattern: Pattern) -> str:
    return f"; {pattern.ascii_only} knows ASCII letters only" if pattern.ascii_only else ""


def _compiled(pattern: str, *, ignore_case: bool, scope: Scope) -> Pattern:
    import re2

    try:
        return compiled(pattern, ignore_case=ignore_case)
    except re2.error as exc:
        said = exc.args[0].decode("utf-8", "replace") if exc.args else "it cannot be read"
    fragment = said.partition(": ")[2]
    # RE2 says which part it stopped at, not where that stands; all of the pattern is not a place.
    place = pattern.find(fragment) + 1 if fragment and fragment != pattern else 0
    at = f" at character {place}" if place else ""
    raise scope.wrong(f"has a pattern that RE2 does not accept{at}: {said}", _why_not(fragment), ("pattern",))


def _why_not(fragment: str) -> str | None:
    if fragment.startswith(("(?=", "(?!", "(?<=", "(?<!")):
        return "RE2 has no lookahead and no lookbehind; capture the part in a group instead"
    if fragment[:1] == "\\" and fragment[1:2].isdigit():
        return "RE2 has no backreferences; write a python grader for this"
    if fragment.startswith("(?>") or fragment in {"++", "*+", "?+"}:
        return "RE2 has no atomic groups and no possessive repetition; leave them out: it never backtracks"
    return None


@built_in("length")
class Length(Parameters):
    """The output has an allowed length. `tokens` are the output tokens that the provider counted."""

    min_chars: int | None = Field(None, ge=0, description="The smallest number of characters.")
    max_chars: int | None = Field(None, ge=0, description="The largest number of characters.")
    min_words: int | None = Field(None, ge=0, description="The smallest number of words.")
    max_words: int | None = Field(None, ge=0, description="The largest number of words.")
    min_tokens: int | None = Field(None, ge=0, description="The smallest number of output tokens.")
    max_tokens: int | None = Field(None, ge=0, description="The largest number of output tokens.")

    def compile(self, scope: Scope) -> Compiled:
        bounds = [
            (unit, measure, getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}"))
            for unit, measure in _MEASURES.items()
        ]
        bounds = [bound for bound in bounds if bound[2:] != (None, None)]
        if not bounds:
            raise scope.wrong("needs a bound", f"one of {', '.join(keys_of(Length))}")
        for unit, _, low, high in bounds:
            if low is not None and high is not None and low > high:
                raise scope.wrong(f"can never pass: min_{unit} {low} is above max_{unit} {high}", at=(f"min_{unit}",))

        def judge(ctx: GradeContext) -> Verdict:
            reasons = []
            for unit, measure, low, high in bounds:
                count = measure(ctx)
                if count is None:
                    return Verdict.abstain("the provider did not count the output's tokens")
                if (low is not None and count < low) or (high is not None and count > high):
                    return Verdict.check(False, f"{count} {unit}; {_range(low, high)}")
                reasons.append(f"{count} {unit}")
            return Verdict.check(True, ", ".join(reasons))

        return Compiled(judge)


_MEASURES: dict[str, Callable[[GradeContext], int | None]] = {
    "chars": lambda ctx: len(ctx.text),
    "words": lambda ctx: len(ctx.text.split()),
    "tokens": lambda ctx: ctx.completion.usage.output_tokens,
}


def _range(low: int | None, high: int | None) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"from {low} to {high}"
