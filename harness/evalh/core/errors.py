"""Every error evalh raises on purpose.

EvalhError
├── UsageError            the command line or a call from Python asks for something that cannot be   exit 2
│   ├── NotFound          a prompt, version, suite, case, model or run that is not there
│   └── KeyMissing        a model's key is not in the environment                                     exit 4 of a gate
├── WorkspaceError        a file of the workspace is wrong                                            exit 2
├── NotComparable         two results that must not be compared                                       exit 3
└── CannotMeasure         answers or verdicts are missing for infrastructure                          exit 4

`CallError` (in `core.attempt`) is apart: it is data about one failed attempt, not a message to the user.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes, with one meaning each for every verb (docs/reference/exit-codes.md)."""

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


_MOST_LISTED = 40  # every built-in grader is listed; the cases of a dataset are not
_FIRST_LISTED = 8


MOST_MISTAKES = 50
"""How many mistakes of one file are listed."""


class EvalhError(Exception):
    """Says what is wrong, where, and what to type next; `others` are further mistakes in the same file."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, others: "Sequence[EvalhError]" = ()
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.others = tuple(others)

    def __str__(self) -> str:
        lines = []
        for one in (self, *self.others):
            place = f"{one.where}: " if one.where else ""
            advice = f"\n  {one.hint}" if one.hint else ""
            lines.append(f"{place}{one.what}{advice}")
        return "\n".join(lines)

    @property
    def line(self) -> int:
        """The line in the file; 0 if unknown."""
        line = (self.where or "").rpartition(":")[2]
        return int(line) if line.isdecimal() else 0


class UsageError(EvalhError):
    """The request itself cannot be met."""


class NotFound(UsageError):
    """What was named is not there; the hint lists what is."""


class KeyMissing(UsageError):
    """A model needs a key, and the environment holds none."""


class WorkspaceError(EvalhError):
    """A file of the workspace is wrong; `where` is `file:line` as far as it is known."""

    @staticmethod
    def raise_all(errors: "Iterable[WorkspaceError]") -> None:
        """Raise the mistakes of one file, in the file's order, as one error; return where there is none.

        Of more than `MOST_MISTAKES` the first are raised: a file may hold as many as its author likes.
        """
        every = [each for error in errors for each in (error, *error.others)]
        if every:
            first, *others = sorted(every, key=lambda error: error.line)
            if len(every) > MOST_MISTAKES:
                following = others[MOST_MISTAKES - 1]
                others[MOST_MISTAKES - 1 :] = [
                    WorkspaceError("more mistakes follow", where=following.where, hint="correct these first")
                ]
            raise WorkspaceError(first.what, where=first.where, hint=first.hint, others=others)


class NotComparable(EvalhError):
    """Two results differ in what they measured; the message names the parts."""

    exit_code = ExitCode.INCONCLUSIVE


class CannotMeasure(EvalhError):
    """Answers or verdicts are missing and no statement can be made."""

    exit_code = ExitCode.CANNOT_MEASURE


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to `word`, whatever its case; None if none is close."""
    folded: dict[str, str] = {}
    for one in known:
        folded.setdefault(one.casefold(), one)
    close = get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Say which known word may be meant, and otherwise what is known: the first of very many."""
    known = sorted(known)
    guess = nearest(word, known)
    return f"did you mean {guess!r}?" if guess else f"have: {some_of(known) or 'nothing'}"


def some_of(names: Sequence[str], most: int = _MOST_LISTED) -> str:
    """List names; of more than a person reads, the first ones and how many there are besides."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:_FIRST_LISTED])} and {len(names) - _FIRST_LISTED} more"
