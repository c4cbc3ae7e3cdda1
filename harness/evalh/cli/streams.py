"""The three standard streams, made safe to write to whatever is behind them.

Behind stdout may be a pipe without a reader, a full disk, nothing at all, or an encoding without `·`. None
of it may change what a verb does or which exit code it gives: `evalh run --at-least 0.9 | head -1` still says no.

Behind both may be the runner of a CI job, which obeys lines such as `::stop-commands::x`. What looks like one is
written with an escape that JSON reads as the same sign; commands of our own go through `to_runner`.
"""

import codecs
import io
import os
import re
import sys
from collections.abc import Iterable
from typing import TextIO

_PLAIN = {"·": "-", "…": "...", "→": "->", "×": "x", "–": "-", "─": "-", "█": "#", "░": "."}

# What a runner trims before it looks, or may; then what it obeys: at the beginning of a line GitHub's form, anywhere in
# one GitHub's older form, Azure Pipelines', TeamCity's, and GitLab's sections.
_BLANK = r"(?:[^\S\r\n]|[\u00ad\u200b-\u200f\u2060\ufeff]|\x1b\[[0-9;?]*[A-Za-z])*+"
_COMMAND = re.compile(rf"(?:\A|(?<=[\r\n])){_BLANK}:(?=:)|#(?=#[A-Za-z]*\[)|section_(?:start|end):(?=\d)")
_BLANKS = re.compile(_BLANK)


def prepare() -> TextIO:
    """Set the streams up and return the one for the answer. For a process of its own, at its start."""
    codecs.register_error("evalh", _plainer)
    _open_closed()
    sys.stdout = _writing(sys.stdout, 1)
    sys.stderr = _writing(sys.stderr, 2)
    return sys.stdout


def to_runner(commands: Iterable[str]) -> None:
    """Write our own commands for the CI runner to stderr, one per line."""
    for line in commands:
        if isinstance(sys.stderr, _Output):
            sys.stderr.obeyed(line)
        else:
            sys.stderr.write(f"{line}\n")


def flush(stream: TextIO) -> OSError | None:
    """Write what is buffered; if that fails, drop it and return the reason."""
    try:
        stream.flush()
    except OSError as exc:
        _leave(stream.fileno())  # the interpreter flushes again at its end
        return exc
    return None


class _Descriptor(io.FileIO):
    """Writes to a descriptor; once its reader is gone, to nowhere."""

    def write(self, data: object, /) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            _leave(self.fileno())
            return super().write(data)  # type: ignore[arg-type]


class _Output(io.TextIOWrapper):
    """Writes no line that a CI runner would obey."""

    _begins = True  # the current line has said nothing yet

    def write(self, text: str, /) -> int:
        """Escape commands; return the length of `text`, all of which is written."""
        before = "" if self._begins else "x"
        super().write(_COMMAND.sub(_escaped, before + text)[len(before) :])
        line = (before + text).rpartition("\n")[2].rpartition("\r")[2]
        self._begins = _BLANKS.fullmatch(line) is not None
        return len(text)

    def obeyed(self, line: str) -> None:
        """Write a line unchanged: our own command."""
        super().write(f"{'' if self._begins else chr(10)}{line}\n")
        self._begins = True


def _escaped(found: re.Match[str]) -> str:
    return f"{found[0][:-1]}\\u{ord(found[0][-1]):04x}"


def _writing(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is not None:
        stream.flush()
    return _Output(
        io.BufferedWriter(_Descriptor(descriptor, "w", closefd=False)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="evalh",
        line_buffering=descriptor == 2 or os.isatty(descriptor),  # noqa: PLR2004 (stderr)
    )


def _open_closed() -> None:
    """Open the null device for a closed stream: otherwise the next opened file would take its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _leave(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _plainer(exc: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks by plain ones, or by an escape."""
    if not isinstance(exc, UnicodeEncodeError):
        raise exc
    lacking = exc.object[exc.start : exc.end]
    return "".join(_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in lacking), exc.end
