"""`evalh blame`: run bad cases again with good outputs in place of the steps' own, until the design is complete."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from evalh.analysis.blame import BlamePlan, CaseReruns, Probe, Replaced, Reruns
from evalh.core.attempt import BLAME_DRAW
from evalh.core.case import Case, ties
from evalh.core.errors import CannotMeasure
from evalh.core.money import total
from evalh.core.sample import Standing
from evalh.engine.plan import Given, Plan
from evalh.engine.selection import Listed
from evalh.engine.session import Ends, Session, together

Seen = dict[Replaced, Reruns]


class Experiment:
    """Runs cases again with separate draws. `sources`: where each step's good outputs come from."""

    def __init__(self, plan: Plan, ends: Ends, design: BlamePlan, sources: Mapping[str, Given]) -> None:
        self._plan = plan
        self._ends = ends
        self._design = design
        self._sources = sources
        self._spent: list[Decimal | None] = []

    @property
    def spent_usd(self) -> Decimal | None:
        """The amount spent, graders included; None if an answer has no price."""
        return total(self._spent)

    async def ask(self, cases: Sequence[Case]) -> list[CaseReruns]:
        """Run every experiment of the design. Raises CancelledError, EvalhError."""
        seen: dict[str, Seen] = {case.id: {} for case in cases}
        async with self._ends.doors.open([*self._plan.targets, *self._plan.asked]):
            while wanted := self._wanted(seen):
                for replaced, probes in wanted.items():
                    await self._run(cases, replaced, probes, seen)
        return [
            CaseReruns(case_id=case.id, ties=ties(case.cluster, case.inputs_digest), seen=seen[case.id])
            for case in cases
        ]

    def _wanted(self, seen: Mapping[str, Seen]) -> dict[Replaced, dict[str, Probe]]:
        """Return the next probes: for each set of replaced steps, the cases that still need it."""
        found: dict[Replaced, dict[str, Probe]] = defaultdict(dict)
        for case_id, known in seen.items():
            probe = self._design.next_probe(known)
            if probe is not None:
                found[probe.replaced][case_id] = probe
        return found

    async def _run(
        self, cases: Sequence[Case], replaced: Replaced, probes: Mapping[str, Probe], seen: dict[str, Seen]
    ) -> None:
        earlier = {one: seen[one].get(replaced, Reruns(good=0, times=0)) for one in probes}
        trials = max(earlier[one].times + probe.times for one, probe in probes.items())
        session = Session(with_outputs(self._plan, replaced, self._sources, cases, trials), self._left())
        wanted = [
            (place, case, range(earlier[case.id].times, earlier[case.id].times + probes[case.id].times))
            for place, case in enumerate(cases)
            if case.id in probes
        ]
        async with together(session):
            await session.evaluate(wanted)
        self._spent.append(session.spent())
        if session.reason is not None:
            hint = "the same command continues where this stopped"
            raise CannotMeasure(f"blame ended early: {session.reason}", hint=hint)
        for _, case, numbers in wanted:
            standings = [session.samples[case.id, number].standing for number in numbers]
            before = earlier[case.id]
            seen[case.id][replaced] = Reruns(
                good=before.good + standings.count(Standing.GOOD),
                times=before.times + len(standings),
                ungraded=before.ungraded + standings.count(Standing.UNGRADED),
            )

    def _left(self) -> Ends:
        """Return the ends with the remaining budget."""
        budget, spent = self._ends.asking.budget_usd, self.spent_usd
        if budget is None or spent is None:
            return self._ends
        return replace(self._ends, asking=replace(self._ends.asking, budget_usd=max(Decimal(0), budget - spent)))


def with_outputs(
    plan: Plan, replaced: Replaced, sources: Mapping[str, Given], cases: Sequence[Case], trials: int
) -> Plan:
    """Return a pipeline's plan for some cases, with the outputs of some steps replaced and separate draws."""
    assert plan.pipeline is not None
    given = {**plan.pipeline.given, **{step: sources[step] for step in replaced}}
    pipeline = replace(plan.pipeline, given=given)
    return replace(plan, pipeline=pipeline, cases=Listed(cases), trials=trials, draw=BLAME_DRAW)


async def stand_ins(plan: Plan, ends: Ends, cases: Sequence[Case], digest: Callable[[object], str]) -> dict[str, Given]:
    """Run cases on a plan with a stronger model; return each step's outputs. Raises CancelledError, EvalhError."""
    session = Session(with_outputs(plan, frozenset(), {}, cases, 1), ends)
    async with together(session):
        await session.evaluate((place, case, range(1)) for place, case in enumerate(cases))
    outputs: dict[str, dict[tuple[str, int], object]] = defaultdict(dict)
    for (case_id, trial), sample in session.samples.items():
        for step in sample.steps:
            if step.gave:
                outputs[step.step][case_id, trial] = step.output
    return {
        step: Given(plan.target.name, found, digest(sorted([*key, digest(one)] for key, one in found.items())))
        for step, found in outputs.items()
    }
