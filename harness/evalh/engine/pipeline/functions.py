"""Steps that are functions: call them with their inputs by name, within their timeout, and require JSON."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from math import isfinite
from typing import Any, Protocol

from msgspec.structs import replace

from evalh.core.attempt import NotSent
from evalh.core.digest import canonical
from evalh.core.errors import WorkspaceError
from evalh.core.prompt import FunctionSpec, StepSpec
from evalh.core.request import Message, Request, Role, Settings
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.engine.pipeline.own_loop import OwnLoop, from_elsewhere
from evalh.graders.functions import Deadline, NoAnswerError, line_of, where_defined
from evalh.graders.quoting import one_line

_DEEPEST = 200
_PAUSE_S = 0.2  # before the second attempt; doubled before each further one
_CONTEXT = "ctx"
_SHORTEST_SECRET = 6  # characters: `1` or `true` is not a secret


class StepError(Exception):
    """A function raised, did not return, or returned a value that is not JSON: the sample is ungraded, not bad."""


class Ask(Protocol):
    """Asks a prompt of the workspace, as a call of the step."""

    async def __call__(self, prompt: str, inputs: Mapping[str, JsonValue], *, draw: int = 0) -> JsonValue:
        """Return the output, parsed if the prompt has JSON output. Raises CallError, NotSent."""


class StepContext(Value):
    """The value of a function's `ctx` parameter, if it has one."""

    case_id: str
    trial: int
    seed: int  # the same for the same case, trial and step
    timeout_s: float
    env: Mapping[str, str]  # the variables that the step names
    ask: Ask


class FunctionStep:
    """Calls one step's function. It gets only the environment variables that the step names."""

    def __init__(self, spec: FunctionSpec, function: Callable[..., object], env: Mapping[str, str]) -> None:
        self.spec = spec
        self.env = {name: env[name] for name in spec.env if name in env}
        long = [(name, value) for name, value in self.env.items() if len(value) >= _SHORTEST_SECRET]
        self._secrets = sorted(long, key=lambda one: -len(one[1]))  # the longest first: one may be part of another
        self._function = function
        self._deadline = Deadline(spec.timeout_s)
        self._own_loop = OwnLoop()
        self._places = None if spec.concurrency is None else asyncio.Semaphore(spec.concurrency)
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        self._takes_context = _CONTEXT in inspect.signature(function).parameters

    def request(self, inputs: Mapping[str, JsonValue]) -> Request:
        """Return the inputs as a request. An earlier result is found by the inputs and the function's definition."""
        settings = Settings(model=self.spec.path, sent_to={"function": self.spec.document()})
        return Request((Message.of(Role.USER, canonical(inputs).decode("utf-8", "surrogatepass")),), settings)

    async def call(
        self, inputs: Mapping[str, JsonValue], ctx: StepContext, pause: Callable[[float], Awaitable[None]]
    ) -> JsonValue:
        """Return the function's result as JSON. Raises StepError, NotSent."""
        async with AsyncExitStack() as held:
            if self._places is not None:
                await held.enter_async_context(self._places)
            attempts = 1 if self.spec.effects else self.spec.attempts
            for attempt in range(attempts):
                try:
                    return await self._once(inputs, ctx)
                except StepError:
                    if attempt + 1 == attempts:
                        raise
                    await pause(_PAUSE_S * 2**attempt)
        raise AssertionError("a function has at least one attempt")

    async def _once(self, inputs: Mapping[str, JsonValue], ctx: StepContext) -> JsonValue:
        if self._is_async:
            ctx = replace(ctx, ask=from_elsewhere(ctx.ask))
        handed = {**inputs, _CONTEXT: ctx} if self._takes_context else inputs

        def work() -> Any:
            return self._function(**handed)

        try:
            if self._is_async:
                given = await self._own_loop.run(work, self.spec.timeout_s)
            else:
                given = await self._deadline.call(work)
        except NotSent:
            raise
        except NoAnswerError as exc:
            raise StepError(f"{self.spec.path}: {exc}") from None
        except Exception as exc:  # noqa: BLE001 (any error of a user's code is reported with its line)
            raise StepError(f"{self.spec.path}: {self._raised(exc)}") from None
        return self._json(given)

    def hidden(self, value: JsonValue) -> JsonValue:
        """Return a value in which each variable's content is replaced by its name, in every text and key."""
        match value:
            case str():
                return self._redacted(value)
            case list():
                return [self.hidden(part) for part in value]
            case dict():
                return {self._redacted(key): self.hidden(part) for key, part in value.items()}
        return value

    def json_of(self, given: object) -> JsonValue:
        """Return a copy as JSON without the content of any variable. Raises StepError."""
        try:
            wrong = not_json(given)
            value = None if wrong is not None else self.hidden(json.loads(json.dumps(given, ensure_ascii=False)))
        except Exception as exc:  # noqa: BLE001 (a user's mapping may raise while it is read; so do huge numbers)
            value, wrong = None, f"returned a value that cannot be read as JSON: {self._raised(exc)}"
        if wrong is not None:
            raise StepError(f"{self.spec.path}: {self._redacted(wrong)}")
        return value

    def _redacted(self, text: str) -> str:
        for name, value in self._secrets:
            text = text.replace(value, f"[{name}]")
        return text

    def _raised(self, exc: Exception) -> str:
        return one_line(self._redacted(_told(exc)) + line_of(exc))

    def _json(self, given: object) -> JsonValue:
        """Return a copy as JSON. Raises StepError."""
        if inspect.iscoroutine(given):
            given.close()
            raise StepError(f"{self.spec.path}: returned a coroutine: declare the function with async def")
        value = self.json_of(given)
        length = len(json.dumps(value, ensure_ascii=False))
        if length > self.spec.max_chars:
            raise StepError(
                f"{self.spec.path}: returned {length:,} characters of JSON; max_chars is {self.spec.max_chars:,}"
            )
        return value


