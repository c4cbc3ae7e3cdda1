"""`provider = "scripted"`: answers from a Python function or from a table in evalh.toml, for tests and demos."""

import asyncio
import inspect
import json
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, Self

from msgspec.structs import replace
from pydantic import Field, model_validator

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, Usage
from evalh.core.declared import FileModel, Refused, Text
from evalh.core.digest import digest, digest_bytes
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.model import ModelSpec, Traits
from evalh.core.request import Request
from evalh.core.strict_json import JsonValue
from evalh.providers.registry import ProviderContext, SpecifiedProvider, read_options

TRAITS = Traits(hosted=False, function_in="function")

CHARACTERS_PER_TOKEN = 4
"""A scripted answer has no tokenizer: its usage is characters / 4, rounded up, so that a price shows something."""

_HANDED: Mapping[str, Callable[[Request, Call], object]] = {
    "request": lambda request, _: request,
    "messages": lambda request, _: request.messages,
    "case_id": lambda _, call: call.key.case_id,
    "trial": lambda _, call: call.key.trial,
    "step": lambda _, call: call.key.step,
    "draw": lambda _, call: call.key.draw,
}
"""What a function may ask for, by the names of its parameters."""

Answerer = Callable[[Request, Call], object]


class Options(FileModel):
    """The keys of a scripted model."""

    function: Text | None = Field(None, description="The function that answers: `evals/answers.py:answer`.")
    table: Mapping[str, Any] = Field({}, description="Answers by case id.")
    default: Any = Field(None, description="The answer to cases that are not in the table.")
    latency_ms: float = Field(0.0, ge=0, le=3_600_000, description="How long an answer takes.")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.function is not None) == bool(self.table or self.default is not None):
            what = "a scripted model takes either 'function' or 'table'"
            raise Refused(what, 'function = "evals/answers.py:answer", or table = {"t-001" = "the answer"}')
        return self


class ScriptedProvider(SpecifiedProvider):
    """Answers at once, or after `latency_ms`; sends nothing anywhere."""

    def __init__(self, spec: ModelSpec, answer: Answerer, script: Mapping[str, JsonValue], latency_s: float) -> None:
        super().__init__(spec)
        self.identity: Mapping[str, JsonValue] = {"provider": self.kind, **script}
        self._answer = answer
        self._latency_s = latency_s

    async def send(self, request: Request, call: Call) -> Completion:
        began = time.perf_counter()
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        try:
            given = self._answer(request, call)
            if inspect.isawaitable(given):
                given = await given
        except CallError:
            raise  # how a script plays a rate limit
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException as exc:  # SystemExit too: a script cannot end the run, let alone with its own exit code
            raise CallError(ErrorKind.BAD_RESPONSE, f"the script raised {type(exc).__name__}: {exc}") from exc
        completion = _completion(given)
        if completion.usage == Usage():
            asked = sum(len(message.text) for message in request.messages)
            counted = Usage(-(-asked // CHARACTERS_PER_TOKEN), -(-len(completion.text) // CHARACTERS_PER_TOKEN))
            completion = replace(completion, usage=counted)
        if completion.latency_ms is None:
            completion = replace(completion, latency_ms=(time.perf_counter() - began) * 1000.0)
        return completion if completion.model else replace(completion, model=self.model)


def build(spec: ModelSpec, context: ProviderContext) -> ScriptedProvider:
    """Build from `function`, or from `table` and `default`. Raises WorkspaceError."""
    options = read_options(spec, Options)
    if options.function is None:
        answer, script = _from_table(options)
    else:
        answer, script = _from_function(spec, options.function, context)
    return ScriptedProvider(spec, answer, script, options.latency_ms / 1000.0)


def _from_function(spec: ModelSpec, path: str, context: ProviderContext) -> tuple[Answerer, Mapping[str, JsonValue]]:
    try:
        function = context.load_function(path)
    except WorkspaceError as exc:
        raise exc if exc.where else spec.wrong(exc.what, exc.hint) from exc
    wanted = _parameters(spec, path, function)
    script: dict[str, JsonValue] = {"function": path}
    source = context.root / path.rpartition(":")[0]
    if source.suffix == ".py" and source.is_file():
        # An edited script answers again: its content is part of what is asked.
        script["source"] = digest_bytes(source.read_bytes())

    def answer(request: Request, call: Call) -> object:
        return function(**{name: _HANDED[name](request, call) for name in wanted})

    return answer, script


def _parameters(spec: ModelSpec, path: str, function: Callable[..., object]) -> tuple[str, ...]:
    """Return the names that the function asks for. Raises WorkspaceError for one that cannot be handed to it."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise spec.wrong(f"{path} has no signature that can be read") from None
    wanted: list[str] = []
    for one in parameters:
        if one.kind is inspect.Parameter.VAR_POSITIONAL:
            continue
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            return tuple(_HANDED)
        if one.name in _HANDED and one.kind is not inspect.Parameter.POSITIONAL_ONLY:
            wanted.append(one.name)
        elif one.default is inspect.Parameter.empty:
            what = f"{path} asks for {one.name!r}, which evalh does not pass to a script"
            raise spec.wrong(what, did_you_mean(one.name, _HANDED))
    return tuple(wanted)


def _from_table(options: Options) -> tuple[Answerer, Mapping[str, JsonValue]]:
    table, default = options.table, options.default

    def answer(_request: Request, call: Call) -> object:
        given = table.get(call.key.case_id, default)
        if given is None:
            raise CallError(ErrorKind.NOT_RECORDED, f"the table has no answer for case {call.key.case_id!r}")
        return given

    return answer, {"table": digest([table, default])}


def _completion(given: object) -> Completion:
    """Read what a script gave: a Completion, a text, or a dict or list, which stands for its JSON."""
    if isinstance(given, Completion):
        return _priced(given)
    if isinstance(given, str):
        return Completion(text=given)
    if isinstance(given, dict | list):
        try:
            return Completion(text=json.dumps(given, ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError) as exc:
            raise CallError(ErrorKind.BAD_RESPONSE, f"the script's answer is not JSON: {exc}") from exc
    what = "nothing" if given is None else f"{type(given).__name__} {given!r}"[:200]
    raise CallError(ErrorKind.BAD_RESPONSE, f"the script answered {what}, not a text, a dict or a Completion")


def _priced(given: Completion) -> Completion:
    """Return a script's completion; a cost that it states as a float becomes the exact number that was written."""
    cost: object = given.cost_usd
    if cost is None or isinstance(cost, Decimal):
        return given
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not isfinite(cost):
        raise CallError(ErrorKind.BAD_RESPONSE, f"the script's cost_usd is not an amount: {cost!r}"[:200])
    return replace(given, cost_usd=Decimal(repr(cost)))
