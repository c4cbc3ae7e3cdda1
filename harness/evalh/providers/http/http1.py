"""One HTTP/1.1 connection: a request out, a response in, read by llhttp as it arrives."""

import asyncio
import select
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.http.body import BodyReader
from evalh.providers.http.transport import Response, Watch, answers, unreached

_FRAMING_CAP_BYTES = 256 * 1024
_FRAMING_PER_BYTE = 16  # chunks of one byte take six bytes each; what takes more says nothing
_FIRST_FINAL_STATUS = 200  # what is below announces: the answer follows


class Headers(dict[str, str]):
    """A response's headers, found whatever their case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def _looking_at(connected: socket.socket) -> Callable[[], list[Any]]:
    """Return what looks at a socket without waiting: not empty where something has arrived."""
    if not hasattr(select, "poll"):
        return lambda: select.select([connected], [], [], 0.0)[0]
    poll = select.poll()
    poll.register(connected.fileno(), select.POLLIN)
    return partial(poll.poll, 0)


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time. `lost` is done when it is closed."""

    def __init__(self, netloc: str, on_lost: Callable[["Connection"], None]) -> None:
        self._netloc = netloc
        self._on_lost = on_lost
        self._parser = HttpResponseParser(self)
        self._answer: asyncio.Future[Response] | None = None
        self._on_chunk: Watch | None = None
        self._begin()
        self.reusable = False
        self.idle_since = 0.0
        self.answers = 0  # that it carried

    def _begin(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._headers = Headers()
        self._arrived_bytes = self._body_bytes = 0  # on the wire
        self._status = 0
        self._reader: BodyReader | None = None

    # -- what the transport asks

    def ask(self, request: bytes, on_chunk: Watch | None) -> "asyncio.Future[Response]":
        """Send; the future gives the response, or raises what went wrong."""
        self.reusable = False
        self._begin()
        self._answer = self._loop.create_future()
        self._on_chunk = on_chunk
        if self._transport.is_closing():
            self._fail(unreached(f"{self._netloc} closed the connection before the request"))
        else:
            self._transport.write(request)
        return self._answer

    @property
    def ended(self) -> bool:
        """Whether the server has hung up, or says what nobody asked for: either way it is of no more use."""
        return not self.reusable or self._transport.is_closing() or bool(self._arrived())

    def give_up(self, timeout_s: float) -> None:
        """End the request that takes too long."""
        self._fail(CallError(ErrorKind.TIMEOUT, f"no complete answer from {self._netloc} within {timeout_s:g} s"))

    def release(self) -> None:
        """Let go after a request: what was not read to its end cannot be used again."""
        self._answer = None
        self._on_chunk = None
        if not self.reusable:
            self.abort()

    def abort(self) -> None:
        self.reusable = False
        self._transport.abort()

    # -- what asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._loop = asyncio.get_running_loop()
        self._arrived = _looking_at(transport.get_extra_info("socket"))
        self.lost = self._loop.create_future()

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # an answer without a request: it must not be taken for the next request's answer
            return
        self._arrived_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail(CallError(ErrorKind.BAD_RESPONSE, f"{self._netloc} did not answer in HTTP"))
        # Headers, trailers, chunk sizes and their extensions: all that is not the answer itself.
        framing = self._arrived_bytes - self._body_bytes
        if framing > _FRAMING_CAP_BYTES + _FRAMING_PER_BYTE * self._body_bytes:
            self._fail(CallError(ErrorKind.BAD_RESPONSE, f"{self._netloc} sends headers that do not end"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._on_lost(self)
        if not self.lost.done():
            self.lost.set_result(None)
        if self._answer is None or self._answer.done():
            return
        framed = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self._reader is not None and exc is None and not framed:
            self._complete()
        elif self._arrived_bytes:
            text = f"{self._netloc} ended the answer before it was whole"
            if self._reader is None:
                text = f"{self._netloc} did not answer in HTTP"
            self._fail(CallError(ErrorKind.BAD_RESPONSE, text))
        else:
            error = CallError(ErrorKind.NETWORK, f"{self._netloc} closed the connection without an answer")
            error.hung_up = exc is None and self.answers > 0  # a reset may come from who has read the request
            self._fail(error)

    # -- what llhttp says

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line of the head; a trailer says nothing that we ask for."""
        if self._reader is None:
            self._lines.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Look at the whole head: a body that is too large is refused before it comes."""
        if self._ended():
            return
        self._status = self._parser.get_status_code()
        if self._status < _FIRST_FINAL_STATUS:
            return
        self._headers = Headers({name: ", ".join(values) for name, values in self._lines.items()})
        try:
            self._reader = BodyReader(self._headers.get("content-encoding"), self._headers.get("content-length"))
        except CallError as error:
            self._fail(error)

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._reader is None or self._ended():
            return
        try:
            content = self._reader.feed(data)
            if self._on_chunk is not None and answers(self._status):
                self._on_chunk(content)
        except Exception as error:  # noqa: BLE001 (llhttp would hide it: it is the caller's)
            self._fail(error)

    def on_message_complete(self) -> None:
        """Hand the response over; or go on, where it only announced one."""
        if self._ended():
            return
        if self._status < _FIRST_FINAL_STATUS:
            self._lines = {}
            return
        self.reusable = self._parser.should_keep_alive() and not self._transport.is_closing()
        self._complete()

    def _complete(self) -> None:
        assert self._reader is not None
        assert self._answer is not None
        try:
            self._answer.set_result(Response(self._status, self._headers, self._reader.value()))
            self.answers += 1
        except CallError as error:
            self._fail(error)

    def _ended(self) -> bool:
        """Mark the answer as complete: whatever still comes belongs to no request, so the connection is closed."""
        if self._answer is not None and not self._answer.done():
            return False
        self.reusable = False
        return True

    def _fail(self, error: Exception) -> None:
        self.reusable = False
        answer = self._answer
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self._transport.abort()
