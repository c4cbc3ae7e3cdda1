"""One suite of a gate: its sessions, its batches, its stop."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from evalh.analysis.calibration.versions import judge_differences
from evalh.analysis.compare.compare import Method, compare
from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.compare.pairing import CaseResult, Pair, Results, by_case
from evalh.analysis.drift import DriftResult
from evalh.analysis.gate.decision import Finding, MustPassCase, SuiteDecision
from evalh.analysis.gate.rules import RuleInputs, must_pass, rules_of, ungraded
from evalh.analysis.gate.sequential_tests import ALPHA, Family, SuiteTests, drop_of, limits_of, needed_by, questions_of
from evalh.core.attempt import CONFIRM_DRAW, Dated
from evalh.core.case import Case
from evalh.core.errors import EvalhError, ExitCode
from evalh.core.sample import Standing
from evalh.core.suite import Require
from evalh.core.values import Value
from evalh.engine.gate import evidence as gate_evidence
from evalh.engine.gate.canary import Canary, canary_cases
from evalh.engine.gate.change import SuiteChange
from evalh.engine.gate.confirm import Confirming, flipped
from evalh.engine.plan import ANY_AGE, Known, KnownResults, Plan
from evalh.engine.selection import Listed, in_clusters, in_order, members
from evalh.engine.session import Ends, Session, together
from evalh.stats.sequential import Stop, next_look, order_seed


class Wording(Value):
    """How findings are put into words; handed in, since words are a report's."""

    drift: Callable[[DriftResult], str]
    dollars: Callable[[Decimal | None], str]


