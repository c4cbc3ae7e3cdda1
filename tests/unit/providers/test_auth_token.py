"""A token that a program prints: asked for once, renewed in time and after a refusal, never shown."""

import asyncio
import json
import os
import select
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.errors import KeyMissing
from evalh.providers.auth.token import Granted, KeyProgram, Started, ends_of, token_of
from wire.service import Reply, Service
from wire.serving import Seen, Served, serving
from wire.talking import SERVICES, Talk, spec_of

every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
PRINTS = "import os,sys; p=sys.argv[1]; n=len(open(p).read())+1 if os.path.exists(p) else 1; open(p,'a').write('.'); "


def counting(folder: Path, does: str = "print(f'tok-secret-{n}')") -> tuple[str, ...]:
    """A program that counts its runs in a file, then does something."""
    return (sys.executable, "-c", PRINTS + does, str(folder / "runs"))


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text(encoding="utf-8"))


def printing(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"print({text!r})")


def program(argv: tuple[str, ...], **more: Any) -> KeyProgram:
    return KeyProgram(Started(argv, dict(os.environ)), token_of, **more)


@asynccontextmanager
async def talking(service: Service, handle: Any, argv: tuple[str, ...], **auth: Any) -> AsyncIterator[Talk]:
    async with serving(handle) as server:
        spec = spec_of(service, server.url, api_key_env=None, auth={"command": list(argv), **auth})
        model = service.build(spec, dict(os.environ))
        await model.open()
        yield Talk(model, server)
        await model.close()


def taking(service: Service, *valid: str) -> Any:
    """Answer requests with one of these tokens; refuse others as the service does."""

    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        if token in valid:
            return await Reply(service.answer("hi")).send(request)
        return await Reply(service.error(401, "authentication_error", f"{token} is not valid"), 401).send(request)

    return handle


@every_service
async def test_many_calls_at_once_ask_for_one_token(service: Service, tmp_path: Path) -> None:
    async with talking(service, taking(service, "tok-secret-1"), counting(tmp_path)) as talk:
        answers = await asyncio.gather(*(talk.ask() for _ in range(40)))

    assert {answer.text for answer in answers} == {"hi"}
    assert runs(tmp_path) == 1
    header, _ = service.key_headers
    assert header == "authorization" or all(header not in seen.headers for seen in talk.server.seen)


async def test_calls_that_need_a_new_token_at_the_same_time_wait_for_the_same_one(tmp_path: Path) -> None:
    clock = [1000.0]
    tokens = program(
        counting(tmp_path, "import time; time.sleep(0.1); print(f'tok-{n}')"), ttl_s=600, now=lambda: clock[0]
    )

    first = await asyncio.gather(*(tokens.get() for _ in range(50)))
    clock[0] += 599.0
    second = await asyncio.gather(*(tokens.get() for _ in range(50)))

    assert {one.values for one in first} == {("tok-1",)}
    assert {one.values for one in second} == {("tok-2",)}
    assert runs(tmp_path) == 2


@pytest.mark.parametrize(("passed_s", "asked"), [(479.0, 1), (481.0, 2)])
async def test_a_token_is_renewed_two_minutes_before_it_runs_out(passed_s: float, asked: int, tmp_path: Path) -> None:
    clock = [1_000_000.0]
    does = "import json; print(json.dumps({'token': f'tok-{n}', 'expires_in': 600}))"
    tokens = program(counting(tmp_path, does), now=lambda: clock[0])
    await tokens.get()
    clock[0] += passed_s

    assert (await tokens.get()).values == (f"tok-{asked}",)


@every_service
async def test_a_token_that_is_refused_after_it_was_taken_is_renewed_once_and_the_call_is_answered(
    service: Service, tmp_path: Path
) -> None:
    valid = {"tok-secret-1"}

    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        return await taking(service, *valid)(request, seen)

    async with talking(service, handle, counting(tmp_path)) as talk:
        await talk.retried()
        valid.clear()
        valid.add("tok-secret-2")  # the first has run out, earlier than the program said
        answers = await asyncio.gather(*(talk.retried() for _ in range(20)))

    assert {answer.text for answer in answers} == {"hi"}
    assert runs(tmp_path) == 2


