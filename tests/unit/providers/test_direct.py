"""What the direct transport does beyond the contract: its own connections, and servers that do odd but legal things."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from aiohttp import web

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.http import direct
from evalh.providers.http.direct import DirectTransport
from evalh.providers.http.egress import Egress
from evalh.providers.http.transport import Response
from wire.serving import Seen, framed, head, raw, serving


@pytest.fixture
async def ours() -> AsyncIterator[DirectTransport]:
    transport = DirectTransport(Egress())
    yield transport
    await transport.close()


async def post(transport: DirectTransport, url: str, **headers: str) -> Response:
    return await transport.post(f"{url}/v1/x?a=b", headers, b"{}", timeout_s=10.0)


async def failing(transport: DirectTransport, url: str, **headers: str) -> CallError:
    with pytest.raises(CallError) as caught:
        await post(transport, url, **headers)
    return caught.value


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return web.json_response({"query": seen.query})


async def test_the_query_travels(ours: DirectTransport) -> None:
    async with serving(echo) as server:
        assert (await post(ours, server.url)).body == b'{"query": "a=b"}'


async def test_an_announcement_before_the_answer_is_not_the_answer(ours: DirectTransport) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with raw(early + framed(b"{}", "X-A: 1", "X-A: 2")) as server:
        response = await post(ours, server.url)

    assert (response.status, response.body) == (200, b"{}")
    assert response.headers.get("x-a") == "1, 2"
    assert "link" not in response.headers


async def test_a_body_without_a_length_ends_with_the_connection(ours: DirectTransport) -> None:
    async with raw(head("Connection: close") + b'{"a":', b" 1}") as server:
        assert (await post(ours, server.url)).body == b'{"a": 1}'


async def test_an_answer_without_a_body_is_an_empty_one(ours: DirectTransport) -> None:
    async with raw(b"HTTP/1.1 204 No Content\r\n\r\n") as server:
        response = await post(ours, server.url)

    assert (response.status, response.body) == (204, b"")


async def test_headers_without_end_are_cut_off(ours: DirectTransport) -> None:
    lines = b"X-Filler: " + b"x" * 60_000 + b"\r\n"
    async with raw(b"HTTP/1.1 200 OK\r\n", *[lines] * 40, hold=True) as server:
        error = await failing(ours, server.url)

    assert error.kind is ErrorKind.BAD_RESPONSE
    assert "do not end" in error.message


async def test_an_answer_that_nobody_asked_for_is_given_to_nobody(ours: DirectTransport) -> None:
    forged = framed(b'{"forged": true}')
    async with raw(framed(b"{}") + forged) as server:
        first = await post(ours, server.url)
        second = await post(ours, server.url)

    assert (first.body, second.body) == (b"{}", b"{}")
    assert len(server.seen) == 2


async def test_a_server_that_closes_after_each_answer_is_connected_to_anew(ours: DirectTransport) -> None:
    async with raw(framed(b"{}", "Connection: close")) as server:
        for _ in range(3):
            assert (await post(ours, server.url)).status == 200


async def test_a_connection_that_has_been_idle_for_long_is_not_used(
    ours: DirectTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(echo) as server:
        await post(ours, server.url)
        monkeypatch.setattr(direct, "IDLE_S", 0.0)
        await post(ours, server.url)

        assert len({seen.peer for seen in server.seen}) == 2


async def test_a_name_with_a_dead_address_first_is_reached_by_the_next(
    ours: DirectTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(echo) as server:
        port = int(server.url.rpartition(":")[2])

        async def looked_up(place: object) -> list[str]:
            return ["127.0.0.9", "127.0.0.1"]  # nothing listens at the first

        monkeypatch.setattr(direct, "_looked_up", looked_up)
        assert (await post(ours, f"http://model.test:{port}")).status == 200


@contextmanager
def deaf(address: str, port: int) -> Iterator[None]:
    """Take a place where connections are neither accepted nor refused."""
    with socket.socket() as silent, ExitStack() as queue:
        silent.bind((address, port))
        silent.listen(0)
        for _ in range(4):  # fill the queue that is never read
            client = queue.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, port))
        yield


async def test_the_next_address_is_tried_while_the_first_is_silent_and_the_one_that_won_is_remembered(
    ours: DirectTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(echo) as server:
        port = int(server.url.rpartition(":")[2])

        async def looked_up(place: object) -> list[str]:
            return ["127.0.0.2", "127.0.0.1"]

        monkeypatch.setattr(direct, "_looked_up", looked_up)
        monkeypatch.setattr(direct, "IDLE_S", 0.0)  # each request connects
        with deaf("127.0.0.2", port):
            times = []
            for _ in range(2):
                began = time.monotonic()
                assert (await post(ours, f"http://model.test:{port}")).status == 200
                times.append(time.monotonic() - began)
            await asyncio.sleep(0)

            assert len(ours._open) <= 1

    assert 0.2 < times[0] < 5.0  # the timeout of a connection is 10 s
    assert times[1] < times[0]


async def test_where_no_address_answers_the_last_failure_is_told(
    ours: DirectTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looked_up(place: object) -> list[str]:
        return ["127.0.0.2", "127.0.0.3", "127.0.0.4"]

    monkeypatch.setattr(direct, "_looked_up", looked_up)
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        error = await failing(ours, f"http://model.test:{free.getsockname()[1]}")

    assert error.kind is ErrorKind.NETWORK
    assert "127.0.0.4" in error.message


def test_the_families_of_addresses_take_turns() -> None:
    assert direct._interleaved(["a:1", "a:2", "a:3", "1", "2"]) == ["a:1", "1", "a:2", "2", "a:3"]
    assert direct._interleaved(["1", "a:1", "a:2"]) == ["1", "a:1", "a:2"]


async def test_a_connection_that_its_server_closed_while_it_was_idle_is_not_used(ours: DirectTransport) -> None:
    brought: list[int] = []
    talking: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = len(brought)
        brought.append(0)
        talking.append(writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                await reader.readuntil(b"\r\n\r\n{}")
                brought[mine] += 1
                writer.write(framed(b"{}"))

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for hangs_up in (True, False, True):
            assert (await post(ours, url)).status == 200
            if hangs_up:
                talking[-1].close()
                await talking[-1].wait_closed()

    assert brought == [1, 2]


async def test_the_end_of_a_connection_is_seen_before_the_loop_has_read_it(ours: DirectTransport) -> None:
    """The server hangs up while this process is busy: no event has arrived yet, and the next request must not go there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def talk(end: threading.Event) -> None:
            for _ in range(2):
                peer, _address = server.accept()
                with peer:
                    while not peer.recv(65536).endswith(b"{}"):
                        pass
                    peer.sendall(framed(b"{}"))
                    end.wait(10)

        ends = threading.Event()
        thread = threading.Thread(target=talk, args=(ends,))
        thread.start()
        assert (await post(ours, url)).status == 200
        ends.set()
        time.sleep(0.3)  # noqa: ASYNC251 (the loop is kept from seeing it)
        assert (await post(ours, url)).status == 200
        await asyncio.to_thread(thread.join, 10)


