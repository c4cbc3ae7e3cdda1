r"""Patterns on RE2 whose classes know every script: RE2's own `\w`, `\d`, `\s` and `\b` are ASCII's.

The classes are written as Unicode properties. RE2 has no word boundary but ASCII's and no lookaround to write one, so
for a pattern with `\b` the text gets a mark at each boundary: `\b` is the mark, and every other part of the pattern
reads over it. All of it takes linear time. A text in ASCII is matched by the pattern as it was written.

Python's own `re` may take quadratic or exponential time, so it reads no such text but where a test's list says why.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, cached_property
from itertools import count, repeat
from threading import Lock
from typing import Any, TypeAlias

from msgspec import Struct, field

from evalh.core.values import Value

MARK = "\ufdd0"  # a code point that must not occur in text
_WORD = r"\p{L}\p{M}\p{N}\p{Pc}"
_SPACE = r"\t\n\f\r \x{85}\p{Z}"
_CLASSES = {"w": _WORD, "d": r"\p{Nd}", "s": _SPACE}
_BLANKS = (r"\t", r"\n", r"\f", r"\r")
_TOKEN = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)"
    r"|(?P<group>\((?:\?(?:P?<\w+>|(?P<flags>[imsU-]*)(?P<ends>[:)])))?)"
    r"|(?P<plain>[|)])"
    r"|(?P<times>(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})[+?]?)"
    r"|(?P<class>\[\^?\]?(?:\[:\^?\w+:\]|\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\.|[^\]\\])*\])"
    r"|(?P<escape>\\(?:[pP]\{[^}]*\}|x\{[^}]*\}|x[0-9a-fA-F]{2}|[0-7]{1,3}|[pP]?.))"
    r"|(?P<one>.)",
    re.DOTALL,
)
_INSIDE = re.compile(r"\[:\^?\w+:\]|\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\x[0-9a-fA-F]{2}|\\[0-7]{1,3}|\\[pP]?.|.", re.DOTALL)


class _CannotWriteError(ValueError):
    """The pattern has a part that only ASCII's classes can say."""


class _Writer(Struct):
    """Writes a pattern with Unicode's classes; `marked`: for a text with marks at word boundaries."""

    marked: bool
    _dot_all: list[bool] = field(default_factory=lambda: [False])

    def write(self, pattern: str) -> str:
        return "".join(self._tokens(pattern))

    def _tokens(self, pattern: str) -> Iterator[str]:
        before = ""
        for found in _TOKEN.finditer(pattern):
            if found["quoted"] is not None:
                yield from (self._atom(re.escape(one) if one.isascii() else one) for one in found["quoted"])
            elif found["group"] is not None:
                self._open(found)
                yield found["group"]
            elif found["plain"] is not None:
                if found["plain"] == ")" and len(self._dot_all) > 1:
                    self._dot_all.pop()
                yield found["plain"]
            elif found["times"] is not None:
                yield found["times"]
            elif found["class"] is not None:
                yield self._atom(self._class(found["class"]))
            elif found["escape"] is not None:
                if not (found["escape"] == r"\b" == before):
                    yield self._escape(found["escape"])
            else:
                yield self._one(found["one"])
            before = found.group()

    def _open(self, found: re.Match[str]) -> None:
        flags, ends = found["flags"] or "", found["ends"]
        on, _, off = flags.partition("-")
        now = "s" not in off and ("s" in on or self._dot_all[-1])
        if ends == ")":
            self._dot_all[-1] = now
        else:
            self._dot_all.append(now)

    def _one(self, one: str) -> str:
        if one == "$":
            return f"(?:{MARK}?$)" if self.marked else one
        if one == "." and self.marked:
            return self._atom(f"[^{MARK}]" if self._dot_all[-1] else rf"[^\n{MARK}]")
        return one if one == "^" else self._atom(one)

    def _escape(self, escape: str) -> str:
        name = escape[1:]
        if name == "b":
            return MARK if self.marked else escape
        if name in {"B", "C"}:
            raise _CannotWriteError(escape)
        if name == "z":
            return f"(?:{MARK}?\\z)" if self.marked else escape
        if name == "A":
            return escape
        if name.lower() in _CLASSES:
            return self._atom(self._all_but(_CLASSES[name.lower()]) if name.isupper() else f"[{_CLASSES[name]}]")
        if name[0] == "P" or name.startswith("p{^"):
            return self._atom(self._all_but(_turned(escape)))
        return self._atom(escape)

    def _atom(self, atom: str) -> str:
        return f"(?:{MARK}?{atom})" if self.marked else atom

    def _all_but(self, members: str) -> str:
        return f"[^{members}{MARK if self.marked else ''}]"

    def _class(self, written: str) -> str:
        negated = written.startswith("[^")
        parts = _INSIDE.findall(written[2 if negated else 1 : -1])
        lacking = [part for part in parts if part in {r"\W", r"\S"} or (self.marked and _is_negative(part))]
        rest = "".join(
            _CLASSES.get(part[1:], part) if part[0] == "\\" else part for part in parts if part not in lacking
        )
        rest = rest.replace(r"\D", r"\P{Nd}")
        if not lacking:
            return self._all_but(rest) if negated else f"[{rest}]"
        if negated:
            return self._without(parts)
        others = "|".join(self._all_but(_CLASSES.get(part[1:].lower(), "") or _turned(part)) for part in lacking)
        return f"(?:[{rest}]|{others})" if rest else f"(?:{others})"

    def _without(self, parts: list[str]) -> str:
        r"""Write `[^\W\d_]`, a letter, and `[^\S\n]`, a blank: what is left of a class without some of it."""
        if sorted(parts) == sorted([r"\W", r"\d", "_"]):
            return r"[\p{L}\p{M}\p{Nl}\p{No}]"
        taken = [part for part in parts if part != r"\S"]
        if r"\S" in parts and all(part in _BLANKS for part in taken):
            left = _SPACE
            for part in taken:
                left = left.replace(part, "", 1)
            return f"[{left}]"
        if parts == [r"\W"]:
            return f"[{_WORD}]"
        raise _CannotWriteError("".join(parts))