async def test_a_new_token_that_is_refused_too_is_a_refused_key_and_not_asked_for_again(tmp_path: Path) -> None:
    service = SERVICES[0]
    async with talking(service, taking(service), counting(tmp_path)) as talk:
        errors = await asyncio.gather(*(talk.retried() for _ in range(10)), return_exceptions=True)

    assert {error.kind for error in errors if isinstance(error, CallError)} == {ErrorKind.AUTH}
    assert len([error for error in errors if isinstance(error, CallError)]) == 10
    assert runs(tmp_path) == 2
    assert "tok-secret" not in str(errors)


async def test_a_redirect_is_not_followed_with_the_token(tmp_path: Path) -> None:
    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"})

    async with talking(SERVICES[0], handle, counting(tmp_path)) as talk:
        error = await talk.failing()

    assert (error.kind, len(talk.server.seen)) == (ErrorKind.BAD_REQUEST, 1)


@every_service
async def test_a_token_that_the_server_repeats_is_nowhere_in_the_answer(service: Service, tmp_path: Path) -> None:
    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        return await Reply(service.answer(f"you sent {seen.headers['authorization']}")).send(request)

    async with talking(service, handle, counting(tmp_path)) as talk:
        answer = await talk.ask()

    assert "tok-secret-1" not in str(answer)
    assert answer.text == "you sent Bearer [key]"


async def test_a_token_may_go_into_a_header_of_its_own(tmp_path: Path) -> None:
    seen: Served
    async with talking(SERVICES[0], taking(SERVICES[0]), printing("tok-9"), header="X-Token") as talk:
        await talk.failing()
        seen = talk.server

    assert seen.seen[0].headers["x-token"] == "tok-9"
    assert "authorization" not in seen.seen[0].headers


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "a banner before it": (printing("Welcome to Acme Cloud!\ntok-secret"), "2 lines"),
    "a sentence": (printing("Please log in: tok-secret"), "text with spaces"),
    "nothing": (printing(""), "nothing"),
    "a quoted token": (printing('"tok-secret"'), "is not allowed in a header"),
    "control characters": (printing("tok-\x1b[31msecret"), "is not allowed in a header"),
    "JSON without a token": (printing('{"secret": "tok-secret"}'), "JSON without a token"),
    "JSON that is cut": (printing('{"token": "tok-secret"'), "JSON that cannot be read"),
    "a token that has run out": (printing('{"token": "tok-secret", "expires_on": 5}'), "has already expired"),
    "a failure": (
        (sys.executable, "-c", "import sys; print('tok-secret'); sys.exit('Please run az login')"),
        "ended with exit code 1: Please run az login",
    ),
    "a signal": ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), "was ended by SIGKILL"),
    "a gigabyte": (
        (sys.executable, "-c", "import sys\nfor _ in range(1000): sys.stdout.write('x' * 1_000_000)"),
        "more than 64 KiB",
    ),
    "a program that is not there": (("/no/such/program",), "cannot be started"),
}


@pytest.mark.parametrize(("argv", "told"), WRONG.values(), ids=WRONG)
async def test_what_is_not_a_token_stops_before_anything_is_sent_and_is_not_repeated(
    argv: tuple[str, ...], told: str
) -> None:
    spec = spec_of(SERVICES[0], "http://127.0.0.1:9", api_key_env=None, auth={"command": list(argv)})
    model = SERVICES[0].build(spec, dict(os.environ))

    with pytest.raises(KeyMissing) as caught:
        await model.open()

    assert told in str(caught.value)
    assert str(caught.value).startswith("evalh.toml:7: model 'strong': the program of `auth` ")
    assert "run it yourself: " in str(caught.value)
    assert "tok-secret" not in caught.value.what


