"""Builders: a run's values as the engine and the routing stack make them."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from evalh.core.attempt import (
    Answer,
    AttemptEnd,
    AttemptStart,
    Call,
    CallError,
    CallKey,
    Completion,
    ErrorKind,
    Latency,
    Usage,
)
from evalh.core.case import Case
from evalh.core.request import Message, Request, Role, Settings
from evalh.core.run import Estimate, Fingerprint, GraderTally, RunRecord, RunStatus, RunSummary
from evalh.core.sample import Graded, Sample, Standing
from evalh.core.verdict import Verdict
from evalh.store import SqliteStore

SETTINGS = Settings(model="tiny-1", sent_to={"provider": "scripted"}, params={"temperature": 0})
PASS = Graded("schema", True, Verdict.check(True, "fits"))
FAIL = Graded("equals", True, Verdict.check(False, "label is bug, expected billing"))
ANSWER = Completion(
    text='{"label": "billing"}', usage=Usage(40, 8, 0, None), latency_ms=101.5, model="tiny-1-2026", request_id="req-1"
)


class FixedClock:
    """Always the same instant."""

    def now(self) -> float:
        return 1_785_233_700.25

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def make_record(run_id: str = "r1", **changes: Any) -> RunRecord:
    record = RunRecord(
        id=run_id,
        suite="triage",
        prompt="triage@v3",
        model="small",
        model_sent="tiny-1",
        fingerprint=Fingerprint(prompt="sha256:p", dataset="sha256:d", graders="sha256:g", model="m", route="r"),
        trials=1,
        planned=2,
        started_at=1_785_233_700.125,
        prompt_digest="sha256:p",
        prompt_document={"sections": [["user", "{{ticket}}"]]},
        settings_document=SETTINGS.document(),
        evalh_version="0.1.0",
    )
    return replace(record, **changes)


def make_summary(**changes: Any) -> RunSummary:
    summary = RunSummary(
        samples=3,
        good=1,
        bad=1,
        ungraded=1,
        good_rate=Estimate(1 / 3, 0.0615, 0.7923, "wilson"),
        cost_usd=Decimal("0.00012345"),
        cached_cost_usd=Decimal(0),
        judge_cost_usd=None,
        cost_per_good_usd=Estimate(0.000123, 0.0001, None, "log-delta"),
        latency_p50_ms=101.5,
        latency_p95_ms=None,
        calls=3,
        attempts=4,
        cache_hits=0,
        graders=(GraderTally(grader="schema", required=True, passed=2, erred=1),),
        errors={"timeout": 1},
    )
    return replace(summary, **changes)


@dataclass
class Play:
    """Plays the engine's part for one run on a store."""

    store: SqliteStore
    run_id: str = "r1"
    at: float = 1_785_233_701.0
    _number: int = field(default=0)

    def start(self, **changes: Any) -> RunRecord:
        record = make_record(self.run_id, **changes)
        self.store.start_run(record)
        return record

    def call(self, case_id: str = "t-1", text: str = "hello", **changes: Any) -> Call:
        self._number += 1
        key = CallKey(case_id, **{name: changes.pop(name) for name in ("trial", "step", "draw") if name in changes})
        request = Request((Message.of(Role.USER, text),), changes.pop("settings", SETTINGS))
        return Call(id=f"{self.run_id}:{self._number}", run_id=self.run_id, key=key, request=request, **changes)

    def begin(self, call: Call, reason: str = "first") -> AttemptStart:
        call.attempts += 1
        self.at += 1.0
        start = AttemptStart(
            id=f"{call.id}.{call.attempts}",
            call=call,
            request=call.request,
            number=call.attempts,
            model="small",
            provider="scripted",
            started_at=self.at,
            reason=reason,
        )
        self.store.begin(start)
        return start

    def answer(self, call: Call, completion: Completion = ANSWER, cost: str | None = "0.0001") -> AttemptStart:
        start = self.begin(call, "first" if not call.reasons else "retry")
        self.end(start, completion, cost)
        return start

    def end(self, start: AttemptStart, completion: Completion = ANSWER, cost: str | None = "0.0001") -> None:
        usd = None if cost is None else Decimal(cost)
        call = start.call
        call.cost_usd = None if usd is None or call.cost_usd is None else call.cost_usd + usd
        call.latency = call.latency.plus(Latency(completion.latency_ms))
        self.store.end(AttemptEnd(start=start, latency_ms=102.0, completion=completion, cost_usd=usd))

    def fail(self, call: Call, kind: ErrorKind = ErrorKind.TIMEOUT, cost: str | None = "0") -> CallError:
        start = self.begin(call, "first" if not call.reasons else "retry")
        error = CallError(kind, "no answer in 60 s", status=504, retry_after_s=2.0, request_id="req-e")
        usd = None if cost is None else Decimal(cost)
        call.cost_usd = None if usd is None or call.cost_usd is None else call.cost_usd + usd
        call.reasons.append(f"retry after {kind}")
        call.latency = call.latency.plus(Latency(60_000.0))
        self.store.end(AttemptEnd(start=start, latency_ms=60_000.0, error=error, cost_usd=usd, estimated=True))
        return error

    def sample(
        self, case: Case, call: Call, verdicts: tuple[Graded, ...] = (PASS,), index: int = 0, **changes: Any
    ) -> Sample:
        hit: Answer | None = changes.pop("hit", None)
        completion = hit.completion if hit else changes.pop("completion", ANSWER)
        if hit is not None:
            call.cached_cost_usd, call.latency = hit.cost_usd, hit.latency
        standing = Standing.GOOD if all(one.verdict.score == 1.0 for one in verdicts) else Standing.BAD
        sample = Sample(
            case=case,
            case_index=index,
            trial=call.key.trial,
            standing=changes.pop("standing", standing),
            verdicts=verdicts,
            call_id=call.id,
            attempt_id=hit.attempt_id if hit else (f"{call.id}.{call.attempts}" if completion else None),
            completion=completion,
            cache_hit=hit is not None,
            cost_usd=Decimal(0) if hit else call.cost_usd,
            cached_cost_usd=hit.cost_usd if hit else Decimal(0),
            attempts=call.attempts,
            latency=call.latency,
            **changes,
        )
        self.store.add_sample(self.run_id, sample, call)
        return sample

    def good(self, case_id: str = "t-1", text: str = "hello", index: int = 0) -> Call:
        """Answer and grade one case."""
        call = self.call(case_id, text)
        self.answer(call)
        self.sample(Case(case_id, {"ticket": text}, {"label": "billing"}), call, index=index)
        return call

    def finish(self, status: RunStatus = RunStatus.COMPLETE, reason: str | None = None) -> None:
        self.store.finish_run(self.run_id, status, make_summary(), reason)
