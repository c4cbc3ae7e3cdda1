"""A gate's check of base: whether the model that answers now is the one behind its accepted results.

A canary asks some of the accepted cases again, beside head. Each answer also names its model:
a new one is another model.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from evalh.analysis.compare.pairing import Pair, by_case
from evalh.analysis.drift import CANARY_ALPHA, DriftResult, DriftVerdict, Repeat, judge_move
from evalh.analysis.gate.decision import Finding
from evalh.core.case import Case
from evalh.core.errors import ExitCode
from evalh.core.suite import DEFAULT_CANARY
from evalh.engine.gate.change import SuiteChange
from evalh.engine.plan import Known
from evalh.engine.runner import Wanted
from evalh.engine.selection import counted
from evalh.engine.session import Session
from evalh.stats.sequential import look_order, order_seed

_ONE = range(1)

Indexed = Sequence[tuple[int, Case]]


def canary_cases(change: SuiteChange, known: Known) -> Indexed:
    """Choose the accepted cases to ask again, by a seed of digests, so that nobody can pick lucky ones."""
    plan, most = change.base, change.policy.canary
    assert plan is not None
    if most is None:
        most = DEFAULT_CANARY if plan.hosted else 0
    if not most or plan.recorded:
        return ()
    rows = counted(plan.cases)
    cases = [(place, case) for place, case in rows.cases if known.holds(plan, case, 1)]
    seed = order_seed(rows.digest, plan.version.digest, "canary")
    order = look_order(seed, (case.id for _, case in cases))
    return [cases[position] for position in order[:most]]


class Canary(Struct, kw_only=True):
    """Watches base's model. `check_names` says whether the kept answers of base and head still count."""

    change: SuiteChange
    models_then: frozenset[str]  # of the baseline
    sentence: Callable[[DriftResult], str]
    cases: Indexed = ()  # the canary's
    session: Session | None = None
    max_ungraded: float = 0.02
    move: DriftResult | None = None
    new_models: frozenset[str] = frozenset()  # names that answered, but gave none of base's earlier answers
    moved: bool = False

    async def ask_alongside(self, base: Session, head: Session, batch: Sequence[Wanted]) -> None:
        """Ask the canary's cases while head's first batch is asked. Raises CancelledError, EvalhError."""
        if self.session is None:
            return
        again = [(place, case, _ONE) for place, case in self.cases]
        async with asyncio.TaskGroup() as group:
            group.create_task(base.evaluate(again))  # the accepted answers: nothing is asked
            group.create_task(self.session.evaluate(again))
            group.create_task(head.evaluate(batch))
        if self.session.halt.reason or head.halt.reason:
            return
        self.move = self._judged(base, self.session)
        self.moved = self.move.verdict is DriftVerdict.MOVED

    def _judged(self, base: Session, again: Session) -> DriftResult:
        plan = base.plan
        then, now = (by_case(session.results(self.cases, 1)) for session in (base, again))
        return judge_move(
            Repeat(
                pairs=[Pair(then[case.id], now[case.id]) for _, case in self.cases],
                models_then=self.models_then,
                models_now=again.models(),
                max_ungraded=self.max_ungraded,
                routed=plan.chooses,
                discordance=self.change.policy.discordance,
                asked=again.asked(),
                cost_usd=again.spent(),
            ),
            CANARY_ALPHA,
        )

    def check_names(self, base: Session, head: Session) -> bool:
        """Check the names of the models that answered; return whether the model changed."""
        if not self.moved and self._named:
            kept = self.models_then | base.models(kept=True) | head.models(kept=True)
            asked = base.models(kept=False) | head.models(kept=False)
            on_base = self.models_then | base.models()
            self.new_models = (asked - kept if kept else frozenset()) | (
                head.models() - on_base if on_base else frozenset()
            )
            self.moved = bool(self.new_models)
        return self.moved

    @property
    def _named(self) -> bool:
        """Whether names are meaningful: for one hosted model that is the same on both sides."""
        base, head = self.change.base, self.change.head
        if base is None or base.chooses or not base.hosted:
            return False
        return base.fingerprint().model == head.fingerprint().model

    def findings(self, tested: Sequence[Finding]) -> Iterator[Finding]:
        """Yield a finding if the model changed; `tested` are the findings of the tests."""
        if self.moved:
            worse = any(one.exit is ExitCode.NO for one in tested)
            what = "the model changed" if worse else "the model changed, not your prompt"
            after = "head is still worse" if worse else "head is compared with that"
            yield Finding("canary", ExitCode.YES, f"{what}: {self._told()}; base was asked again, and {after}")
        elif self.move is not None and self.move.verdict is DriftVerdict.UNMEASURED:
            yield Finding("canary", ExitCode.CANNOT_MEASURE, self._told())

    def _told(self) -> str:
        if self.move is not None and not self.new_models:
            return self.sentence(self.move)
        return f"{', '.join(sorted(self.new_models))} answered, and gave none of base's earlier answers"
