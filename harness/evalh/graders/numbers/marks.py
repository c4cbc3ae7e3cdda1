"""What stands as a number and counts nothing: citations, footnotes, addresses, and the marks of a list."""

import re

_NUMBERS = r"[0-9]{1,3}(?:[ ]?[,;-][ ]?[0-9]{1,3}){0,9}"
_BRACKETED = rf"\^?\[(?:{_NUMBERS}|\^\w{{1,20}}|(?:note|ref\.?|fn|source|doc|citation)[ ]?{_NUMBERS})\]"
_CITED = re.compile(
    rf"https?://[^\s<>\[\]\\]++|\]\([^()\s]{{1,300}}\)"  # an address; of a link only its text is read
    r"|\u3010[^\u3010\u3011\n]{0,60}\u2020[^\u3010\u3011\n]{0,60}\u3011"  # 【4†source】
    r"|\\(?:cite[a-z]{0,10}|ref|eqref|footnotemark|footnote|tag|label)\*?[ ]?"
    r"(?:\[[^\]\n]{0,40}\])?(?:\{[^{}\n]{0,80}\}|(?<=\]))"
    rf"|^[ \t]*+\[\^\w{{1,20}}\]:[^\n]*+|<sup>[ ]?{_BRACKETED}[ ]?</sup>|\[\^\w{{1,20}}\]",
    re.IGNORECASE | re.MULTILINE,
)
# 42 [1] · 42.[1][2] · **42** [3], but not the list in 5, [1].
_BEHIND_NUMBER = re.compile(
    rf"(?:(?<=[0-9%\u00b0*_}}\u3011])[ ]?|(?<=[0-9*)\"\u201d][.!?;]))(?:{_BRACKETED}[ ]?){{1,9}}(?![0-9\[(])",
    re.IGNORECASE,
)
_LISTED = re.compile(
    r"[\s>*_#-]{0,8}(?:(?:step|part|note|item|point|question|case|option|schritt|\u00e9tape|paso)[ ])?"
    r"[(\[]?\Z",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"[.:)\]]{1,2}[*_]{0,2}[ \t]+\S")
_AT_WORD = re.compile(  # 42 apples [1], [2]
    rf"(?:[^\W\d_][.!?]?[*_]{{0,2}}|[0-9%],)[ ]?(?:\[{_NUMBERS}\][,;]?[ ]?){{0,9}}\[\Z|[0-9%*][ ]\(\Z"
)
_PLACE = re.compile(  # (Table 2)
    r"\((?:see )?(?:table|figure|fig\.|equation|eq\.|section|step|page|p\.|chapter|note|source|ref\.?) ?[0-9.]{1,6}\)",
    re.IGNORECASE,
)
_CLOSES = re.compile(r"[\])]")


def without_citations(line: str) -> str:
    """Leave out of a line what surely refers to somewhere else. Takes linear time."""
    if "[" in line or "://" in line or "\\" in line or "\u3010" in line:
        line = _CITED.sub(lambda found: "]" if found[0].startswith("](") else " ", line)
    if "(" in line:
        line = _PLACE.sub(" ", line)
    return _BEHIND_NUMBER.sub(" ", line) if "[" in line else line


def may_be_mark(left: str, written: str, right: str) -> bool:
    """Whether a number may be a list's mark or a citation, by the rest of its line: `2. divide`, `42 apples [1]`."""
    if not written.isdecimal() or len(written) > 2:  # noqa: PLR2004 (longer lists are rare)
        return False
    if _LISTED.match(left) is not None and _GOES_ON.match(right) is not None:
        return True
    return _AT_WORD.search(left) is not None and _CLOSES.match(right) is not None
