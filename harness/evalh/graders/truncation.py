"""`truncation`: the output ends before it is finished."""

import json
import re
from collections.abc import Callable
from unicodedata import category

from evalh.core.attempt import FinishReason
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.blocks import blocks, fences
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.quoting import one_line

_WORDS = ("true", "false", "null", "-")  # what a JSON value may begin with that ends in the middle
_TAIL = 2000  # characters that are read to judge the last sentence
_STOPS = (
    "\u3002\uff01\uff1f\uff61\u0964\u0965\u06d4\u1362\u17d4\u104b"  # each ends a sentence, with a blank behind or not
)
_CLOSING = """"'\u201d\u2019\u300d\u300f\u3011\uff09)\\]*_"""
_ENDS = re.compile(rf"""[.!?:;\u2026\u061f{_STOPS}][{_CLOSING}\u00bb}}`~|>$\\]*\Z""")
_PROSE = re.compile(rf"""[.!?\u2026\u061f][{_CLOSING}]*\s|[{_STOPS}][{_CLOSING}]*\s*""")
_UNSPACED = re.compile("[\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")  # Chinese and Japanese, without blanks
_LETTERS = 2  # of these make a word, more or less
# What may end a sentence without a stop: verbs, particles of tone and set nouns in Japanese, auxiliaries in Hindi.
_LAST_WORD = re.compile(
    "(?:[いうくぐすただつてぬぶむるろんねよかなわさぞ]|済み?|[中円件個日時分様]|予定|完了|可能|必要|不可|不要|以上|次第|通り|程度|あり|のみ|ため|こと|もの|とき"
    "|है|हैं|हो|हूँ|था|थी|थे|थीं|गा|गी|गे|करें|दें)\\Z"
)
_ITEM = re.compile(r"(?:[-*+\u2022]|\d+[.)]|#+|>|\|)\s")
_GOES_ON = re.compile(
    # Not "the answer is A", "use C++", "c2hvcnQ=", "C:\\".
    r"(?:[,\u3001\uff0c(\[{\u300c\uff08]|\s[-\u2013\u2014/=+]|(?<![:\\])\\|\b(?:a|an|and|as|because|if|its|nor|of|or|than|the|their|which|whose))\Z"
)
_EMOTICON = re.compile(r"(?:^|\s)[:;=8xX>][-~'^oc]?[()\[\]{}|/\\@DPpOoSs3<>*$]+\Z")
_MATH = re.compile(r"[=+^_<>\d]|\\[a-zA-Z]")
_FORMULA = re.compile(r"[=+^_]|\\[a-zA-Z]")
_WORD = re.compile(r"(?<![\\a-zA-Z{])[^\W\d_]{3}")  # of prose: not \\frac, not \\text{…}
_DOLLARS = re.compile(r"(?<![\\$])\$\$(?!\$)")
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([a-zA-Z]{1,20}\*?)\}")
_DECODER = json.JSONDecoder(strict=False)  # a line end inside a string is no sign of a cut
_ADDRESS = re.compile(r"[/@]|\w\.\w")
_SHORT = 60  # characters of an open formula that has nothing of a formula yet
_SENTENCE = 5  # words of the last sentence, so that it is not a heading and not an answer of one word


@built_in("truncation", semantics=2)
class Truncation(Parameters, frozen=True, kw_only=True):
    """The output is finished: by the provider's word, in its brackets and fences, and in its last sentence."""

    sentence: bool = True

    def compile(self, scope: Scope) -> Compiled:  # noqa: ARG002 (every kind is compiled alike)
        """Choose what is looked at."""
        signs: list[Callable[[str], str | None]] = [_fence, _brackets, _formula]
        if self.sentence:
            signs.append(_sentence)

        def judge(ctx: GradeContext) -> Verdict:
            if ctx.completion.finish is FinishReason.LENGTH:
                return Verdict.check(False, "the provider says that it was cut: its tokens ran out")
            for sign in signs:
                if (cut := sign(ctx.text)) is not None:
                    return Verdict.check(False, cut)
            return Verdict.check(True, "it is finished")

        return Compiled(judge)


