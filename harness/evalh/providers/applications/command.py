"""`provider = "command"`: a program, such as a coding agent. It is handed the request on stdin and prints the answer.

Never a shell. What varies goes to stdin alone, so an input cannot become an argument.
"""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Literal

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
from evalh.providers.program import run_program
from evalh.providers.registry import ProviderContext, read_options
from evalh.providers.request_parts import encode

TRAITS = Traits(runs_code=True)

SLOTS = 4
_ALWAYS = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_SENT = ("messages", "inputs", "params", "case_id", "trial")
_ARGV = 'command = ["node", "agent.mjs"]'
_VARIABLE = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), Words('env_allow = ["OPENAI_API_KEY"]')]
_INSIDE = Words("a place inside the workspace, with /")


class Options(CodeOptions):
    """The keys of an application that is a program."""

    command: Annotated[tuple[str, ...], Field(min_length=1), Words("a list: the program and its arguments", _ARGV)] = (
        Field(description="The program and its arguments; `./…` is a file of the workspace. No shell, no slots.")
    )
    stdin: Literal["json", "prompt"] = Field(
        "json",
        description="Its standard input: JSON with `messages`, `inputs`, `params`, `case_id`, `trial`; or the prompt.",
    )
    env_allow: tuple[_VARIABLE, ...] = Field(
        (), description=f"More environment variables for it, besides {', '.join(_ALWAYS)}. Each must be set."
    )
    workdir: Annotated[Text, _INSIDE] | None = Field(
        None, description="A folder that is copied for each call, and removed after it. Default: the workspace itself."
    )

    @field_validator("command")
    @classmethod
    def _is_fixed(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0].strip():
            raise Refused("'command' must begin with the name of a program", _ARGV)
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
                what = f"model {self.name!r} passes {name} to its program, and it is not set"
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
                ended = await run_program(
                    self._argv,
                    given,
                    folder=self._root if folder is None else folder,
                    env={**self._env, "TRACEPARENT": traceparent(call)},
                    most_bytes=BODY_CAP_BYTES,
                )
        except TimeoutError:
            what = f"the program did not end within {self.spec.timeout_s:g} s, and was killed"
            raise CallError(ErrorKind.TIMEOUT, what) from None
        finally:
            if folder is not None:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder.parent, ignore_errors=True))
        if ended.code != 0:
            what = f"the program {ended.how}: {ended.last_words(self.redact)}"
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


def build(spec: ModelSpec, context: ProviderContext) -> CommandApplication:
    """Build from the options. Raises WorkspaceError."""
    return CommandApplication(spec, read_options(spec, Options), context)