def _told(exc: Exception) -> str:
    """Describe an exception, even if its own text cannot be read."""
    try:
        return f"{type(exc).__name__}: {exc}"
    except Exception:  # noqa: BLE001 (a user's exception may raise in __str__)
        return type(exc).__name__


def not_json(value: object, place: str = "", depth: int = 0) -> str | None:
    """Say which part of a value is not JSON, and where; None if all of it is."""
    at = f" at {place}" if place else ""
    if depth > _DEEPEST:
        return f"returned more than {_DEEPEST} levels of nesting"
    match value:
        case None | bool() | int() | str():
            return None
        case float():
            return None if isfinite(value) else f"returned {value}{at}, which is not JSON"
        case list() | tuple():
            parts = ((f"{place}[{number}]", part) for number, part in enumerate(value))
        case dict():
            strange = next((key for key in value if not isinstance(key, str)), None)
            if strange is not None:
                return f"returned a key that is not text{at}: {one_line(repr(strange))}"
            parts = ((f"{place}.{key}" if place else key, part) for key, part in value.items())
        case _:
            return f"returned a value of type {one_line(type(value).__name__)}{at}, which is not JSON"
    return next((wrong for name, part in parts if (wrong := not_json(part, name, depth + 1)) is not None), None)


def check_signature(spec: StepSpec, function: Callable[..., object]) -> None:
    """Raise WorkspaceError if a step gives an input that its function does not take, or omits one that it needs."""
    assert spec.function is not None
    where = where_defined(function)
    parameters = inspect.signature(function).parameters
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    named = {
        name: one
        for name, one in parameters.items()
        if one.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY) and name != _CONTEXT
    }
    for name in spec.inputs:
        if name not in named and not takes_any:
            takes = ", ".join(named) or "nothing"
            what, hint = f"{spec.function.path} has no parameter {name!r} ({where})", f"it takes: {takes}"
            raise WorkspaceError(what, where=spec.where, hint=hint)
    for name, one in named.items():
        if one.default is inspect.Parameter.empty and name not in spec.inputs:
            hint = f"inputs: {{{name}: …}}"
            raise WorkspaceError(f"{spec.function.path} needs {name!r} ({where})", where=spec.where, hint=hint)
