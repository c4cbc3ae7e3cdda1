"""`evalh gate`: what a change touches is asked on both sides, batch by batch, until the answer is sure.

A pull request's comment carries which heads were judged. Ten pushes are ten looks at one question. The error rate of
5 % is spent over all of them: look j takes 1 / (j (j + 1)) of it, which adds up to all of it however many there are.
A head that was judged before is not a new look while the log still has its answers; where they are drawn again it is.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.analysis.gate.decision import Finding, GateDecision, Series, SuiteDecision
from evalh.analysis.gate.sequential_tests import ALPHA, Family, judge, number_of_tests
from evalh.api.baselines import Baselines
from evalh.api.changes import find_changes, not_judged, scored_as
from evalh.api.event_loop import SystemClock, in_loop
from evalh.api.files import brought_log
from evalh.api.judges import judge_kin, labels_of, standings
from evalh.api.options import GateOptions, RunOptions
from evalh.api.parts import Parts
from evalh.api.prefer import preferring
from evalh.api.runs import NoProgress, ends_of
from evalh.api.sides import Sides, open_sides
from evalh.api.weakened import unmeasured
from evalh.core.digest import digest
from evalh.core.errors import ExitCode, UsageError
from evalh.core.log import GateRow
from evalh.core.ports import Progress, Store
from evalh.core.run import RunKind
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.engine.gate.change import SuiteChange
from evalh.engine.gate.evidence import Wording
from evalh.engine.gate.suite import SuiteGate
from evalh.engine.plan import AskOptions, Plan, in_log
from evalh.engine.selection import counted
from evalh.engine.session import Ends, check_plans, new_run_id
from evalh.report.markdown.gate import MARKER

if TYPE_CHECKING:
    from evalh.store import SqliteStore


_HEADS_BEGIN = "<!-- evalh heads:"
_HEADS = re.compile(_HEADS_BEGIN + r"((?: [0-9a-f]{12}){1,500}) -->")
_CASES_AT_ONCE = 500
_MOST_BYTES = 1_000_000  # of a comment: GitHub takes 65,536 characters


class EarlierLooks(Value):
    """What an earlier comment says; no heads: there was none."""

    heads: tuple[str, ...] = ()

    def series(self, touched: Iterable[SuiteChange], *, again: bool = False) -> Series:
        """Return these looks and the one at what a change brings now; `again`: its answers are drawn again."""
        suites = sorted((one.suite, _judged(one.head)) for one in touched)
        judged: list[JsonValue] = [list(one) for one in suites]
        draws = (digest([*judged, draw] if draw else judged).removeprefix("sha256:")[:12] for draw in count())
        head = next(draws)
        while head in self.heads:
            following = next(draws)
            if following not in self.heads and not again:
                break  # the latest draw is the one that the log answers with
            head = following
        heads = self.heads if head in self.heads else (*self.heads, head)
        look = heads.index(head) + 1
        return Series(heads=heads, look=look, alpha=ALPHA / (look * (look + 1)))


def _judged(head: Plan) -> dict[str, str]:
    """Return what a look is about: incidents are in no number, so one that is added brings no new look."""
    return head.fingerprint().document() | {"dataset": counted(head.cases).digest}


def drawn_again(store: Store, touched: Iterable[SuiteChange], *, fresh: bool) -> bool:
    """Whether a head that was judged before gets other answers now: a second draw, to be luckier with.

    A log that holds some of its answers goes on where an earlier gate stopped.
    """
    return any(fresh or not _in_log(store, one.head) for one in touched if _varies(one.head))


def _varies(plan: Plan) -> bool:
    leaves = [leaf for one in plan.targets for leaf in one.leaves.values()]
    return any(not leaf.provider.traits.recorded and leaf.settings.params.get("temperature") != 0 for leaf in leaves)


def _in_log(store: Store, plan: Plan) -> bool:
    cases = iter(plan.cases)
    while ahead := list(islice(cases, _CASES_AT_ONCE)):
        if any(in_log(plan, store, ((case, 0) for case in ahead))):
            return True
    return False


def read_earlier(path: Path) -> EarlierLooks:
    """Read the comment that an earlier gate left; a file that is empty or not there is a first look.

    Raises UsageError for a file that cannot be read, and for one that is not such a comment.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_MOST_BYTES).decode("utf-8-sig", errors="replace").strip().splitlines()
    except FileNotFoundError:
        return EarlierLooks()
    except OSError as exc:
        raise UsageError(f"--earlier cannot be read: {exc.strerror}", where=str(path)) from exc
    if not lines:
        return EarlierLooks()
    if lines[0].strip() != MARKER:
        what = f"--earlier is not a comment of evalh gate, which begins with {MARKER}"
        hint = "name the file that `evalh gate --comment` wrote; for a first look, an empty file or none"
        raise UsageError(what, where=f"{path}:1", hint=hint)
    if len(lines) == 1 or not lines[1].startswith(_HEADS_BEGIN):
        return EarlierLooks()  # nothing was judged yet
    found = _HEADS.fullmatch(lines[1].strip())
    if found is None:
        hint = "someone has edited the comment: restore that line, or delete the comment to start over"
        raise UsageError("the list of judged heads cannot be read", where=f"{path}:2", hint=hint)
    return EarlierLooks(tuple(dict.fromkeys(found[1].split())))


