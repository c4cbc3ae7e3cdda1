"""A run of the log as OpenTelemetry spans: run → sample → call → attempt, with verdicts as log records of samples.

Ids come from digests of the log's own ids, so a run that is sent twice is the same spans twice. Messages, outputs,
reasons and error texts are content: they are left out unless asked for.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from evalh.core.attempt import Latency
from evalh.core.log import AttemptRow, CallRow, DecisionRow, RunRow, TracedSample
from evalh.core.sample import Graded
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.interop import otel_values as names
from evalh.interop.otel_request import answer_attributes, answered_messages, request_attributes, sent_messages, usd
from evalh.interop.otel_values import CLIENT, Event, Link, LogRecord, Period, Span, SpanPlace

ONE_TRACE = 1000
"""A run of up to so many samples is one trace. A larger one would choke who draws it: there each sample is a trace."""

_PLAIN_DETAIL = ("model", "from", "to", "wait_s", "attempt", "attempts", "why", "window", "by", "answer")
_QUOTES_OUTPUT = frozenset({"fits", "repair", "unrepaired", "keep", "escalate"})  # their reasons may


class VerdictForm(StrEnum):
    """How verdicts are sent. Span events are deprecated; tools that read no logs still need them."""

    BOTH = "both"
    SPANS = "spans"
    LOGS = "logs"


class Spans(Value, kw_only=True):
    """Makes the spans of one run."""

    run: RunRow
    content: bool  # messages, outputs, reasons and error texts too
    verdicts: VerdictForm
    planned_of: Callable[[str], int | None]  # samples of another run of the log; None: it is not there

    def of(self, samples: Iterable[TracedSample]) -> Iterator[Span | LogRecord]:
        """Yield every span, children first, and a sample's records after it.

        The run's own span is the last, since it ends with the last of them.
        """
        record, whole = self.run.record, Period()
        for sample in samples:
            yield from self._sample(sample, whole)
        ended = self.run.finished_at
        if ended is None:  # killed: it lasted until its last result
            ended = whole.within(record.started_at)[1]
        yield Span(
            place=self._run_place(),
            parent=None,
            name=f"evalh.run {record.suite}",
            period=(record.started_at, ended),
            attributes=self._run_attributes(),
            error=None if self.run.status == "complete" else str(self.run.status),
            error_text=self.run.reason if self.content else None,
        )

    def _sample(self, traced: TracedSample, whole: Period) -> Iterator[Span | LogRecord]:
        record, sample, own = self.run.record, traced.sample, Period()
        place = self._place("sample", record.id, traced.case_id, traced.trial)
        for call in traced.calls:
            yield from self._call(call, place, own)
        period = own.within(record.started_at)
        whole.include(*period)
        run = self._run_place()
        apart = run.trace != place.trace
        error = "interrupted" if sample is None else sample.error_kind
        events = [] if sample is None else [self._verdict(graded, period[1]) for graded in sample.verdicts]
        yield Span(
            place=place,
            parent=None if apart else run,
            name="evalh.sample",
            period=period,
            attributes=self._sample_attributes(traced),
            events=[] if self.verdicts is VerdictForm.LOGS else events,
            links=[Link(run, "run")] if apart else [],
            error=error,
            error_text=sample.error if sample is not None and self.content else None,
        )
        if self.verdicts is not VerdictForm.SPANS:
            uid = f"{record.id}/{traced.case_id}/{traced.trial}"
            for position, event in enumerate(events):
                yield LogRecord(place=place, uid=f"{uid} {position}", event=event)

    def _call(self, call: CallRow, parent: SpanPlace, outer: Period) -> Iterator[Span]:
        place, own = self._place(call.id, call.run_id, call.case_id, call.trial), Period()
        for decision in call.decisions:
            own.include(decision.at, decision.at)
        for attempt in call.attempts:
            own.include(*_period(attempt))
            yield self._attempt(attempt, call, place)
        period = own.within(self.run.record.started_at)
        outer.include(*period)
        failed = call.attempts[-1] if call.answered_by is None and call.attempts else None
        yield Span(
            place=place,
            parent=parent,
            name="evalh.call",
            period=period,
            attributes=_call_attributes(call),
            events=[self._decision(decision) for decision in call.decisions],
            links=self._bought(call),
            error=None if failed is None else _error_class(failed),
        )

    def _attempt(self, attempt: AttemptRow, call: CallRow, parent: SpanPlace) -> Span:
        attributes = {**request_attributes(attempt, call), **answer_attributes(attempt)}
        if self.content:
            attributes[names.INPUT_MESSAGES] = sent_messages(attempt, call)
            attributes[names.OUTPUT_MESSAGES] = answered_messages(attempt.completion)
        return Span(
            place=self._place(attempt.id, call.run_id, call.case_id, call.trial),
            parent=parent,
            name=f"{attributes[names.OPERATION]} {attributes.get(names.REQUEST_MODEL) or attempt.model}",
            period=_period(attempt),
            kind=CLIENT,
            attributes=attributes,
            error=_error_class(attempt),
            error_text=attempt.error if self.content else None,
        )

    # -- what they say

    def _run_attributes(self) -> dict[str, JsonValue]:
        record, summary = self.run.record, self.run.summary
        attributes: dict[str, JsonValue] = {
            "evalh.run.id": record.id,
            "evalh.run.status": str(self.run.status),
            "evalh.suite": record.suite,
            "evalh.prompt": record.prompt,
            "evalh.prompt.digest": record.prompt_digest,
            "evalh.model": record.model,
            "evalh.owner": record.owner,
            "evalh.commit": record.commit,
            "evalh.samples.planned": record.planned,
        }
        if summary is not None:
            attributes |= {
                "evalh.samples": summary.samples,
                "evalh.samples.good": summary.good,
                "evalh.samples.bad": summary.bad,
                "evalh.samples.ungraded": summary.ungraded,
                "evalh.good_rate": summary.good_rate.value,
                "evalh.incidents": summary.apart.samples,
                "evalh.incidents.good": summary.apart.good,
                "evalh.cost.usd": usd(summary.cost_usd),
                "evalh.cost.cached_usd": usd(summary.cached_cost_usd),
            }
        return attributes

    def _sample_attributes(self, traced: TracedSample) -> dict[str, JsonValue]:
        record, sample = self.run.record, traced.sample
        attributes: dict[str, JsonValue] = {
            "evalh.run.id": record.id,
            "evalh.suite": record.suite,
            "evalh.prompt": record.prompt,
            "evalh.model": record.model,
            "evalh.case.id": traced.case_id,
            "evalh.trial": traced.trial,
        }
        if sample is not None:
            attributes |= {
                "evalh.standing": str(sample.standing),
                "evalh.cache_hit": sample.cache_hit,
                "evalh.cost.usd": usd(sample.cost_usd),
                "evalh.cost.cached_usd": usd(sample.cached_cost_usd),
                "evalh.cost.judge_usd": usd(sample.judge_cost_usd),
                **_latency(sample.latency),
            }
        return attributes

    def _verdict(self, graded: Graded, at: float) -> Event:
        verdict = graded.verdict
        attributes: dict[str, JsonValue] = {
            names.EVALUATION_NAME: graded.grader,
            names.EVALUATION_LABEL: str(verdict.outcome),
            names.EVALUATION_SCORE: None if verdict.score is None else float(verdict.score),
            names.EVALUATION_EXPLANATION: verdict.reason if self.content else None,
            names.ERROR_TYPE: "_OTHER" if verdict.outcome is Outcome.ERROR else None,
            "evalh.required": graded.required,
        }
        return Event(at, names.EVALUATION, attributes)

    def _decision(self, decision: DecisionRow) -> Event:
        attributes = {f"evalh.{key}": decision.detail[key] for key in _PLAIN_DETAIL if key in decision.detail}
        if self.content or decision.kind not in _QUOTES_OUTPUT:
            attributes["evalh.reason"] = decision.reason
        return Event(decision.at, f"evalh.{decision.kind}", attributes)

    # -- where they stand

    def _run_place(self) -> SpanPlace:
        run_id = self.run.record.id
        return SpanPlace.of(run_id, run_id)

    def _place(self, name: str, run_id: str, case_id: str, trial: int) -> SpanPlace:
        """Place a sample, or what belongs to one."""
        return _place(name, f"{run_id}/{case_id}/{trial}", run_id, self.run.record.planned)

    def _bought(self, call: CallRow) -> list[Link]:
        """Link a call that the log answered to the attempt that bought the answer, in that run's own trace."""
        if call.answered_by is None or any(attempt.id == call.answered_by for attempt in call.attempts):
            return []
        run_id = call.answered_by.partition(":")[0]
        planned = self.planned_of(run_id)
        if planned is None:
            return []
        return [Link(_place(call.answered_by, f"{run_id}/{call.case_id}/{call.trial}", run_id, planned), "bought")]


