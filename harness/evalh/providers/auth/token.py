"""A token that a program prints, kept until it runs out.

Calls that need one at the same time wait for the same run of the program. A server that refuses a token which it took
before makes the next call run the program again; one that refuses the new token too is right.
"""

import asyncio
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.providers.endpoint import is_key
from evalh.providers.http.errors import Redactor, at, json_of, shown
from evalh.providers.program import RunningProgram, run_program

PATIENCE_S = 30.0
"""A program that has printed nothing by then waits for somebody, or for a network that is not there."""
TTL_S = 900.0
_MOST_BYTES = 64 * 1024
_EARLY_S = 120.0  # before a token runs out another is fetched: a call may take a while
_WHO = "the program of `auth`"
_KEPT = 4  # tokens that may still be in flight, and are masked
_TOKENS = (("token",), ("accessToken",), ("access_token",), ("status", "token"), ("credential", "access_token"))
_ENDS = (
    *(("expires_at",), ("expires_on",), ("expiresOn",), ("Expiration",)),
    *(("status", "expirationTimestamp"), ("credential", "token_expiry")),
)


class Granted(Value):
    """What a program printed: what is sent, what of it must never be shown, and when it runs out."""

    values: tuple[str, ...]
    ends: float | None = None  # seconds since the epoch; None: it does not say


class Started(Value):
    """A program as it is started. A leading `./` is the workspace's root."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path | None = None  # where it runs; None: here

    async def run(self) -> RunningProgram:
        """Run it to its end. Raises CallError."""
        argv = [str(self.folder / one) if self.folder and one.startswith("./") else one for one in self.argv]
        return await run_program(argv, b"", folder=self.folder, env=self.env, most_bytes=_MOST_BYTES)


class PrintedReader(Protocol):
    """Reads what a program printed. Raises ValueError, whose words hold nothing of it."""

    def __call__(self, printed: bytes, now: float) -> Granted: ...


class KeyProgram:
    """Runs the program, keeps what it printed, and renews it. One instance serves any number of calls at once."""

    def __init__(
        self,
        program: Started,
        read: PrintedReader,
        *,
        ttl_s: float | None = None,
        now: Callable[[], float] = time.time,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._program = program
        self._read = read
        self._ttl_s = TTL_S if ttl_s is None else ttl_s
        self._now = now
        self._patience_s = patience_s
        self._granted: Granted | None = None
        self._until = 0.0
        self._refused: Granted | None = None
        self._doubted = False  # it follows one that was refused, and has not been taken yet
        self._running: asyncio.Task[Granted] | None = None
        self.secrets: tuple[str, ...] = ()

    async def get(self) -> Granted:
        """Return what is in force; run the program if nothing is. Raises CallError (auth)."""
        if self._granted is not None and self._now() < self._until:
            return self._granted
        if self._running is None:
            self._running = asyncio.create_task(self._renew())
            self._running.add_done_callback(self._ended)
        try:
            return await asyncio.shield(self._running)
        except CallError as error:
            raise _failed(error.message) from None  # an error of its own for each call: wrappers mark it

    def _ended(self, task: "asyncio.Task[Granted]") -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # the waiting tasks have it; perhaps there are none

    def taken(self, granted: Granted) -> None:
        """Note that a server took this."""
        if granted is self._granted:
            self._doubted = False

    def refused(self, granted: Granted) -> bool:
        """Note that a server refused this. Return whether another is worth a try."""
        if granted is not self._granted or granted is self._refused:
            return True  # another is there, or on its way
        if self._doubted:
            return False
        self._refused = granted
        self._until = 0.0
        return True

    async def close(self) -> None:
        running = self._running
        if running is not None:
            running.cancel()
            await asyncio.wait([running])

    async def _renew(self) -> Granted:
        program = await self._run()
        now = self._now()
        try:
            granted = self._read(program.output.strip(), now)
        except ValueError as exc:
            raise _failed(f"{_WHO} printed {exc}") from None
        lasts_s = self._ttl_s if granted.ends is None else granted.ends - now
        if lasts_s <= 0:
            raise _failed(f"{_WHO} printed a token that has already expired")
        self._doubted = self._granted is not None and self._granted is self._refused
        self._granted = granted
        self._until = now + max(lasts_s - _EARLY_S, lasts_s / 2.0)
        self.secrets = (*granted.values, *self.secrets)[: _KEPT * len(granted.values)]
        return granted

    async def _run(self) -> RunningProgram:
        try:
            async with asyncio.timeout(self._patience_s):
                program = await self._program.run()
        except TimeoutError:
            raise _failed(f"{_WHO} did not end within {self._patience_s:g} s, and was killed") from None
        except CallError as error:
            raise _failed(f"{_WHO} {error.message.removeprefix('the program ')}") from None
        if program.code != 0:
            raise _failed(f"{_WHO} {program.how}: {program.last_words(Redactor(self.secrets))}")
        return program


def _failed(message: str) -> CallError:
    error = CallError(ErrorKind.AUTH, message)
    error.reached = False
    return error


def token_of(printed: bytes, now: float) -> Granted:
    """Read a token alone on a line, or in JSON. Raises ValueError, whose words hold nothing of it."""
    if printed.startswith(b"{"):
        document = json_of(printed)
        if document is None:
            raise ValueError("JSON that cannot be read")
        token = next((found for path in _TOKENS if isinstance(found := at(document, *path), str)), None)
        if token is None:
            raise ValueError(f"JSON without a token ({', '.join('.'.join(path) for path in _TOKENS)})")
        granted = Granted((token,), ends_of(document, now))
    else:
        granted = Granted((_line(printed),))
    if not is_key(granted.values[0]):
        raise ValueError("a token with a character that is not allowed in a header")
    return granted


def _line(printed: bytes) -> str:
    text = printed.decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("nothing")
    if len(lines) > 1:
        raise ValueError(f"{len(lines)} lines; it must print the token alone on stdout, in one line")
    if len(text.split()) > 1:
        raise ValueError("text with spaces; it must print the token alone on stdout")
    return text


def ends_of(document: JsonValue, now: float) -> float | None:
    """Find when it runs out, in seconds since the epoch; None if it does not say in a way that is certain."""
    lasts = _number(at(document, "expires_in"))
    if lasts is not None:
        return now + lasts
    return next((end for path in _ENDS if (end := _moment(at(document, *path))) is not None), None)


def _moment(value: JsonValue) -> float | None:
    number = _number(value)
    if number is not None or not isinstance(value, str):
        return number
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return when.timestamp() if when.tzinfo else None  # az writes local time beside the seconds


def _number(value: JsonValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if 0.0 <= number < 1e11 else None  # noqa: PLR2004 (seconds, up to the year 5138)


def hint_of(argv: Sequence[str]) -> str:
    """Say what to type to see what the program prints."""
    return f"run it yourself: {shown(shlex.join(argv))}"
