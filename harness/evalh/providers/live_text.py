"""An answer's text while it arrives: handed on piece by piece, without what may yet be taken out of it.

What is held back for long is told at the end, by the caller, who then has the whole answer.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from evalh.core.reasoning import thinks_first

if TYPE_CHECKING:
    from evalh.providers.http.errors import Redactor

Tell = Callable[[str], None]

_OPENERS = ("<", "[", "◁")  # what a tag that opens reasoning begins with
_THINK = "[THINK]"
_UNDECIDED = 256  # characters in which such a tag, with its attributes, is whole
_BLANKS = " \t\r\n\ufeff\u200b\u2060"


class Arriving:
    """Hands on a text that grows, without a secret, and without an end that may become one."""

    def __init__(self, tell: Tell, redact: "Redactor") -> None:
        self._tell = tell
        self._redact = redact
        self._told = 0

    def so_far(self, text: str) -> None:
        """Take the text as far as it has come."""
        plain = self._redact.text(text)
        ready = plain[: len(plain) - self._redact.begun(plain)]
        if len(ready) > self._told:
            piece, self._told = ready[self._told :], len(ready)
            self._tell(piece)


class WithoutReasoning:
    """Hands pieces on where the text begins with no reasoning; otherwise nothing, since its end is known at the end."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._waiting: str | None = ""  # until it is decided; None: it is

    def __call__(self, piece: str) -> None:
        """Take the next piece."""
        if self._waiting is None:
            self._tell(piece)
            return
        self._waiting += piece
        if not self._may_open(self._waiting):
            piece, self._waiting = self._waiting, None
            self._tell(piece)

    @staticmethod
    def _may_open(text: str) -> bool:
        start = text.lstrip(_BLANKS)
        if not start:
            return True
        if not start.startswith(_OPENERS):
            return False
        if start[0] == "[" and not start[: len(_THINK)].upper().startswith(_THINK[: len(start)]):
            return False
        return len(start) < _UNDECIDED or thinks_first(text)
