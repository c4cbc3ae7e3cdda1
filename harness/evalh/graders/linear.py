"""Patterns over text that others wrote: RE2, which takes linear time for any pattern and any text.

Python's own `re` may take quadratic or exponential time, so it reads no such text but where a test's list says why.
"""

from functools import cache
from typing import Any

_MEMORY = 1 << 26  # bytes for the automata of one pattern: with less, classes of Unicode make RE2 slow


@cache
def pattern(source: str, *, ignore_case: bool = False, multiline: bool = False) -> Any:
    """Compile a pattern of ours, once. It reads texts, not bytes; a lone surrogate must be replaced before."""
    import re2

    flags = ("i" if ignore_case else "") + ("m" if multiline else "")
    options = re2.Options()
    options.log_errors = False  # RE2 would write to stderr
    options.max_mem = _MEMORY
    return re2.compile(f"(?{flags}){source}" if flags else source, options)


def readable(text: str) -> str:
    """Return a text that RE2 can read: lone surrogates, which no encoding holds, become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode() if _broken(text) else text


def _broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
