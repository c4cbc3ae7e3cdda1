"""One suite of a gate: its sessions, its batches, and where it stops early.

`SuiteGate._ask_in_batches` is the loop; it ends when `_is_decided`. The statistics are in `stats/sequential.py`.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from evalh.analysis.calibration.versions import judge_differences
from evalh.analysis.compare.compare import Method, compare
from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.compare.differing import answering
from evalh.analysis.compare.pairing import CaseResult, Pair, Results, by_case
from evalh.analysis.gate.decision import Finding, MustPassCase, SuiteDecision
from evalh.analysis.gate.rules import RuleInputs, must_pass, rules_of, ungraded
from evalh.analysis.gate.sequential_tests import ALPHA, Family, SuiteTests, drop_of, limits_of, needed_by, new_tests
from evalh.core.attempt import CONFIRM_DRAW, Dated
from evalh.core.case import Case
from evalh.core.errors import EvalhError, ExitCode
from evalh.core.sample import Standing
from evalh.core.suite import Require
from evalh.engine.gate import evidence as gate_evidence
from evalh.engine.gate.canary import Canary, canary_cases
from evalh.engine.gate.change import SuiteChange
from evalh.engine.gate.confirm import Confirming, flipped
from evalh.engine.gate.evidence import Wording
from evalh.engine.plan import ANY_AGE, Known, KnownResults, Plan
from evalh.engine.selection import Listed, counted, in_clusters, in_order, members
from evalh.engine.session import Ends, Session, together
from evalh.stats.sequential import Stop, next_look, order_seed


class SuiteGate:
    """Asks both sides, batch by batch. `decision` returns the result, once the tests of all suites are judged."""

    def __init__(
        self,
        change: SuiteChange,
        sides: Mapping[str, Ends],
        family: Family,
        accepted: KnownResults,
        words: Wording,
        *,
        confirms: bool = False,
    ) -> None:
        """Order the cases; ask nothing yet. `confirms`: ask the cases that got worse a second time."""
        self.change = change
        self._sides = sides  # "base" and "head"
        self._accepted = accepted
        self._words = words
        self._confirms = confirms
        self._began = sides["head"].clock.now()
        base_digest = "" if change.base is None else change.base.version.digest
        self._rows = counted(change.head.cases)
        self._seed = order_seed(self._rows.digest, base_digest, change.head.version.digest)
        self._order = in_order(self._seed, in_clusters(self._rows.cases, change.head.cases.clusters))
        self._trials = change.head.trials
        tests = new_tests(change.policy, len(self._order), self._max_ungraded, family, change.beside_old)
        self._recording = gate_evidence.one_recording(change.base, change.head)
        self._tests = self._unstarted_tests = tests if change.compares and self._order else []
        self._clusters_done = 0
        self._must_pass: list[MustPassCase] | None = None
        self._sessions: list[Session] = []  # all, also those of must-pass trials and of base's suite
        self._base: Session | None = None
        self._head: Session | None = None
        self._canary: Canary | None = None
        self._draw = 0  # of today, if the model changed
        self._confirming: Confirming | None = None
        self._halted: str | None = None
        self._notices = [*change.notices, *change.about_new]
        self._notices += gate_evidence.unguarded(change.policy.must_pass, [case for _, case in self._rows.incidents])

    @property
    def plans(self) -> list[Plan]:
        """Every plan that may be asked."""
        return [plan for plan in (self.change.base, self.change.head) if plan is not None]

    @property
    def _max_ungraded(self) -> float:
        own = self.change.policy.max_ungraded
        plan = self.change.before or self.change.head
        return plan.suite.max_ungraded if own is None else own

    # -- asking

    async def run(self) -> None:
        """Ask until the answer is sure, or everything is in. Raises EvalhError, CancelledError."""
        targets = [target for plan in self.plans for target in (*plan.targets, *plan.asked)]
        async with self._sides["head"].doors.open(targets):
            await self._run_stages()

    async def _run_stages(self) -> None:
        await self._run_must_pass()
        if self._must_pass_failed():
            return
        self._open_sides()
        self._canary = self._new_canary()
        canary = None if self._canary is None else self._canary.session
        await self._run_sessions(self._ask_in_batches(), [self._head, self._base, canary])
        if self._canary is not None and self._canary.moved and self._halted is None:
            await self._restart()
        if self.change.rows.suspicious and self.change.compares:
            await self._score_by_base_suite()
        if self._confirms and self._halted is None:
            await self._confirm()

    def _open_sides(self) -> None:
        with_base = self.change.compares and self.change.base is not None
        self._base = self._session("base", self.change.base) if with_base and self.change.base else None
        self._head = self._session("head", self.change.head)

    def _new_canary(self) -> Canary | None:
        """Watch base's model, with a canary if there are accepted results and the model may change."""
        if self._base is None or self._sides["base"].asking.fresh:
            return None
        known = self._accepted_results(self._base.plan)
        canary = Canary(
            change=self.change,
            models_then=known.models,
            sentence=self._words.drift,
            max_ungraded=self._max_ungraded,
        )
        canary.cases = canary_cases(self.change, known)
        if canary.cases:
            plan = replace(self._base.plan, cases=Listed([case for _, case in canary.cases]), trials=1)
            canary.session = self._new_session("base", replace(plan, draw=Dated.CANARY.draw(self._began)), Known())
        elif self.change.policy.canary:
            self._notices.append(
                "the canary has nothing to ask again: base has no accepted answers to these cases, or is a recording"
            )
        return canary

    async def _restart(self) -> None:
        """Ask both sides again with the model as it is today; answers of another model prove nothing."""
        self._draw, self._clusters_done, self._tests = Dated.AGAIN.draw(self._began), 0, self._unstarted_tests
        self._open_sides()
        await self._run_sessions(self._ask_in_batches(), [self._head, self._base])

    async def _confirm(self) -> None:
        """Ask the cases that got worse again, on both sides. This labels them; the tests rest on all cases."""
        confirming = flipped(self._comparison(), self._evaluated())
        if confirming is None or self._base is None or self._head is None:
            return
        draw = Dated.CONFIRM.draw(self._began) if self._draw else CONFIRM_DRAW
        for side, session in (("base", self._base), ("head", self._head)):
            confirming.sessions.append(self._new_session(side, confirming.plan(session.plan, draw), Known()))
        before = self._halted
        await self._run_sessions(confirming.ask(), confirming.sessions)
        self._halted = before  # the decision stands, even if the labels were not finished
        self._confirming = confirming

    def _accepted_results(self, plan: Plan) -> Known:
        before = self.change.before
        if before is None:
            return self._accepted.of(plan, ANY_AGE)
        return self._accepted.of(plan, before.suite.baseline, before.suite.name)

    def _session(self, side: str, plan: Plan, trials: int | None = None) -> Session:
        known = Known()
        if self._draw:
            plan = replace(plan, draw=self._draw)
        elif not self._sides[side].asking.fresh:
            known = self._accepted_results(plan)
            self._notices += [notice for notice in known.notices if side == "base" and notice not in self._notices]
        if side == "head" and self._base is not None:
            known = known.beside(self._base.answers)
        return self._new_session(side, plan if trials is None else replace(plan, trials=trials), known)

    def _new_session(self, side: str, plan: Plan, known: Known) -> Session:
        session = Session(plan, self._sides[side], known, began=self._began)
        self._sessions.append(session)
        return session

    async def _run_sessions(self, work: Coroutine[Any, Any, None], sessions: Sequence[Session | None]) -> None:
        present = [session for session in sessions if session is not None]
        try:
            async with together(*present, at_most=self.change.policy.sequential):
                await work
        finally:
            work.close()
        self._halted = self._halted or present[0].reason

    async def _run_must_pass(self) -> None:
        rule = self.change.policy.must_pass
        if rule is None:
            return
        cases = [one for one in enumerate(self.change.head.cases) if rule.takes(one[1].id, one[1].tags)]
        if not cases:
            self._must_pass = []
            return
        plan = replace(self.change.head, cases=Listed([case for _, case in cases]))
        session = self._session("head", plan, rule.trials)
        wanted = [(place, case, range(rule.trials)) for place, case in enumerate(case for _, case in cases)]
        await self._run_sessions(session.evaluate(wanted), [session])
        results = by_case(session.results(cases, rule.trials))
        self._must_pass = [gate_evidence.must_pass_case(case, results, rule.trials) for _, case in cases]

    def _must_pass_failed(self) -> bool:
        rule = self.change.policy.must_pass
        if rule is None or self._must_pass is None:
            return False
        return must_pass(rule, self._must_pass).exit is ExitCode.NO or self._halted is not None

    async def _ask_in_batches(self) -> None:
        if self._canary is not None and not self._draw and self._base is not None and self._head is not None:
            batch = members(self._order[: next_look(0, len(self._order))])
            wanted = [(place, case, range(self._trials)) for place, case in batch]
            await self._canary.ask_alongside(self._base, self._head, wanted)
            if self._model_changed() or (self._canary.session is not None and self._canary.session.halt.reason):
                return
        while self._clusters_done < len(self._order) and not self._is_decided():
            look = next_look(self._clusters_done, len(self._order), self._step)
            clusters = self._order[self._clusters_done : look]
            wanted = [(place, case, range(self._trials)) for place, case in members(clusters)]
            async with asyncio.TaskGroup() as group:
                for session in (self._base, self._head):
                    if session is not None:
                        group.create_task(session.evaluate(wanted))
            if any(session.halt.reason for session in (self._base, self._head) if session is not None):
                return
            if self._model_changed():
                return
            self._clusters_done = look
            pairs = [self._pairs(cases) for cases in clusters]
            self._tests = [test.look(pairs) for test in self._tests]

    def _model_changed(self) -> bool:
        if self._draw or self._canary is None or self._base is None or self._head is None:
            return False
        return self._canary.check_names(self._base, self._head)

    @property
    def _step(self) -> int:
        return self._tests[0].design.batch if self._tests else max(len(self._order), 1)

    def _is_decided(self) -> bool:
        """Whether the gate can stop here: more cases would not change its decision."""
        if any(test.state.stop is Stop.WORSE_SHOWN for test in self._tests):
            return True
        forbidden = [rule.grader for rule in self.change.policy.never if rule.at_most is None]
        if forbidden and any(gate_evidence.fails(case, forbidden) for case in self._side("head", self._evaluated())):
            return True
        return bool(self._tests) and all(test.stopped for test in self._tests)

    async def _score_by_base_suite(self) -> None:
        before = self.change.before
        assert before is not None
        wanted_ids = set(self.change.rows.suspicious)
        cases = [case for case in before.cases if case.id in wanted_ids]
        plans = {"base": before, "head": self.change.head_before or before}
        good = {}
        try:
            for side, plan in plans.items():
                session = self._session(side, replace(plan, cases=Listed(cases), trials=self._trials))
                indexed = list(enumerate(cases))
                wanted = [(place, case, range(self._trials)) for place, case in indexed]
                await self._run_sessions(session.evaluate(wanted), [session])
                good[side] = sum(sample.standing is Standing.GOOD for sample in session.results(indexed, self._trials))
        except EvalhError as exc:
            self._notices.append(f"the changed cases cannot be scored by base's suite: {exc.what}")
            return
        samples = len(cases) * self._trials
        self._notices.append(
            f"the changed cases by base's suite: {good['base']} of {samples} good on base, {good['head']} on head"
        )

    # -- results

    def _evaluated(self) -> list[tuple[int, Case]]:
        return members(self._order[: self._clusters_done])

    def _side(self, side: str, cases: Sequence[tuple[int, Case]]) -> list[CaseResult]:
        session = self._head if side == "head" else self._base
        return [] if session is None else list(by_case(session.results(cases, self._trials)).values())

    def _pairs(self, cases: Sequence[tuple[int, Case]]) -> list[Pair]:
        if self._base is None:
            return []
        both = zip(self._side("base", cases), self._side("head", cases), strict=True)
        return [Pair(base, head) for base, head in both]

    def tests(self) -> SuiteTests:
        """Return the tests, with the cases that they looked at."""
        return SuiteTests(
            suite=self.change.suite,
            policy=self.change.policy,
            tests=self._tests if self._clusters_done else (),
            pairs=self._pairs(self._evaluated()) if self.change.compares else (),
            rules=tuple(rules_of(self._measured(), self.change.beside_old)),
            fixed=not self.change.policy.sequential,
        )

    # -- the decision

    def decision(self, tested: Sequence[Finding]) -> SuiteDecision:
        """Put everything together; `tested` are the findings of the rows, the tests and the rules."""
        change = self.change
        comparison = self._comparison(tested)
        if self._confirming is not None and comparison is not None:
            comparison = replace(comparison, confirmed=self._confirming.confirmed())
            refused = any(finding.exit is ExitCode.NO for finding in tested)
            self._notices.append(self._confirming.notice(comparison.confirmed, self._words.dollars, refused=refused))
        tests = self.tests()
        first = tests.tests[0] if tests.tests else None
        undecided = change.policy.require is Require.NO_WORSE and any(
            finding.exit is ExitCode.INCONCLUSIVE and finding.rule == "good" for finding in tested
        )
        return SuiteDecision(
            suite=change.suite,
            findings=tuple(self._findings(tested)),
            require=change.policy.require.value,
            parts=change.parts,
            base=None if change.base is None else change.base.version.label,
            head=change.head.version.label,
            model=change.head.target.name,
            margin=change.policy.margin,
            detectable_drop=None if first is None else drop_of(tests, first),
            cases_needed=needed_by(tests, first) if first is not None and undecided else None,
            stopped_at=len(self._evaluated()),
            of=len(self._rows.cases),
            incidents=len(self._rows.incidents),
            saved=self._saved(),
            asked=sum(session.asked() for session in self._sessions),
            comparison=comparison,
            canary=None if self._canary is None else self._canary.move,
            evidence=tuple(gate_evidence.evidence_of(comparison, self._base, self._head, tests.pairs)),
            difference=gate_evidence.difference_of(change),
            spent_usd=gate_evidence.spent(self._sessions),
            alpha=ALPHA if first is None else first.design.alpha,
            prompt_path=change.head.version.path,
            prompt_line=gate_evidence.first_changed_line(change),
            notices=(*self._notices, *gate_evidence.unanswered(self._base, self._head)),
            judges=change.judges if comparison is None else comparison.judges,
            recorded=change.head.target.first.provider.traits.recorded,
        )

    def _saved(self) -> int:
        """Count the samples that stopping early saved. Those in the log or a baseline would have cost nothing."""
        if self._halted is not None:
            return 0
        rest = [(place, case, range(self._trials)) for place, case in members(self._order[self._clusters_done :])]
        return sum(session.unknown(rest) for session in (self._base, self._head) if session is not None)

    def _findings(self, tested: Sequence[Finding]) -> Iterator[Finding]:
        yield from gate_evidence.beside_recording(self._recording, tested)
        if self._canary is not None:
            yield from self._canary.findings(tested)
        if self._halted is not None:
            yield Finding("measured", ExitCode.CANNOT_MEASURE, f"the run ended early: {self._halted}")
        if not self.change.compares and self._clusters_done:
            unmeasured = ungraded(self._side("head", self._evaluated()), self._max_ungraded)
            yield unmeasured or gate_evidence.not_compared(self.change, self._side("head", self._evaluated()))
        if not self._order:
            yield gate_evidence.incidents_alone(self.change.policy)

    def _measured(self) -> RuleInputs:
        cases, policy = self._evaluated(), self.change.policy
        pairs = self._pairs(cases)
        return RuleInputs(
            policy=policy,
            pairs=pairs,
            head=self._side("head", cases),
            complete=self._clusters_done == len(self._order),
            graders=frozenset((*(grader.name for grader in self.change.head.graders), *self.change.head.parts)),
            must_pass=self._must_pass,
            latencies={} if policy.latency_may_rise is None else gate_evidence.latencies(self._base, self._head, pairs),
            seed=self._seed,
            value=self.change.value,
        )

    def _comparison(self, tested: Sequence[Finding] = ()) -> Comparison | None:
        if self._base is None or self._head is None or not self._clusters_done:
            return None
        policy = self.change.policy
        options = Method(margin=policy.margin, exact=True, value=self.change.value)
        if policy.sequential:
            options = replace(options, stopped=self._tests[0].design, limits=limits_of(self._tests, tested))
        base, head = self._results(self._base, "base"), self._results(self._head, "head")
        judges = judge_differences(self.change.judges, self.change.labels, base, head)
        return replace(compare(base, head, options), judges=judges)

    def _results(self, session: Session, side: str) -> Results:
        plan = session.plan
        return Results(
            suite=self.change.suite,
            prompt=plan.version.label,
            model=plan.target.name,
            fingerprint=plan.fingerprint(),
            trials=self._trials,
            graders=(*((one.name, one.required) for one in plan.graders), *((name, False) for name in plan.parts)),
            cases={case.case_id: case for case in self._side(side, self._evaluated())},
            run=session.record.id,
            max_ungraded=self._max_ungraded,
            by_the_hour=session.by_the_hour,
            answering=answering(session.record),
        )
