"""A client's transport, wrapped: every physical request is seen, the client's own retries too, streams as they pass.

httpx is never imported: whatever has its shape is wrapped (httpx, httpx2, and transports that others wrote).
"""

import time
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from evalh_trace.importing import imported
from evalh_trace.spans import CURRENT, Span, attempted
from evalh_trace.tracer import TRACER
from evalh_trace.values import MOST_BYTES

if TYPE_CHECKING:
    from evalh_trace.wires import Wire

_TAIL_BYTES = 64 * 1024
_HOMES = (  # where clients keep what has httpx's shape
    (),
    ("_client",),
    ("_client", "_client"),
    ("_api_client", "_httpx_client"),
    ("_api_client", "_async_httpx_client"),
    ("sdk_configuration", "client"),
    ("sdk_configuration", "async_client"),
)
_MOST_HEADER = 200
_AGAIN_S = 300.0  # later the same body is another call


def trace_client(client: Any) -> Any:
    """Wrap the transports of a client, in place; return the client."""
    found = False
    for home in _HOMES:
        one = client
        for name in home:
            one = getattr(one, name, None)
        if one is not None and (hasattr(one, "_transport") or hasattr(one, "_mounts")):
            found = bool(attempted(_wrap, one)) or found
    if not found:
        TRACER.lose(f"client: no httpx client in {type(client).__module__}.{type(client).__qualname__}"[:200])
    return client


def _wrap(client: Any) -> bool:
    client._transport = _wrapped(client._transport)  # noqa: SLF001 (the only place where every attempt passes)
    mounts = getattr(client, "_mounts", None) or {}
    for pattern, transport in list(mounts.items()):
        if transport is not None:
            mounts[pattern] = _wrapped(transport)
    return True


def _wrapped(transport: Any) -> Any:
    return transport if isinstance(transport, TracedTransport) else TracedTransport(transport)


class LogicalCall:
    """One call of the program, whose attempts pass one after another."""

    __slots__ = ("attempts", "began", "body", "id", "span", "started_at", "step_id")

    def __init__(self, body: bytes | None) -> None:
        self.id = TRACER.new_id()
        self.body = body
        self.attempts = 0
        self.started_at, self.began = time.time(), time.perf_counter()
        span = CURRENT.get()
        if span is None:
            span = Span("", "workflow", None)  # named after the call, when it is read
            span.auto = True
        self.span = span
        self.step_id = None if span.workflow else span.record_id


class Exchange:
    """One physical request, and what came back. Filled on the program's path, read on the tracer's thread."""

    __slots__ = (
        "begun",
        "body",
        "call",
        "chunks",
        "closed_early",
        "content_type",
        "continued",
        "encoding",
        "ended",
        "error",
        "generation",
        "host",
        "number",
        "path",
        "reason",
        "request_id",
        "retry_after",
        "retryable",
        "size",
        "started_at",
        "status",
        "tail",
        "too_large",
        "wire",
    )

    def __init__(self, call: LogicalCall, wire: "Wire", body: bytes | None) -> None:
        call.attempts += 1
        self.call, self.wire, self.body = call, wire, body
        self.number = call.attempts
        self.reason = "first" if self.number == 1 else "retry"
        self.generation = TRACER.generation
        self.started_at, self.begun = time.time(), time.perf_counter()
        self.ended = 0.0
        self.host = self.path = ""
        self.status: int | None = None
        self.error: str | None = None
        self.request_id: str | None = None
        self.retry_after: str | None = None
        self.content_type: str | None = None
        self.encoding: str | None = None
        self.chunks: list[tuple[float, bytes]] = []
        self.tail: deque[tuple[float, bytes]] = deque()
        self.size = 0
        self.too_large = self.closed_early = self.retryable = False
        self.continued = False  # it was sent again; by one task only, though others may have inherited it

    def add(self, chunk: bytes) -> None:
        """Keep a piece of the answer; of one that is too large its beginning and its end."""
        self.size += len(chunk)
        if self.size <= MOST_BYTES:
            self.chunks.append((time.perf_counter(), chunk))
            return
        self.too_large = True
        self.tail.append((time.perf_counter(), chunk[-_TAIL_BYTES:]))
        while len(self.tail) > 1 and sum(len(one) for _, one in self.tail) - len(self.tail[0][1]) > _TAIL_BYTES:
            self.tail.popleft()

    def end(self, error: BaseException | None = None, *, closed: bool = False) -> None:
        """Hand over what was seen, once."""
        if self.ended or self.generation != TRACER.generation:
            return
        self.ended = time.perf_counter()
        self.closed_early = closed
        if error is not None:
            self.error = type(error).__qualname__
            self.retryable = isinstance(error, Exception)
            if text := attempted(lambda: str(error)[:1000]):
                self.error += f": {text}"
        TRACER.put("answered", self, 1000 + min(self.size, MOST_BYTES) + len(self.body or b""))