class SuiteGate:
    """Asks both sides, batch by batch. `decision` says what came of it, once the tests of all suites are judged."""

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
        """Order the cases. Nothing is asked yet. `confirms`: ask again what got worse."""
        self.change = change
        self._sides = sides  # "base" and "head"
        self._accepted = accepted
        self._words = words
        self._confirms = confirms
        self._began = sides["head"].clock.now()
        base_digest = "" if change.base is None else change.base.version.digest
        self._seed = order_seed(change.head.cases.digest, base_digest, change.head.version.digest)
        self._order = in_order(self._seed, in_clusters(change.head.cases))
        self._trials = change.head.trials
        questions = questions_of(change.policy, len(self._order), self._max_ungraded, family, change.beside_old)
        self._questions = self._unasked = questions if change.compares else []
        self._seen = 0
        self._must_pass: list[MustPassCase] | None = None
        self._sessions: list[Session] = []  # every one: the must-pass trials' and the old way's too
        self._base: Session | None = None
        self._head: Session | None = None
        self._canary: Canary | None = None
        self._draw = 0  # of today, where the model moved
        self._confirming: Confirming | None = None
        self._halted: str | None = None
        self._notices = [*change.notices, *change.about_new]

    @property
    def plans(self) -> list[Plan]:
        """Every plan that may be asked."""
        return [plan for plan in (self.change.base, self.change.head) if plan is not None]

    @property
    def _max_ungraded(self) -> float:
        own = self.change.policy.max_ungraded
        held = self.change.before or self.change.head
        return held.suite.max_ungraded if own is None else own

    # -- asking

    async def run(self) -> None:
        """Ask until the answer is sure, or everything is in. Raises EvalhError, CancelledError."""
        targets = [target for plan in self.plans for target in (*plan.targets, *plan.asked)]
        async with self._sides["head"].doors.open(targets):
            await self._run_stages()

    async def _run_stages(self) -> None:
        await self._run_must_pass()
        if self._broken():
            return
        with_base = self.change.compares
        self._open_sides()
        self._canary = self._watching()
        watching = None if self._canary is None else self._canary.session
        await self._led(self._ask_both(), [one for one in (self._head, self._base, watching) if one is not None])
        if self._canary is not None and self._canary.moved and self._halted is None:
            await self._ask_anew()
        if self.change.rows.suspicious and with_base:
            await self._score_the_old_way()
        if self._confirms and self._halted is None:
            await self._confirm()

    def _open_sides(self) -> None:
        with_base = self.change.compares and self.change.base is not None
        self._base = self._session("base", self.change.base) if with_base and self.change.base else None
        self._head = self._session("head", self.change.head)

    def _watching(self) -> Canary | None:
        """Watch over base, with a canary where there are accepted results and a model that may move."""
        if self._base is None or self._sides["base"].asking.fresh:
            return None
        known = self._remembered(self._base.plan)
        watch = Canary(
            change=self.change,
            models_then=known.models,
            sentence=self._words.drift,
            max_ungraded=self._max_ungraded,
        )
        watch.cases = canary_cases(self.change, known)
        if watch.cases:
            plan = replace(self._base.plan, cases=Listed([case for _, case in watch.cases]), trials=1)
            watch.session = self._opened("base", replace(plan, draw=Dated.CANARY.draw(self._began)), Known())
        elif self.change.policy.canary:
            self._notices.append("the canary has nothing to ask again: base has no baseline, or is a recording")
        return watch

    async def _ask_anew(self) -> None:
        """Ask both sides as the model is today: what is kept of another one proves nothing."""
        self._draw, self._seen, self._questions = Dated.ANEW.draw(self._began), 0, self._unasked
        self._open_sides()
        await self._led(self._ask_both(), [one for one in (self._head, self._base) if one is not None])

    async def _confirm(self) -> None:
        """Ask again, on both sides, what got worse. Their labels say nothing to the tests, which rest on all cases."""
        confirming = flipped(self._comparison(), self._looked())
        if confirming is None or self._base is None or self._head is None:
            return
        draw = Dated.CONFIRM.draw(self._began) if self._draw else CONFIRM_DRAW
        for side, session in (("base", self._base), ("head", self._head)):
            confirming.sessions.append(self._opened(side, confirming.plan(session.plan, draw), Known()))
        before = self._halted
        await self._led(confirming.ask(), confirming.sessions)
        self._halted = before  # what was decided stands, whatever became of the labels
        self._confirming = confirming

    def _remembered(self, plan: Plan) -> Known:
        before = self.change.before
        if before is None:
            return self._accepted.of(plan, ANY_AGE)
        return self._accepted.of(plan, before.suite.baseline, before.suite.name)

    def _session(self, side: str, plan: Plan, trials: int | None = None) -> Session:
        known = Known()
        if self._draw:
            plan = replace(plan, draw=self._draw)
        elif not self._sides[side].asking.fresh:
            known = self._remembered(plan)
            self._notices += [one for one in known.notices if side == "base" and one not in self._notices]
        if side == "head" and self._base is not None:
            known = known.beside(self._base.answers)
        return self._opened(side, plan if trials is None else replace(plan, trials=trials), known)

    def _opened(self, side: str, plan: Plan, known: Known) -> Session:
        session = Session(plan, self._sides[side], known, began=self._began)
        self._sessions.append(session)
        return session

    async def _led(self, work: Coroutine[Any, Any, None], sessions: Sequence[Session]) -> None:
        try:
            async with together(*sessions):
                await work
        finally:
            work.close()
        self._halted = self._halted or sessions[0].reason

    async def _run_must_pass(self) -> None:
        rule = self.change.policy.must_pass
        if rule is None:
            return
        cases = [
            (place, case)
            for place, case in sorted(members(self._order), key=lambda one: one[0])
            if rule.takes(case.id, case.tags)
        ]
        if not cases:
            self._must_pass = []
            return
        plan = replace(self.change.head, cases=Listed([case for _, case in cases]))
        session = self._session("head", plan, rule.trials)
        wanted = [(place, case, range(rule.trials)) for place, case in enumerate(case for _, case in cases)]
        await self._led(session.evaluate(wanted), [session])
        results = by_case(session.results(cases, rule.trials))
        self._must_pass = [gate_evidence.must_pass_case(case, results, rule.trials) for _, case in cases]

    def _broken(self) -> bool:
        rule = self.change.policy.must_pass
        if rule is None or self._must_pass is None:
            return False
        return must_pass(rule, self._must_pass).exit is ExitCode.NO or self._halted is not None

    async def _ask_both(self) -> None:
        if self._canary is not None and not self._draw and self._base is not None and self._head is not None:
            batch = members(self._order[: next_look(0, len(self._order))])
            asked = [(at, case, range(self._trials)) for at, case in batch]
            await self._canary.ask_alongside(self._base, self._head, asked)
            if self._moved() or (self._canary.session is not None and self._canary.session.halt.reason):
                return
        while self._seen < len(self._order) and not self._sure():
            look = next_look(self._seen, len(self._order), self._step)
            clusters = self._order[self._seen : look]
            wanted = [(place, case, range(self._trials)) for place, case in members(clusters)]
            async with asyncio.TaskGroup() as group:
                for session in (self._base, self._head):
                    if session is not None:
                        group.create_task(session.evaluate(wanted))
            if any(session.halt.reason for session in (self._base, self._head) if session is not None):
                return
            if self._moved():
                return
            self._seen = look
            pairs = [self._pairs(cases) for cases in clusters]
            self._questions = [question.look(pairs) for question in self._questions]

    def _moved(self) -> bool:
        if self._draw or self._canary is None or self._base is None or self._head is None:
            return False
        return self._canary.check_names(self._base, self._head)

    @property
    def _step(self) -> int:
        return self._questions[0].design.batch if self._questions else max(len(self._order), 1)

    def _sure(self) -> bool:
        """Tell whether more cases could change nothing."""
        if self._questions and any(question.state.stop is Stop.WORSE_SHOWN for question in self._questions):
            return True
        forbidden = [rule.grader for rule in self.change.policy.never if rule.at_most is None]
        if forbidden and any(gate_evidence.fails(case, forbidden) for case in self._side("head", self._looked())):
            return True
        return bool(self._questions) and all(question.stopped for question in self._questions)

    async def _score_the_old_way(self) -> None:
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
                await self._led(
                    session.evaluate([(place, case, range(self._trials)) for place, case in indexed]), [session]
                )
                good[side] = sum(one.standing is Standing.GOOD for one in session.results(indexed, self._trials))
        except EvalhError as exc:
            self._notices.append(f"the changed cases cannot be scored the old way: {exc.what}")
            return
        samples = len(cases) * self._trials
        self._notices.append(
            f"the changed cases, scored the old way: {good['base']} of {samples} good on base, {good['head']} on head"
        )

    # -- what is known

    def _looked(self) -> list[tuple[int, Case]]:
        return members(self._order[: self._seen])

    def _side(self, side: str, cases: Sequence[tuple[int, Case]]) -> list[CaseResult]:
        session = self._head if side == "head" else self._base
        if session is None:
            return []
        return list(by_case(session.results(cases, self._trials)).values())

    def _pairs(self, cases: Sequence[tuple[int, Case]]) -> list[Pair]:
        if self._base is None:
            return []
        both = zip(self._side("base", cases), self._side("head", cases), strict=True)
        return [Pair(base, head) for base, head in both]

    def asked(self) -> SuiteTests:
        """Return the tests, and what they looked at."""
        return SuiteTests(
            suite=self.change.suite,
            policy=self.change.policy,
            questions=self._questions if self._seen else (),
            pairs=self._pairs(self._looked()) if self.change.compares else (),
            rules=tuple(rules_of(self._measured(), self.change.beside_old)),
            fixed=not self.change.policy.sequential,
        )

    # -- what came of it

    def decision(self, tested: Sequence[Finding]) -> SuiteDecision:
        """Put everything together; `tested` is what the rows, the tests and the rules found."""
        change = self.change
        comparison = self._comparison(tested)
        if self._confirming is not None and comparison is not None:
            comparison = replace(comparison, confirmed=self._confirming.confirmed())
            refused = any(one.exit is ExitCode.NO for one in tested)
            self._notices.append(self._confirming.notice(comparison.confirmed, self._words.dollars, refused=refused))
        asked = self.asked()
        first = asked.questions[0] if asked.questions else None
        undecided = change.policy.require is Require.NO_WORSE and any(
            one.exit is ExitCode.INCONCLUSIVE and one.rule == "good" for one in tested
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
            detectable_drop=None if first is None else drop_of(asked, first),
            cases_needed=needed_by(asked, first) if first is not None and undecided else None,
            stopped_at=len(self._looked()),
            of=len(members(self._order)),
            saved=self._saved(),
            asked=sum(session.asked() for session in self._sessions),
            comparison=comparison,
            canary=None if self._canary is None else self._canary.move,
            evidence=tuple(gate_evidence.evidence_of(comparison, self._base, self._head)),
            alpha=ALPHA if first is None else first.design.alpha,
            prompt_path=change.head.version.path,
            prompt_line=gate_evidence.first_changed_line(change),
            notices=(*self._notices, *gate_evidence.unanswered(self._base, self._head)),
            judges=change.judges if comparison is None else comparison.judges,
        )

    def _saved(self) -> int:
        """Count the samples that stopping early spared: what the log or a baseline holds would have cost nothing."""
        if self._halted is not None:
            return 0
        rest = [(place, case, range(self._trials)) for place, case in members(self._order[self._seen :])]
        return sum(session.unknown(rest) for session in (self._base, self._head) if session is not None)

    def _findings(self, tested: Sequence[Finding]) -> Iterator[Finding]:
        yield from tested
        if self._canary is not None:
            yield from self._canary.findings(tested)
        if self._halted is not None:
            yield Finding("measured", ExitCode.CANNOT_MEASURE, f"the run ended early: {self._halted}")
        if not self.change.compares and self._seen:
            unmeasured = ungraded(self._side("head", self._looked()), self._max_ungraded)
            yield unmeasured or gate_evidence.not_compared(self.change)

    def _measured(self) -> RuleInputs:
        looked, policy = self._looked(), self.change.policy
        pairs = self._pairs(looked)
        return RuleInputs(
            policy=policy,
            pairs=pairs,
            head=self._side("head", looked),
            complete=self._seen == len(self._order),
            graders=frozenset(grader.name for grader in self.change.head.graders),
            must_pass=self._must_pass,
            latencies={} if policy.latency_may_rise is None else gate_evidence.latencies(self._base, self._head, pairs),
            seed=self._seed,
            value=self.change.value,
        )

    def _comparison(self, tested: Sequence[Finding] = ()) -> Comparison | None:
        if self._base is None or self._head is None or not self._seen:
            return None
        policy = self.change.policy
        options = Method(margin=policy.margin, exact=True, value=self.change.value)
        if policy.sequential:
            options = replace(options, stopped=self._questions[0].design, limits=limits_of(self._questions, tested))
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
            graders=tuple((grader.name, grader.required) for grader in plan.graders),
            cases={case.case_id: case for case in self._side(side, self._looked())},
            run=session.record.id,
            max_ungraded=self._max_ungraded,
            by_the_hour=session.by_the_hour,
        )
