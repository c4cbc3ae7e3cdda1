"""All adapters keep one contract, over real sockets."""

import asyncio
import gzip
import os
import socket
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
from aiohttp import web

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.errors import UsageError
from evalh.providers.http import httpx_transport, transport
from evalh.providers.http.body import BODY_CAP_BYTES
from evalh.providers.http.direct import DirectTransport, share, unshare
from evalh.providers.http.egress import Egress
from evalh.providers.http.httpx_transport import HttpxTransport, client_for
from evalh.providers.http.transport import Response, Transport
from wire.serving import CERTIFICATE, Seen, framed, head, raw, serving, stream

KEY = {"Authorization": "Bearer sk-secret", "Content-Type": "application/json"}


async def post(adapter: Transport, url: str, timeout_s: float = 20.0) -> Response:
    return await adapter.post(f"{url}/v1/x", KEY, b'{"a":1}', timeout_s=timeout_s)


async def failing(adapter: Transport, url: str, timeout_s: float = 20.0) -> CallError:
    with pytest.raises(CallError) as caught:
        await post(adapter, url, timeout_s)
    return caught.value


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return web.json_response({"got": seen.body}, headers={"X-Request-Id": "req_1"})


async def test_a_body_goes_out_once_and_comes_back(adapter: Transport) -> None:
    async with serving(echo) as server:
        response = await post(adapter, server.url)

        assert (response.status, response.body) == (200, b'{"got": {"a": 1}}')
        assert response.headers.get("x-request-id") == response.headers.get("X-REQUEST-ID") == "req_1"
        (seen,) = server.seen
        assert seen.path == "/v1/x"
        assert seen.headers["authorization"] == "Bearer sk-secret"
        assert seen.headers["accept-encoding"] == "identity"
        assert seen.headers["user-agent"] == "evalh"
        assert seen.headers["content-type"] == "application/json"


async def test_connections_are_kept_alive(adapter: Transport) -> None:
    async with serving(echo) as server:
        for _ in range(5):
            await post(adapter, server.url)

        assert len({seen.peer for seen in server.seen}) == 1


async def test_calls_at_once_do_not_wait_for_each_other(adapter: Transport) -> None:
    together = asyncio.Barrier(150)

    async def meet(request: web.Request, seen: Seen) -> web.StreamResponse:
        await together.wait()  # answers only when all have come
        return web.json_response({})

    async with serving(meet) as server:
        limits = httpx.Limits(max_connections=None)
        if isinstance(adapter, HttpxTransport):
            async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
                await asyncio.gather(*(post(HttpxTransport(client), server.url) for _ in range(150)))
        else:
            await asyncio.gather(*(post(adapter, server.url) for _ in range(150)))

        assert len(server.seen) == 150


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_returned_and_never_followed(adapter: Transport, status: int) -> None:
    async with serving(echo) as elsewhere:

        async def redirect(request: web.Request, seen: Seen) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": f"{elsewhere.url}/stolen"})

        async with serving(redirect) as server:
            response = await post(adapter, server.url)

            assert response.status == status
            assert len(server.seen) == 1
            assert elsewhere.seen == []