def _is_negative(part: str) -> bool:
    return part == r"\D" or part.startswith((r"\P", r"\p{^", "[:^"))


def _turned(part: str) -> str:
    r"""Return the class that a negated one leaves out: `\P{L}` and `\p{^L}` are all but `\p{L}`."""
    if part == r"\D":
        return r"\p{Nd}"
    return part.replace(r"\P", r"\p", 1).replace("{^", "{", 1).replace("[:^", "[:", 1)


Match: TypeAlias = tuple[str | None, ...]
"""What a pattern caught: the whole match, then each group."""


_SET = 500
_PARSING = Lock()
_SIMPLE = re.compile(r"(?:[^(){}\\]|\\[.*+?^$|()\[\]{}wdsWDSb-]|\((?!\?)|\)){0,120}")


class _OfUnicode(Value):
    """The pattern for texts outside of ASCII."""

    pattern: Any
    marked: bool
    ascii_only: str  # the part that knows ASCII's letters only; empty: none


class Pattern:
    """A checked pattern, compiled when it is first used. Raises nothing and takes linear time for any text."""

    def __init__(self, source: str, *, ignore_case: bool) -> None:
        self._source = source
        self._ignore_case = ignore_case

    @cached_property
    def _as_written(self) -> Any:
        import re2

        return re2.compile(_encoded(self._source), _options(self._ignore_case))

    @cached_property
    def _unicode(self) -> _OfUnicode:
        import re2

        source = self._source
        if "\\" not in source and "[" not in source:  # no class: it means the same of any text
            return _OfUnicode(self._as_written, marked=False, ascii_only="")
        try:
            marked = any(found["escape"] == r"\b" for found in _TOKEN.finditer(source))
            written = _Writer(marked).write(source)
            if written == source:
                return _OfUnicode(self._as_written, marked=marked, ascii_only="")
            return _OfUnicode(re2.compile(_encoded(written), _options(self._ignore_case)), marked, "")
        except (_CannotWriteError, re2.error) as exc:
            said = str(exc) if isinstance(exc, _CannotWriteError) else "it"
            return _OfUnicode(self._as_written, marked=False, ascii_only=said)

    @property
    def ascii_only(self) -> str:
        """The part that knows ASCII's letters only; empty if there is none."""
        return self._unicode.ascii_only

    @property
    def groups(self) -> int:
        return int(self._as_written.groups)

    @property
    def names(self) -> dict[str, int]:
        return {name.decode(): number for name, number in self._as_written.groupindex.items()}

    def find(self, text: str, *, last: bool = False) -> Match | None:
        pattern, marked = self._as_written, False
        if not text.isascii():
            pattern, marked = self._unicode.pattern, self._unicode.marked
            text = _marked(text) if marked else text
        encoded = _encoded(text)
        found = pattern.search(encoded)
        if found is not None and last:
            for found in pattern.finditer(encoded):  # noqa: B007 (the last one is what is wanted)
                pass
        if found is None:
            return None
        return tuple(_decoded(found.group(number), marked=marked) for number in range(self.groups + 1))


def compiled(pattern: str, *, ignore_case: bool) -> Pattern:
    """Check a pattern. Raises `re2.error` for one that RE2 does not take as it is written.

    A dataset may bring hundreds of thousands, and to parse one takes a tenth of the time that compiling it takes. What
    parses may still be too large to be compiled, so only short patterns without counted repetitions and flags wait
    until they are used.
    """
    import re2

    checked = Pattern(pattern, ignore_case=ignore_case)
    if _SIMPLE.fullmatch(pattern):
        with suppress(re2.error), _PARSING:  # what it says names neither place nor reason
            next(_parsers(ignore_case)).Add(_encoded(pattern))
            return checked
    checked.groups  # noqa: B018 (it is compiled now)
    return checked


@cache
def _parsers(ignore_case: bool) -> Iterator[Any]:  # noqa: FBT001 (one of two)
    """Yield what parses a pattern: a set of patterns, which keeps them, so that another one follows in time."""
    import re2

    return (one for _ in count() for one in repeat(re2.Set.SearchSet(_options(ignore_case)), _SET))


@cache
def _options(ignore_case: bool) -> Any:  # noqa: FBT001 (one of two)
    import re2

    options = re2.Options()
    options.log_errors = False  # RE2 would write to stderr
    options.case_sensitive = not ignore_case
    return options


def _marked(text: str) -> str:
    import regex

    return str(regex.sub(rf"[{_WORD}]++", rf"{MARK}\g<0>{MARK}", text.replace(MARK, "\ufffd")))


def _encoded(text: str) -> bytes:
    # Bytes, since RE2 reads UTF-8 anyway, and a lone surrogate cannot be encoded strictly: it matches nothing.
    return text.encode("utf-8", "surrogatepass")


def _decoded(caught: bytes | None, *, marked: bool) -> str | None:
    if caught is None:
        return None
    text = caught.decode("utf-8", "surrogatepass")
    return text.replace(MARK, "") if marked else text


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
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