def _place(name: str, sample_id: str, run_id: str, planned: int) -> SpanPlace:
    return SpanPlace.of(run_id if planned <= ONE_TRACE else sample_id, f"{sample_id} {name}")


def _period(attempt: AttemptRow) -> tuple[float, float]:
    return attempt.started_at, attempt.started_at + (attempt.latency_ms or 0.0) / 1000.0


def _error_class(attempt: AttemptRow) -> str | None:
    """Return why an attempt gave no answer; one that was in flight when its process died has no kind."""
    return None if attempt.status == "ok" else attempt.error_kind or attempt.status


def _call_attributes(call: CallRow) -> dict[str, JsonValue]:
    return {
        "evalh.call.id": call.id,
        "evalh.case.id": call.case_id,
        "evalh.step": call.step,
        "evalh.draw": call.draw,
        "evalh.purpose": call.purpose,
        "evalh.route": call.route,
        "evalh.cache_hit": call.cache_hit,
        "evalh.attempts": len(call.attempts),
        "evalh.answered_by": call.answered_by,
        "evalh.cost.usd": usd(call.cost_usd),
        "evalh.cost.cached_usd": usd(call.cached_cost_usd),
        **_latency(call.latency),
    }


def _latency(latency: Latency) -> dict[str, JsonValue]:
    """Return a latency as the log has it; an older log's is not the same quantity, and is left out."""
    if not latency.whole:
        return {}
    parts = {"total": latency.total_ms, "waited": latency.waited_ms, "checks": latency.checks_ms}
    return {f"evalh.latency.{name}_ms": ms for name, ms in parts.items()}
