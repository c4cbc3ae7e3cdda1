"""The server: aiohttp's, on a loopback socket. Reading the log and building pages is done by threads.

A connection is accepted while there is room; beyond that it waits in the system's queue. One that sends no request, or
does not take its answer, is cut off: first the slowest.
"""

import asyncio
import socket
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EPERM
from functools import partial
from logging import CRITICAL, getLogger
from urllib.parse import parse_qsl

from aiohttp import web

from evalh.api.event_loop import in_loop
from evalh.core.errors import CannotMeasure, UsageError
from evalh.viewer.access import HOSTS, Denied, Door
from evalh.viewer.frame import NOTHING, PageAnswer
from evalh.viewer.routes import Routes, broken

_CONNECTIONS = 1200
_BACKLOG = 2048
_THREADS = 4
_HEAD_S = 10.0  # from a connection to the end of its first request's head
_ANSWER_S = 60.0  # from an answer to the end of the next request's head: it is taken meanwhile
_LOOK_S = 0.5
_SAID_WITHIN_S = 1.0  # while others wait: a browser sends its request at once
_TAKEN_WITHIN_S = 3.0  # while others wait
_ROOM = 20
_FORM_BYTES = 300_000  # an expected output of 100,000 characters, each written as %XX
_FORM_S = 10.0
_FIELDS = 20

_ALWAYS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "evalh",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def listen(host: str, port: int) -> socket.socket:
    """Open the socket. Raises UsageError for an address of more than this machine, and for a port that is taken."""
    address = HOSTS[0] if host == "localhost" else host.strip("[]")
    if address not in HOSTS:
        hint = "from another machine: ssh -L 8000:127.0.0.1:8000 HOST, and evalh view --port 8000 there"
        raise UsageError(f"{host!r}: evalh view serves this machine only, on 127.0.0.1 or ::1", hint=hint)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        if exc.errno == EADDRINUSE:
            hint = "leave out --port to use a free one"
            raise UsageError(f"port {port} of {address} is in use", hint=hint) from exc
        if exc.errno in {EACCES, EPERM}:
            hint = "use one above 1023, or leave out --port"
            raise UsageError(f"no permission to open port {port}", hint=hint) from exc
        if exc.errno in {EADDRNOTAVAIL, EAFNOSUPPORT}:
            raise UsageError(f"this machine has no address {address}", hint="leave out --host") from exc
        raise CannotMeasure(f"cannot listen on {address}:{port}: {exc.strerror}") from exc


def serve(listening: socket.socket, door: Door, answers: Routes, ready: Callable[[], None]) -> None:
    """Answer until interrupted; `ready` is called, in a thread, when the first request may come.

    Raises KeyboardInterrupt.
    """
    in_loop(Server(listening, door, answers).run(ready))