_LAST: ContextVar[Exchange | None] = ContextVar("evalh_trace_exchange", default=None)
"""What was sent last by this task or thread, while the client may send it again."""


def _open(request: Any) -> Exchange | None:
    """Begin an exchange; None for a request that is not a model's."""
    if request.method != "POST":
        return None
    path = request.url.path
    wire = imported("evalh_trace.wires").find(path)
    if wire is None:
        return None
    body = getattr(request, "_content", None)
    last = _LAST.get()
    same = (
        last is not None
        and last.retryable
        and not last.continued
        and last.generation == TRACER.generation
        and (not last.ended or time.perf_counter() - last.ended < _AGAIN_S)
        and last.body == body
        and request.headers.get("x-stainless-retry-count") != "0"  # the client says that this is a call of its own
    )
    if same and last is not None:
        last.continued, call = True, last.call
    else:
        call = LogicalCall(body)
    exchange = Exchange(call, wire, body)
    exchange.path, exchange.host = path, request.url.host
    _LAST.set(exchange)
    TRACER.put("sent", exchange, 1000 + len(body or b""), counted=False)
    return exchange


def _answer(exchange: Exchange, response: Any) -> None:
    """Note the head of an answer, and watch its body pass."""
    head = _head(response.headers)
    exchange.status = response.status_code
    exchange.retryable = exchange.status in _AGAIN
    if not exchange.retryable:
        _LAST.set(None)
    exchange.content_type = head.get(b"content-type")
    exchange.encoding = head.get(b"content-encoding")
    exchange.request_id = head.get(b"x-request-id") or head.get(b"request-id")
    milliseconds = head.get(b"retry-after-ms")
    exchange.retry_after = f"{milliseconds}ms" if milliseconds else head.get(b"retry-after")
    if hasattr(response, "_content"):  # it was never on a wire
        exchange.encoding = None
        exchange.add(response._content)  # noqa: SLF001 (reading it through its property decodes nothing either)
        exchange.end()
        return
    response.stream = _stream_class(type(response.stream))(response.stream, exchange)


_AGAIN = frozenset({301, 302, 307, 308, 408, 409, 425, 429, *range(500, 600)})


_READ = frozenset(
    {b"content-type", b"content-encoding", b"x-request-id", b"request-id", b"retry-after-ms", b"retry-after"}
)
"""All that is read of an answer's headers."""


def _head(headers: Any) -> dict[bytes, str]:
    """Return the headers that are read, in one pass: looking each up would take most of our time."""
    return {
        name: value[:_MOST_HEADER].decode("latin-1") for raw, value in headers.raw if (name := raw.lower()) in _READ
    }


class TracedTransport:
    """A transport that notes what passes. Everything else of it is the wrapped one's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def handle_request(self, request: Any) -> Any:
        """Send a request."""
        exchange = attempted(_open, request)
        if exchange is None:
            return self._inner.handle_request(request)
        try:
            response = self._inner.handle_request(request)
        except BaseException as error:
            attempted(exchange.end, error)
            raise
        attempted(_answer, exchange, response)
        return response

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request."""
        exchange = attempted(_open, request)
        if exchange is None:
            return await self._inner.handle_async_request(request)
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as error:
            attempted(exchange.end, error)
            raise
        attempted(_answer, exchange, response)
        return response

    def __enter__(self) -> Any:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)

    async def __aenter__(self) -> Any:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":  # of a copy that is not yet filled
            raise AttributeError(name)
        return getattr(self._inner, name)


class _Tee:
    """A stream that passes on what another one gives, and notes it."""

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __del__(self) -> None:
        if not self._exchange.ended:  # the program let it go without closing it
            attempted(_closed, self._exchange)


class _SyncTee(_Tee):
    def __iter__(self) -> Any:
        try:
            for chunk in self._inner:
                attempted(self._exchange.add, chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            attempted(self._exchange.end, error)
            raise
        attempted(self._exchange.end)

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            attempted(_closed, self._exchange)


class _AsyncTee(_Tee):
    async def __aiter__(self) -> Any:
        try:
            async for chunk in self._inner:
                attempted(self._exchange.add, chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            attempted(self._exchange.end, error)
            raise
        attempted(self._exchange.end)

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            attempted(_closed, self._exchange)


def _closed(exchange: Exchange) -> None:
    exchange.end(closed=True)


_classes: dict[type, type] = {}


def _stream_class(kind: type) -> Any:
    """Return the class of our stream that a library takes for one of its own."""
    known = _classes.get(kind)
    if known is None:
        named = {one.__name__: one for one in kind.__mro__}
        tees: list[type] = [*([_SyncTee] if hasattr(kind, "__iter__") else [])]
        tees += [_AsyncTee] if hasattr(kind, "__aiter__") else []
        theirs = [named[name] for name in ("SyncByteStream", "AsyncByteStream") if name in named]
        known = _classes[kind] = type("TracedStream", (*tees, *theirs), {})
    return known
