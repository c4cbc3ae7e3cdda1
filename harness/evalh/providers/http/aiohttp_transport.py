"""A transport over aiohttp: what goes through a proxy takes it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.http import transport
from evalh.providers.http.body import BodyReader
from evalh.providers.http.egress import Egress
from evalh.providers.http.transport import OWN_HEADERS, Response, Watch, answers, reason_of, unreached, verdict_of

if TYPE_CHECKING:
    from aiohttp import ClientSession


class AiohttpTransport:
    """The default: one session, connections kept alive, as many as there are requests in flight."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._session: ClientSession | None = None
        self._proxies: dict[str, tuple[Mapping[str, str], dict[str, Any]]] = {}
        self._errors: tuple[type[Exception], ...] = (OSError, ValueError)

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, on_chunk: Watch | None = None
    ) -> Response:
        from aiohttp import ClientTimeout

        session = self._session or self._open()
        route = self._proxies.get(url)
        if route is None:
            route = self._proxy(url)
        login, proxy = route
        try:
            response = await session.post(
                url,
                data=body,
                headers={**headers, **login} if login else headers,
                timeout=ClientTimeout(total=timeout_s, sock_connect=transport.CONNECT_TIMEOUT_S),
                allow_redirects=False,
                **proxy,
            )
            try:
                received = response.headers
                reader = BodyReader(received.get("Content-Encoding"), received.get("Content-Length"))
                watch = on_chunk if answers(response.status) else None
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
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> "ClientSession":
        from aiohttp import ClientError, ClientSession, DummyCookieJar, TCPConnector

        self._errors = (OSError, ValueError, ClientError)
        self._session = ClientSession(
            connector=TCPConnector(limit=0, ssl=self._egress.tls()),
            cookie_jar=DummyCookieJar(),
            headers=OWN_HEADERS,
            auto_decompress=False,
            trust_env=False,  # it would look a netrc up for a password, and each proxy in a thread
        )
        return self._session

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
            text = f"no connection to {host} within {transport.CONNECT_TIMEOUT_S:g} s"
        case TimeoutError():
            kind, text = ErrorKind.TIMEOUT, f"no complete answer from {host} within {timeout_s:g} s"
        case aiohttp.ClientPayloadError():
            kind, text = ErrorKind.BAD_RESPONSE, f"{host} ended the answer before it was whole"
        case aiohttp.ClientHttpProxyError():
            text = f"the proxy refused to connect to {host}: {exc.status}"
        case aiohttp.ClientResponseError():
            kind, text = ErrorKind.BAD_RESPONSE, f"{host} did not answer in HTTP"
        case aiohttp.ClientConnectorCertificateError():
            text = f"the certificate of {host} was not accepted: {verdict_of(exc)}"
        case aiohttp.ClientProxyConnectionError():
            text = f"cannot reach the proxy {exc.host}:{exc.port}: {reason_of(exc)}"
        case aiohttp.ServerDisconnectedError():
            text = f"{host} closed the connection without an answer"
        case OSError():
            text = f"cannot reach {host}: {reason_of(exc)}"
        case _:
            text = f"cannot reach {host}: {type(exc).__name__}"
    nowhere = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError)
    return unreached(text) if isinstance(exc, (*nowhere, aiohttp.InvalidURL)) else CallError(kind, text)
