"""`provider = "command"`: a program, such as a coding agent. It is handed the request on stdin and prints the answer.

Never a shell. What varies goes to stdin alone, so an input cannot become an argument. The program and what it starts
are a process group of their own without a terminal: the whole group is killed when the program has ended, when time is
up, when it prints too much, and when the run ends.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field, field_validator

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.declared import Refused, Text, Words
from evalh.core.errors import KeyMissing
from evalh.core.model import ModelSpec, Traits
from evalh.core.request import Request
from evalh.providers.applications.application import Application, CodeOptions, refuse_outside, traceparent
from evalh.providers.applications.slots import value_of
from evalh.providers.endpoint import is_secret
from evalh.providers.http.body import BODY_CAP_BYTES
from evalh.providers.http.errors import Redactor, shown
from evalh.providers.registry import ProviderContext, read_options
from evalh.providers.request_parts import encode

TRAITS = Traits(runs_code=True)

SLOTS = 4
_ERRORS_CAP = 2048  # bytes of stderr
_QUOTED = 400  # characters of it in a message: the last say why
_STDOUT, _STDERR = 1, 2
_REST_S = 1.0  # for what was printed, after everything has been killed
_ALWAYS = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_SENT = ("messages", "inputs", "params", "case_id", "trial")
_ARGV = 'command = ["node", "agent.mjs"]'
_VARIABLE = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), Words('env_allow = ["OPENAI_API_KEY"]')]
_INSIDE = Words("a place inside the workspace, with /")


class Options(CodeOptions):
    """The keys of an application that is a program."""

    command: Annotated[tuple[str, ...], Field(min_length=1), Words("a list: the program and its arguments", _ARGV)] = (
        Field(
            description="The program and its arguments; `./…` is a place in the workspace. Never a shell, and no slots."
        )
    )
    stdin: Literal["json", "prompt"] = Field(
        "json",
        description="What it reads: JSON with `messages`, `inputs`, `params`, `case_id`, `trial`; or the prompt.",
    )
    env_allow: tuple[_VARIABLE, ...] = Field(
        (), description=f"Variables that it is handed beside {', '.join(_ALWAYS)}. Each must be set."
    )
    workdir: Annotated[Text, _INSIDE] | None = Field(
        None, description="A folder that is copied for each call, and removed after it. Default: the workspace itself."
    )

    @field_validator("command")
    @classmethod
    def _is_fixed(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0].strip():
            raise Refused("'command' begins with the name of a program", _ARGV)
        for number, argument in enumerate(command):
            if "{{" in argument or "\0" in argument:
                what = "an argument of 'command' holds a slot: an input could become an option of the program"
                raise Refused(what, 'the request comes on stdin: stdin = "prompt"', at=(number,))
        return command

    @field_validator("workdir")
    @classmethod
    def _is_inside(cls, workdir: str) -> str:
        refuse_outside(workdir)
        return workdir


class CommandApplication(Application):
    """Starts the program once for each call."""

    def __init__(self, spec: ModelSpec, options: Options, context: ProviderContext) -> None:
        """Start nothing yet. Raises WorkspaceError."""
        self._options = options
        self._root = context.root.absolute()
        self._argv = [str(self._root / one) if one.startswith("./") else one for one in options.command]
        super().__init__(spec, options, context)
        self.max_in_flight = options.slots or SLOTS
        self._outside = context.env
        self._env: dict[str, str] = {}
        if options.workdir is not None and not (self._root / options.workdir).is_dir():
            raise spec.wrong(f"no folder {options.workdir!r}", 'workdir = "fixtures/repo"')
        named = [one[2:] for one in options.command if one.startswith("./") and len(one) > len("./")]
        self.made_of(options.files, [*named, *([f"{options.workdir}/**/*"] if options.workdir else [])])

    async def open(self) -> None:
        """Read the variables. Raises UsageError for one that is not set."""
        named = self._options.env_allow
        for name in named:
            if not self._outside.get(name):
                what = f"model {self.name!r} hands {name} to its program, and it is not set"
                raise KeyMissing(what, where=self.spec.where or None, hint=f"export {name}=…")
        self._env = {name: self._outside[name] for name in (*_ALWAYS, *named) if name in self._outside}
        self.redact = Redactor(self._env[name] for name in named if is_secret(name))

    async def ask(self, request: Request, call: Call) -> Completion:
        """Run the program once. Raises CallError."""
        given = self._stdin(request, call)
        folder = None if self._options.workdir is None else await asyncio.to_thread(self._copy, self._options.workdir)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.spec.timeout_s):
                ended = await self._run(given, self._root if folder is None else folder, traceparent(call))
        except TimeoutError:
            what = f"the program did not end within {self.spec.timeout_s:g} s, and was killed"
            raise CallError(ErrorKind.TIMEOUT, what) from None
        finally:
            if folder is not None:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder.parent, ignore_errors=True))
        if ended.code != 0:
            said = self.redact.body(ended.errors)[-_ERRORS_CAP:].decode("utf-8", "replace").strip()[-_QUOTED:]
            what = f"the program {_how(ended.code)}: {shown(said) or 'it said nothing'}"
            raise CallError(ErrorKind.BAD_RESPONSE, what)
        return self.read(ended.output.rstrip(b"\r\n"), call, (time.perf_counter() - began) * 1000.0)

    def _stdin(self, request: Request, call: Call) -> bytes:
        if self._options.stdin == "prompt":
            return str(value_of("prompt", request, call)).encode("utf-8", "replace")
        return encode({name: value_of(name, request, call) for name in _SENT}) + b"\n"

    def _copy(self, workdir: str) -> Path:
        """Copy the folder to a fresh place. Raises CallError."""
        place = Path(tempfile.mkdtemp(prefix="evalh-"))
        try:
            return Path(shutil.copytree(self._root / workdir, place / Path(workdir).name, symlinks=True))
        except (OSError, shutil.Error) as exc:
            shutil.rmtree(place, ignore_errors=True)
            raise CallError(ErrorKind.BAD_REQUEST, shown(f"{workdir} cannot be copied: {exc}")) from None

    async def _run(self, given: bytes, folder: Path, trace: str) -> "_Program":
        try:
            transport, program = await asyncio.get_running_loop().subprocess_exec(
                _Program,
                *self._argv,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=folder,
                env={**self._env, "TRACEPARENT": trace},
                start_new_session=True,
            )
        except OSError as exc:
            error = CallError(ErrorKind.BAD_REQUEST, f"{self._argv[0]!r} cannot be started: {exc.strerror}")
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


class _Program(asyncio.SubprocessProtocol):
    """A program that runs. asyncio's own `wait` does not return before its output ends, which may be never."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()  # as above, or CallError: it prints too much
        self.silent: asyncio.Future[None] = loop.create_future()  # its output has ended
        self.code = 0
        self.errors = b""  # the end of stderr: twice what is shown, for a secret may lie across the cut
        self._output: list[bytes] = []
        self._size = 0
        self._open = {_STDOUT, _STDERR}
        self._transport: asyncio.SubprocessTransport | None = None

    @property
    def output(self) -> bytes:
        return b"".join(self._output)

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
        if self._size <= BODY_CAP_BYTES:
            self._output.append(data)
        elif not self.ended.done():
            what = f"the program printed more than {BODY_CAP_BYTES // 2**20} MiB, and was killed"
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


def _how(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def build(spec: ModelSpec, context: ProviderContext) -> CommandApplication:
    """Build from the options. Raises WorkspaceError."""
    return CommandApplication(spec, read_options(spec, Options), context)
