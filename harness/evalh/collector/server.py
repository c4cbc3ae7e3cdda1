"""The receiver: OTLP over HTTP and votes, on a socket of its own.

A body is read within a bound and unpacked by `interop.spans.bodies`, never by the server. Reading spans and writing
records is done by one thread, in the order in which requests came; while too many wait, clients are asked to come
again.
"""

import asyncio
import hmac
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from logging import CRITICAL, getLogger
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from evalh.core.values import Value
from evalh.interop.spans.bodies import MOST_BYTES, Signal, TooLarge, UnknownType
from evalh.interop.spans.received import NotOtlp
from evalh.providers.http.egress import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATHS = {"/v1/traces": Signal.TRACES, "/v1/logs": Signal.LOGS}
_METRICS = "/v1/metrics"
_FEEDBACK = "/feedback"
_MOST_VOTE = 64 << 10
_MOST_WAITING = 64  # requests whose body is there
_MOST_READING = 1_000  # whose body is on its way: a slow one keeps nobody waiting
_MOST_HELD = 256 << 20  # bytes of both
_BODY_S = 10.0  # exporters give up then
_IDLE_S = 75.0
_LAST_S = 2.0  # for requests that are under way at the end


class Answered(Value):
    """How a request is answered. `rejected`: what of it was not taken."""

    status: int
    words: str = ""
    rejected: int = 0


_BUSY = Answered(503, "too many requests: send it again")
_TOO_LARGE = Answered(413, "the body is too large")


class Inbox(Protocol):
    """Where requests end. Its methods are called by one thread."""

    def take(self, signal: Signal, body: bytes, content_type: str, encoding: str) -> int:
        """Take spans or logs; return how many were not taken. Raises NotOtlp."""

    def vote(self, body: bytes) -> str | None:
        """Take a vote; return what is wrong with it."""


Forward = Callable[[str, bytes, "Mapping[str, str]"], None]
"""Sends a body on: its path, the body as it came, its headers of content."""


