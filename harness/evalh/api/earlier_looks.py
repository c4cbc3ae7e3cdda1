"""The gates that one pull request has had: its comment carries which heads were judged.

Ten pushes are ten looks at one question. The error rate of 5 % is spent over all of them: look j takes 1 / (j (j + 1))
of it, which adds up to all of it however many there are. A head that was judged before is not a new look.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evalh.analysis.questions import ALPHA
from evalh.analysis.verdicts import Series
from evalh.api.changes import SuiteChange
from evalh.core.digest import digest
from evalh.core.errors import UsageError

_HEADS = re.compile(r"^<!-- evalh heads:((?: [0-9a-f]{12}){1,500}) -->$")
_MOST_BYTES = 1_000_000  # of a comment: GitHub takes 65,536 characters


@dataclass(frozen=True, slots=True)
class EarlierLooks:
    """What an earlier comment says; no heads: there was none."""

    heads: tuple[str, ...] = ()

    def series(self, touched: Iterable[SuiteChange]) -> Series:
        """Return these looks and the one at what a change brings now."""
        suites = sorted((one.suite, one.head.fingerprint().document()) for one in touched)
        head = digest([list(one) for one in suites]).removeprefix("sha256:")[:12]
        heads = self.heads if head in self.heads else (*self.heads, head)
        look = heads.index(head) + 1
        return Series(heads=heads, look=look, alpha=ALPHA / (look * (look + 1)))


def read_earlier(path: Path) -> EarlierLooks:
    """Read the comment that an earlier gate left; a file that is empty or not there is a first look.

    Raises UsageError for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return EarlierLooks()
    except OSError as exc:
        raise UsageError(f"--earlier cannot be read: {exc.strerror}", where=str(path)) from exc
    for line in text.splitlines()[:10]:
        found = _HEADS.match(line.strip())
        if found:
            return EarlierLooks(tuple(dict.fromkeys(found[1].split())))
    return EarlierLooks()
