"""The only HTTP of evalh: POST a body, get a body, within a time and a size.

A transport never retries, never follows a redirect, never reads a netrc and keeps no cookies.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.body import BodyReader
from evalh.providers.egress import Egress

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientTimeout

CONNECT_TIMEOUT_S = 10.0
"""A server that does not finish the handshake within this is not there."""

OWN_HEADERS = {
    # Answers are small: inflating them costs more CPU than reading them as they are.
    "Accept-Encoding": "identity",
    "User-Agent": "evalh",
}
"""Sent with every request, whichever adapter carries it."""

OK = 200


@dataclass(frozen=True, slots=True)
class Response:
    """What came back, whatever its status. Headers are found whatever their case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """How requests leave this machine. Two adapters keep one contract: aiohttp, and an httpx client."""

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        on_chunk: Callable[[bytes], None] | None = None,
    ) -> Response:
        """Send and read to the end. `on_chunk` sees a 200's content as it arrives, decompressed.

        Raises CallError: `network` (no connection), `timeout` (nothing whole within `timeout_s`), `bad_response`
        (not HTTP, cut off, or above the cap); and whatever `on_chunk` raises.
        """

    async def close(self) -> None:
        """Let go of every connection of its own; safe to call twice."""


class AiohttpTransport:
    """The default: one session, connections kept alive, as many as there are requests in flight."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._session: ClientSession | None = None
        self._timeouts: dict[float, ClientTimeout] = {}
        self._proxies: dict[str, tuple[Mapping[str, str], dict[str, Any]]] = {}
        self._errors: tuple[type[Exception], ...] = (OSError, ValueError)

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout_s: float,
        on_chunk: Callable[[bytes], None] | None = None,
    ) -> Response:
        """Send and read to the end; see `Transport.post`."""
        session = self._session or self._open()
        timeout = self._timeouts.get(timeout_s) or self._timeout(timeout_s)
        route = self._proxies.get(url)
        if route is None:
            route = self._proxy(url)
        login, proxy = route
        try:
            response = await session.post(
                url,
                data=body,
                headers={**headers, **login} if login else headers,
                timeout=timeout,
                allow_redirects=False,
                **proxy,
            )
            try:
                received = response.headers
                reader = BodyReader(received.get("Content-Encoding"), received.get("Content-Length"))
                watch = on_chunk if response.status == OK else None
                readany = response.content.readany
                while chunk := await readany():
                    content = reader.feed(chunk)
                    if watch is not None:
                        watch(content)
            finally:
                response.close()  # a body that was read to its end has given its connection back before
        except self._errors as exc:
            raise _failure(exc, url, timeout_s) from None
        return Response(response.status, received, reader.value())

    async def close(self) -> None:
        """Close the session and its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> "ClientSession":
        from aiohttp import ClientError, ClientSession, DummyCookieJar, TCPConnector

        self._errors = (OSError, ValueError, ClientError)
        self._session = ClientSession(
            connector=TCPConnector(limit=0, ssl=self._egress.tls() or True),
            cookie_jar=DummyCookieJar(),
            headers=OWN_HEADERS,
            auto_decompress=False,
            trust_env=False,  # it would look a netrc up for a password, and each proxy in a thread
        )
        return self._session

    def _timeout(self, timeout_s: float) -> "ClientTimeout":
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._timeouts[timeout_s] = timeout
        return timeout

    def _proxy(self, url: str) -> tuple[Mapping[str, str], dict[str, Any]]:
        """Return the headers for the proxy that travel with the request, and aiohttp's own arguments."""
        proxy = self._egress.proxy_for(url)
        route: tuple[Mapping[str, str], dict[str, Any]] = ({}, {})
        if proxy is not None:
            # A plain request reaches the proxy itself; behind TLS only CONNECT does, and the rest is not for its eyes.
            tunnel = url.startswith("https:")
            route = ({}, {"proxy_headers": proxy.headers}) if tunnel else (proxy.headers, {})
            route[1]["proxy"] = proxy.url
        self._proxies[url] = route
        return route


def _failure(exc: Exception, url: str, timeout_s: float) -> CallError:
    """Say what went wrong between us and the server: by host, never by the exception's text, which may quote a URL."""
    import aiohttp

    host = urlsplit(url).netloc
    kind = ErrorKind.NETWORK
    match exc:
        case aiohttp.ConnectionTimeoutError():
            text = f"no connection to {host} within {CONNECT_TIMEOUT_S:g} s"
        case TimeoutError():
            kind, text = ErrorKind.TIMEOUT, f"no whole answer from {host} within {timeout_s:g} s"
        case aiohttp.ClientPayloadError():
            kind, text = ErrorKind.BAD_RESPONSE, f"{host} ended the answer before it was whole"
        case aiohttp.ClientHttpProxyError():
            text = f"the proxy refused to connect to {host}: {exc.status}"
        case aiohttp.ClientResponseError():
            kind, text = ErrorKind.BAD_RESPONSE, f"{host} did not answer in HTTP"
        case aiohttp.ClientConnectorCertificateError():
            text = f"the certificate of {host} was not accepted: {_verdict(exc)}"
        case aiohttp.ClientProxyConnectionError():
            text = f"cannot reach the proxy {exc.host}:{exc.port}: {_reason(exc)}"
        case aiohttp.ServerDisconnectedError():
            text = f"{host} closed the connection without an answer"
        case OSError():
            text = f"cannot reach {host}: {_reason(exc)}"
        case _:
            text = f"cannot reach {host}: {type(exc).__name__}"
    return CallError(kind, text)


def _reason(exc: OSError) -> str:
    return exc.strerror or type(exc).__name__


def _verdict(exc: Exception) -> str:
    cause = getattr(exc, "certificate_error", exc)
    reason = getattr(cause, "verify_message", "") or type(cause).__name__
    return f"{reason}; SSL_CERT_FILE may name your own authority"


@dataclass(slots=True)
class _Lease:
    transport: AiohttpTransport
    holders: int = 0


@dataclass(slots=True)
class _Leases:
    """One transport per event loop and egress, shared by every provider that is open on it."""

    by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Egress, _Lease]] = field(
        default_factory=WeakKeyDictionary
    )


_LEASES = _Leases()


def share(egress: Egress) -> AiohttpTransport:
    """Return the running loop's transport for an egress; each call wants one `unshare`. Raises UsageError."""
    on_loop = _LEASES.by_loop.setdefault(asyncio.get_running_loop(), {})
    lease = on_loop.get(egress)
    if lease is None:
        lease = on_loop[egress] = _Lease(AiohttpTransport(egress))
    lease.holders += 1
    return lease.transport


async def unshare(egress: Egress) -> None:
    """Give the running loop's transport back; the last holder closes it."""
    on_loop = _LEASES.by_loop.get(asyncio.get_running_loop(), {})
    lease = on_loop.get(egress)
    if lease is None:
        return
    lease.holders -= 1
    if lease.holders == 0:
        del on_loop[egress]
        await lease.transport.close()
