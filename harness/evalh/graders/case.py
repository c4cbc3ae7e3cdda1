"""`case`: the graders that a row brings of its own, in its key `graders`."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Literal

from msgspec.structs import replace
from pydantic import Field

from evalh.core.case import Case
from evalh.core.digest import canonical, digest
from evalh.core.errors import MOST_MISTAKES, WorkspaceError
from evalh.core.suite import GraderSpec
from evalh.core.verdict import Form, GradeContext, Outcome, Question, Verdict
from evalh.graders.kinds import Compiled, Grader, Parameters, RowKinds, Scope, built_in
from evalh.graders.parts import (
    Entry,
    WeighedPart,
    case_part,
    detailed,
    joint_outcome,
    judging,
    mean_score,
    names_of,
    telling,
)
from evalh.graders.registry import BUILT_IN

_ROOM = 4096  # graders that are kept
_ROOM_BYTES = 4_000_000  # and how long their entries may be together
_REVIEWED = "after a review of the row, run the gate without --trust base"
_SHORT = 64  # a longer entry is known by its digest
_MOST_NAMES = 200  # in one dataset: each is a line of the run's table
_MOST_ASKED = 100  # pairs of a model and settings: each is a stack of its own


@built_in("case")
class CaseGraders(Parameters):
    """The graders written in the dataset row: all required ones must pass."""

    none: Literal["abstain", "pass"] = Field(
        "abstain", description="The verdict for a row without graders, or without one that can decide."
    )

    def compile(self, scope: Scope) -> Compiled:
        """Build nothing yet: `Compiled.over` builds the graders of a dataset's rows."""
        rows = _Rows(scope)
        outcome = Outcome(self.none)

        def judge(ctx: GradeContext) -> Verdict | Awaitable[Verdict]:
            if not ctx.case.graders:
                return _nothing(outcome, "the row has no graders of its own")
            return judging(rows.of(ctx.case), combine)(ctx)

        def combine(parts: Sequence[WeighedPart], said: Sequence[Verdict]) -> Verdict:
            return _combined(parts, said, outcome)

        def questions(ctx: GradeContext) -> tuple[Question, ...]:
            return tuple(one for part in rows.of(ctx.case) for one in part.grader.questions(ctx))

        compiled = Compiled(judge, needs_expected=True, questions=questions)
        return replace(compiled, over=lambda cases, taken: rows.over(compiled, cases, taken))


def _nothing(outcome: Outcome, reason: str) -> Verdict:
    return Verdict(outcome, 1.0 if outcome is Outcome.PASS else None, reason)


def _combined(parts: Sequence[WeighedPart], said: Sequence[Verdict], none: Outcome) -> Verdict:
    outcome = joint_outcome(parts, said)
    reason = telling(parts, said, outcome)
    if outcome is None:
        return detailed(_nothing(none, f"none of the row's graders decides; {reason}"), parts, said)
    known = outcome in (Outcome.PASS, Outcome.FAIL)
    return detailed(Verdict(outcome, mean_score(parts, said) if known else None, reason), parts, said)


