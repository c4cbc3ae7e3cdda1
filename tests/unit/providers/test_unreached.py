"""Where not a byte of a request left nothing is charged; where it may have arrived, it may be. For every adapter."""

import socket
from contextlib import closing

import pytest
from aiohttp import web

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.http import direct
from evalh.providers.http.direct import DirectTransport
from evalh.providers.http.egress import Egress
from evalh.providers.http.errors import Redactor
from evalh.providers.http.transport import Transport, unreached
from wire.serving import Seen, framed, head, raw, serving


async def failing(adapter: Transport, url: str, timeout_s: float = 20.0) -> CallError:
    with pytest.raises(CallError) as caught:
        await adapter.post(f"{url}/v1/x", {}, b"{}", timeout_s=timeout_s)
    return caught.value


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return web.json_response({})


async def test_a_refused_connection_is_never_billed(adapter: Transport) -> None:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        error = await failing(adapter, f"http://127.0.0.1:{one.getsockname()[1]}")

    assert (error.kind, error.reached, error.maybe_billed) == (ErrorKind.NETWORK, False, False)


async def test_a_certificate_that_is_not_accepted_is_never_billed(adapter: Transport) -> None:
    async with serving(echo, tls=True) as server:
        error = await failing(adapter, server.url)

    assert (error.kind, error.reached) == (ErrorKind.NETWORK, False)
    assert server.seen == []


async def test_tls_with_a_server_that_knows_none_is_never_billed(adapter: Transport) -> None:
    async with serving(echo) as server:
        error = await failing(adapter, server.url.replace("http:", "https:"))

    assert (error.kind, error.reached) == (ErrorKind.NETWORK, False)
    assert server.seen == []


async def test_a_name_that_nobody_has_is_never_billed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(place: object) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(direct, "_looked_up", unknown)
    ours = DirectTransport(Egress())
    error = await failing(ours, "http://nobody.invalid")
    await ours.close()

    assert (error.kind, error.reached) == (ErrorKind.NETWORK, False)
    assert "Name or service not known" in error.message


async def test_a_proxy_that_refuses_is_never_billed() -> None:
    async with raw(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as proxy:
        ours = DirectTransport(Egress.of({"HTTPS_PROXY": proxy.url}))
        error = await failing(ours, "https://model.example")
        await ours.close()

    assert (error.kind, error.reached) == (ErrorKind.NETWORK, False)


@pytest.mark.parametrize(
    "chunks",
    [(), (head("Content-Length: 10") + b"{",), (framed(b"{}")[:20],)],
    ids=["no answer", "half a body", "half a head"],
)
async def test_what_broke_after_the_request_left_may_be_billed(adapter: Transport, chunks: tuple[bytes, ...]) -> None:
    async with raw(*chunks) as server:
        error = await failing(adapter, server.url)

    assert error.reached
    assert error.maybe_billed


async def test_an_answer_that_never_comes_may_be_billed(adapter: Transport) -> None:
    async with raw(b"", hold=True) as server:
        error = await failing(adapter, server.url, timeout_s=0.3)

    assert (error.kind, error.reached, error.maybe_billed) == (ErrorKind.TIMEOUT, True, True)


def test_a_failure_that_quotes_the_key_is_still_known_to_be_free() -> None:
    error = Redactor(["sk-secret-key"]).error(unreached("cannot reach sk-secret-key"))

    assert "sk-secret-key" not in error.message
    assert not error.maybe_billed
