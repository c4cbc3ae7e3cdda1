"""An engine for JavaScript of others: a new one for each call, with limits of time, memory, stack and size.

It knows the language and nothing else: no files, no network, no clock that waits. Its time limit counts the processor
time of the whole process, so a call that was stopped early because others were busy is made again.
"""

import json
import platform
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from time import thread_time
from typing import TYPE_CHECKING, Any

from evalh.core import strict_json
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.graders.quoting import one_line

if TYPE_CHECKING:
    from quickjs import Context

_INSTALL = "pip install 'evalh[promptfoo]'"
_NO_WHEEL = {("darwin", "x86_64"): "macOS on Intel", ("win32", "arm64"): "Windows on ARM"}
_TRIES = 3
_LONGEST_CALL = 0.9  # of the limit: a call that took less was stopped for the work of others
_JOBS = 1_000  # between two looks at the clock


class Limits(Value, kw_only=True):
    """What one call may take."""

    seconds: float = 1.0  # of processor time
    memory: int = 64 << 20
    stack: int = 512 << 10
    result: int = 1 << 20  # characters of JSON


class Result(Value):
    """What a call came to: a value, with JavaScript's name of its type."""

    type: str
    value: JsonValue


class ThrownError(Exception):
    """The code threw; the message says what. `line` counts from the engine's first line of the function."""

    def __init__(self, what: str, line: int | None) -> None:
        super().__init__(what)
        self.line = line


class LimitError(Exception):
    """The code was stopped; the message says at which limit."""


@cache
def missing_engine() -> tuple[str, str] | None:
    """Say what is wrong with the installed engine, and what to type; None: it can be used."""
    if _installed("quickjs"):  # an older engine, of the same import name
        both = "quickjs quickjs-ng" if _installed("quickjs-ng") else "quickjs"
        return "needs quickjs-ng, but quickjs is installed under its name", f"pip uninstall {both}; {_INSTALL}"
    if find_spec("quickjs") is not None:
        return None
    machine = _NO_WHEEL.get((sys.platform, platform.machine().lower()))
    if machine is not None:
        return f"needs quickjs-ng, which has no wheel for {machine}", "write it as a python grader"
    return "needs a package that is not installed", _INSTALL


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def call(program: str, payload: JsonValue, limits: Limits) -> Result:
    """Call the function that a program evaluates to, with a value, and await what it returns.

    Raises ThrownError, LimitError.
    """
    text = _json_of(payload)
    seconds = limits.seconds
    for tries_left in range(_TRIES - 1, -1, -1):
        began = thread_time()
        try:
            return _call(program, text, limits, seconds)
        except _InterruptedError:
            if not tries_left or thread_time() - began > _LONGEST_CALL * limits.seconds:
                break
            seconds *= 4
    raise LimitError(f"did not end within {limits.seconds:g} s")


def syntax_error(code: str, arguments: str = "") -> tuple[str, int | None] | None:
    """Say what keeps a function's body from being read, and at which of its lines; None: it can be."""
    try:
        call("(code) => void new Function(code[0], code[1])", [arguments, code], Limits())
    except ThrownError as exc:
        return str(exc).removeprefix("SyntaxError: "), exc.line
    except LimitError as exc:
        return str(exc), None
    return None


class _InterruptedError(Exception):
    pass


def _call(program: str, text: str, limits: Limits, seconds: float) -> Result:
    context = _context(limits, seconds)
    try:
        frame = context.eval(_script("frame"))(limits.result)
        kept = frame(context.eval(program), text) or _settled(context, frame, seconds)
    except _InterruptedError:
        raise
    except Exception as exc:  # noqa: BLE001 (the engine has errors of its own beside JavaScript's)
        raise _stopped(exc, limits) from None
    if kept is None:
        raise ThrownError("its promise never settles", None)
    return _read(kept, limits)


def _settled(context: "Context", frame: Callable[[], str | None], seconds: float) -> str | None:
    """Run what waits for a turn until the result is known; None: nothing waits any more, and it is not."""
    began = thread_time()
    jobs = 0
    while (kept := frame()) is None and context.execute_pending_job():
        jobs += 1
        if jobs % _JOBS == 0 and thread_time() - began > seconds:  # the engine's limit is for each of them
            raise _InterruptedError
    return kept


def _context(limits: Limits, seconds: float) -> "Context":
    from quickjs import Context

    context = Context()
    context.set_memory_limit(limits.memory)
    context.set_time_limit(seconds)
    context.set_max_stack_size(limits.stack)
    return context


@cache
def _script(name: str) -> str:
    return Path(__file__).with_name(f"{name}.js").read_text(encoding="utf-8")


def judge_program() -> str:
    """Return the program that runs a grader's code."""
    return _script("judge")


def _json_of(payload: JsonValue) -> str:
    """Write JSON; half a surrogate pair, which models do write, as an escape."""
    text = json.dumps(payload, ensure_ascii=False)
    return text if text.isascii() or _encodes(text) else json.dumps(payload)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stopped(exc: Exception, limits: Limits) -> Exception:
    said = str(exc)
    if type(exc).__name__ == "StackOverflow":
        return ThrownError("RangeError: Maximum call stack size exceeded", None)
    if said.startswith("InternalError: interrupted"):
        return _InterruptedError()
    if said.startswith("SyntaxError"):  # of the program around the code, which is ours
        return ThrownError(said.partition("\n")[0], None)
    if _is_memory(said):
        return LimitError(f"took more than {limits.memory >> 20} MB")
    return LimitError(f"stopped the engine: {one_line(said.partition(chr(10))[0])}")


def _is_memory(said: str) -> bool:
    return said.strip() in ("", "null") or "out of memory" in said


def _read(kept: Any, limits: Limits) -> Result:
    try:
        document = strict_json.parse(kept)
    except strict_json.NotStrictJson as exc:
        raise LimitError(f"returned what cannot be read: {exc}") from None
    found = document["type"]
    if found == "long":
        raise LimitError(f"returned {document['value']:,} characters; at most {limits.result:,} are read")
    if found == "null thrown":  # the engine does so where there is no room for an error
        raise LimitError(f"threw null, or took more than {limits.memory >> 20} MB")
    if found != "threw":
        return Result(found, document["value"])
    name, message = document["name"], document["message"]
    if name == "InternalError" and _is_memory(message):
        raise LimitError(f"took more than {limits.memory >> 20} MB")
    raise ThrownError(f"{name}: {message}" if name else message, _line_of(document["stack"]))


def _line_of(stack: str) -> int | None:
    """Return the line of the innermost place that the engine knows."""
    for frame in stack.splitlines():
        place = frame.rpartition("<input>:")[2].partition(":")[0] if "<input>:" in frame else ""
        if place.isdigit():
            return int(place)
    return None
