"""Every error that evalh raises on purpose.

EvalhError
├── UsageError            the command line or a call from Python is wrong                      exit 2
│   ├── NotFound          there is no such prompt, version, suite, case, model or run
│   └── KeyMissing        a model's key is not in the environment                                     exit 4 of a gate
├── WorkspaceError        a file of the workspace is wrong                                            exit 2
├── NotComparable         two results cannot be compared                                       exit 3
└── CannotMeasure         answers or verdicts are missing because of the infrastructure          exit 4

`CallError` (in `core.attempt`) is not an EvalhError: it is data about one failed attempt, not a message to the user.
"""

from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches
from enum import IntEnum
from shlex import quote


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
    """Return the one code to report for several; YES for none."""
    return min(codes, key=_WORST_FIRST.index, default=ExitCode.YES)


_MOST_LISTED = 40  # enough for every built-in grader, not for the cases of a dataset
_FIRST_LISTED = 8
_TYPO = 0.85


MOST_MISTAKES = 50
"""The most mistakes of one file that are listed."""


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
    """The command line or the call is wrong."""


class NotFound(UsageError):
    """What was named does not exist; the hint lists what does."""


class KeyMissing(UsageError):
    """A model needs a key that is not in the environment."""


class WorkspaceError(EvalhError):
    """A file of the workspace is wrong; `where` is `file:line`, or the file if the line is unknown."""

    @staticmethod
    def raise_all(errors: "Iterable[WorkspaceError]") -> None:
        """Raise the mistakes of one file, in the file's order, as one error; return if there are none.

        Only the first `MOST_MISTAKES` are raised: a hostile file may have any number.
        """
        every = [each for error in errors for each in (error, *error.others)]
        if every:
            first, *others = sorted(every, key=lambda error: error.line)
            if len(every) > MOST_MISTAKES:
                following = others[MOST_MISTAKES - 1]
                others[MOST_MISTAKES - 1 :] = [
                    WorkspaceError("there are more mistakes", where=following.where, hint="correct these first")
                ]
            raise WorkspaceError(first.what, where=first.where, hint=first.hint, others=others)


class NotComparable(EvalhError):
    """Two results differ in what they measured; the message names the parts."""

    exit_code = ExitCode.INCONCLUSIVE


class CannotMeasure(EvalhError):
    """Too many answers or verdicts are missing for a statement."""

    exit_code = ExitCode.CANNOT_MEASURE


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to `word`, ignoring case; None if none is close."""
    folded: dict[str, str] = {}
    for one in known:
        folded.setdefault(one.casefold(), one)
    close = get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def is_typo(word: str, known: str) -> bool:
    """Whether one letter is missing or too many, or two neighbours have changed places; in a long word also another."""
    swapped = (known[:at] + known[at + 1] + known[at] + known[at + 2 :] for at in range(len(known) - 1))
    close = abs(len(word) - len(known)) <= 1 and SequenceMatcher(None, word, known).ratio() >= _TYPO
    return word != known and (close or word in swapped)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the known word that may be meant; otherwise list the first known words."""
    known = sorted(known)
    guess = nearest(word, known)
    return f"did you mean {guess!r}?" if guess else f"have: {some_of(known) or 'nothing'}"


def one_of(command: str, names: Iterable[str], write: Callable[[str], str] = quote) -> str:
    """Return a command that works, the first name in place of {}; and the other names. Without names the bare one.

    `write`: how a name is written there, for a shell if nothing else is said.
    """
    first, *others = map(write, names) if (names := [*names]) else [""]
    more = f"   or one of: {some_of(others)}" if others else ""
    before, _, after = command.partition("{}")
    return f"{before}{first}{after if first else after.lstrip()}".strip() + more


def some_of(names: Sequence[str], most: int = _MOST_LISTED) -> str:
    """List names; of a long list the first ones, and the number of others."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:_FIRST_LISTED])} and {len(names) - _FIRST_LISTED} more"
