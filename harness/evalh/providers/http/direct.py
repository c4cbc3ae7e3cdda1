"""The default transport: straight to the server, over connections that are kept alive.

A general client spends 0.18 ms of CPU on a request, which was a third of a run's; this one spends 0.05. It knows only
what a model's API needs (HTTP/1.1, POST, a body of bytes), reads by llhttp, and hands what goes through a proxy to
aiohttp. The contract is `transport.Transport`'s, held by the same tests.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from msgspec import Struct

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.values import Value
from evalh.providers.http import transport
from evalh.providers.http.aiohttp_transport import AiohttpTransport
from evalh.providers.http.egress import Egress
from evalh.providers.http.http1 import Connection
from evalh.providers.http.transport import OWN_HEADERS, Response, Transport, Watch, reason_of, unreached, verdict_of

IDLE_S = 15.0
"""Longer a connection is not kept without a request: many servers hang up soon after, and a request would be lost."""

_CLOSE_WITHIN_S = 1.0
_REST_S = 0.01
_CALM = 100  # answers after which a server is known to keep its connections
_HANGS_UP = -3  # connections closed after their first answer from which on none is kept
_SOON_S = 1.0  # what is closed later was closed for being idle
_NEXT_ADDRESS_S = 0.25  # RFC 8305, section 5


class _Place(Value):
    """Where a URL leads, and the beginning of every request to it."""

    host: str
    port: int
    netloc: str
    tls: ssl.SSLContext | None
    head: bytes


class DirectTransport:
    """One pool of connections on one event loop."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._proxied: AiohttpTransport | None = None
        self._places: dict[str, _Place | None] = {}
        self._idle: dict[_Place, deque[Connection]] = {}
        self._open: set[Connection] = set()
        self._calm: dict[_Place, int] = {}  # answers on kept connections; below 0: closed ones, and no such answer
        self._reached: dict[str, str] = {}  # the address that answered last
        self._lookups: dict[str, asyncio.Future[list[str]]] = {}

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, on_chunk: Watch | None = None
    ) -> Response:
        try:
            place = self._places[url]
        except KeyError:
            place = self._places[url] = self._place(url)
        if place is None:
            self._proxied = self._proxied or AiohttpTransport(self._egress)
            return await self._proxied.post(url, headers, body, timeout_s=timeout_s, on_chunk=on_chunk)
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        request = _request(place, headers, body)
        connection = await self._kept(place) or await self._connect(place, timeout_s)
        answer = connection.ask(request, on_chunk)
        alarm = loop.call_at(until, connection.give_up, timeout_s)
        try:
            response = await answer
        except CallError as error:
            if error.hung_up:
                self._distrust(place)
                for kept in self._idle.pop(place, ()):  # the next try takes a fresh one
                    kept.abort()
            raise
        finally:
            alarm.cancel()
            connection.release()
        if connection.answers > 1:
            self._calm[place] = max(0, self._calm.get(place, 0)) + 1
        if connection.reusable and self._calm.get(place, 0) > _HANGS_UP:
            connection.idle_since = loop.time()
            self._idle.setdefault(place, deque()).append(connection)
        return response

    async def close(self) -> None:
        lost = [connection.lost for connection in self._open]
        for connection in tuple(self._open):
            connection.abort()
        self._idle.clear()
        proxied, self._proxied = self._proxied, None
        if proxied is not None:
            await proxied.close()
        if lost:
            await asyncio.wait(lost, timeout=_CLOSE_WITHIN_S)

    # -- places and connections

    def _place(self, url: str) -> _Place | None:
        """Read a URL; None: it is reached through a proxy. Raises UsageError."""
        if self._egress.proxy_for(url) is not None:
            return None
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host = parts.hostname or ""
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        own = "".join(f"{name}: {value}\r\n" for name, value in OWN_HEADERS.items())
        return _Place(
            host=host,
            port=parts.port or (443 if secure else 80),
            netloc=parts.netloc,
            tls=self._egress.tls() if secure else None,
            head=f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{own}".encode("ascii"),
        )

    async def _kept(self, place: _Place) -> Connection | None:
        """Return an idle connection that its server has not closed; None: there is none.

        A server that closes after its answer does so a moment later. Until a place has shown that it keeps its
        connections, they rest for that moment, and the one that has rested longest is looked at first.
        """
        loop, idle = asyncio.get_running_loop(), self._idle.get(place)
        while idle:
            calm = self._calm.get(place, 0) >= _CALM
            connection = idle.pop() if calm else idle.popleft()  # the newest: the others grow old and are let go of
            rest_s = 0.0 if calm else connection.idle_since + _REST_S - loop.time()
            if rest_s > 0.0:
                try:
                    await asyncio.sleep(rest_s)
                except asyncio.CancelledError:
                    connection.abort()
                    raise
            idle_s = loop.time() - connection.idle_since
            if idle_s < IDLE_S and not connection.ended:
                return connection
            if idle_s < _SOON_S:
                self._distrust(place)
            connection.abort()
        return None

    def _distrust(self, place: _Place) -> None:
        """Take that a kept connection was closed soon after its answer, or under a request."""
        calm = self._calm.get(place, 0)
        self._calm[place] = 1 if calm > 0 else calm - 1

    async def _connect(self, place: _Place, timeout_s: float) -> Connection:
        patience_s = min(transport.CONNECT_TIMEOUT_S, timeout_s)
        try:
            async with asyncio.timeout(patience_s):
                connection = await self._reach(place)
        except TimeoutError:
            if patience_s < transport.CONNECT_TIMEOUT_S:
                what = f"no complete answer from {place.netloc} within {timeout_s:g} s"
                raise unreached(what, ErrorKind.TIMEOUT) from None
            raise unreached(f"no connection to {place.netloc} within {patience_s:g} s") from None
        except ssl.SSLCertVerificationError as exc:
            raise unreached(f"the certificate of {place.netloc} was not accepted: {verdict_of(exc)}") from None
        except (OSError, ValueError) as exc:
            raise unreached(f"cannot reach {place.netloc}: {reason_of(exc)}") from None
        self._open.add(connection)
        return connection

    async def _reach(self, place: _Place) -> Connection:
        """Connect to the first address that answers; the one that won is asked first the next time."""
        loop = asyncio.get_running_loop()
        name = place.host if place.tls else None

        async def connected(address: str) -> tuple[str, Connection]:
            _, connection = await loop.create_connection(
                lambda: Connection(place.netloc, self._open.discard),
                address,
                place.port,
                ssl=place.tls,
                server_hostname=name,
            )
            return address, connection

        addresses = await self._addresses(place)
        best = self._reached.get(place.netloc)
        addresses.sort(key=lambda address: address != best)
        self._reached[place.netloc], connection = await _first(addresses, connected)
        return connection

    async def _addresses(self, place: _Place) -> list[str]:
        """Look a name up, once for all that ask at the same time."""
        looking = self._lookups.get(place.netloc)
        if looking is None:
            looking = self._lookups[place.netloc] = asyncio.ensure_future(_looked_up(place))
            looking.add_done_callback(lambda _: self._lookups.pop(place.netloc, None))
        return await asyncio.shield(looking)