async def test_a_kept_connection_that_is_closed_under_a_request_is_told_apart(ours: DirectTransport) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(framed(b"{}"))
        await reader.readuntil(b"\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        first = await post(ours, url)
        error = await failing(ours, url)
        again = await post(ours, url)

    assert (first.status, again.status) == (200, 200)
    assert (error.kind, error.hung_up) == (ErrorKind.NETWORK, True)


async def test_a_first_request_that_is_hung_up_on_is_a_failure_of_the_server(ours: DirectTransport) -> None:
    async with raw() as server:
        assert not (await failing(ours, server.url)).hung_up


async def test_a_name_is_looked_up_once_for_all_that_ask_at_once(
    ours: DirectTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def looked_up(place: object) -> list[str]:
        asked.append(place)
        await asyncio.sleep(0.01)
        return ["127.0.0.1"]

    monkeypatch.setattr(direct, "_looked_up", looked_up)
    async with serving(echo) as server:
        port = int(server.url.rpartition(":")[2])
        await asyncio.gather(*(post(ours, f"http://model.test:{port}") for _ in range(20)))

    assert len(asked) == 1


async def test_an_unknown_name_is_the_network(ours: DirectTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(place: object) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(direct, "_looked_up", unknown)

    assert (await failing(ours, "http://model.test")).kind is ErrorKind.NETWORK


async def test_a_header_cannot_end_the_head_early(ours: DirectTransport) -> None:
    async with serving(echo) as server:
        error = await failing(ours, server.url, **{"X-A": "1\r\nX-Forged: 1"})

        assert error.kind is ErrorKind.BAD_REQUEST
        assert server.seen == []


async def test_a_cancelled_request_leaves_no_connection_behind(ours: DirectTransport) -> None:
    async with raw(hold=True) as server:
        doomed = asyncio.ensure_future(post(ours, server.url))
        await asyncio.sleep(0.1)
        doomed.cancel()
        await asyncio.gather(doomed, return_exceptions=True)
        await asyncio.sleep(0)

        assert not ours._idle or not any(ours._idle.values())


async def test_closing_twice_is_closing_once(ours: DirectTransport) -> None:
    async with serving(echo) as server:
        await post(ours, server.url)
        await ours.close()
        await ours.close()

        assert not ours._open
