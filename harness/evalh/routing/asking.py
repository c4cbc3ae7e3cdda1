"""How graders ask models: each question is a separate call, found in the log, priced, bounded and logged like others.

If a grader's model is down, its verdicts are `error`, and the run continues.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from msgspec.structs import replace

from evalh.core.attempt import Answer, Call, CallError, CallKey, Latency, NotSent
from evalh.core.digest import digest
from evalh.core.money import plus
from evalh.core.ports import CallLog, Clock, Provider
from evalh.core.reasoning import reread
from evalh.core.request import Request, Settings
from evalh.core.route import direct
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Form, Question
from evalh.routing.target import Leaf, Target, addressed
from evalh.routing.wrapper import Find, Refusals

Span: TypeAlias = tuple[float, float, Latency]
"""When a question began and ended, in milliseconds by the clock, and its latency."""

_APART = 1000  # more than the samples that anyone takes of one answer

Resolve = Callable[[str, Form], Target]
"""Finds a model or route of the workspace, with a form's settings for its requests. Raises EvalhError."""

FindRouted = Callable[[str, CallKey], Answer | None]


def settings_of(form: Form, provider: Provider) -> Settings:
    """Build the settings of a question to a provider, independent of the task's."""
    params = {**_sendable(form, provider), **provider.params}
    return Settings(
        model=provider.model,
        sent_to=addressed(provider),
        params={name: value for name, value in params.items() if value is not None},
        json_output=form.output_schema is not None,
        output_schema=form.output_schema,
        stream=provider.params.get("stream") is True,
    )


def _sendable(form: Form, provider: Provider) -> Mapping[str, JsonValue]:
    """Remove the seed, unless a model draws only by its seed: hosted models draw again by themselves."""
    return {name: value for name, value in form.params.items() if name != "seed" or provider.traits.draws_by_seed}


def answering(task: Target, model: str | None, form: Form) -> Target:
    """Return the model that answered, to be asked directly; None: the first model."""
    name = model if model is not None and model in task.leaves else task.first.provider.name
    leaf = task.leaves[name]
    settings = _again(leaf, form) if form.again else settings_of(form, leaf.provider)
    return Target(route=direct(name), routes={}, leaves={name: replace(leaf, settings=settings)})


def _again(leaf: Leaf, form: Form) -> Settings:
    """Override the task's params with the form's; params that the workspace removes for this model stay removed."""
    stated = leaf.provider.params
    params: Mapping[str, JsonValue] = {
        name: value for name, value in _sendable(form, leaf.provider).items() if stated.get(name, value) is not None
    }
    return replace(leaf.settings, params={**leaf.settings.params, **params})


class Stack(Value):
    """One model or route under one form, ready to be asked."""

    target: Target
    provider: Provider
    settings: Settings
    digest: str


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Inquiry:
    """Asks for all graders and checks of one run. Shares the run's budget, limits and breakers."""

    task: Target
    resolve: Resolve
    build: Callable[[Target], Provider]
    log: CallLog
    numbers: Iterator[int]  # counts calls, the task's too
    clock: Clock
    find: Find | None = None  # None: ask again, without the log
    find_routed: FindRouted | None = None
    _stacks: dict[tuple[str | None, int], tuple[Form, Stack]] = field(default_factory=dict, init=False)
    hopeless: Refusals = field(default_factory=Refusals)  # by the name of what is asked

    def about(self, call: Call, *, part: bool = False) -> "Asking":
        """Return what asks about one call's answer. `part`: its spending belongs to that call."""
        return Asking(self, call, part=part)

    def stack(self, question: Question, answered_by: str | None) -> Stack:
        """Return the stack that a question is sent through, built once for each form. Raises EvalhError."""
        form = question.form
        name = question.model or answered_by
        key = (name if question.model is not None else f"={name}", id(form))
        if key not in self._stacks:
            own = question.model is None
            target = answering(self.task, name, form) if own else self.resolve(question.model or "", form)
            settings = target.settings()
            stack = Stack(target, self.build(target), settings, digest(settings.document()))
            self._stacks[key] = (form, stack)  # keeping the form keeps its id unique
        return self._stacks[key][1]

    def known(self, stack: Stack, request: Request, key: CallKey) -> Answer | None:
        find = self.find_routed if stack.target.chooses else self.find
        answer = None if find is None else find(request.digest(), key)
        return None if answer is None else reread(answer, stack.target.first.settings.sent_to)

    async def send(self, stack: Stack, request: Request, call: Call) -> Answer:
        """Ask, unless this model refuses everything. Raises CallError, NotSent."""
        hopeless = self.hopeless.of(stack.target.name)
        if hopeless is not None:
            raise hopeless
        try:
            completion = await stack.provider.send(request, call)
        except CallError as error:
            self.hopeless.add(stack.target.name, error)
            raise
        self.hopeless.answered(stack.target.name)
        cost = plus(call.cost_usd, call.cached_cost_usd)
        return Answer(call.answered_by or "", completion, cost, call.answered_model, call.latency)