async def test_a_program_that_waits_for_somebody_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "pid"
    code = (
        f"import subprocess,sys; child = subprocess.Popen(['sleep', '60']); "
        f"open({str(alive)!r}, 'w').write(str(child.pid)); sys.stdin.read(); child.wait()"
    )
    tokens = program((sys.executable, "-c", code), patience_s=1.0)

    with pytest.raises(CallError, match="did not end within 1 s, and was killed") as caught:
        await tokens.get()

    assert caught.value.kind is ErrorKind.AUTH
    assert _ends(int(alive.read_text(encoding="utf-8")))


async def test_a_run_that_is_stopped_while_it_waits_for_a_token_leaves_no_program_behind(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    os.mkfifo(started)
    code = f"import os,sys,time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    spec = spec_of(SERVICES[0], "http://127.0.0.1:9", api_key_env=None, auth={"command": [sys.executable, "-c", code]})
    model = SERVICES[0].build(spec, dict(os.environ))
    opening = asyncio.create_task(model.open())
    pid = int(await asyncio.to_thread(started.read_text, encoding="utf-8"))
    opening.cancel()
    await asyncio.wait([opening])
    await model.close()

    assert opening.cancelled()
    assert _ends(pid)


def _ends(pid: int) -> bool:
    """Wait for a process that is not our child to end."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 30.0)[0])
    finally:
        os.close(handle)


async def test_a_call_that_is_stopped_leaves_the_token_to_the_others(tmp_path: Path) -> None:
    tokens = program(counting(tmp_path, "import time; time.sleep(0.2); print('tok')"))
    one, other = asyncio.create_task(tokens.get()), asyncio.create_task(tokens.get())
    await asyncio.sleep(0)
    one.cancel()

    assert (await other).values == ("tok",)
    assert runs(tmp_path) == 1


async def test_calls_that_wait_for_a_program_that_fails_are_told_by_one_run(tmp_path: Path) -> None:
    tokens = program(counting(tmp_path, "sys.exit('no')"))

    errors = await asyncio.gather(*(tokens.get() for _ in range(20)), return_exceptions=True)

    assert {str(error) for error in errors} == {"auth: the program of `auth` ended with exit code 1: no"}
    assert runs(tmp_path) == 1


READ: dict[str, tuple[Any, float | None]] = {
    "az, with seconds": (
        {"accessToken": "t", "expiresOn": "2026-11-29 20:00:00.000000", "expires_on": 1764446400},
        1764446400.0,
    ),
    "az, with local time only": ({"accessToken": "t", "expiresOn": "2026-11-29 20:00:00.000000"}, None),
    "OAuth": ({"access_token": "t", "expires_in": 3599}, 4599.0),
    "OAuth, as text": ({"access_token": "t", "expires_in": "3599"}, 4599.0),
    "ISO 8601": ({"token": "t", "expires_at": "1970-01-01T01:00:00Z"}, 3600.0),
    "kubectl": ({"status": {"token": "t", "expirationTimestamp": "1970-01-01T00:30:00+00:00"}}, 1800.0),
    "gcloud config-helper": ({"credential": {"access_token": "t", "token_expiry": "1970-01-01T00:20:00Z"}}, 1200.0),
    "odd": ({"token": "t", "expires_at": {"a": 1}, "expires_in": True}, None),
    "endless": ({"token": "t", "expires_in": 1e300, "expires_on": 1e300}, None),
    "below nothing": ({"token": "t", "expires_in": -5}, None),
}


@pytest.mark.parametrize(("document", "ends"), READ.values(), ids=READ)
def test_the_end_of_a_token_is_read_as_the_programs_of_the_clouds_say_it(document: Any, ends: float | None) -> None:
    assert token_of(json.dumps(document).encode(), 1000.0) == Granted(("t",), ends)
    assert ends_of(document, 1000.0) == ends


async def test_a_relative_program_is_one_of_the_workspace(tmp_path: Path) -> None:
    script = tmp_path / "token.sh"
    script.write_text("#!/bin/sh\npwd >&2\necho tok-own\n", encoding="utf-8")
    script.chmod(0o755)
    tokens = KeyProgram(Started(("./token.sh",), dict(os.environ), tmp_path), token_of)

    assert (await tokens.get()).values == ("tok-own",)