async def _looked_up(place: _Place) -> list[str]:
    try:
        return [str(ip_address(place.host))]
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        return _interleaved(list(dict.fromkeys(str(info[4][0]) for info in found)))


def _interleaved(addresses: list[str]) -> list[str]:
    """Let the families take turns, the system's first choice first (RFC 8305, section 4)."""
    first = [one for one in addresses if (":" in one) == (":" in addresses[0])]
    other = [one for one in addresses if one not in first]
    turns = [one for pair in zip(first, other, strict=False) for one in pair]
    return turns + first[len(other) :] + other[len(first) :]


async def _first(
    addresses: list[str], connect: Callable[[str], Coroutine[Any, Any, tuple[str, Connection]]]
) -> tuple[str, Connection]:
    """Connect to each address a quarter of a second after the one before, or as soon as that one fails.

    Returns the first that is there. Raises the last failure.
    """
    waiting = deque(addresses)
    trying: set[asyncio.Task[tuple[str, Connection]]] = set()
    failure: BaseException = OSError("no address")
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.ensure_future(connect(waiting.popleft())))
            done, trying = await asyncio.wait(
                trying, timeout=_NEXT_ADDRESS_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            failures = [task.exception() for task in done]
            reached = [task.result() for task, failed in zip(done, failures, strict=True) if failed is None]
            for _, late in reached[1:]:
                late.abort()
            if reached:
                return reached[0]
            failure = next((one for one in failures if one is not None), failure)
        raise failure
    finally:
        for task in trying:
            task.cancel()
        for ended in await asyncio.gather(*trying, return_exceptions=True):
            if isinstance(ended, tuple):
                ended[1].abort()


def _request(place: _Place, headers: Mapping[str, str], body: bytes) -> bytes:
    """Write a request. Raises CallError for a header that would end the head early."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\r") != len(headers) or lines.count("\n") != len(headers):
        raise CallError(ErrorKind.BAD_REQUEST, "a header holds a line break")
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (place.head, lines.encode("latin-1", "replace"), len(body), body)


class _Lease(Struct):
    transport: Transport
    holders: int = 0


_LEASES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Egress, _Lease]] = WeakKeyDictionary()
"""One transport per event loop and egress, shared by every provider that is open on it."""


def share(egress: Egress) -> Transport:
    """Return the running loop's transport for an egress; each call wants one `unshare`. Raises UsageError."""
    on_loop = _LEASES.setdefault(asyncio.get_running_loop(), {})
    lease = on_loop.get(egress)
    if lease is None:
        lease = on_loop[egress] = _Lease(DirectTransport(egress))
    lease.holders += 1
    return lease.transport


async def unshare(egress: Egress) -> None:
    """Give the running loop's transport back; the last holder closes it."""
    on_loop = _LEASES.get(asyncio.get_running_loop(), {})
    lease = on_loop.get(egress)
    if lease is None:
        return
    lease.holders -= 1
    if lease.holders == 0:
        del on_loop[egress]
        await lease.transport.close()