class Server:
    """One server on one socket."""

    def __init__(self, listening: socket.socket, door: Door, answers: Routes, most: int | None = None) -> None:
        """Take a socket that listens; `most` connections are held at once, as many as there is room for if None."""
        self._listening = listening
        self._door = door
        self._answers = answers
        self._most = most or _room()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="evalh-view")
        self._since: dict[web.RequestHandler, float] = {}  # from when on a connection is waited for
        self._until: dict[web.RequestHandler, float] = {}
        self._busy: set[web.RequestHandler] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        server = web.Server(self._handle)
        self._listening.setblocking(False)
        accepting = asyncio.create_task(self._accept(server))
        looking = asyncio.create_task(self._look(server))
        started = loop.run_in_executor(None, ready)
        try:
            await asyncio.gather(accepting, looking, started)
        finally:
            for task in (accepting, looking):
                task.cancel()
            self._listening.close()
            self._answers.viewing.close()
            self._threads.shutdown(wait=False, cancel_futures=True)
            for connection in server.connections:
                _cut(connection)

    # -- connections

    async def _accept(self, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        quiet = getLogger("evalh.viewer.http")
        quiet.setLevel(CRITICAL + 1)  # a stranger's bad request is not worth a line

        def connection() -> web.RequestHandler:
            made = _Connection(
                server,
                loop=loop,
                logger=quiet,
                access_log=None,  # type: ignore[arg-type]
                keepalive_timeout=_HEAD_S,
                lingering_time=0.5,
            )
            self._since[made] = loop.time()
            self._until[made] = loop.time() + _HEAD_S
            return made

        while True:
            while len(server.connections) >= self._most:
                self._cut_slowest(server)
                await asyncio.sleep(0.01)
            try:
                client, _ = await loop.sock_accept(self._listening)
                await loop.connect_accepted_socket(connection, client)
            except OSError:  # the client left, or the process has no file left for it
                self._cut_slowest(server)
                await asyncio.sleep(0.05)

    def _cut_slowest(self, server: web.Server) -> None:
        """Make room: cut off connections that had the time to send a request and did not."""
        late = asyncio.get_running_loop().time() - _SAID_WITHIN_S
        waiting = [one for one in server.connections if one not in self._busy and self._since.get(one, late) < late]
        for one in sorted(waiting, key=lambda one: self._since.get(one, late))[:_ROOM]:
            _cut(one)

    async def _look(self, server: web.Server) -> None:
        """Cut off what takes too long, and forget what is gone."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now, alive = asyncio.get_running_loop().time(), set(server.connections)
            for gone in self._since.keys() - alive:
                self._since.pop(gone)
                self._until.pop(gone, None)
            for connection in alive - self._busy:
                if now > self._until.get(connection, now):
                    _cut(connection)

    # -- requests

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._busy.add(connection)
        try:
            answer = await self._answer(request)
        finally:
            self._busy.discard(connection)
            now = asyncio.get_running_loop().time()
            self._since[connection], self._until[connection] = now + _TAKEN_WITHIN_S, now + _ANSWER_S
        headers = {**_ALWAYS, "Content-Security-Policy": answer.policy, "Content-Type": answer.type, **answer.headers}
        return web.Response(body=answer.body, status=answer.status, headers=headers)

    async def _answer(self, request: web.BaseRequest) -> PageAnswer:
        refusal = self._door.stranger(request.method, request.headers)
        if refusal is not None:
            return _refused(refusal)
        if self._door.opens_once(request.raw_path):
            return _elsewhere(f"/{self._door.token}/")
        path = self._door.inside(request.raw_path)
        if isinstance(path, Denied):
            return _refused(path)
        asked = request.raw_path.partition("?")[2]
        if not path:
            return _elsewhere(f"/{self._door.token}/")
        form = await _form(request) if request.method == "POST" else None
        if isinstance(form, Denied):
            return _refused(form)
        answers = self._answers
        work = partial(answers, path, asked) if form is None else partial(answers.written, path, form)
        return await self._worked_out(work)

    async def _worked_out(self, work: Callable[[], PageAnswer]) -> PageAnswer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except Exception as exc:  # noqa: BLE001 (a page that cannot be built must not end the server)
            traceback.print_exception(exc, file=sys.stderr)
            return broken(exc)


class _Connection(web.RequestHandler):
    """aiohttp's connection, but for its error page, which tells strangers what they sent and what read it."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is not a request."""
        del request, exc, message
        if self.transport is None:
            raise ConnectionError
        made = web.Response(
            text="bad request\n", status=status, headers={**_ALWAYS, "Content-Security-Policy": NOTHING}
        )
        made.force_close()
        return made


def _room() -> int:
    """Return how many connections the process may have files for; it asks for more than it was given."""
    try:
        import resource
    except ImportError:  # not on Windows
        return _CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 2 * _CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return _CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(_CONNECTIONS, soft // 2))


async def _form(request: web.BaseRequest) -> dict[str, str] | Denied:
    """Read a form's fields, of which each may stand once; so many bytes, and so long."""
    if request.content_type != "application/x-www-form-urlencoded":
        return Denied(415, "a form is sent as application/x-www-form-urlencoded")
    body = b""
    try:
        async with asyncio.timeout(_FORM_S):
            while chunk := await request.content.read(_FORM_BYTES + 1 - len(body)):
                body += chunk
                if len(body) > _FORM_BYTES:
                    return Denied(413, f"a form has at most {_FORM_BYTES:,} bytes")
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=_FIELDS)
    except TimeoutError:
        return Denied(408, "the form did not arrive")
    except ValueError:
        return Denied(400, "that is not a form")
    return dict(fields) if len({name for name, _ in fields}) == len(fields) else Denied(400, "a field is given twice")


def _refused(refusal: Denied) -> PageAnswer:
    allow = {"Allow": "GET, HEAD"} if refusal.status == 405 else {}  # noqa: PLR2004 (its name)
    body = f"{refusal.words}\n".encode()
    return PageAnswer(body, status=refusal.status, type="text/plain; charset=utf-8", policy=NOTHING, headers=allow)


def _elsewhere(path: str) -> PageAnswer:
    return PageAnswer(b"", status=302, type="text/plain; charset=utf-8", headers={"Location": path})


def _cut(connection: web.RequestHandler) -> None:
    """Hang up now, whatever is still to be written."""
    transport = connection.transport
    if transport is not None:
        transport.abort()