class _Rows:
    """Builds the graders of rows: each content once, as long as there is room. A dataset may hold a million."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._kept: OrderedDict[bytes, tuple[WeighedPart, int]] = OrderedDict()
        self._kept_bytes = 0
        self._asks: dict[tuple[str | None, int], tuple[str | None, Form]] = {}
        self._reads: dict[str, None] = {}
        self._named: dict[str, None] = {}
        self._kinds: set[tuple[str, int]] = set()
        self._judges: set[str] = set()
        self._needs_logprobs = False

    def of(self, case: Case) -> tuple[WeighedPart, ...]:
        """Return the graders of a row. Raises WorkspaceError at its line."""
        parts = tuple([self._part(entry, case) for entry in case.graders])
        if any(part.named for part in parts):
            names_of(parts, self._at(case).wrong)
        return parts

    def over(self, compiled: Compiled, cases: Iterable[Case], taken: Collection[str]) -> Compiled:
        """Build the graders of every row, and return the grader with what they need. Raises WorkspaceError."""
        WorkspaceError.raise_all(self._mistakes(cases, taken))
        return replace(
            compiled,
            asks=tuple(self._asks.values()),
            reads=tuple(self._reads),
            named=tuple(self._named),
            needs_logprobs=self._needs_logprobs,
            rows=RowKinds(frozenset(self._kinds), frozenset(self._judges)),
        )

    def _mistakes(self, cases: Iterable[Case], taken: Collection[str]) -> Iterator[WorkspaceError]:
        found = 0
        for case in cases:
            if not case.graders:
                continue
            try:
                self._count(self.of(case), case, taken)
            except WorkspaceError as exc:
                yield WorkspaceError(f"case {case.id!r}: {exc.what}", where=case.where or exc.where, hint=exc.hint)
                found += 1
                if found > MOST_MISTAKES:
                    return

    def _count(self, parts: Iterable[WeighedPart], case: Case, taken: Collection[str]) -> None:
        """Hold the names of parts against the suite's, and all that the rows need against its limits."""
        for part in parts:
            for name in part.named:
                if name in taken:
                    what = f"has a part called {name!r}, a name that the suite has already given"
                    raise self._at(case).wrong(what, "give the part another name")
                self._named[name] = None
        if len(self._named) > _MOST_NAMES:
            what = f"has a new name of a part, and the rows of a dataset may have {_MOST_NAMES} in all"
            raise self._at(case).wrong(what, "use the same name in several rows")
        if len(self._asks) > _MOST_ASKED:
            what = f"asks a model in a new way, and the rows of a dataset may have {_MOST_ASKED} in all"
            raise self._at(case).wrong(what, "use the same model, scale and settings in several rows")

    def _at(self, case: Case) -> Scope:
        spec = GraderSpec(kind="case", name="case", where=case.where)
        return Scope(spec, self._scope.environment, self._scope.build, spec.where_of)

    def _part(self, entry: Entry, case: Case) -> WeighedPart:
        text = canonical(entry)
        key = text if len(text) < _SHORT else sha256(text).digest()
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept[0]
        part = self._built(entry, text, case)
        for grader in _every(part.grader):
            self._note(grader)
        self._kept[key] = part, len(text)
        self._kept_bytes += len(text)
        while len(self._kept) > _ROOM or (self._kept_bytes > _ROOM_BYTES and len(self._kept) > 1):
            self._kept_bytes -= self._kept.popitem(last=False)[1][1]
        return part

    def _built(self, entry: Entry, text: bytes, case: Case) -> WeighedPart:
        """Build an entry. What a stranger's row brings may neither run code nor ask a model."""
        scope = self._at(case)
        trusted = scope.environment.trusted
        if trusted is None or entry_digest(text) in trusted:
            return case_part(scope, entry)

        def refused(path: str) -> Callable[..., Any]:
            raise scope.wrong(f"calls {path!r} in an entry that no row of base has", _REVIEWED)

        bare = replace(scope.environment, load_function=refused, kinds={})
        part = case_part(replace(scope, environment=bare), entry)
        for grader in _every(part.grader):
            if grader.compiled.forms:
                raise scope.wrong(f"asks a model ({grader.kind.name}) in an entry that no row of base has", _REVIEWED)
            if grader.kind.name not in BUILT_IN or grader.compiled.runs_code:
                raise scope.wrong(
                    f"runs the code of {grader.kind.name!r} in an entry that no row of base has", _REVIEWED
                )
        return part

    def _note(self, grader: Grader) -> None:
        """Note what a grader, without its parts, judges by and needs."""
        compiled = grader.compiled
        self._kinds.add((grader.kind.name, grader.kind.semantics))
        self._needs_logprobs = self._needs_logprobs or compiled.needs_logprobs
        if compiled.reads:
            self._reads.update(dict.fromkeys(compiled.reads))
        if compiled.judges_by is not None:
            self._judges.add(digest(grader.document()))
        if compiled.forms:
            names = compiled.models or (None,)
            self._asks.update({(name, id(form)): (name, form) for form in compiled.forms for name in names})


def entry_digest(entry: bytes) -> bytes:
    """Return what an entry, as canonical JSON, is known by."""
    return sha256(entry).digest()[:16]


def _every(grader: Grader) -> Iterator[Grader]:
    """Yield a grader and all that it is made of."""
    yield grader
    for part in grader.compiled.parts:
        yield from _every(part)
