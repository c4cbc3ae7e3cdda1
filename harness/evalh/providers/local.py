"""`provider = "local"`: a GGUF model inside this process, by llama.cpp.

A slot is a llama.cpp server of its own with one sequence and one compute thread, driven by one of our threads through
`handle_chat_completions`. Why not one server with many sequences and threads:

- Two compute threads wait for each other hundreds of times a token. On two busy cores that took eight times as long
  as on two idle ones; slots that share nothing lose only what the neighbours take.
- An answer does not depend on what happened to be computed beside it, so the number of slots is not part of a
  request's identity, and a laptop and a CI machine share answers.

The weights are mapped, so all slots share them; each keeps the beginning of its last prompt, so the examples that every
request shares are read once a slot. The callback's True stops a generation within some 30 ms, which the library's own
HTTP listener cannot do.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

from msgspec.structs import replace
from pydantic import Field

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.declared import FileModel, Words
from evalh.core.errors import UsageError
from evalh.core.model import ModelSpec, Traits
from evalh.core.request import Message, Request, Settings, Text
from evalh.core.strict_json import JsonValue
from evalh.providers import weights
from evalh.providers.http.errors import at, json_of
from evalh.providers.logprobs import PARAM
from evalh.providers.openai.answers import ChatAssembler
from evalh.providers.registry import ProviderContext, SpecifiedProvider, read_options

TRAITS = Traits(
    hosted=False,
    draws_by_seed=True,
    reads_files=False,
    weights_in="path",
    holds_schema=True,
    logprobs_by=(PARAM,),
)
health = weights.health

MOST_SLOTS = 8  # by default; each keeps a context in memory
CONTEXT_TOKENS = 2048
MAX_TOKENS = 512
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_JOIN_S = 30.0
Job = tuple["Future[Completion]", Callable[[Any], Completion]]
"""What is to be done with a server, and who waits for it."""


class Options(FileModel):
    """The keys of an embedded model."""

    path: Annotated[str, Field(min_length=1), Words(hint="path = 'FILE.gguf'")] | None = Field(
        None, description="A GGUF file. Default: the weights that evalh knows under the model's name."
    )
    slots: Annotated[int, Field(ge=1), Words(hint="slots = 2")] | None = Field(
        None, description="Calls at the same time. Default: one for each core, at most 8."
    )
    context: Annotated[int, Words(hint=f"context = {CONTEXT_TOKENS}")] = Field(
        CONTEXT_TOKENS, ge=1, description="The largest number of tokens of a prompt and its answer together."
    )
    threads: Annotated[int, Words(hint="threads = 1")] = Field(1, ge=1, description="Threads that compute one answer.")


class LocalProvider(SpecifiedProvider):
    """A model in the process. Nothing is fetched or loaded before the first request: a full log needs no model."""

    def __init__(self, spec: ModelSpec, context: ProviderContext) -> None:
        super().__init__(spec)
        self.show: weights.Show = weights.Announce()
        self._cache_dir = context.cache_dir
        options = read_options(spec, Options)
        self._slots = self.max_in_flight = options.slots or min(_CORES, MOST_SLOTS)
        self._options = options
        self._path = None if options.path is None else context.root / Path(options.path).expanduser()
        self._stopping = threading.Event()
        self._loading: Future[_Engine] | None = None
        if spec.price is not None:
            self.spec = replace(spec, price=replace(spec.price, share=Decimal(1) / self._slots))
        digest = weights.digest_of(self._path, context.cache_dir) if self._path else weights.named_by(spec).sha256
        self.identity: Mapping[str, JsonValue] = {
            "provider": self.kind,
            "weights": f"sha256:{digest}",
            "context": options.context,
            "threads": options.threads,
        }

    async def open(self) -> None:
        """Get ready to load at the first request."""
        self._stopping = threading.Event()

    async def close(self) -> None:
        """Let go of the model, or of the attempt to load it; safe to call twice."""
        loading, self._loading = self._loading, None
        self._stopping.set()
        if loading is not None:
            await asyncio.to_thread(_let_go, loading)

    async def send(self, request: Request, call: Call) -> Completion:
        """Generate. Raises CallError; cancelled or out of time, it stops the generation and frees the slot.

        Raises EvalhError where the model cannot be fetched or loaded: no further request could be answered either.
        """
        del call
        payload = _payload(request.messages, request.settings)
        if self._loading is None:
            self._loading = _in_thread(partial(self._load, self._stopping))
        engine = await asyncio.wrap_future(self._loading)
        stop = threading.Event()
        answer = engine.submit(partial(_generate, payload=payload, model=self.model, stop=stop))
        try:
            async with asyncio.timeout(self.spec.timeout_s):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            raise CallError(ErrorKind.TIMEOUT, f"no complete answer within {self.spec.timeout_s:g} s") from None
        finally:
            stop.set()

    def _load(self, stopping: threading.Event) -> "_Engine":
        def show(done: int, total: int | None, text: str) -> None:
            self.show(done, total, text)
            if stopping.is_set():
                raise _Stopped

        _require_llama()
        path = self._path or weights.find(self.model, self._cache_dir)
        if path is None or not (self._path or weights.is_whole(self.model, path, self._cache_dir)):
            path = weights.pull(self.model, self._cache_dir, progress=show)
        return _Engine(path, self._slots, self._options)


class _Stopped(Exception):
    """The run ended while the weights were on their way."""


def _in_thread(work: Callable[[], "_Engine"]) -> "Future[_Engine]":
    """Begin in a thread of its own: an event loop that is closed never waits for it."""
    future: Future[_Engine] = Future()
    future.set_running_or_notify_cancel()  # from here on a waiting task that is cancelled leaves it alone
    threading.Thread(target=_settle, args=(future, work), name="evalh-load", daemon=True).start()
    return future


def _settle(future: "Future[Any]", work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as exc:  # noqa: BLE001 (who waits raises it)
        future.set_exception(exc)


def _let_go(loading: "Future[_Engine]") -> None:
    if loading.exception() is None:
        loading.result().close()


def _require_llama() -> Any:
    try:
        import xllamacpp
    except ImportError as exc:
        raise UsageError("xllamacpp is not installed", hint="pip install 'evalh[local]'") from exc
    return xllamacpp


class _Slot:
    """One llama.cpp server with one sequence. It is made when a job reaches it: loading holds the interpreter."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._options = options

    @cached_property
    def server(self) -> Any:
        """The server, loaded now if it was not yet. Raises UsageError."""
        xllamacpp = _require_llama()
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(self._path)
        parameters.n_parallel = 1
        parameters.n_ctx = self._options.context
        parameters.cpuparams.n_threads = self._options.threads
        parameters.cpuparams_batch.n_threads = self._options.threads
        parameters.fit_params = False  # reads the file twice to see what fits: half of the time to load
        parameters.cache_ram_mib = 0  # copies of old prompts, up to 8 GB of them
        parameters.verbosity = -1
        parameters.warmup = False
        try:
            server = xllamacpp.Server(parameters)
            # One token, for its own sake: a server that is let go before its loop runs waits for it forever.
            server.handle_completions({"prompt": "a", "max_tokens": 1})
        except Exception as exc:
            raise UsageError(f"llama.cpp cannot load it: {exc}", where=str(self._path), hint="evalh doctor") from exc
        return server


