"""The three standard streams, made safe to write to whatever is behind them.

Behind stdout may be a pipe whose reader has left, a full disk, nothing at all, or an encoding that has no `·`. None
of it may change what a verb does or which exit code it gives: `evalh run --at-least 0.9 | head -1` still says no.
"""

import codecs
import io
import os
import sys
from typing import TextIO

_PLAIN = {"·": "-", "…": "...", "→": "->", "×": "x", "–": "-", "─": "-", "█": "#", "░": "."}


def prepare() -> TextIO:
    """Set the streams up and return the one for the answer. For a process of its own, at its start."""
    codecs.register_error("evalh", _plainer)
    _open_closed()
    sys.stdout = _writing(sys.stdout, 1)
    sys.stderr = _writing(sys.stderr, 2)
    return sys.stdout


def flush(stream: TextIO) -> OSError | None:
    """Write what is still held back; return why that cannot be done, and let go of it then."""
    try:
        stream.flush()
    except OSError as exc:
        _leave(stream.fileno())  # the interpreter flushes again at its end
        return exc
    return None


class _Descriptor(io.FileIO):
    """Writes to a descriptor; from the moment when its reader has left, to nowhere."""

    def write(self, data: object, /) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            _leave(self.fileno())
            return super().write(data)  # type: ignore[arg-type]


def _writing(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(descriptor, "w", closefd=False)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="evalh",
        line_buffering=descriptor == 2 or os.isatty(descriptor),  # noqa: PLR2004 (stderr)
    )


def _open_closed() -> None:
    """Put nothing where a stream was closed: the next file that is opened would take its place and be written to."""
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
    """Write what an encoding lacks in plainer signs, and as an escape where there are none."""
    if not isinstance(exc, UnicodeEncodeError):
        raise exc
    lacking = exc.object[exc.start : exc.end]
    return "".join(_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in lacking), exc.end
