"""The spans of one trace as records of production: workflow, steps, calls, attempts, scores.

The trace is the workflow, its root span too; what is above model calls is a step; a call is one attempt without a
number, since a span covers the retries of its client. Ids come from the spans' own: a span that is sent twice is the
same record twice.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import orjson
from msgspec.structs import replace

from evalh.core.strict_json import JsonValue
from evalh.interop.otel_values import (
    ERROR_TYPE,
    EVALUATION,
    EVALUATION_EXPLANATION,
    EVALUATION_LABEL,
    EVALUATION_NAME,
    EVALUATION_SCORE,
)
from evalh.interop.spans import genai, langfuse, openinference, openllmetry
from evalh.interop.spans.failures import failure_of, kind_of_failure, status_of
from evalh.interop.spans.received import ReceivedEvent, ReceivedSpan, short, size_of
from evalh.interop.spans.told import LLM, STEP, Told, completed, content, number, text
from evalh.interop.spans.tree import TraceTree, tree_of
from evalh_trace.records import AnyRecord, Attempt, Call, Score, Step, Workflow

_SESSION = ("gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id")
_USER = ("user.id", "enduser.id", "traceloop.association.properties.user_id", "gen_ai.user", "llm.user")
_NAMES = (langfuse.TRACE_NAME, openllmetry.WORKFLOW, "gen_ai.workflow.name")
_TAGS = "tag.tags"
_MOST = 20
SCORE_ID, SCORE_SOURCE = "evalh.score.id", "evalh.score.source"
"""What a service's own score has beside what the conventions name: its id, and who gave it."""

_OUTCOMES = {"pass": "pass", "passed": "pass", "fail": "fail", "failed": "fail"}


def told_by(span: ReceivedSpan, events: Iterable[ReceivedEvent] = ()) -> Told | None:
    """Read a span by its dialect, which its attributes tell; None: it is not one of GenAI."""
    if langfuse.is_said_in(span.attributes):
        return langfuse.read(span)
    if openinference.is_said_in(span.attributes):
        return openinference.read(span)
    if openllmetry.is_said_in(span.attributes):
        return openllmetry.read(span, events)
    return genai.read(span, events)


def slim(span: ReceivedSpan) -> ReceivedSpan:
    """Return a span with only what is needed of one that is not of GenAI: it may be above one that is."""
    of_genai = any(dialect.is_said_in(span.attributes) for dialect in (langfuse, openinference, openllmetry))
    if of_genai or genai.kind_of(span.attributes) is not None:
        return span
    kept = {
        key: span.attributes[key] for key in (*_SESSION, *_USER, *_NAMES, _TAGS, ERROR_TYPE) if key in span.attributes
    }
    judged = tuple(event for event in span.events if event.name in {EVALUATION, "exception"})
    return replace(span, attributes=kept, events=judged, size=size_of(kept))


