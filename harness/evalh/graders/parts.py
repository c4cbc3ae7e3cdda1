"""Graders inside a grader: how their entries are read, and what several of them come to together.

`not`, `any_of` and `all_of` take a grader as it is. `weighted`, and the graders of a case, give each a weight.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from math import fsum
from typing import TypeAlias

from evalh.core.declared import keys_of
from evalh.core.errors import WorkspaceError
from evalh.core.sample import Graded
from evalh.core.strict_json import JsonValue
from evalh.core.suite import ADVISORY, GraderSpec
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Outcome, PartVerdict, Verdict, parts_of, with_cause
from evalh.graders.kinds import Grader, Judge, Scope
from evalh.graders.quoting import kind_of, one_line, shown

Entry = str | dict[str, JsonValue]
"""As under `graders:` in a suite: a name, or one name with its parameters."""

HEAVIEST = 1_000_000
_REASON = 400  # characters of a reason
_PART_REASON = 200  # characters of a part's, where a reason names it
_OWN = ("name", "weight", "required")


class WeighedPart(Value, kw_only=True):
    """A grader inside a grader. `name`: it is counted under that name too."""

    grader: Grader
    name: str | None = None
    weight: float = 1.0
    required: bool = True

    @property
    def decides(self) -> bool:
        """Whether the outcome depends on it. Without weight it is only reported."""
        return self.required and self.weight > 0

    @property
    def label(self) -> str:
        """What reasons call it."""
        return self.name or self.grader.name

    @property
    def named(self) -> tuple[str, ...]:
        """The names that it, and parts of it, are counted under."""
        inner = self.grader.compiled.named
        return (self.name, *inner) if self.name else inner


def plain_part(scope: Scope, entry: Entry) -> Grader:
    """Build a grader that is taken as it is. Raises WorkspaceError."""
    kind, params = _stated(scope, entry)
    if kind in ADVISORY:
        raise scope.wrong(
            f"holds {kind!r}, which decides only where a suite says so", f"make it an entry of its own: - {kind}: {{…}}"
        )
    if "required" in params:
        raise scope.wrong(
            f"states required for {kind!r} inside it", "state required at the outermost grader", (kind, "required")
        )
    return _built(scope, kind, params)


def weighed_part(scope: Scope, entry: Entry) -> WeighedPart:
    """Build a grader with a weight. Raises WorkspaceError."""
    kind, params = _stated(scope, entry)
    if kind in ADVISORY and "weight" not in params:
        raise scope.wrong(
            f"holds {kind!r} without a weight", "add weight: 0 to only report it, or weight: 1 to let it decide"
        )
    if "required" in params:
        raise scope.wrong(
            f"states required for {kind!r} inside it",
            "state weight: 0 instead: then it is only reported",
            (kind, "required"),
        )
    return _weighed(scope, kind, params)


def case_part(scope: Scope, entry: Entry) -> WeighedPart:
    """Build one of a case's own graders. Raises WorkspaceError."""
    kind, params = _stated(scope, entry)
    required = params.get("required", kind not in ADVISORY)
    if not isinstance(required, bool):
        raise scope.wrong(
            f"'required' of {kind!r} must be true or false, not {kind_of(required)}", at=(kind, "required")
        )
    return _weighed(scope, kind, params, required=required)


def _weighed(scope: Scope, kind: str, params: dict[str, JsonValue], *, required: bool = True) -> WeighedPart:
    weight, name = params.get("weight", 1.0), params.get("name")
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 <= weight <= HEAVIEST:
        found = shown(weight) if number else kind_of(weight)
        raise scope.wrong(
            f"'weight' of {kind!r} must be a number from 0 to {HEAVIEST:,}, not {found}", at=(kind, "weight")
        )
    if "name" in params and not (isinstance(name, str) and name.strip()):
        raise scope.wrong(f"'name' of {kind!r} must be text that is not empty", at=(kind, "name"))
    own = [key for key in _OWN if key in params]
    grader = _built(scope, kind, {key: value for key, value in params.items() if key not in own} if own else params)
    if clash := [key for key in own if key in keys_of(grader.kind.parameters)]:
        what = f"states {clash[0]!r} for {kind!r}, which has a parameter of this name"
        raise scope.wrong(
            what, "a grader inside a grader cannot be given it: rename the grader's parameter", (kind, clash[0])
        )
    return WeighedPart(grader=grader, name=name, weight=float(weight), required=required)


def _stated(scope: Scope, entry: Entry) -> tuple[str, dict[str, JsonValue]]:
    """Return the kind of an entry and what it states, in the same form that a suite uses."""
    if isinstance(entry, str):
        kind, params = entry, {}
    elif len(entry) == 1:
        ((kind, stated),) = entry.items()
        params = {} if stated is None else dict(stated) if isinstance(stated, Mapping) else {"value": stated}
    else:
        raise scope.wrong(
            f"holds an entry with {len(entry)} names", "write one grader's name, or one name with its parameters"
        )
    if kind == "case":
        raise scope.wrong("holds 'case', which stands for the graders of a row", "write - case as an entry of a suite")
    return kind, params