class Receiver:
    """Answers requests until it is closed."""

    def __init__(self, listening: socket.socket, inbox: Inbox, token: str | None, forward: Forward | None) -> None:
        self._listening, self._inbox, self._token, self._forward = listening, inbox, token, forward
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="evalh-collect")
        self._open = self._waiting = 0  # requests: all, and those whose body is there
        self._held = 0  # bytes of bodies
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: web.Server | None = None
        self._accepting: asyncio.Server | None = None

    async def open(self) -> None:
        """Accept connections from now on."""
        quiet = getLogger("evalh.collector.http")
        quiet.setLevel(CRITICAL + 1)  # a stranger's bad request is not worth a line
        self._server = web.Server(
            self._handle, access_log=None, logger=quiet, auto_decompress=False, keepalive_timeout=_IDLE_S
        )
        loop = asyncio.get_running_loop()
        self._accepting = await loop.create_server(self._server, sock=self._listening)

    async def close(self, last: Callable[[], object]) -> None:
        """Answer what came, accept nothing more, and do the last work on the thread that took requests."""
        if self._accepting is not None and self._server is not None:
            self._accepting.close()
            await self._server.shutdown(_LAST_S)
        await self.in_order(last)
        self._thread.shutdown()

    async def wait_until_idle(self, within_s: float) -> None:
        """Wait until no request is under way, for at most so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), within_s)

    async def in_order(self, work: Callable[[], object]) -> None:
        """Do work on the thread that takes requests, after those that came before."""
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._open += 1
        self._idle.clear()
        try:
            answered = await self._answer(request)
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()
        return _response(answered, request.content_type)

    async def _answer(self, request: web.BaseRequest) -> Answered:
        path = request.path
        refused = _misdirected(request) or self._stranger(request)
        if refused is not None:
            return refused
        if self._waiting >= _MOST_WAITING or self._open - self._waiting > _MOST_READING:
            return _BUSY
        body = bytearray()
        try:
            refused = await self._read(request, _MOST_VOTE if path == _FEEDBACK else MOST_BYTES, body)
            return refused or await self._whole(path, bytes(body), request)
        finally:
            self._held -= len(body)

    async def _whole(self, path: str, body: bytes, request: web.BaseRequest) -> Answered:
        if self._waiting >= _MOST_WAITING:
            return _BUSY
        self._waiting += 1
        try:
            return await self._taken(path, body, request)
        finally:
            self._waiting -= 1

    async def _read(self, request: web.BaseRequest, most: int, body: bytearray) -> Answered | None:
        """Read a body into `body`; return why it is not read to its end."""
        if (request.content_length or 0) > most:
            return _TOO_LARGE
        try:
            async with asyncio.timeout(_BODY_S):
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > most or self._held > _MOST_HELD:
                        return _TOO_LARGE if len(body) > most else _BUSY
        except TimeoutError:
            return Answered(408, "the body did not arrive")
        return None

    async def _taken(self, path: str, body: bytes, request: web.BaseRequest) -> Answered:
        encoding, kind = request.headers.get("Content-Encoding", ""), request.headers.get("Content-Type", "")
        if path == _FEEDBACK:
            if request.content_type != "application/json":  # another page could send anything else unasked
                return Answered(415, "a vote is JSON: content-type: application/json")
            return await self._on_thread(lambda: self._voted(body))
        if self._forward is not None:
            self._forward(path, body, {"Content-Type": kind, **({"Content-Encoding": encoding} if encoding else {})})
        if path == _METRICS:
            return Answered(200)
        return await self._on_thread(lambda: self._received(_PATHS[path], body, kind, encoding))

    async def _on_thread(self, work: Callable[[], Answered]) -> Answered:
        done: Awaitable[Answered] = asyncio.get_running_loop().run_in_executor(self._thread, work)
        return await done

    def _received(self, signal: Signal, body: bytes, kind: str, encoding: str) -> Answered:
        try:
            return Answered(200, rejected=self._inbox.take(signal, body, kind, encoding))
        except TooLarge as exc:
            return Answered(413, str(exc))
        except UnknownType as exc:
            return Answered(415, str(exc))
        except NotOtlp as exc:
            return Answered(400, str(exc))

    def _voted(self, body: bytes) -> Answered:
        wrong = self._inbox.vote(body)
        return Answered(200) if wrong is None else Answered(400, wrong)

    def _stranger(self, request: web.BaseRequest) -> Answered | None:
        """Say why a request is not read: it has no token, or comes from a page that gave this machine its own name."""
        if self._token is not None:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                return Answered(401, "a bearer token is needed: send Authorization: Bearer …")
            return None
        host = request.host.rpartition(":")[0] if not request.host.endswith("]") else request.host
        if not is_loopback((host or request.host).strip("[]").lower()):
            return Answered(403, "this receiver has another host name")
        return None


def _misdirected(request: web.BaseRequest) -> Answered | None:
    if request.path not in {*_PATHS, _METRICS, _FEEDBACK}:
        return Answered(404, "evalh collect answers /v1/traces, /v1/logs and /feedback")
    return None if request.method == "POST" else Answered(405, "only POST is allowed")


def _response(answered: Answered, asked: str) -> web.Response:
    """Answer in the encoding of the request, as OTLP wants it."""
    headers = {"Server": "evalh", "X-Content-Type-Options": "nosniff"}
    if answered.status == 503:  # noqa: PLR2004 (its name)
        headers["Retry-After"] = "1"
    if answered.status != 200:  # noqa: PLR2004 (its name)
        made = web.Response(text=f"{answered.words}\n", status=answered.status, headers=headers)
        if answered.status in {408, 413, 503}:  # the rest of the body may still come
            made.force_close()
        return made
    if asked == "application/json":
        partial = {"partialSuccess": {"rejectedSpans": str(answered.rejected)}} if answered.rejected else {}
        return web.json_response(partial, headers=headers)
    return web.Response(body=_partial(answered.rejected), headers={**headers, "Content-Type": "application/x-protobuf"})


def _partial(rejected: int) -> bytes:
    """Return the protobuf of an answer: field 1 is the partial success, its field 1 the number of what was rejected."""
    if not rejected:
        return b""
    digits = bytearray()
    while rejected > 0x7F:  # noqa: PLR2004 (seven bits a byte)
        digits.append(rejected & 0x7F | 0x80)
        rejected >>= 7
    digits.append(rejected)
    return bytes((0x0A, len(digits) + 1, 0x08)) + bytes(digits)
