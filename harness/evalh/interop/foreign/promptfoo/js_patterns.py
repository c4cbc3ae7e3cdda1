r"""JavaScript's regular expressions as RE2's, where each part means the same for every text.

JavaScript's `\d` and `\w` are ASCII's, its `\s` is not, its `.` stops at four kinds of line ends.
"""

import re

_SPACE = r"\t\n\x0b\f\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}"
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": _SPACE}
_DOT = r"[^\n\r\x{2028}\x{2029}]"
_CONTROLS = {"n": r"\n", "r": r"\r", "t": r"\t", "f": r"\f", "v": r"\x0b", "0": r"\x00"}
_MOST_REPEATS = 1000
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})")
_GROUP = re.compile(r"\?(?::|<(?P<name>[A-Za-z_]\w*)>)")
_HIGH, _LOW = 0xD800, 0xDFFF


class OtherPatternError(Exception):
    """RE2 has no pattern that means the same."""


class _PatternReader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.place = 0
        self.near = False  # a part means the same for ASCII alone

    def pattern(self) -> str:
        parts: list[str] = []
        while self.place < len(self.source):
            parts.append(self._next())
        return "".join(parts)

    def _next(self) -> str:
        sign = self.source[self.place]
        self.place += 1
        match sign:
            case "\\":
                return self._escape(inside=False)
            case "[":
                return self._class()
            case "(":
                return self._group()
            case ".":
                return _DOT
            case "{":
                return self._repeat()
            case _:
                return sign if sign in "^$|)*+?" else _quoted(sign)

    def _group(self) -> str:
        if not self.source.startswith("?", self.place):
            return "("
        found = _GROUP.match(self.source, self.place)
        if found is None:
            raise OtherPatternError(self.source[self.place - 1 : self.place + 3])
        self.place = found.end()
        return f"(?P<{found['name']}>" if found["name"] else "(?:"

    def _repeat(self) -> str:
        found = _REPEAT.match(self.source, self.place - 1)
        if found is None:
            return r"\{"
        if any(int(number) > _MOST_REPEATS for number in found.groups() if number):
            raise OtherPatternError(found[0])
        self.place = found.end()
        return found[0]

    def _escape(self, *, inside: bool) -> str:
        if self.place >= len(self.source):
            raise OtherPatternError("a \\ at the end")
        sign = self.source[self.place]
        self.place += 1
        if sign.lower() in _CLASSES:
            return self._known(sign, inside=inside)
        if sign in "bB" and not inside:
            self.near = True
            return f"\\{sign}"
        if sign == "b":
            return r"\x08"
        number = _HEX.match(self.source, self.place - 1)
        if number is not None:
            self.place = number.end()
            point = int(number[1] or number[2], 16)
            if _HIGH <= point <= _LOW:
                raise OtherPatternError(number[0])
            return f"\\x{{{point:x}}}"
        if sign in "123456789kpPuxc" or (sign == "0" and self.source[self.place : self.place + 1].isdigit()):
            raise OtherPatternError(f"\\{sign}")
        return _CONTROLS.get(sign) or _quoted(sign)

    def _known(self, sign: str, *, inside: bool) -> str:
        content = _CLASSES[sign.lower()]
        if sign.islower():
            return content if inside else f"[{content}]"
        if inside:
            raise OtherPatternError(f"\\{sign} in a class")
        return f"[^{content}]"

    def _class(self) -> str:
        negated = self.source.startswith("^", self.place)
        self.place += negated
        parts: list[str] = []
        while True:
            if self.place >= len(self.source):
                raise OtherPatternError("a class without its end")
            sign = self.source[self.place]
            self.place += 1
            if sign == "]":
                break
            if sign == "\\":
                parts.append(self._escape(inside=True))
            else:
                parts.append(sign if sign == "-" else _quoted(sign))
        if not parts:
            raise OtherPatternError("an empty class")
        return f"[{'^' if negated else ''}{''.join(parts)}]"


def _quoted(sign: str) -> str:
    """Return a character that stands for itself."""
    if sign.isalnum() or sign in " _" or not sign.isascii():
        return sign
    return _ESCAPED.get(sign) or f"\\{sign}"


_ESCAPED = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\0": r"\x00"}


def re2_pattern(source: str) -> tuple[str, bool]:
    """Return RE2's pattern, and whether it may differ beside letters outside of ASCII. Raises OtherPatternError."""
    reader = _PatternReader(source)
    pattern = reader.pattern()
    return pattern, reader.near


def quoted(text: str) -> str:
    """Return a pattern that matches a text alone."""
    return "".join(map(_quoted, text))
