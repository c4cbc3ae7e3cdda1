"""A program that is started, handed something on stdin, and read to its end. Never a shell.

The program and what it starts are a process group of their own without a terminal: the whole group is killed when the
program has ended, when the caller stops waiting, and when it prints too much.
"""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from evalh.core.attempt import CallError, ErrorKind
from evalh.providers.http.errors import Redactor, shown

_ERRORS_CAP = 2048  # bytes of stderr
_QUOTED = 400  # characters of it in a message: the last say why
_STDOUT, _STDERR = 1, 2
_REST_S = 1.0  # for what was printed, after everything has been killed


async def run_program(
    argv: Sequence[str], given: bytes, *, folder: Path | None, env: Mapping[str, str], most_bytes: int
) -> "RunningProgram":
    """Run a program to its end; `most_bytes`: it may print no more. Raises CallError."""
    try:
        transport, program = await asyncio.get_running_loop().subprocess_exec(
            lambda: RunningProgram(most_bytes),
            *argv,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as exc:
        error = CallError(ErrorKind.BAD_REQUEST, f"{argv[0]!r} cannot be started: {exc.strerror}")
        error.reached = False
        raise error from None
    killed = False
    try:
        program.tell(given)
        await asyncio.shield(program.ended)
        killed = _kill(transport)  # what it left behind holds its output open
        async with asyncio.timeout(_REST_S):
            await asyncio.shield(program.silent)
    except TimeoutError:
        what = "the program ended, and something that it started keeps its output open"
        raise CallError(ErrorKind.BAD_RESPONSE, what) from None
    finally:
        if not killed:
            _kill(transport)
            await asyncio.shield(program.exited)
        transport.close()
    return program


class RunningProgram(asyncio.SubprocessProtocol):
    """A program that runs. asyncio's own `wait` does not return before its output ends, which may be never."""

    def __init__(self, most_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()  # as above, or CallError: it prints too much
        self.silent: asyncio.Future[None] = loop.create_future()  # its output has ended
        self.code = 0
        self.errors = b""  # the end of stderr: twice what is shown, for a secret may lie across the cut
        self._most_bytes = most_bytes
        self._output: list[bytes] = []
        self._size = 0
        self._open = {_STDOUT, _STDERR}
        self._transport: asyncio.SubprocessTransport | None = None

    @property
    def output(self) -> bytes:
        return b"".join(self._output)

    @property
    def how(self) -> str:
        """Say how it ended."""
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        try:
            return f"was ended by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"was ended by signal {-self.code}"

    def last_words(self, redact: Redactor) -> str:
        """Return the end of what it wrote to stderr, fit for a message."""
        said = redact.body(self.errors)[-_ERRORS_CAP:].decode("utf-8", "replace").strip()[-_QUOTED:]
        return shown(said) or "it said nothing"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def tell(self, given: bytes) -> None:
        """Write what the program reads; it may not want it."""
        stdin = None if self._transport is None else self._transport.get_pipe_transport(0)
        if stdin is None or stdin.is_closing():
            return
        pipe = cast("asyncio.WriteTransport", stdin)
        with suppress(OSError, RuntimeError):  # it has just ended: uvloop raises, asyncio does not
            pipe.write(given)
            pipe.close()  # when all is written

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _STDERR:
            self.errors = (self.errors + data)[-2 * _ERRORS_CAP :]
            return
        self._size += len(data)
        if self._size <= self._most_bytes:
            self._output.append(data)
        elif not self.ended.done():
            size = (
                f"{self._most_bytes // 2**20} MiB" if self._most_bytes >= 2**20 else f"{self._most_bytes // 2**10} KiB"
            )
            what = f"the program printed more than {size}, and was killed"
            self.ended.set_exception(CallError(ErrorKind.BAD_RESPONSE, what))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's)
        self._open.discard(fd)
        if not self._open and not self.silent.done():
            self.silent.set_result(None)

    def process_exited(self) -> None:
        assert self._transport is not None
        self.code = self._transport.get_returncode() or 0
        self.exited.set_result(None)
        if not self.ended.done():
            self.ended.set_result(None)


def _kill(transport: asyncio.SubprocessTransport) -> bool:
    """Kill the program and what is left in its group; once, for its number may belong to another later."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        else:
            transport.kill()
    return True
