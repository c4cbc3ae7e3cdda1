"""What an exit code says. One meaning each, the same for every verb."""

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every verb (docs/reference/exit-codes.md)."""

    YES = 0
    NO = 1
    USAGE = 2
    INCONCLUSIVE = 3
    CANNOT_MEASURE = 4
    BUG = 5
    INTERRUPTED = 130


_WORST_FIRST = (
    ExitCode.BUG,
    ExitCode.INTERRUPTED,
    ExitCode.USAGE,
    ExitCode.NO,
    ExitCode.CANNOT_MEASURE,
    ExitCode.INCONCLUSIVE,
    ExitCode.YES,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the code that is reported where several hold; YES for none."""
    return min(codes, key=_WORST_FIRST.index, default=ExitCode.YES)
