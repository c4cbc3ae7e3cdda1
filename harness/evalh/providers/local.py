"""`provider = "local"`: a GGUF model inside this process, by llama.cpp.

One thread a slot calls `handle_chat_completions` with a callback: the callback's True stops a generation within some
30 ms, which the library's own HTTP listener cannot do. The number of slots is fixed, since it changes answers, and a
slot keeps the beginning of its last prompt, so the examples that every request shares are read once.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, FinishReason, Usage
from evalh.core.digest import JsonValue
from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.model import ModelSpec
from evalh.core.request import Message, Request, Settings, Text
from evalh.providers import weights
from evalh.providers.registry import ProviderContext

SLOTS = 4
CONTEXT_TOKENS = 2048
MAX_TOKENS = 512
_FINISHES = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH, "tool_calls": FinishReason.TOOL_CALLS}
Job = Callable[[int], None]


class LocalProvider:
    """A model in the process. Weights are fetched when it is opened for the first time."""

    kind = "local"

    def __init__(self, spec: ModelSpec, context: ProviderContext) -> None:
        self.spec = spec
        self.name = spec.name
        self.model = spec.model
        self.params = spec.params
        self._cache_dir = context.cache_dir
        self._slots = _whole(spec, "slots", SLOTS)
        self._context_tokens = _whole(spec, "context", CONTEXT_TOKENS)
        self._threads = _whole(spec, "threads", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
        path = spec.options.get("path")
        self._path = context.root / str(path) if path is not None else None
        self._engine: _Engine | None = None
        self.price = replace(spec.price, share=Decimal(1) / self._slots) if spec.price is not None else None
        digest = weights.digest_of(self._path, context.cache_dir) if self._path else weights.known(spec.model).sha256
        self.identity: Mapping[str, JsonValue] = {
            "provider": self.kind,
            "weights": f"sha256:{digest}",
            "slots": self._slots,
            "context": self._context_tokens,
        }

    @property
    def max_in_flight(self) -> int:
        """One call a slot."""
        return self._slots

    async def open(self) -> None:
        """Fetch the weights where they are not here, and load them. Raises EvalhError."""
        if self._engine is None:
            self._engine = await asyncio.to_thread(self._load)

    def _load(self) -> "_Engine":
        path = self._path or weights.find(self.model, self._cache_dir)
        if path is None:
            path = weights.pull(self.model, self._cache_dir, progress=_Announce())
        return _Engine(path, self._slots, self._context_tokens, self._threads)

    async def close(self) -> None:
        """Let go of the model; safe to call twice."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(engine.close)

    async def send(self, request: Request, call: Call) -> Completion:
        """Generate. Raises CallError; cancelled or out of time, it stops the generation and frees the slot."""
        del call
        assert self._engine is not None, "open() comes first"
        payload = _payload(request.messages, request.settings)
        stop = threading.Event()
        answer = self._engine.submit(partial(_generate, payload=payload, model=self.model, stop=stop))
        try:
            async with asyncio.timeout(self.spec.timeout_s):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            raise CallError(ErrorKind.TIMEOUT, f"no whole answer within {self.spec.timeout_s:g} s") from None
        finally:
            stop.set()


class _Announce:
    """Says once on stderr that weights are on their way, then every tenth part."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, done: int, total: int | None, text: str) -> None:
        import sys

        part = f"{text}  {10 * (10 * done // total)} %" if total else text
        if part != self._last:
            sys.stderr.write(f"\r\x1b[K{part}" if sys.stderr.isatty() else f"{part}\n")
            sys.stderr.flush()
            self._last = part
            if total and done >= total and sys.stderr.isatty():
                sys.stderr.write("\r\x1b[K")


class _Engine:
    """llama.cpp with a thread for each slot."""

    def __init__(self, path: Path, slots: int, context_tokens: int, threads: int) -> None:
        try:
            import xllamacpp
        except ImportError as exc:
            raise UsageError("xllamacpp is not installed", hint="pip install 'evalh[local]'") from exc
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_parallel = slots
        parameters.n_ctx = slots * context_tokens
        parameters.cpuparams.n_threads = threads
        parameters.cpuparams_batch.n_threads = threads
        parameters.verbosity = -1
        parameters.warmup = False
        try:
            self._server = xllamacpp.Server(parameters)
        except Exception as exc:
            raise UsageError(f"llama.cpp cannot load it: {exc}", where=str(path), hint="evalh doctor") from exc
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"evalh-slot-{slot}", daemon=True)
            for slot in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[Any, int], Completion]) -> "Future[Completion]":
        """Hand work to the next free slot."""
        future: Future[Completion] = Future()

        def job(slot: int) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(self._server, slot))
            except BaseException as exc:  # noqa: BLE001 (the waiting side raises it)
                future.set_exception(exc)

        self._jobs.put(job)
        return future

    def close(self) -> None:
        """End the threads, then the model."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(10)
        del self._server

    def _work(self, slot: int) -> None:
        while (job := self._jobs.get()) is not None:
            job(slot)


