"""`gate --confirm`: cases that got worse are asked again on both sides. The decision does not change."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.analysis.compare.comparison import Comparison, Confirmed, Flip
from evalh.analysis.compare.differences import FRESH_TRIALS, confirm
from evalh.analysis.compare.pairing import by_case
from evalh.core.case import Case
from evalh.core.money import total
from evalh.engine.plan import Plan
from evalh.engine.selection import Listed
from evalh.engine.session import Session


class Confirming(Struct):
    """Fresh trials of the cases that got worse."""

    cases: Sequence[tuple[int, Case]]
    sessions: list[Session] = field(default_factory=list)  # base's, head's

    def plan(self, plan: Plan, draw: int) -> Plan:
        """Return a side's plan for the fresh trials, whose draws differ from those that showed the flips."""
        return replace(plan, cases=Listed([case for _, case in self.cases]), trials=FRESH_TRIALS, draw=draw)

    async def ask(self) -> None:
        """Ask both sides, interleaved. Raises CancelledError, EvalhError."""
        wanted = [(place, case, range(FRESH_TRIALS)) for place, case in self.cases]
        async with asyncio.TaskGroup() as group:
            for session in self.sessions:
                group.create_task(session.evaluate(wanted))

    def confirmed(self) -> tuple[Confirmed, ...]:
        """Judge each case by its fresh trials only; leave out a case if a side has no graded one."""
        base, head = (by_case(session.results(self.cases, FRESH_TRIALS)) for session in self.sessions)
        if any(all(case.ungraded == case.trials for case in side.values()) for side in (base, head)):
            return ()
        return confirm([case.id for _, case in self.cases], base, head)

    def notice(self, found: Sequence[Confirmed], dollars: Callable[[Decimal | None], str], *, refused: bool) -> str:
        """State the result and its cost."""
        asked = sum(session.asked() for session in self.sessions)
        spent = f"{asked} asked, {dollars(total(session.spent() for session in self.sessions))}"
        if not found:
            return f"the cases that got worse could not be confirmed: no fresh trial of a side was graded ({spent})"
        counts = Counter(one.label for one in found)
        told = ", ".join(f"{counts[label]} {label.value}" for label in Flip if counts[label])
        alone = "; the refusal is based on all cases together" if refused and not counts[Flip.REGRESSED] else ""
        if counts[Flip.REGRESSED] and not refused:
            alone = "; the regressed cases are worse, but they are too few to show that head is worse in general"
        return f"asked again ({FRESH_TRIALS} fresh trials on each side), what got worse is: {told}{alone} ({spent})"


def flipped(comparison: Comparison | None, order: Sequence[tuple[int, Case]]) -> Confirming | None:
    """Return the cases to confirm; None if no case got worse."""
    worse = set() if comparison is None else set(comparison.regressed)
    cases = [(place, case) for place, case in order if case.id in worse]
    return Confirming(cases) if cases else None