def _fence(text: str) -> str | None:
    """Tell whether a block is open at the end: as CommonMark reads it, and where fences are paired in turn, too."""
    if "```" not in text and "~~~" not in text:
        return None
    last = None
    for last in blocks(text):  # noqa: B007 (the last one is what is wanted)
        pass
    if last is None or last.closed or last.fence in last.text or fences(text, last.fence) % 2 == 0:
        return None
    return "a fenced block is not closed"


def _brackets(text: str) -> str | None:
    """Tell whether a text is the beginning of JSON, and no more. What is wrong in another way is not cut."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        _DECODER.raw_decode(text)
    except json.JSONDecodeError as exc:
        rest = text[exc.pos :]
        if exc.msg.startswith("Unterminated string") or (
            exc.msg.startswith("Invalid \\") and len(rest) < len("\\u0000")
        ):
            return "it ends inside a string of its JSON"
        if not rest or any(word.startswith(rest) for word in _WORDS):
            return "its JSON stops before its end"
    except (RecursionError, ValueError):  # too deep, or a number too long: not told apart
        pass
    return None


def _formula(text: str) -> str | None:
    """Tell whether a formula is open at the end. An escaped bracket in prose, as in a pattern, is not one."""
    dollars = [found.start() for found in _DOLLARS.finditer(text)]
    if len(dollars) % 2 and _is_formula(text, dollars[-1], "$"):
        return "a formula is not closed: $$"
    for opens, closes, bracket in (("\\[", "\\]", "]"), ("\\(", "\\)", ")")):
        begin = text.rfind(opens)
        if begin < 0 or text.find(closes, begin) >= 0:
            continue
        inside = text[begin + 2 :]
        if inside.count(bracket) <= inside.count(opens[1]) and _is_formula(text, begin, opens[1]):
            return f"a formula is not closed: {opens}"
    opened = None
    for opened in _ENVIRONMENT.finditer(text):  # noqa: B007 (the last one is what is wanted)
        pass
    if opened is not None and opened[1] == "begin" and _is_formula(text, opened.start(), "{"):
        return f"\\begin{{{opened[2]}}} is not closed"
    return None


def _is_formula(text: str, begin: int, sign: str) -> bool:
    """Whether what follows to the end can be a formula's beginning: not code, not prose, not a finished sentence."""
    if text.count("`", text.rfind("\n", 0, begin) + 1, begin) % 2 or _ENDS.search(text[-20:]):
        return False
    inside = text[begin + 2 :]
    plain = len(inside) < _SHORT and not _WORD.search(inside)
    if sign == "$":  # $$ is a price range and a process too: "cheap $, dear $$", "$$ 20"
        alone = not text[text.rfind("\n", 0, begin) + 1 : begin].strip()
        return _FORMULA.search(inside) is not None or (plain and (alone or re.search("[a-z]", inside) is not None))
    return _MATH.search(inside) is not None or (plain and sign != "[")


def _length(sentence: str) -> int:
    """Count the words of a sentence, roughly where no blanks part them."""
    unspaced = 0 if "\uff1a" in sentence else len(_UNSPACED.findall(sentence))  # what follows a colon is a value
    return max(len(sentence.split()), unspaced // _LETTERS)


def _sentence(text: str) -> str | None:
    """Tell whether prose stops in a sentence. A text without any finished sentence is a label or a list, not prose."""
    ended = text[-1:] == "\n"  # a line that was ended: the output of a tool, a list
    text = text[-_TAIL:].rstrip()
    if not text or _ENDS.search(text[-20:]) or _EMOTICON.search(text[-20:]) or not _PROSE.search(text):
        return None
    *before, last = [line.strip() for line in text.splitlines()]
    sentence = _PROSE.split(last)[-1]
    words = sentence.split()
    stops = (
        not ended
        and category(text[-1])[0] in "LM"  # a vowel sign is a mark
        and _length(sentence) >= _SENTENCE
        and not _LAST_WORD.search(words[-1])
        and not _ITEM.match(last)
        and not _ADDRESS.search(words[-1])
        and not any(line[-1:].isalpha() and _length(line) >= _SENTENCE for line in before)  # the text's style
    )
    goes_on = _GOES_ON.search(text[-20:]) is not None and not (words and _ADDRESS.search(words[-1]))
    return f"it stops in a sentence: {one_line(last[-40:], 40)!r}" if goes_on or stops else None
