"""Real servers on loopback for tests of the wire: one in aiohttp, one that writes bytes as they are."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

CERTIFICATE = Path(__file__).with_name("localhost.pem")


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    query: str
    headers: dict[str, str]  # names in lower case
    body: Any
    peer: tuple[str, int]
    raw: bytes = b""


@dataclass
class Served:
    """A running server."""

    url: str
    seen: list[Seen] = field(default_factory=list)

    @property
    def last(self) -> Any:
        return self.seen[-1].body


Handler = Callable[[web.Request, Seen], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, *, tls: bool = False, certificate: Path = CERTIFICATE) -> AsyncIterator[Served]:
    """Answer POSTs by `handler`; what was asked is kept in `seen`."""
    served = Served("")

    async def answer(request: web.Request) -> web.StreamResponse:
        text = await request.read()
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        headers = {name.lower(): value for name, value in request.headers.items()}
        peer = request.transport.get_extra_info("peername")[:2]
        seen = Seen(request.path, request.query_string, headers, body, peer, text)
        served.seen.append(seen)
        return await handler(request, seen)

    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    served.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        yield served
    finally:
        await runner.cleanup()


@asynccontextmanager
async def proxying(port: int) -> AsyncIterator[str]:
    """A proxy that leads every CONNECT to one port here, whatever host is asked for; hand out its address."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        assert asked.startswith(b"CONNECT "), asked
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def raw(*chunks: bytes, hold: bool = False) -> AsyncIterator[Served]:
    """Read a request's head and answer with these bytes, whatever they are; then close the connection, or keep it open."""
    served = Served("")
    held: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.seen.append(Seen("", "", {}, await reader.readuntil(b"\r\n\r\n"), ("", 0)))
        try:
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
            if hold:
                held.append(writer)
                await reader.read()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    served.url = f"http://127.0.0.1:{port}"
    try:
        yield served
    finally:
        server.close()
        for writer in held:
            writer.close()


def head(*headers: str, status: str = "200 OK") -> bytes:
    """Write a response's head."""
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *headers, "", ""]).encode()


def framed(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Write a whole response."""
    return head(f"Content-Length: {len(body)}", *headers, status=status) + body


async def stream(request: web.Request, chunks: list[bytes], *, pause_s: float = 0.0) -> web.StreamResponse:
    """Answer with server-sent events, chunk by chunk."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
        await asyncio.sleep(pause_s)
    await response.write_eof()
    return response
