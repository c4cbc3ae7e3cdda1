"""A server that fails as servers do: real sockets on loopback, scripted request by request.

A script is a function from `Asked` to `Act`. The server counts what arrives by model, path and case, can be stopped and
started again on its port, and can become a black hole: it accepts, and never answers.
"""

import asyncio
import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

_RST = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, by a reset
_CASE = re.compile(r"order (\d+)")
_PIECE = b" " * 65536


class How(StrEnum):
    """What happens to the response on its way."""

    WHOLE = "whole"
    LAST = "last"  # whole, then hangs up
    RESET = "reset"  # RST instead of an answer
    SHUT = "shut"  # hangs up, and sends nothing
    CUT = "cut"  # hangs up in the middle of the body
    HANG = "hang"  # never answers
    GARBAGE = "garbage"  # bytes that are not HTTP
    DRIP = "drip"  # a byte at a time, for ever in any client's eyes
    LIES = "lies"  # says that its body is shorter than it is
    ENDLESS = "endless"  # 100 MB, chunked: no length is declared


@dataclass(frozen=True, kw_only=True)
class Act:
    """What the server does with one request."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay_s: float = 0.0
    how: How = How.WHOLE


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it arrived."""

    number: int  # over all, from 1
    nth: int  # for this model and case, from 1
    path: str
    connection: int  # from 1
    of_connection: int  # how many this connection has brought, from 1
    model: str
    case: str  # as the dataset's ids: `t-0007`
    headers: Mapping[str, str]
    document: Any
    at: float  # monotonic seconds


Script = Callable[[Asked], Act]


class FaultServer:
    """Answers by a script, on a thread of its own. Start it with `fault_server`."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.black_hole = False
        self.asked: list[Asked] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.connections = 0
        self.port = 0
        self._seen: Counter[tuple[str, str]] = Counter()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    # -- what was asked

    def count(self, *, model: str | None = None, path: str | None = None, case: str | None = None) -> int:
        """Count the requests that arrived."""
        return sum(
            (model is None or one.model == model)
            and (path is None or path in one.path)
            and (case is None or one.case == case)
            for one in list(self.asked)
        )

    def cases(self, *, model: str | None = None, since: int = 0) -> Counter[str]:
        """Count the requests of each case, from request number `since` on."""
        return Counter(one.case for one in self.asked[since:] if model is None or one.model == model)

    def most_in_a(self, window_s: float) -> int:
        """Return the most requests that arrived within any such window."""
        times = [one.at for one in self.asked]
        return max((sum(begin <= at < begin + window_s for at in times) for begin in times), default=0)

    # -- up and down

    def start(self) -> None:
        """Listen: on a free port the first time, on the same one after."""
        self._on_loop(self._listen())

    def stop(self) -> None:
        """Refuse connections, and reset those that are open."""
        self._on_loop(self._refuse())

    def end(self) -> None:
        """Stop for good."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        for writer in list(self._open):
            _reset(writer)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- one connection

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        self._open.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async for asked in self._requests(reader, connection):
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    act = Act(how=How.HANG) if self.black_hole else self.script(asked)
                    if not await _send(writer, act):
                        break
                finally:
                    self.in_flight -= 1
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went, or we did: that is the test
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            if not writer.is_closing():
                with contextlib.suppress(OSError):
                    writer.write_eof()  # now: closing takes another iteration of the loop
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, connection: int) -> AsyncIterator[Asked]:
        for of_connection in count(1):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            line, *lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines if text)
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            yield self._note(line.split(" ")[1], headers, body, (connection, of_connection))

    def _note(self, path: str, headers: Mapping[str, str], body: bytes, place: tuple[int, int]) -> Asked:
        text = body.decode()
        document = json.loads(text)
        model = document.get("model") or path.rpartition("models/")[2].partition(":")[0]
        number = _CASE.search(text)
        case = f"t-{int(number[1]):04d}" if number else ""
        self._seen[model, case] += 1
        asked = Asked(
            number=len(self.asked) + 1,
            nth=self._seen[model, case],
            path=path,
            connection=place[0],
            of_connection=place[1],
            model=model,
            case=case,
            headers=headers,
            document=document,
            at=time.monotonic(),
        )
        self.asked.append(asked)
        return asked


async def _send(writer: asyncio.StreamWriter, act: Act) -> bool:
    """Do it; False: the connection is of no more use."""
    if act.delay_s:
        await asyncio.sleep(act.delay_s)
    size = len(act.body)
    match act.how:
        case How.RESET:
            _reset(writer)
        case How.HANG:
            await asyncio.Event().wait()
        case How.DRIP:
            await _drip(writer, act)
        case How.ENDLESS:
            await _endless(writer, act)
        case How.GARBAGE:
            writer.write(b"\x00\xff\xfe not HTTP at all \x1b[2J\r\n\r\n")
        case How.CUT:
            writer.write(_head(act, f"Content-Length: {size}") + act.body[: size // 2])
        case How.LIES:
            writer.write(_head(act, f"Content-Length: {size // 2}") + act.body)
        case How.WHOLE | How.LAST:
            writer.write(_head(act, f"Content-Length: {size}") + act.body)
    await writer.drain()
    return act.how is How.WHOLE


async def _drip(writer: asyncio.StreamWriter, act: Act) -> None:
    writer.write(_head(act, f"Content-Length: {len(act.body)}"))
    for byte in act.body:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.25)


async def _endless(writer: asyncio.StreamWriter, act: Act) -> None:
    writer.write(_head(act, "Transfer-Encoding: chunked"))
    for _ in range(100 * 2**20 // len(_PIECE)):
        writer.write(b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


def _head(act: Act, framing: str) -> bytes:
    lines = [f"HTTP/1.1 {act.status} Scripted", f"Content-Type: {act.content_type}", framing]
    lines += [f"{name}: {value}" for name, value in act.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    writer.transport.abort()


@contextlib.contextmanager
def fault_server(script: Script) -> Iterator[FaultServer]:
    """Serve on loopback until the block ends."""
    server = FaultServer(script)
    server.start()
    try:
        yield server
    finally:
        server.end()
