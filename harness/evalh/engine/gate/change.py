"""What a change touches in one suite: its plans on both sides, and its rows."""

from msgspec import field

from evalh.analysis.gate.decision import Finding
from evalh.core.calibration import JudgeStanding, Label
from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.core.errors import ExitCode
from evalh.core.suite import GatePolicy, OutputValue
from evalh.core.values import Value
from evalh.engine.plan import Plan


class Word(Value):
    """A change that a person must review and allow."""

    rule: str
    reason: str
    exit: ExitCode = ExitCode.NO
    may_be_allowed: bool = True

    def finding(self, *, allowed: bool) -> Finding:
        """Return the finding, with or without that permission."""
        if not self.may_be_allowed:
            return Finding(self.rule, self.exit, self.reason)
        if allowed:
            return Finding(self.rule, ExitCode.YES, f"{self.reason}; allowed")
        return Finding(self.rule, self.exit, f"{self.reason}; look at it, then: --allow-suite-change")


class RowChanges(Value, kw_only=True):
    """Cases by what happened to their row. Everything but `added` could hide a regression."""

    added: tuple[str, ...] = ()  # but for incidents, which no number that is compared is about
    kept: int = 0  # the other cases of head that such a number is about
    deleted: tuple[str, ...] = ()
    relabelled: tuple[str, ...] = ()  # the same inputs, another expected output
    regraded: tuple[str, ...] = ()  # the same inputs and expected output, other graders of its own
    rewritten: tuple[str, ...] = ()  # inputs, tags or the named cluster differ
    reclustered: tuple[str, ...] = ()  # new rows join separate clusters: fewer clusters show less

    @property
    def suspicious(self) -> tuple[str, ...]:
        """The cases that a person must review."""
        return tuple(
            dict.fromkeys((*self.deleted, *self.relabelled, *self.regraded, *self.rewritten, *self.reclustered))
        )


class SuiteChange(Value, kw_only=True):
    """One suite that a change touches. Both plans are about head's rows and head's graders."""

    suite: str
    parts: tuple[str, ...]  # of the fingerprint; none: the gate was asked about two versions
    head: Plan
    base: Plan | None  # None: the suite is new
    before: Plan | None  # base with its own rows and graders
    head_before: Plan | None = None  # head with those
    policy: GatePolicy
    rows: RowChanges = field(default_factory=RowChanges)
    words: tuple[Word, ...] = ()
    notices: tuple[str, ...] = ()
    judges: tuple[JudgeStanding, ...] = ()  # head's
    labels: tuple[Label, ...] = ()  # on head

    @property
    def compares(self) -> bool:
        """Whether the two sides can answer differently."""
        return self.base is not None and (not self.parts or bool({"prompt", "model", "route"}.intersection(self.parts)))

    @property
    def beside_old(self) -> tuple[str, ...]:
        """The new cases, if there are old ones too and something may have got worse."""
        return self.rows.added if self.compares and self.rows.kept else ()

    @property
    def about_new(self) -> tuple[str, ...]:
        """Say which cases the numbers cover, if some are new."""
        added = len(self.rows.added)
        new = f"{added} of {added + self.rows.kept} cases are new"
        told = f"{new}: lines that begin with 'old cases' cover only the others, all other lines cover all cases"
        return (told,) if self.beside_old else ()

    @property
    def value(self) -> OutputValue | None:
        """The prices of outputs: like the policy, from the merge base if it has the suite."""
        return (self.head if self.before is None or not self.parts else self.before).suite.value


def row_changes(base: Plan, head: Plan) -> RowChanges:
    """Say which rows were added, deleted, relabelled, graded by something else or rewritten."""
    before = {case.id: _digests(case) for case in base.cases}
    seen: set[str] = set()
    added, relabelled, regraded, rewritten = [], [], [], []
    kept = 0
    for case in head.cases:
        seen.add(case.id)
        if case.id not in before:
            added += [] if case.incident else [case.id]
            continue
        kept += not case.incident
        inputs, gold, whole = _digests(case)
        if inputs != before[case.id][0]:
            rewritten.append(case.id)
        elif gold != before[case.id][1]:
            relabelled.append(case.id)
        elif whole != before[case.id][2]:
            regraded.append(case.id)
    return RowChanges(
        added=tuple(added),
        kept=kept,
        deleted=tuple(case for case in before if case not in seen),
        relabelled=tuple(relabelled),
        regraded=tuple(regraded),
        rewritten=tuple(rewritten),
        reclustered=_reclustered(base, head, {*before} - {*rewritten}),
    )


def _reclustered(base: Plan, head: Plan, common: set[str]) -> tuple[str, ...]:
    """Return the cases whose cluster contains other cases than on base."""
    before, after = (_companions(plan, common) for plan in (base, head))
    return tuple(case for case in before if case in after and after[case] - before[case])


def _companions(plan: Plan, among: set[str]) -> dict[str, frozenset[str]]:
    cases = [case.id for case in plan.cases]
    members: dict[int, set[str]] = {}
    for place, number in plan.cases.clusters.items():
        members.setdefault(number, set()).add(cases[place])
    known = {case: frozenset(alike & among) for alike in members.values() for case in alike}
    return {case: known.get(case, frozenset({case})) for case in cases if case in among}


def _digests(case: Case) -> tuple[str, str, str]:
    """Digest what a row asks, that with what it expects, and all of it."""
    row = case.document()
    whole = digest(row)
    row.pop("graders", None)
    return digest([row["inputs"], row.get("tags"), row.get("cluster")]), digest(row), whole