async def test_cookies_are_not_kept(adapter: Transport) -> None:
    async def cookie(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.json_response({}, headers={"Set-Cookie": "session=abc; Path=/"})

    async with serving(cookie) as server:
        await post(adapter, server.url)
        await post(adapter, server.url)

        assert all("cookie" not in seen.headers for seen in server.seen)


async def test_netrc_is_not_read(adapter: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike) -> None:
    netrc = os.path.join(tmp_path, "netrc")
    with open(netrc, "w") as file:
        file.write("machine 127.0.0.1 login me password hidden\n")
    monkeypatch.setenv("NETRC", netrc)
    async with serving(echo) as server:
        await adapter.post(server.url, {}, b"{}", timeout_s=5.0)

        assert "authorization" not in server.seen[0].headers


async def test_a_declared_hundred_megabytes_are_refused_unread(adapter: Transport) -> None:
    async with raw(head("Content-Length: 104857600"), hold=True) as server:
        error = await failing(adapter, server.url)

    assert error.kind is ErrorKind.BAD_RESPONSE
    assert "16 MiB" in error.message


async def test_an_undeclared_hundred_megabytes_stop_at_the_cap(adapter: Transport) -> None:
    megabyte = b"%x\r\n" % 2**20 + b"x" * 2**20 + b"\r\n"
    tracemalloc.start()
    try:
        async with raw(head("Transfer-Encoding: chunked"), *[megabyte] * 100) as server:
            error = await failing(adapter, server.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert error.kind is ErrorKind.BAD_RESPONSE
    assert peak < 3 * BODY_CAP_BYTES


@pytest.fixture(scope="module")
def bomb() -> bytes:
    squeeze = zlib.compressobj(9, wbits=31)
    return b"".join(squeeze.compress(bytes(2**20)) for _ in range(256)) + squeeze.flush()


async def test_a_decompression_bomb_is_stopped_before_it_takes_memory(adapter: Transport, bomb: bytes) -> None:
    tracemalloc.start()
    try:
        async with raw(framed(bomb, "Content-Encoding: gzip")) as server:
            error = await failing(adapter, server.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert error.kind is ErrorKind.BAD_RESPONSE
    assert "16 MiB" in error.message
    assert peak < 4 * BODY_CAP_BYTES


async def test_gzip_that_nobody_asked_for_is_read(adapter: Transport) -> None:
    async with raw(framed(gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip")) as server:
        assert (await post(adapter, server.url)).body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"anything", "br"), (b"not gzip", "gzip"), (gzip.compress(b"x" * 10_000)[:-20], "gzip")],
    ids=["unknown encoding", "no gzip", "cut gzip"],
)
async def test_a_body_that_cannot_be_decompressed_is_a_bad_response(
    adapter: Transport, body: bytes, encoding: str
) -> None:
    async with raw(framed(body, f"Content-Encoding: {encoding}")) as server:
        assert (await failing(adapter, server.url)).kind is ErrorKind.BAD_RESPONSE


@pytest.mark.parametrize(
    "answer",
    [
        head("Content-Length: 1000") + b'{"cut',
        head("Transfer-Encoding: chunked") + b'64\r\n{"cut',
        b"\x00\xff garbage \r\n\r\n",
        head("Content-Length: banana") + b"{}",
    ],
    ids=["short of its length", "cut chunk", "garbage", "length that is not a number"],
)
async def test_an_answer_that_is_not_whole_is_a_bad_response(adapter: Transport, answer: bytes) -> None:
    async with raw(answer) as server:
        assert (await failing(adapter, server.url)).kind is ErrorKind.BAD_RESPONSE


async def test_another_protocol_is_named_as_far_as_the_adapter_can_tell(adapter: Transport) -> None:
    async with raw(b"SSH-2.0-OpenSSH_9.6\r\n") as server:
        kind = (await failing(adapter, server.url)).kind

    # httpx reports a first line without an end as a server that never answered; both kinds may be tried again.
    assert kind is (ErrorKind.BAD_RESPONSE if not isinstance(adapter, HttpxTransport) else ErrorKind.NETWORK)


async def test_a_server_that_hangs_up_is_the_network(adapter: Transport) -> None:
    async with raw() as server:
        error = await failing(adapter, server.url)

    assert error.kind is ErrorKind.NETWORK
    assert "127.0.0.1" in error.message


async def test_no_server_is_the_network(adapter: Transport) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        error = await failing(adapter, f"http://127.0.0.1:{place.getsockname()[1]}")

    assert error.kind is ErrorKind.NETWORK


async def test_a_handshake_that_never_ends_is_the_network(adapter: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(httpx_transport, "CONNECT_TIMEOUT_S", 0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        queued = [socket.socket() for _ in range(4)]
        for client in queued:  # fill the queue of connections that are never accepted
            client.setblocking(False)
            client.connect_ex(deaf.getsockname())
        error = await failing(adapter, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        for client in queued:
            client.close()

    assert error.kind is ErrorKind.NETWORK
    assert "within 0.2 s" in error.message


@pytest.mark.parametrize("begun", [b"", head("Content-Length: 10") + b"{"], ids=["no head", "half a body"])
async def test_an_answer_that_never_ends_is_a_timeout(adapter: Transport, begun: bytes) -> None:
    async with raw(begun, hold=True) as server:
        error = await failing(adapter, server.url, timeout_s=0.2)

    assert error.kind is ErrorKind.TIMEOUT
    assert "within 0.2 s" in error.message


async def test_chunks_are_seen_as_they_arrive(adapter: Transport) -> None:
    async def count(request: web.Request, seen: Seen) -> web.StreamResponse:
        return await stream(request, [b"one ", b"two ", b"three"], pause_s=0.02)

    chunks: list[bytes] = []
    async with serving(count) as server:
        response = await adapter.post(server.url, KEY, b"{}", timeout_s=5.0, on_chunk=chunks.append)

    assert chunks == [b"one ", b"two ", b"three"]
    assert response.body == b"one two three"


async def test_chunks_of_an_error_are_not_taken_for_an_answer(adapter: Transport) -> None:
    chunks: list[bytes] = []
    async with raw(framed(b"no", status="500 Oops")) as server:
        response = await adapter.post(server.url, KEY, b"{}", timeout_s=5.0, on_chunk=chunks.append)

    assert (response.status, chunks) == (500, [])


async def test_what_the_reader_of_chunks_raises_comes_through(adapter: Transport) -> None:
    def refuse(chunk: bytes) -> None:
        raise CallError(ErrorKind.QUOTA, "enough")

    async with raw(framed(b"data"), hold=True) as server:
        with pytest.raises(CallError, match="enough"):
            await adapter.post(server.url, KEY, b"{}", timeout_s=5.0, on_chunk=refuse)


Door = Callable[[str, Egress], AbstractAsyncContextManager[Transport]]


@asynccontextmanager
async def for_calls(url: str, egress: Egress) -> AsyncIterator[Transport]:
    ours = DirectTransport(egress)
    yield ours
    await ours.close()


@asynccontextmanager
async def for_the_rest(url: str, egress: Egress) -> AsyncIterator[Transport]:
    async with client_for(url, egress) as client:
        yield HttpxTransport(client)


@pytest.fixture(params=[for_calls, for_the_rest], ids=["calls", "the rest"])
def door(request: pytest.FixtureRequest) -> Door:
    """How a model's call leaves this machine, and how everything else does."""
    return request.param


async def test_a_certificate_that_nobody_vouches_for_is_refused(door: Door) -> None:
    async with serving(echo, tls=True) as server, door(server.url, Egress()) as ours:
        error = await failing(ours, server.url)

    assert error.kind is ErrorKind.NETWORK
    assert "certificate" in error.message
    assert "SSL_CERT_FILE" in error.message
    assert server.seen == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_the_users_own_authority_is_trusted(door: Door, variable: str) -> None:
    egress = Egress.of({variable: str(CERTIFICATE)})
    async with serving(echo, tls=True) as server, door(server.url, egress) as ours:
        response = await post(ours, server.url)

    assert response.status == 200


def test_an_authority_that_cannot_be_read_is_named_with_its_variable() -> None:
    with pytest.raises(UsageError, match=r"REQUESTS_CA_BUNDLE names /nowhere/ca\.pem"):
        Egress.of({"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"}).tls()


async def test_a_proxy_carries_plain_http_with_its_own_password_only(door: Door) -> None:
    url = "http://model.example/v1/x"
    async with serving(echo) as proxy:
        async with door(url, Egress.of({"http_proxy": proxy.url.replace("//", "//me:p%40ss@")})) as ours:
            await ours.post(url, {"Content-Type": "application/json"}, b"{}", timeout_s=5.0)

        (seen,) = proxy.seen
        assert seen.headers["host"] == "model.example"
        assert seen.headers["proxy-authorization"] == "Basic bWU6cEBzcw=="
        assert "authorization" not in seen.headers


async def test_a_proxy_that_refuses_is_the_network_and_its_password_is_not_told(door: Door) -> None:
    async with raw(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as proxy:
        egress = Egress.of({"HTTPS_PROXY": proxy.url.replace("//", "//me:hidden@")})
        async with door("https://model.example", egress) as ours:
            error = await failing(ours, "https://model.example")

        assert b"CONNECT model.example:443" in proxy.seen[0].body
        assert b"sk-secret" not in proxy.seen[0].body
    assert error.kind is ErrorKind.NETWORK
    assert "407" in error.message
    assert "hidden" not in error.message


async def test_this_machine_is_reached_without_a_proxy(door: Door) -> None:
    egress = Egress.of({"ALL_PROXY": "http://127.0.0.1:9"})
    async with serving(echo) as server, door(server.url, egress) as ours:
        response = await post(ours, server.url)

    assert response.status == 200


async def test_one_transport_serves_all_who_share_a_loop_and_the_last_closes_it() -> None:
    egress = Egress()
    first, second = share(egress), share(egress)
    other = share(Egress.of({"HTTPS_PROXY": "http://127.0.0.1:9"}))
    async with serving(echo) as server:
        assert first is second is not other
        await unshare(egress)
        await post(second, server.url)
        await unshare(egress)
        await unshare(egress)  # once too often

        assert share(egress) is not first
        await unshare(egress)
        await unshare(Egress.of({"HTTPS_PROXY": "http://127.0.0.1:9"}))


EXITS = """
import asyncio, sys
from evalh.providers.http.egress import Egress
from evalh.providers.http.direct import share, unshare

async def main(url, ca):
    asyncio.get_running_loop().slow_callback_duration = 60.0  # the first request imports aiohttp: slow, and no fault
    egress = Egress.of({"SSL_CERT_FILE": ca})
    transport = share(egress)
    posts = [transport.post(url, {}, b"{}", timeout_s=20.0) for _ in range(20)]
    print(len(await asyncio.gather(*posts)))
    doomed = asyncio.ensure_future(transport.post(url, {}, b"{}", timeout_s=20.0))
    await asyncio.sleep(0)
    doomed.cancel()
    await asyncio.gather(doomed, return_exceptions=True)
    await unshare(egress)

loops = {"asyncio": None}
try:
    import uvloop
    loops["uvloop"] = uvloop.new_event_loop
except ImportError:
    pass
with asyncio.Runner(loop_factory=loops[sys.argv[1]]) as runner:
    runner.run(main(*sys.argv[2:]))
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_process_that_used_it_ends_in_silence(loop: str, tls: bool) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    async with serving(echo, tls=tls) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", "-W", "error", "-c", EXITS, loop, server.url, str(CERTIFICATE)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()

    assert (process.returncode, out.strip(), err.decode()) == (0, b"20", "")


type_checked: Callable[[], Transport] = lambda: DirectTransport(Egress())  # noqa: E731