WORK_TREE = "the work tree"


def _words() -> Wording:
    from evalh.report.terminal.drift import drift_sentence
    from evalh.report.text import dollars

    return Wording(drift_sentence, dollars)


def gate(parts: Parts, options: GateOptions, progress: Progress | None = None) -> GateDecision:
    """Decide a merge. Raises EvalhError if a side cannot be read; KeyboardInterrupt when it is interrupted."""
    with ExitStack() as kept:
        sides = open_sides(parts, options.base, options.head, trust_base=options.trust_base, kept=kept)
        if (brought := brought_log(parts.store_folder, parts.root, parts.repository)) is not None:
            raise brought
        changes = find_changes(sides, options.suites, options.model)
        progress = progress or NoProgress()
        prefer = preferring(sides.head, changes.touched, progress, options)
        words = (*changes.words, *unmeasured(sides, changes.pairs))
        earlier = None if options.earlier is None else read_earlier(options.earlier)
        store = kept.enter_context(sides.head.writing(progress)) if changes.touched or words else None
        series = None
        if store and earlier is not None and changes.touched:
            series = earlier.series(changes.touched, again=drawn_again(store, changes.touched, fresh=options.fresh))
        gates: tuple[SuiteDecision, ...] = ()
        if store:
            ends = ends_of(sides.head, store, options, progress, commit=(sides.head_commit, None), kind=RunKind.GATE)
            gates = prefer.tell(_decide(ends, changes.touched, sides, options, series))
        decision = GateDecision(
            suites=gates,
            base=sides.base_revision,
            head=sides.head_revision or WORK_TREE,
            merge_base=sides.merge_base,
            unchanged=changes.unchanged,
            findings=tuple(word.finding(allowed=options.allow_suite_change) for word in words),
            notices=(*sides.notices, *not_judged(sides, changes.touched)),
            series=series,
        )
        return keep_decision(store, decision) if store else decision


def _decide(
    ends: Ends, touched: Sequence[SuiteChange], sides: Sides, options: GateOptions, series: Series | None
) -> tuple[SuiteDecision, ...]:
    base = replace(ends, provenance=lambda: (sides.merge_base, False))
    accepted = Baselines(None if sides.base is None else sides.base.tree, ends.clock.now())
    family = family_of(touched, ALPHA if series is None else series.alpha)
    both = {"base": base, "head": ends}
    gates = [SuiteGate(change, both, family, accepted, _words(), confirms=options.confirm) for change in touched]
    return decide(gates, ends, family, options)


def family_of(touched: Iterable[SuiteChange], alpha: float = ALPHA) -> Family:
    """Return what the tests that pay for each other share."""
    tests = (number_of_tests(one.policy, compares=one.compares, added=one.beside_old) for one in touched)
    return Family(sum(tests), alpha)


