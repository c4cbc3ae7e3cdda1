"""`compare --confirm`: asking again what got worse, apart from the answers that showed it.

`gate --confirm`: cases that got worse, asked again on both sides. It labels them; the decision is not touched.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.analysis.compare.comparison import Comparison, Confirmed, Flip, Side
from evalh.analysis.compare.differences import FRESH_TRIALS, confirm
from evalh.analysis.compare.pairing import by_case
from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.api.results import results_of
from evalh.api.runs import execute
from evalh.api.sessions import Session
from evalh.core.attempt import CONFIRM_DRAW
from evalh.core.case import Case
from evalh.core.errors import CannotMeasure, UsageError
from evalh.core.money import total
from evalh.core.run import RunStatus
from evalh.engine.plan import Plan
from evalh.engine.selection import Listed, Selection
from evalh.report.text import dollars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalh.analysis.compare.pairing import CaseResult
    from evalh.api.options import CompareOptions
    from evalh.core.ports import Progress
    from evalh.engine.plan import Plan


def confirmed(
    parts: Parts, request: "CompareOptions", comparison: Comparison, progress: "Progress | None"
) -> tuple[Confirmed, ...]:
    """Ask the regressed cases 5 more times on both sides. Raises EvalhError, KeyboardInterrupt."""
    cases = frozenset(comparison.regressed)
    options = [_options(request, side, cases) for side in (comparison.base, comparison.head)]
    plans = [_plan(parts, side, one) for side, one in zip((comparison.base, comparison.head), options, strict=True)]
    base, head = (_fresh(parts, plan, one, progress) for plan, one in zip(plans, options, strict=True))
    for side, results in ((comparison.base, base), (comparison.head, head)):
        if all(case.ungraded == case.trials for case in results.values()):
            raise CannotMeasure(
                f"no fresh trial of {side.prompt} on {side.model} was graded",
                hint="evalh calls --errors; a recording answers again only if its rows hold draws:"
                f' {{"id": …, "trial": 0…{FRESH_TRIALS - 1}, "draw": {CONFIRM_DRAW}, …}}',
            )
    return confirm(comparison.regressed, base, head)


def _options(request: "CompareOptions", side: Side, cases: frozenset[str]) -> RunOptions:
    return RunOptions(
        target=side.suite,
        prompts=(side.prompt,),
        models=(side.model,),
        trials=FRESH_TRIALS,
        selection=Selection(case_ids=cases),
        concurrency=request.concurrency,
        fresh=request.fresh,
        budget_usd=request.budget_usd,
    )


def _plan(parts: Parts, side: Side, options: RunOptions) -> "Plan":
    (plan,) = parts.plans(options)
    now, then = plan.fingerprint(), side.fingerprint
    for part in ("prompt", "graders", "model", "route"):
        if getattr(now, part) != getattr(then, part):
            raise UsageError(
                f"{side.prompt} on {side.model} cannot be asked again: its {part} is no longer what was run",
                hint=f"evalh compare takes versions too: {side.prompt}",
            )
    return replace(plan, draw=CONFIRM_DRAW)


def _fresh(parts: Parts, plan: "Plan", options: RunOptions, progress: "Progress | None") -> "Mapping[str, CaseResult]":
    (result,) = execute(parts, [plan], options, progress)
    if result.status is RunStatus.INTERRUPTED:
        raise KeyboardInterrupt
    if result.status is not RunStatus.COMPLETE:
        raise CannotMeasure(
            f"confirming stopped: {result.stopped_because}", hint="the same command goes on where this stopped"
        )
    return results_of(parts.log, parts.log.run(result.record.id)).cases


class Confirming(Struct):
    """Fresh trials of the cases that got worse."""

    cases: Sequence[tuple[int, Case]]
    sessions: list[Session] = field(default_factory=list)  # base's, head's

    def plan(self, plan: Plan, draw: int) -> Plan:
        """Return a side's plan for the fresh trials, drawn apart from the answers that showed the flips."""
        return replace(plan, cases=Listed([case for _, case in self.cases]), trials=FRESH_TRIALS, draw=draw)

    async def ask(self) -> None:
        """Ask both sides, interleaved. Raises CancelledError, EvalhError."""
        wanted = [(place, case, range(FRESH_TRIALS)) for place, case in self.cases]
        async with asyncio.TaskGroup() as group:
            for session in self.sessions:
                group.create_task(session.evaluate(wanted))

    def confirmed(self) -> tuple[Confirmed, ...]:
        """Judge each case on its fresh trials alone; nothing where a side has no graded one."""
        base, head = (by_case(session.results(self.cases, FRESH_TRIALS)) for session in self.sessions)
        if any(all(case.ungraded == case.trials for case in side.values()) for side in (base, head)):
            return ()
        return confirm([case.id for _, case in self.cases], base, head)

    def notice(self, found: Sequence[Confirmed], *, refused: bool) -> str:
        """Say what came of it, and what it took."""
        asked = sum(session.asked() for session in self.sessions)
        spent = f"{asked} asked, {dollars(total(session.spent() for session in self.sessions))}"
        if not found:
            return f"what got worse could not be confirmed: no fresh trial of a side was graded ({spent})"
        counts = Counter(one.label for one in found)
        told = ", ".join(f"{counts[label]} {label.value}" for label in Flip if counts[label])
        alone = "; the refusal rests on all cases together" if refused and not counts[Flip.REGRESSED] else ""
        return f"asked again, {FRESH_TRIALS} fresh trials a side, what got worse is: {told}{alone} ({spent})"


def flipped(comparison: Comparison | None, order: Sequence[tuple[int, Case]]) -> Confirming | None:
    """Return what is to be confirmed; None where nothing got worse."""
    worse = set() if comparison is None else set(comparison.regressed)
    cases = [(place, case) for place, case in order if case.id in worse]
    return Confirming(cases) if cases else None
