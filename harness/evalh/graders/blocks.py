"""Fenced blocks of Markdown, as CommonMark reads them: fences of backticks or tildes, closed by one as long."""

import re
from collections.abc import Iterator

from evalh.core.values import Value

# A line that begins as a fence. Blocks inside lists and quotations stand further in.
_FENCE = re.compile(r"^\ufeff?[ \t>]{0,12}(?P<fence>`{3,}+|~{3,}+)(?P<rest>[^\n]*)$", re.MULTILINE)
_ONE_LINE = re.compile(r"([A-Za-z][\w+-]{0,20})[ \t]{0,8}(?=[\[{])")  # ```json {"a": 1}```


class Block(Value):
    """What stands between two fences; `closed` is false where the text ends first."""

    language: str
    text: str
    closed: bool
    fence: str = "```"


def blocks(text: str) -> Iterator[Block]:
    """Find the fenced blocks of a text, also one that stands on one line: ```{"a": 1}```. Takes linear time."""
    fence, language, begun = "", "", 0
    for found in _FENCE.finditer(text):
        rest = found["rest"].strip()
        if fence:
            if found["fence"].startswith(fence) and not rest:
                yield Block(language, text[begun : max(begun, found.start())], closed=True)
                fence = ""
        elif found["fence"][0] in rest:
            if rest.endswith(found["fence"]) and "`" not in (inside := rest.removesuffix(found["fence"])):
                named = _ONE_LINE.match(inside)
                language_of = named[1] if named else ""
                yield Block(language_of, inside[len(language_of) :].strip(), closed=True)  # else: code inside a line
        else:
            fence, language, begun = found["fence"], rest.split(" ")[0], found.end() + 1
    if fence:
        yield Block(language, text[begun:], closed=False, fence=fence)


def fences(text: str, fence: str) -> int:
    """Count the lines that could open or close a block of such a fence, however they are paired."""
    return sum(found["fence"].startswith(fence) and fence[0] not in found["rest"] for found in _FENCE.finditer(text))
