"""Answers that are more frame than picture: each is read in linear time, or cut off, and a deadline holds meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import chain, repeat

import pytest

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.http.body import EventStream
from evalh.providers.http.direct import DirectTransport
from evalh.providers.http.egress import Egress
from evalh.providers.http.transport import Response
from hanging import comes_back, ends

MB = 2**20
SIZES = [1, pytest.param(16, marks=pytest.mark.slow)]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE_S = 60.0  # a second or two; a busy machine takes longer, and what is not linear takes hours

Pieces = Iterator[bytes]


def times(piece: bytes, size: int) -> Pieces:
    """Repeat a piece until so many bytes are sent, some 64 KB at once."""
    many = max(1, 65536 // len(piece))
    return repeat(piece * many, max(1, size // (len(piece) * many)))


CUT_OFF: dict[str, Callable[[int], Pieces]] = {
    "trailers": lambda n: chain([CHUNKED, b"2\r\n{}\r\n0\r\n"], times(b"X-Filler: abc\r\n", n), [b"\r\n"]),
    "short trailers": lambda n: chain([CHUNKED, b"2\r\n{}\r\n0\r\n"], times(b"a:\r\n", n), [b"\r\n"]),
    "one trailer": lambda n: chain([CHUNKED, b"2\r\n{}\r\n0\r\nX-Long: "], times(b"x", n), [b"\r\n\r\n"]),
    "headers": lambda n: chain([HEAD], times(b"X-Filler: abc\r\n", n), [b"\r\n"]),
    "short headers": lambda n: chain([HEAD], times(b"a:\r\n", n), [b"\r\n"]),
    "one header": lambda n: chain([HEAD, b"X-Long: "], times(b"x", n), [b"\r\n\r\n"]),
    "the name of a header": lambda n: chain([HEAD], times(b"x", n), [b": y\r\n\r\n"]),
    "announcements": lambda n: times(b"HTTP/1.1 100 Continue\r\n\r\n", n),
    "the extension of a chunk": lambda n: chain([CHUNKED, b"2;x="], times(b"y", n), [b"\r\n{}\r\n0\r\n\r\n"]),
    "extensions of chunks": lambda n: chain([CHUNKED], times(b"1;" + b"x" * 100 + b"\r\n \r\n", n), [b"0\r\n\r\n"]),
}
READ: dict[str, Callable[[int], Pieces]] = {
    "a long body": lambda n: chain([HEAD, b"Content-Length: %d\r\n\r\n" % (n // 65536 * 65536)], times(b"x", n)),
    "chunks of one byte": lambda n: chain([CHUNKED], times(b"1\r\n \r\n", n), [b"0\r\n\r\n"]),
    "short extensions": lambda n: chain([CHUNKED], times(b"1;x\r\n \r\n", n), [b"0\r\n\r\n"]),
    "a few trailers": lambda n: chain([CHUNKED], times(b"8\r\n12345678\r\n", n), [b"0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"]),
}


@asynccontextmanager
async def sending(pieces: Callable[[], Pieces], pause_s: float = 0.0) -> AsyncIterator[str]:
    """Answer each request with these bytes."""

    over = asyncio.Event()
    talks = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal talks
        talks += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while not over.is_set():
                await reader.readuntil(b"\r\n\r\n{}")
                for piece in pieces():
                    writer.write(piece)
                    await writer.drain()
                    if pause_s:
                        await asyncio.sleep(pause_s)
                    if over.is_set():
                        break
        writer.transport.abort()
        talks -= 1

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
    finally:
        over.set()
        server.close()
        while talks:  # noqa: ASYNC110 (a few rounds)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)


async def read(url: str, timeout_s: float = 300.0, on_chunk: Callable[[bytes], None] | None = None) -> Response:
    ours = DirectTransport(Egress())
    try:
        return await ours.post(url, {}, b"{}", timeout_s=timeout_s, on_chunk=on_chunk)
    finally:
        await ours.close()


@pytest.mark.parametrize("mb", SIZES)
@pytest.mark.parametrize("kind", CUT_OFF)
async def test_framing_without_end_is_cut_off(kind: str, mb: int) -> None:
    async with sending(lambda: CUT_OFF[kind](mb * MB)) as url:
        with comes_back(WHOLE_S), pytest.raises(CallError) as caught:
            await read(url)

    assert caught.value.kind is ErrorKind.BAD_RESPONSE


@pytest.mark.parametrize("mb", SIZES)
@pytest.mark.parametrize("kind", READ)
async def test_an_answer_in_many_pieces_is_read(kind: str, mb: int) -> None:
    async with sending(lambda: READ[kind](mb * MB)) as url:
        with comes_back(WHOLE_S):
            response = await read(url)

    assert response.status == 200
    assert len(response.body) > mb * MB // 12


@pytest.mark.parametrize("kind", [*CUT_OFF, *READ])
async def test_a_deadline_holds_while_it_drips(kind: str) -> None:
    def drip() -> Pieces:
        return (bytes([byte]) for piece in (CUT_OFF | READ)[kind](65536) for byte in piece)

    async with sending(drip, pause_s=0.01) as url:
        with comes_back(WHOLE_S), pytest.raises(CallError) as caught:
            await read(url, timeout_s=0.3)

    assert caught.value.kind is ErrorKind.TIMEOUT


async def test_a_head_may_come_in_two_parts_before_a_large_body() -> None:
    body = b"x" * MB
    async with sending(lambda: iter([HEAD[:20], HEAD[20:] + b"Content-Length: %d\r\n\r\n%b" % (MB, body)])) as url:
        assert (await read(url)).body == body


# -- lines of events

LINES = {
    "blank lines": b"\n",
    "blank lines of two": b"\r\n",
    "carriage returns": b"\r",
    "comments": b": ping\n",
    "names": b"event: ping\r\n",
    "data without a blank line": b"data: x\n",
    "empty data": b"data\n",
    "events": b"data: {}\n\n",
    "one line": b"x",
}


@pytest.mark.parametrize("mb", SIZES)
@pytest.mark.parametrize("step", [1, 7, 65536, 16 * MB])
@pytest.mark.parametrize("kind", LINES)
def test_lines_without_end_are_read_in_linear_time(kind: str, step: int, mb: int) -> None:
    size = mb * MB if step > 7 else mb * MB // 16
    text = b"data: [" + LINES[kind] * (size // len(LINES[kind])) + b"\n\ndata: last\n\n"
    stream, events = EventStream(), []
    with ends(within_s=WHOLE_S):
        for start in range(0, len(text), step):
            events += stream.feed(text[start : start + step])
        events += stream.end()

    assert events[-1] == b"last"
    assert events[0].startswith(b"[")