class TraceRecords:
    """Makes the records of one trace."""

    def __init__(
        self,
        spans: Mapping[str, ReceivedSpan],
        events: Mapping[str | None, list[ReceivedEvent]],
        *,
        counted: Collection[str] = (),
        seen_at: float = 0.0,
    ) -> None:
        """Take a trace's spans by id, and events that came apart from them by the span's id.

        `counted`: spans that were recorded as calls before; `seen_at`: when the trace was first seen.
        """
        self._spans, self._events, self._seen_at = spans, events, seen_at
        self.told = {
            span.span: told for span in spans.values() if (told := told_by(span, events.get(span.span, ()))) is not None
        }
        self.trace = next(iter(spans.values())).trace if spans else ""
        self.tree: TraceTree | None = tree_of(spans, self.told, counted)
        if self.tree is not None:
            self._complete(self.tree)

    def records(self, *, ended: bool) -> Iterator[AnyRecord]:
        """Yield the records; `ended`: nothing more is expected, so the highest span seen is the root."""
        tree = self.tree
        if tree is None:
            return
        others = {tree.root, *tree.calls, *tree.hidden}
        steps = [span for span in tree.order if span not in others]
        known = {*steps, tree.root}
        yield self._workflow(tree, ended=ended or tree.whole)
        for span in steps:
            yield self._step(self._spans[span], tree.above(span, known))
        for span in tree.calls:
            yield from self._call(self._spans[span], tree.above(span, known))
        yield from self._scores(tree, known)

    def _complete(self, tree: TraceTree) -> None:
        """Add to calls what the spans around them say: two instrumentors see different things of one call."""
        below: Counter[str] = Counter(tree.calls)
        for span in reversed(tree.order):
            if span in tree.parents:
                below[tree.parents[span]] += below[span]
        for span in tree.calls:
            place = tree.parents.get(span)
            while place in self.told and self.told[place].kind == LLM and below[place] == 1:
                self.told[span] = completed(self.told[span], self.told[place])
                place = tree.parents.get(place)

    # -- one record each

    def _workflow(self, tree: TraceTree, *, ended: bool) -> Workflow:
        span = self._spans[tree.root]
        told = self.told.get(tree.root)
        step = told if told is not None and told.kind != LLM else None
        whole = [self._spans[one] for one in tree.order]
        starts = [one.started_at for one in whole if one.started_at is not None]
        began = span.started_at if span.started_at is not None else min(starts, default=self._seen_at)
        attributes: dict[str, JsonValue] = {"service.name": span.service}
        attributes["by_reference"] = self._references(tree)
        return Workflow(
            id=span.trace,
            name=self._name(tree),
            door="otel",
            dialect=self._dialect(tree),
            started_at=began,
            ended_at=span.ended_at if ended else None,
            status=_status(span) if ended else None,
            error=failure_of(span) if ended else None,
            inputs=step.inputs if step is not None and ended else None,
            output=step.output if step is not None and ended else None,
            session=_said(whole, _SESSION),
            user=_said(whole, _USER),
            tags=_tags(span),
            attributes={key: value for key, value in attributes.items() if value},
        )

    def _name(self, tree: TraceTree) -> str:
        span, told = self._spans[tree.root], self.told.get(tree.root)
        if told is not None and told.kind != LLM and told.name is not None:
            return told.name
        said = {name for one in tree.order if (name := text(self._spans[one].attributes, *_NAMES)) is not None}
        return said.pop() if len(said) == 1 else span.name

    def _dialect(self, tree: TraceTree) -> str:
        spans = tree.calls or [one for one in tree.order if one in self.told]
        counted = Counter(self.told[one].dialect for one in spans)
        return min(counted, key=lambda dialect: (-counted[dialect], dialect))

    def _references(self, tree: TraceTree) -> list[str]:
        found = [place for one in tree.order if one in self.told for place in self.told[one].references]
        return list(dict.fromkeys(found))[:_MOST]

    def _step(self, span: ReceivedSpan, parent: str | None) -> Step:
        told = self.told.get(span.span)
        outer = told is not None and told.kind == LLM  # a call around the one that counts
        return Step(
            id=f"{span.trace}.{span.span}",
            workflow_id=span.trace,
            name=(None if told is None or outer else told.name) or span.name,
            kind=STEP if told is None or outer else told.kind,
            parent_id=None if parent is None else f"{span.trace}.{parent}",
            started_at=span.started_at,
            ended_at=span.ended_at,
            status=_status(span),
            error=failure_of(span),
            inputs=None if told is None else told.inputs,
            output=None if told is None else told.output,
            attributes={} if told is None else {"dialect": told.dialect},
        )

    def _call(self, span: ReceivedSpan, step: str | None) -> Iterator[AnyRecord]:
        told, name = self.told[span.span], f"{span.trace}.{span.span}"
        lasted = _lasted_ms(span)
        yield Call(
            id=name,
            workflow_id=span.trace,
            step_id=None if step is None else f"{span.trace}.{step}",
            operation=told.operation,
            provider=told.provider,
            started_at=span.started_at,
            latency_ms=lasted,
            answered_by=None if span.failed else f"{name}.1",
            settings=told.settings,
            messages=told.messages,
            prompt=told.prompt,
        )
        yield Attempt(
            id=f"{name}.1",
            workflow_id=span.trace,
            call_id=name,
            provider=told.provider,
            model=told.model,
            started_at=span.started_at,
            status=_status(span),
            latency_ms=lasted,
            ttft_ms=told.ttft_ms,
            error_kind=kind_of_failure(span) if span.failed else None,
            error=failure_of(span),
            http_status=status_of(span),
            model_answered=told.model_answered,
            finish=told.answer.finish,
            input_tokens=told.tokens.input,
            output_tokens=told.tokens.output,
            cached_tokens=told.tokens.cached,
            reasoning_tokens=told.tokens.reasoning,
            cost_usd=told.cost_usd,
            text=told.answer.text,
            tool_calls=told.answer.tool_calls,
            reasoning=told.answer.reasoning,
        )

    def _scores(self, tree: TraceTree, steps: Collection[str]) -> Iterator[Score]:
        span = self._spans[tree.root]
        for name, events in self._judged(tree):
            place = name if name is None or name in steps else tree.above(name, steps)
            for event in events:
                if event.name == EVALUATION:
                    at = None if place in {None, tree.root} else place
                    yield _score(span, at, event)

    def _judged(self, tree: TraceTree) -> Iterator[tuple[str | None, Iterable[ReceivedEvent]]]:
        for one in tree.order:
            yield one, self._spans[one].events
        for name, events in self._events.items():
            yield name if name in set(tree.order) else None, events


