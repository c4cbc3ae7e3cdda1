"""A transport over an httpx client that the user hands in: their proxies, certificates and hooks."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.http.body import BodyReader
from evalh.providers.http.transport import CONNECT_TIMEOUT_S, OWN_HEADERS, Response, answers, unreached

if TYPE_CHECKING:
    from httpx import AsyncClient


class HttpxTransport:
    """Carries requests over `client`. The client stays its owner's: evalh opens and closes nothing of it."""

    def __init__(self, client: "AsyncClient") -> None:
        self._client = client

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
        import httpx

        limits = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=None)
        request = self._client.build_request(
            "POST", url, content=body, headers={**OWN_HEADERS, **headers}, timeout=limits
        )
        request.headers.pop("Cookie", None)
        try:
            async with asyncio.timeout(timeout_s):  # httpx bounds each read, not the whole
                response = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    received = response.headers
                    reader = BodyReader(received.get("Content-Encoding"), received.get("Content-Length"))
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


def _failure(exc: Exception, url: str, timeout_s: float) -> CallError:
    import httpx

    host = urlsplit(url).netloc
    match exc:
        case httpx.ConnectTimeout():
            return unreached(f"no connection to {host} within {CONNECT_TIMEOUT_S:g} s")
        case httpx.ConnectError() | httpx.ProxyError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return unreached(f"cannot reach {host}: {type(exc).__name__}")
        case httpx.TimeoutException() | TimeoutError():
            return CallError(ErrorKind.TIMEOUT, f"no whole answer from {host} within {timeout_s:g} s")
        case httpx.RemoteProtocolError() | httpx.ReadError() | httpx.DecodingError():
            return _cut_off(exc, host)
        case _:
            return CallError(ErrorKind.NETWORK, f"cannot reach {host}: {type(exc).__name__}")


def _cut_off(exc: Exception, host: str) -> CallError:
    # httpx has one exception for a server that hangs up before it answers, in the middle, and for what is not HTTP;
    # only its text tells them apart.
    if "without sending a response" in str(exc):
        return CallError(ErrorKind.NETWORK, f"{host} closed the connection without an answer")
    if "peer closed connection" in str(exc):
        return CallError(ErrorKind.BAD_RESPONSE, f"{host} ended the answer before it was whole")
    return CallError(ErrorKind.BAD_RESPONSE, f"{host} did not answer in HTTP")