def decide(gates: Sequence[SuiteGate], ends: Ends, family: Family, options: GateOptions) -> tuple[SuiteDecision, ...]:
    """Run every suite's gate and judge them together. Raises EvalhError, KeyboardInterrupt."""
    check_plans((plan for one in gates for plan in one.plans), ends.prices, ends.asking)
    in_loop(_run(gates))
    tested = judge([gate.tests() for gate in gates], family.alpha)
    return tuple(_decided(one, found, options) for one, found in zip(gates, tested, strict=True))


def _decided(one: SuiteGate, tested: Sequence[Finding], options: GateOptions) -> SuiteDecision:
    decision = one.decision([*_rows(one.change, allowed=options.allow_dataset_change), *tested])
    words = (word.finding(allowed=options.allow_suite_change) for word in one.change.words)
    return replace(decision, findings=(*decision.findings, *words))


async def _run(gates: Sequence[SuiteGate]) -> None:
    for one in gates:
        await one.run()


def _rows(change: SuiteChange, *, allowed: bool) -> list[Finding]:
    """Hold a change to its rows: a case that is gone, or expects something else now, can hide a regression."""
    rows = change.rows
    old = rows.kept
    thinned = change.compares and len(rows.added) > old > 0
    if not rows.suspicious and not thinned:
        return []
    parts = [
        f"{len(cases)} {what} ({', '.join(cases[:5])}{', …' if len(cases) > 5 else ''})"  # noqa: PLR2004 (what is read)
        for what, cases in (
            ("deleted", rows.deleted),
            ("relabelled", rows.relabelled),
            ("with other graders in the row", rows.regraded),
            ("rewritten", rows.rewritten),
            ("joined into one cluster by new rows", rows.reclustered),
        )
        if cases
    ]
    if thinned:
        parts.append(f"{len(rows.added)} added to {old}, so that a drop in the old ones counts less")
    changes = f"cases of the dataset were changed: {', '.join(parts)}"
    if allowed:
        return [Finding("dataset", ExitCode.YES, f"{changes}; allowed")]
    reason = f"{changes}; look at them, then: --allow-dataset-change"
    return [Finding("dataset", ExitCode.NO, reason, rows.suspicious)]


def keep_decision(store: "SqliteStore", decision: GateDecision) -> GateDecision:
    """Record a decision in the log; return it with its id."""
    from evalh.report.documents.document import text_of
    from evalh.report.documents.gate import gate_document

    now = SystemClock().now()
    decision = replace(decision, id=f"g{new_run_id(now)[1:]}")
    store.put(
        GateRow(
            id=decision.id or "",
            at=now,
            base=decision.base,
            head=decision.head,
            merge_base=decision.merge_base,
            decision=decision.status.value,
            exit=int(decision.exit),
            reasons="\n".join(decision.reasons),
            content=text_of(gate_document(decision), ensure_ascii=False),
        )
    )
    store.flush(or_blocked=True)  # the decision is reported, with the place where its row waits
    return decision


def gate_versions(parts: Parts, suite: str, base: str, head: str, model: str | None = None) -> GateDecision:
    """Decide between two versions by a suite's gate, without git. Raises EvalhError, KeyboardInterrupt."""
    models = (model,) if model else ()
    before, after = (parts.plans(RunOptions(target=suite, prompts=(ref,), models=models))[0] for ref in (base, head))
    policy = after.suite.gate
    after = replace(after, trials=policy.trials or after.trials)
    judges = standings(parts.tree, suite, after.graders)
    change = SuiteChange(
        suite=suite,
        parts=(),
        head=after,
        base=scored_as(before, after),
        before=before,
        policy=policy,
        notices=tuple(judge_kin(parts, after)),
        judges=judges,
        labels=labels_of(parts, suite, judges),
    )
    with parts.writing(None) as store:
        ends = ends_of(parts, store, AskOptions(), NoProgress(), kind=RunKind.GATE)
        family = family_of([change])
        accepted = Baselines(parts.tree, ends.clock.now())
        gates = [SuiteGate(change, {"base": ends, "head": ends}, family, accepted, _words())]
        prefer = preferring(parts, [change], NoProgress(), AskOptions())
        suites = prefer.tell(decide(gates, ends, family, GateOptions()))
        decision = GateDecision(suites=suites, base=base, head=head)
        return keep_decision(store, decision)
