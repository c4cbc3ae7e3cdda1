"""Write the numbers of a line in plain signs: digits of any script as 0 to 9, LaTeX as text, one kind of minus."""

import re
from html import unescape
from unicodedata import category, decimal, normalize

GROUP = "\u2009"
"""A mark that does nothing but group digits, however it was written: a thin space, `{,}`, an Arabic mark."""

_GROUPS = "\u00a0\u2007\u2008\u2009\u200a\u202f"
_WRITTEN = (
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\u02d7\u2796", "-")
    | dict.fromkeys("\u2019\u02bc\u2018", "'")
    | dict.fromkeys("\u2219\u2217\u2715\u2716\u2a2f", "\u00d7")
    | dict.fromkeys("\u02c4\u02c6", "^")
    | {"\u066c": GROUP, "\u2015": "\u2014"}
)
_KEPT = 0x3000  # code points below are remembered: a hostile text cannot fill the memory with the others


class _Plain(dict[int, str]):
    """What each character is written as, found when it is first seen."""

    def __missing__(self, code: int) -> str:
        written = _plain(chr(code))
        if code < _KEPT:
            self[code] = written
        return written


def _plain(character: str) -> str:
    match category(character):
        case "Nd":
            return str(decimal(character))
        case "Cf":  # a mark of direction may stand between a sign and its digits
            return ""
        case "Zs":
            return GROUP if character in _GROUPS else " "
        case "Sc":  # a wide or small form of a currency
            same = normalize("NFKC", character)
            return same if len(same) == 1 else character
    if "\uff01" <= character <= "\uff5e":  # full-width ASCII
        return chr(ord(character) - 0xFEE0)
    return _WRITTEN.get(character, character)


_PLAIN = _Plain({code: chr(code) for code in range(0x80)})

_ARGUMENT = r"\s*+(?:\{{\s*+(?P<s{0}>-?)\s*+(?P<n{0}>[0-9][0-9.,\u2009]*+)\s*+\}}|(?P<d{0}>[0-9]))"
_FRACTION = re.compile(r"\\(?:[dtcs]|nice)?frac" + _ARGUMENT.format(1) + _ARGUMENT.format(2))
_SPACE = r"(?:\\[,;:!> ]|\\thinspace(?![A-Za-z]) ?)"
_LATEX_GROUP = re.compile(
    rf"(?:(?:\\!)?,\\!|(?:\{{|\\(?:text|mathord|mathpunct)\{{)(?:,|'|{_SPACE})\}}(?:\\!)?|{_SPACE}|~)"
    r"(?=[0-9]|\\[a-z]{0,4}frac)"
)
_RAISED_DIGIT = "\u2070\u00b9\u00b2\u00b3\u2074-\u2079"
_SMALL_FRACTION = re.compile(f"(?<![{_RAISED_DIGIT}])([{_RAISED_DIGIT}]++)[/\u2044]([\u2080-\u2089]++)")
# A sign before the box or the markup that its number stands in, but not one between two things.
_SIGN_OUTSIDE = re.compile(r"(?<![\w)\]}$])-((?:(?:\\[A-Za-z]++)?\{|<[a-z]{1,10}>)++)(?=[0-9.$\\])")
_RAISED = re.compile(r"<(su[pb])>[ \t]*+([-+]?[0-9]++)[ \t]*+</\1>")
_COMMAND = re.compile(r"\\([A-Za-z]++|[-$%\[\]()*_^])")
_COMMANDS = {
    "times": "\u00d7", "cdot": "\u00d7", "div": "\u00f7", "pm": "\u00b1", "sqrt": "\u221a", "pi": "\u03c0",
    "left": "", "right": "", "displaystyle": "", "textminus": "-", "over": "/", "-": "-", "^": "^",
    "$": "$", "%": "%", "*": "*", "_": "_",
    "[": " ", "]": " ", "(": " ", ")": " ",
}  # fmt: skip


def plain(line: str) -> str:
    """Write one line so; it may become shorter or longer. Takes linear time."""
    if "&" in line and ";" in line:
        line = unescape(line)
    if not line.isascii():
        line = _SMALL_FRACTION.sub(_small_fraction, line.translate(_PLAIN))
    if "<su" in line:
        line = _RAISED.sub(_raised, line)
    if "{" in line or "<" in line:
        line = _SIGN_OUTSIDE.sub(r"\1-", line.replace("{.}", ".").replace("{-}", "-"))
    if "\\" in line or "{" in line or "~" in line:
        line = _LATEX_GROUP.sub(GROUP, line)
    if "\\" in line:
        line = _COMMAND.sub(_command, _FRACTION.sub(_fraction, line))
    return line


def _raised(found: re.Match[str]) -> str:
    return f"^{{{found[2]}}}" if found[1] == "sup" else f"_{found[2]}"


def _small_fraction(found: re.Match[str]) -> str:
    above, below = normalize("NFKC", found[1]), normalize("NFKC", found[2])
    return f"{_blank(found)}{above}/{below} "


def _blank(found: re.Match[str]) -> str:
    return " " if found.string[found.start() - 1 : found.start()].isdigit() else ""  # 1\frac12 is 1 1/2


def _fraction(found: re.Match[str]) -> str:
    above, below = found["n1"] or found["d1"], found["n2"] or found["d2"]
    return f"{_blank(found)}{found['s1'] or ''}{above}/{found['s2'] or ''}{below} "


def _command(found: re.Match[str]) -> str:
    written = _COMMANDS.get(found[1])
    return f"{found[0]} " if written is None else written
