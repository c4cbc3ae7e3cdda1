"""A stage for the routing stack: time that passes only when everybody waits, scripted models, a log in memory.

Every wrapper is the real one. Only the outside is simulated: the models, the clock, the log.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from evalh.core.attempt import (
    AttemptEnd,
    AttemptStart,
    Call,
    CallError,
    CallKey,
    Completion,
    Decision,
    ErrorKind,
    Usage,
)
from evalh.core.case import Case
from evalh.core.model import Traits
from evalh.core.money import Price
from evalh.core.ports import Provider
from evalh.core.request import Message, Request, Role, Settings
from evalh.core.route import Route
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import GradeContext, Verdict
from evalh.routing.build import Builder
from evalh.routing.run_context import Decisions, Halt, Shared
from evalh.routing.target import Leaf, Target

T = TypeVar("T")

START = 1_785_000_000.0
PRICE = Price(input=Decimal(1), output=Decimal(2))  # USD per million tokens


class _Leap(selectors.DefaultSelector):
    """Instead of waiting for the next timer, makes it now."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everybody waits and no time would wake anyone")
        self.passed_s += timeout
        return super().select(0)


class Timeline(asyncio.SelectorEventLoop):
    """An event loop on which time passes at once, and only when nothing else is left to do."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)
        self.unhandled: list[str] = []
        self.set_exception_handler(lambda _loop, context: self.unhandled.append(str(context)))

    def time(self) -> float:
        return self._leap.passed_s


def play(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a timeline of its own. Fails where an exception was lost or a task left behind."""
    with asyncio.Runner(loop_factory=Timeline) as runner:
        loop = runner.get_loop()
        result = runner.run(_to_the_end(work))
    assert isinstance(loop, Timeline)
    assert loop.unhandled == []
    return result


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    result = await work
    await asyncio.sleep(0)  # what was cancelled last ends in the next iteration
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert left == []
    return result


class VirtualClock:
    """`core.ports.Clock` on the timeline."""

    def now(self) -> float:
        return START + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class MemoryLog:
    """`core.ports.CallLog` that remembers."""

    begun: list[AttemptStart] = field(default_factory=list)
    ended: list[AttemptEnd] = field(default_factory=list)
    decided: list[Decision] = field(default_factory=list)
    concluded: list[tuple[Call, bool]] = field(default_factory=list)

    def begin(self, start: AttemptStart) -> None:
        self.begun.append(start)

    def end(self, end: AttemptEnd) -> None:
        self.ended.append(end)

    def decide(self, decision: Decision) -> None:
        self.decided.append(decision)

    def blocked(self) -> None:
        """Take everything."""

    def conclude(self, call: Call, *, cache_hit: bool) -> None:
        self.concluded.append((call, cache_hit))

    @property
    def kinds(self) -> list[str]:
        return [decision.kind for decision in self.decided]

    def details(self, kind: str) -> list[Mapping[str, JsonValue]]:
        return [decision.detail for decision in self.decided if decision.kind == kind]


Line = str | Completion | ErrorKind | Exception
"""What a model does next: a text or completion is answered, a kind or error is raised."""


@dataclass(eq=False)
class Model:
    """A model whose lines are scripted; the last one is repeated. `took_s` passes before each."""

    name: str = "small"
    lines: Sequence[Line] | Callable[[Request, Call], Line] = ("yes",)
    took_s: float | Callable[[int], float] = 0.0
    max_in_flight: int | None = None
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    kind: str = "played"
    traits: Traits = field(default_factory=Traits)
    asked: list[Request] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    opened: int = 0
    closed: int = 0

    @property
    def model(self) -> str:
        return f"{self.name}-1"

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        return {"provider": self.kind, "name": self.name}

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1

    async def send(self, request: Request, call: Call) -> Completion:
        number = len(self.asked)
        self.asked.append(request)
        self.asked_at.append(asyncio.get_running_loop().time())
        self.cases.append(call.key.case_id)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            took_s = self.took_s(number) if callable(self.took_s) else self.took_s
            if took_s:
                await asyncio.sleep(took_s)
        finally:
            self.in_flight -= 1
        line = self.lines(request, call) if callable(self.lines) else self.lines[min(number, len(self.lines) - 1)]
        return _played(line)