def _score(root: ReceivedSpan, step: str | None, event: ReceivedEvent) -> Score:
    attributes = event.attributes
    label, why = short(attributes.get(EVALUATION_LABEL)), content(attributes.get(EVALUATION_EXPLANATION))
    outcome = _OUTCOMES.get(label.lower())
    said = [one for one in (label if outcome is None else "", why) if one]
    value = number(attributes.get(EVALUATION_SCORE))
    told: list[Any] = [step, event.at, attributes.get(EVALUATION_NAME), label, value, why]
    native = short(attributes.get(SCORE_ID))
    return Score(
        id=score_id(root.trace, native) if native else f"{root.trace}.{sha256(orjson.dumps(told)).hexdigest()[:16]}",
        workflow_id=root.trace,
        step_id=None if step is None else f"{root.trace}.{step}",
        name=short(attributes.get(EVALUATION_NAME), "evaluation"),
        outcome=outcome,
        score=None if value is None else float(value),
        text=": ".join(said) or None,
        source=short(attributes.get(SCORE_SOURCE)) or root.service,
        at=event.at,
    )


def score_id(trace: str, native: str) -> str:
    """Return the id of a score that has one where it comes from."""
    return f"{trace}.{sha256(native.encode()).hexdigest()[:16]}"


def _status(span: ReceivedSpan) -> str | None:
    if span.failed:
        return "error"
    return None if span.ended_at is None else "ok"


def _lasted_ms(span: ReceivedSpan) -> float | None:
    """Return how long a span lasted; None where its clock went back, or it does not say."""
    if span.started_at is None or span.ended_at is None or span.ended_at < span.started_at:
        return None
    return (span.ended_at - span.started_at) * 1000.0


def _said(spans: Iterable[ReceivedSpan], keys: tuple[str, ...]) -> str | None:
    return next((one for span in spans if (one := text(span.attributes, *keys)) is not None), None)


def _tags(span: ReceivedSpan) -> tuple[str, ...]:
    tags = span.attributes.get(_TAGS)
    return tuple(short(one) for one in tags[:_MOST] if short(one)) if isinstance(tags, list) else ()