def _built(scope: Scope, kind: str, params: dict[str, JsonValue]) -> Grader:
    spec = GraderSpec(kind=kind, name=kind, params=params, where=scope.where_of(), places=partial(scope.where_of, kind))
    return scope.build(spec, scope.environment)


def names_of(parts: Sequence[WeighedPart], wrong: Callable[[str, str], WorkspaceError]) -> tuple[str, ...]:
    """Return the names that parts are counted under. Raises WorkspaceError if one comes twice."""
    counted = Counter(name for part in parts for name in part.named)
    for name, times in counted.items():
        if times > 1:
            raise wrong(
                f"has {times} parts called {name!r}",
                "use each name once; a weighted grader puts several under one name",
            )
    return tuple(counted)


Combine: TypeAlias = Callable[[Sequence[WeighedPart], Sequence[Verdict]], Verdict]
"""Returns what parts come to together, by what each of them said."""


def judging(parts: Sequence[WeighedPart], combine: Combine) -> Judge:
    """Return what asks every part, in order, and combines what they say."""

    def judge(ctx: GradeContext) -> Verdict | Awaitable[Verdict]:
        said: list[Verdict] = []
        for part in parts:
            verdict = part.grader.judge(ctx)
            if not isinstance(verdict, Verdict):
                return later(ctx, verdict, said)
            said.append(verdict)
        return combine(parts, said)

    async def later(ctx: GradeContext, pending: Awaitable[Verdict], said: list[Verdict]) -> Verdict:
        said.append(await pending)
        for part in parts[len(said) :]:
            verdict = part.grader.judge(ctx)
            said.append(verdict if isinstance(verdict, Verdict) else await verdict)
        return combine(parts, said)

    return judge


def mean_score(parts: Sequence[WeighedPart], said: Sequence[Verdict]) -> float | None:
    """Return the weighted mean of the known scores; None if none is known."""
    known = [
        (part.weight, one.score) for part, one in zip(parts, said, strict=True) if part.weight and one.score is not None
    ]
    weights = fsum(weight for weight, _ in known)
    # Rounding may lead beyond the scores themselves: three weights of 0.1 and a score of 1 each.
    return min(1.0, max(0.0, fsum(weight * score for weight, score in known) / weights)) if weights else None


def joint_outcome(parts: Sequence[WeighedPart], said: Sequence[Verdict]) -> Outcome | None:
    """Return `fail` if a part that decides fails, then error before abstain, then pass; None if no part decides."""
    found = {one.outcome for part, one in zip(parts, said, strict=True) if part.decides}
    order = (Outcome.FAIL, Outcome.ERROR, Outcome.ABSTAIN, Outcome.PASS)
    return next((one for one in order if one in found), None)


def telling(parts: Sequence[WeighedPart], said: Sequence[Verdict], outcome: Outcome | None) -> str:
    """Say which part did not pass first, the one that decided if there is one, and how many pass."""
    both = list(zip(parts, said, strict=True))
    missed = [one for one in both if one[1].outcome is not Outcome.PASS]
    decided = [one for one in missed if one[0].decides and one[1].outcome is outcome]
    told = [f"{len(both) - len(missed)} of {len(both)} pass"]
    if missed:
        part, verdict = (decided or missed)[0]
        aside = "" if part.decides else " (not required)" if part.weight else " (weight 0)"
        told.insert(0, f"{part.label}{aside}: {one_line(verdict.reason, _PART_REASON)}")
    return one_line("; ".join(told), _REASON)


def detailed(verdict: Verdict, parts: Sequence[WeighedPart], said: Sequence[Verdict]) -> Verdict:
    """Return a verdict with what its parts said, for the log."""
    found: list[JsonValue] = [_document(part, one) for part, one in zip(parts, said, strict=True)]
    return Verdict(verdict.outcome, verdict.score, verdict.reason, {"parts": found})


def _document(part: WeighedPart, verdict: Verdict) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {
        "grader": part.grader.name,
        "outcome": verdict.outcome.value,
        "score": verdict.score,
        "reason": one_line(verdict.reason, _REASON),
        "weight": part.weight,
    }
    if part.name is not None:
        document["name"] = part.name
    if not part.required:
        document["required"] = False
    if verdict.detail is not None:
        document["detail"] = dict(verdict.detail)
    return document


def named_parts(grader: Grader, graded: Graded, ctx: GradeContext) -> Iterator[Graded]:
    """Yield what parts with a name said: they are counted under it, and decide nothing by themselves."""
    names = grader.compiled.named
    for part in _walk(graded.verdict) if names else ():
        if part.name in names:
            yield Graded(part.name, False, with_cause(part.verdict, ctx.completion))


def _walk(verdict: Verdict) -> Iterator[PartVerdict]:
    for part in parts_of(verdict):
        yield part
        if part.grader == "weighted":  # another kind's detail is its own affair
            yield from _walk(part.verdict)