def _played(line: Line) -> Completion:
    match line:
        case ErrorKind():  # before text: it is text too
            raise CallError(line, "as scripted")
        case str():
            return Completion(text=line, usage=Usage(10, 5))
        case Completion():
            return line
        case _:
            raise line


class Prices:
    """`core.ports.Prices`: one price for all but the models named."""

    def __init__(self, price: Price = PRICE, unpriced: Iterable[str] = ()) -> None:
        self._price = price
        self._unpriced = frozenset(unpriced)

    def find(self, provider: Provider) -> Price | None:
        return None if provider.name in self._unpriced else self._price


@dataclass
class Eye:
    """`core.ports.Check`: passes the texts it is told to, or whatever a function says."""

    good: Iterable[str] | Callable[[GradeContext], Verdict] = ("yes",)
    name: str = "eye"
    saw: list[GradeContext] = field(default_factory=list)

    async def check(self, ctx: GradeContext) -> Verdict:
        self.saw.append(ctx)
        if callable(self.good):
            return self.good(ctx)
        return Verdict.check(ctx.text in self.good, f"{ctx.text!r} was said")


class Stage:
    """A clock, a log, decisions and a halt that belong together."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.log = MemoryLog()
        self.decisions = Decisions(self.log, self.clock)
        self.halt = Halt(self.clock)
        self.shared = Shared(self.decisions, self.clock, self.halt)


def settings(name: str = "small", **params: JsonValue) -> Settings:
    return Settings(model=f"{name}-1", sent_to={"provider": "played", "name": name}, params=params)


def request(text: str = "hello", sent: Settings | None = None) -> Request:
    return Request((Message.of(Role.USER, text),), sent or settings(max_tokens=5))


def call(case_id: str = "t-1", asked: Request | None = None, **changes: Any) -> Call:
    key = CallKey(case_id, trial=changes.pop("trial", 0))
    case = changes.pop("case", Case(case_id, {"text": "hello"}, expected="gold"))
    return Call(id=f"r1:{case_id}", run_id="r1", key=key, request=asked or request(), case=case, **changes)


async def ask(provider: Provider, case_id: str = "t-1", text: str = "hello", **changes: Any) -> Completion:
    """Send one call of its own."""
    asked = request(text)
    return await provider.send(asked, call(case_id, asked, **changes))


async def outcome(work: Coroutine[Any, Any, T]) -> T | BaseException:
    """Return what a coroutine gave or raised."""
    return (await asyncio.gather(work, return_exceptions=True))[0]


def target_of(route: Route, *others: Route, models: Iterable[Model] = ()) -> Target:
    """Resolve a route over `others` and as many models as it names; `models` are played, the others say yes."""
    routes = {one.name: one for one in (route, *others) if one.name != one.model}
    played = {model.name: model for model in models}
    leaves = {}
    for one in (route, *others):
        for name in one.targets:
            if name not in routes:
                model = played.get(name) or Model(name=name)
                leaves[name] = Leaf(model, settings(name, max_tokens=5))
    return Target(route=route, routes=routes, leaves=leaves)


def builder(stage: Stage, target: Target, **changes: Any) -> Builder:
    """The builder of a run on this stage: checks by the name of what they let pass."""
    parts: dict[str, Any] = {
        "target": target,
        "log": stage.log,
        "clock": stage.clock,
        "prices": Prices(),
        "halt": stage.halt,
        "concurrency": 8,
        "build_checks": lambda specs: [Eye(good=(spec.kind,), name=spec.kind) for spec in specs],
        "find": lambda *_: None,
        "resolve": None,  # no grader asks a model by its name here
    }
    return Builder(**{**parts, **changes})