class Asking:
    """`core.verdict.Asker` for one sample: adds up its costs."""

    def __init__(self, inquiry: Inquiry, call: Call, *, part: bool) -> None:
        self._inquiry = inquiry
        self._call = call
        self._part = part
        self.spent_usd: Decimal | None = Decimal(0)
        self.cached_usd: Decimal | None = Decimal(0)
        self._spans: list[Span] = []

    async def ask(self, question: Question) -> Answer:
        """Return the reply, from the log or new, with its price. Raises CallError; NotSent if the run is ending."""
        inquiry, about = self._inquiry, self._call
        stack = inquiry.stack(question, about.answered_model)
        request = Request(question.messages, stack.settings, stack.digest)
        key = (request.digest(), question.draw)
        earlier = about.asked.get(key)
        if earlier is not None:
            return earlier  # another grader of this sample has asked and paid already
        call, began = self._new_call(question, stack, request), inquiry.clock.monotonic()
        answer = inquiry.known(stack, request, call.key)
        hit = answer is not None
        if answer is not None:
            call.answered_by, call.answered_model = answer.attempt_id, answer.model
            call.cached_cost_usd, call.latency = answer.cost_usd, answer.latency
        else:
            try:
                answer = await inquiry.send(stack, request, call)
            except CallError:
                call.answered_by = None  # a route's first answer, still in doubt, is not a sample's answer
                self._close(call, began, cache_hit=False)
                raise
            except NotSent:
                self._book(call)
                raise
        about.asked[key] = answer
        self._close(call, began, cache_hit=hit)
        return answer

    def _new_call(self, question: Question, stack: Stack, request: Request) -> Call:
        about, inquiry = self._call, self._inquiry
        # Samples of one draw of the task are independent of another's.
        draw = question.draw + (_APART * about.key.draw if question.form.again else 0)
        return Call(
            id=f"{about.run_id}:{next(inquiry.numbers)}",
            run_id=about.run_id,
            key=CallKey(about.key.case_id, about.key.trial, about.key.step, draw),
            request=request,
            case=about.case,
            purpose=question.form.purpose,
            route=stack.target.name if stack.target.chooses else None,
            asked_as=stack.target.name,
            part_of=about if self._part else None,
        )

    def _close(self, call: Call, began: float, *, cache_hit: bool) -> None:
        self._book(call)
        self._spans.append((began * 1000.0, self._inquiry.clock.monotonic() * 1000.0, call.latency))
        self._inquiry.log.conclude(call, cache_hit=cache_hit)

    def _book(self, call: Call) -> None:
        self.spent_usd = plus(self.spent_usd, call.cost_usd)
        self.cached_usd = plus(self.cached_usd, call.cached_cost_usd)
        if self._part:
            self._call.cost_usd = plus(self._call.cost_usd, call.cost_usd)
            self._call.cached_cost_usd = plus(self._call.cached_cost_usd, call.cached_cost_usd)

    def checks(self, by_clock_ms: float) -> Latency:
        """Return the checks' part of a latency; by the clock they took `by_clock_ms`."""
        return checks_latency(self._spans, by_clock_ms)


def checks_latency(spans: Sequence[Span], by_clock_ms: float) -> Latency:
    """Return what checks took, at most `by_clock_ms`, without waits for our own limit on calls.

    Questions that overlap form a group, which takes as long as its slowest question would alone.
    """
    if any(took.total_ms is None for _, _, took in spans):
        return Latency(None)
    if not all(took.whole for _, _, took in spans):
        return Latency(0.0, None, None)
    groups: list[tuple[float, float]] = []  # (when it ended, when it would have ended alone)
    for began, ended, took in sorted(spans, key=lambda one: one[:2]):
        alone = began + (took.total_ms or 0.0)
        if groups and began < groups[-1][0]:
            groups[-1] = (max(groups[-1][0], ended), max(groups[-1][1], alone))
        else:
            groups.append((ended, alone))
    return Latency(checks_ms=by_clock_ms + sum(alone - ended for ended, alone in groups))
