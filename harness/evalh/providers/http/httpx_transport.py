"""A transport over httpx: what is not a model's call takes it, and so may a client that the user hands in."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.http.body import BODY_CAP_BYTES, BodyReader
from evalh.providers.http.egress import Egress
from evalh.providers.http.transport import (
    CONNECT_TIMEOUT_S,
    OWN_HEADERS,
    Response,
    Watch,
    answers,
    reason_of,
    unreached,
    verdict_of,
)

if TYPE_CHECKING:
    from httpx import AsyncClient, Request, Timeout


@asynccontextmanager
async def client_for(url: str, egress: Egress) -> "AsyncIterator[AsyncClient]":
    """Open a client for one address, through the user's proxy and by their authorities. Raises UsageError.

    It never looks at the environment itself, so no netrc is read and this machine is always reached directly.
    """
    import httpx

    proxy, context = egress.proxy_for(url), egress.tls()
    through = None
    if proxy is not None:
        own = context if proxy.url.startswith("https:") else None
        through = httpx.Proxy(proxy.url, ssl_context=own, headers=dict(proxy.headers))
    async with httpx.AsyncClient(proxy=through, verify=context, trust_env=False) as client:
        yield client


class HttpxTransport:
    """Carries requests over `client`. The client stays its owner's: evalh opens and closes nothing of it."""

    def __init__(self, client: "AsyncClient") -> None:
        self._client = client

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, on_chunk: Watch | None = None
    ) -> Response:
        request = self._client.build_request(
            "POST", url, content=body, headers={**OWN_HEADERS, **headers}, timeout=_limits(timeout_s)
        )
        return await self._sent(request, timeout_s, on_chunk)

    async def get(self, url: str, headers: Mapping[str, str], *, timeout_s: float, cap: int) -> Response:
        """Ask for what a URL names, at most `cap` bytes of it. Raises CallError as `post` does."""
        request = self._client.build_request("GET", url, headers={**OWN_HEADERS, **headers}, timeout=_limits(timeout_s))
        return await self._sent(request, timeout_s, None, cap)

    async def _sent(
        self, request: "Request", timeout_s: float, on_chunk: Watch | None, cap: int = BODY_CAP_BYTES
    ) -> Response:
        import httpx

        url = str(request.url)
        request.headers.pop("Cookie", None)
        try:
            async with asyncio.timeout(timeout_s):  # httpx bounds each read, not the whole
                response = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    received = response.headers
                    reader = BodyReader(received.get("Content-Encoding"), received.get("Content-Length"), cap)
                    watch = on_chunk if answers(response.status_code) else None
                    async for chunk in response.aiter_raw():
                        content = reader.feed(chunk)
                        if watch is not None:
                            watch(content)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
            raise _failure(exc, url, timeout_s) from None
        return Response(response.status_code, received, reader.value())

    async def close(self) -> None:
        """Do nothing: who opened the client closes it."""


def _limits(timeout_s: float) -> "Timeout":
    import httpx

    return httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=None)


def _failure(exc: Exception, url: str, timeout_s: float) -> CallError:
    import httpx

    host = urlsplit(url).netloc
    match exc:
        case httpx.ConnectTimeout():
            text = f"no connection to {host} within {CONNECT_TIMEOUT_S:g} s"
        case httpx.TimeoutException() | TimeoutError():
            return CallError(ErrorKind.TIMEOUT, f"no complete answer from {host} within {timeout_s:g} s")
        case httpx.RemoteProtocolError() | httpx.ReadError() | httpx.DecodingError():
            return _cut_off(exc, host)
        case httpx.ProxyError():
            text = f"the proxy refused to connect to {host}: {str(exc)[:3]}"  # the status comes first
        case httpx.ConnectError():
            text = _unconnected(exc, host)
        case _:
            text = f"cannot reach {host}: {type(exc).__name__}"
    nowhere = (httpx.ConnectTimeout, httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol, httpx.InvalidURL)
    return unreached(text) if isinstance(exc, nowhere) else CallError(ErrorKind.NETWORK, text)


def _unconnected(exc: Exception, host: str) -> str:
    """Say why there is no connection: the system's own error stands below httpx's."""
    cause: BaseException | None = exc
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate of {host} was not accepted: {verdict_of(cause)}"
    return f"cannot reach {host}: {reason_of(cause or exc)}"


def _cut_off(exc: Exception, host: str) -> CallError:
    # httpx has one exception for a server that hangs up before it answers, in the middle, and for what is not HTTP;
    # only its text tells them apart.
    if "without sending a response" in str(exc):
        return CallError(ErrorKind.NETWORK, f"{host} closed the connection without an answer")
    if "peer closed connection" in str(exc):
        return CallError(ErrorKind.BAD_RESPONSE, f"{host} ended the answer before it was whole")
    return CallError(ErrorKind.BAD_RESPONSE, f"{host} did not answer in HTTP")