class _Engine:
    """The slots, with a thread for each."""

    def __init__(self, path: Path, slots: int, options: Options) -> None:
        """Load the first slot. Raises UsageError."""
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._slots = [_Slot(path, options) for _ in range(slots)]
        _ = self._slots[0].server
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"evalh-slot-{number}", daemon=True)
            for number, slot in enumerate(self._slots)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[Any], Completion]) -> "Future[Completion]":
        future: Future[Completion] = Future()
        self._jobs.put((future, work))
        return future

    def close(self) -> None:
        """End the threads, then the model."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(_JOIN_S)
        for slot in self._slots:
            slot.__dict__.pop("server", None)

    def _work(self, slot: _Slot) -> None:
        def served(work: Callable[[Any], Completion]) -> Completion:
            return work(slot.server)

        while (job := self._jobs.get()) is not None:
            future, work = job
            if future.set_running_or_notify_cancel():
                _settle(future, partial(served, work))


def _generate(server: Any, *, payload: dict[str, Any], model: str, stop: threading.Event) -> Completion:
    """Run one generation, to its end or until `stop` is set. Raises CallError."""
    answer = _Answer(stop)
    began = time.perf_counter()
    try:
        refused = server.handle_chat_completions(payload, answer.take)
    except Exception as exc:
        raise _classified(str(exc)) from exc
    seconds = time.perf_counter() - began
    if stop.is_set():
        raise CallError(ErrorKind.INTERRUPTED, "stopped while it was generating")
    error = answer.error or (refused.get("error") if isinstance(refused, dict) else None)
    if error is not None:
        raise _classified(str(error.get("message", error)) if isinstance(error, dict) else str(error))
    try:
        reading = answer.chat.reading()
    except ValueError:
        raise CallError(ErrorKind.BAD_RESPONSE, "the generation ended without saying why") from None
    return Completion(
        text=reading.text,
        finish=reading.finish,
        usage=reading.usage,
        latency_ms=seconds * 1000.0,
        ttft_ms=None if answer.first_at is None else (answer.first_at - began) * 1000.0,
        model=model,
        logprobs=reading.logprobs,
        reasoning=reading.reasoning or None,
    )


class _Answer:
    """Gathers what a generation streams: the chunks of a chat completion."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.chat = ChatAssembler()
        self.first_at: float | None = None
        self.error: Any = None

    def take(self, event: Any) -> bool:
        """Take one event; True asks the model to stop."""
        text = event if isinstance(event, str | bytes) else json.dumps(event)
        raw = text.encode() if isinstance(text, str) else text
        try:
            self.chat.add(raw)
        except ValueError as exc:
            self.error = at(json_of(raw), "error") or str(exc)
        if self.first_at is None and self.chat.started:
            self.first_at = time.perf_counter()
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
    if settings.params.get(PARAM) is True:
        payload.setdefault("top_logprobs", 1)  # otherwise 20 others come with every token
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


build = LocalProvider