def _generate(server: Any, slot: int, *, payload: dict[str, Any], model: str, stop: threading.Event) -> Completion:
    """Run one generation on a slot, to its end or until `stop` is set. Raises CallError."""
    answer = _Answer(stop)
    began = time.perf_counter()
    try:
        refused = server.handle_chat_completions({**payload, "id_slot": slot}, answer.take)
    except Exception as exc:
        raise _classified(str(exc)) from exc
    seconds = time.perf_counter() - began
    if stop.is_set():
        raise CallError(ErrorKind.INTERRUPTED, "stopped while it was generating")
    error = answer.error or (refused.get("error") if isinstance(refused, dict) else None)
    if error is not None:
        raise _classified(str(error.get("message", error)) if isinstance(error, dict) else str(error))
    if answer.finish is None:
        raise CallError(ErrorKind.BAD_RESPONSE, "the generation ended without saying why")
    return Completion(
        text="".join(answer.pieces),
        finish=_FINISHES.get(answer.finish, FinishReason.OTHER),
        usage=answer.usage,
        latency_ms=seconds * 1000.0,
        ttft_ms=None if answer.first_at is None else (answer.first_at - began) * 1000.0,
        model=model,
    )


class _Answer:
    """Gathers what a generation streams."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.pieces: list[str] = []
        self.finish: str | None = None
        self.usage = Usage()
        self.first_at: float | None = None
        self.error: Any = None

    def take(self, event: Any) -> bool:
        """Take one event; True asks the model to stop."""
        if isinstance(event, str | bytes):
            event = json.loads(event)
        if "error" in event:
            self.error = event["error"]
        for choice in event.get("choices") or ():
            piece = choice.get("delta", {}).get("content")
            if piece:
                self.first_at = self.first_at or time.perf_counter()
                self.pieces.append(piece)
            self.finish = choice.get("finish_reason") or self.finish
        if usage := event.get("usage"):
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            self.usage = Usage(usage.get("prompt_tokens"), usage.get("completion_tokens"), cached)
        return self._stop.is_set()


def _classified(message: str) -> CallError:
    lowered = message.lower()
    kind = ErrorKind.CONTEXT_LENGTH if "context" in lowered and "exceed" in lowered else ErrorKind.BAD_REQUEST
    return CallError(kind, message[:500])


def _payload(messages: tuple[Message, ...], settings: Settings) -> dict[str, Any]:
    if settings.tools:
        raise CallError(ErrorKind.UNSUPPORTED, "a local model is asked without tools")
    payload: dict[str, Any] = {
        "temperature": 0,
        "seed": 0,
        "max_tokens": MAX_TOKENS,
        **settings.params,
        "messages": [_message(message) for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "cache_prompt": True,
    }
    if settings.json_output and settings.output_schema is not None:
        schema = dict(settings.output_schema)
        payload["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    elif settings.json_output:
        payload["response_format"] = {"type": "json_object"}
    return payload


def _message(message: Message) -> dict[str, str]:
    for part in message.parts:
        if not isinstance(part, Text):
            raise CallError(ErrorKind.UNSUPPORTED, f"a local model takes text, not {type(part).__name__.lower()}")
    return {"role": message.role.value, "content": message.text}


def _whole(spec: ModelSpec, option: str, default: int) -> int:
    value = spec.options.get(option, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise WorkspaceError(f"{option} must be a whole number above 0, not {value!r}", where=spec.where)
    return value


def build(spec: ModelSpec, context: ProviderContext) -> LocalProvider:
    """Build the provider; nothing is loaded yet. Raises EvalhError."""
    return LocalProvider(spec, context)
