"""The words of a text, for measures that compare words: by Unicode's word boundaries (UAX 29), in every script."""

import re
from collections import Counter
from itertools import pairwise

from evalh.core.unicode_form import in_form

# Scripts without blanks between words: their letters count in pairs, so that an order of letters makes a difference.
_UNPARTED = r"[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}]"
_BOUNDARY = r"(?wV1)\b"
# Not what ends or encloses a sentence.
_COUNTS = r"(?V1)[[\p{L}\p{N}\p{M}\p{S}\p{Cs}\p{Co}\p{Cn}#%&@/\\*\u00a7\u2030]--[\p{Sk}\s]]"
_SIGN = re.compile(r"(?<![\w)\]}.])[-\u2010-\u2013\u2212](?=\.?\d)")
_MINUS = "\u2796"  # a symbol, so that it counts; the hyphen is punctuation
_INNER_STOP = re.compile(r"(?<=[^\W\d])[.:\u00b7](?=[^\W\d])")  # UAX 29 joins what a missing blank joins
_EMPHASIS = re.compile(
    r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]*)(?<=[^\s*])\1(?!\*)|(?<!\w)(_{1,3})(?=[^\W_])([^_\n]*)\3(?!\w)"
)


def bag(text: str) -> Counter[str]:
    """Count the words of a text, without case and punctuation; signs and symbols are words of their own.

    Takes linear time.
    """
    import regex

    text = in_form(in_form(text, "nfc").casefold(), "nfc").replace("\u2019", "'")
    text = _EMPHASIS.sub(lambda found: found[2] or found[4] or "", text)
    text = _INNER_STOP.sub(" ", _SIGN.sub(f" {_MINUS} ", text))
    counts = regex.compile(_COUNTS)
    unparted = regex.compile(_UNPARTED + "++")
    words: Counter[str] = Counter()
    for run in unparted.findall(text):
        words.update(map("".join, pairwise(run)) if len(run) > 1 else (run,))
    pieces = Counter(regex.split(_BOUNDARY, unparted.sub(" ", text)))
    words.update({piece: times for piece, times in pieces.items() if counts.search(piece)})
    return words
