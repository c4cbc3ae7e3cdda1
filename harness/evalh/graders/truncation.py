"""`truncation`: the output ends before it is finished."""

import re
from collections.abc import Callable

from evalh.core.attempt import FinishReason
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.quoting import one_line

_FENCE_LINE = re.compile(r"^[ \t]{0,8}```", re.MULTILINE)
_STRUCTURE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_PAIRS = {"}": "{", "]": "["}
_TAIL = 2000  # characters that are read to judge the last sentence
_ENDS = re.compile(r"""[.!?:;\u2026\u3002\uff01\uff1f\u061f\u0964]["'\u201d\u2019\u00bb)\]}*_`~|>$\\]*\Z""")
_PROSE = re.compile(r"""[.!?\u2026\u3002\uff01\uff1f]["'\u201d\u2019)\]*_]*\s""")
_ITEM = re.compile(r"(?:[-*+\u2022]|\d+[.)]|#+|>|\|)\s")
_GOES_ON = re.compile(
    r"(?:[,(\[{=+\\]|\s[-\u2013\u2014/]|\b(?:a|an|and|are|as|at|because|by|for|from|has|have|in|is|it|its|nor|of|or|"
    r"so|than|that|the|their|then|this|to|was|were|which|whose|will|with|would))\Z",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[/@]|\w\.\w")
_SENTENCE = 5  # words in the last line, so that it is no heading and no answer of one word


@built_in("truncation")
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
    fences = len(_FENCE_LINE.findall(text)) if "```" in text else 0
    return "a fenced block is not closed" if fences % 2 else None


def _brackets(text: str) -> str | None:
    """Tell whether a text that begins as JSON stops inside it. What is wrong in another way is not cut."""
    text = text.strip()
    if not text.startswith(("{", "[{", '["', "[[", "[\n")):
        return None
    open_ones: list[str] = []
    for found in _STRUCTURE.finditer(text):
        mark = found.group()
        if mark == '"':  # a string without an end: the pattern takes whole strings first
            return "it ends inside a string of its JSON"
        if mark in _PAIRS:
            if not open_ones or open_ones.pop() != _PAIRS[mark]:
                return None
        elif len(mark) == 1:
            open_ones.append(mark)
    levels = len(open_ones)
    return f"its JSON is not closed: {levels} bracket{'s' if levels > 1 else ''} open" if levels else None


def _formula(text: str) -> str | None:
    for opens, closes in (("\\[", "\\]"), ("\\(", "\\)")):
        if text.count(opens) > text.count(closes):
            return f"a formula is not closed: {opens}"
    return None


def _sentence(text: str) -> str | None:
    """Tell whether prose stops in a sentence. A text without any finished sentence is a label or a list, not prose."""
    text = text[-_TAIL:].rstrip()
    if not text or _ENDS.search(text[-20:]) or not _PROSE.search(text):
        return None
    last = text.rsplit("\n", 1)[-1].strip()
    goes_on = _GOES_ON.search(text[-20:]) is not None
    words = last.split()
    stops = text[-1].isalpha() and len(words) >= _SENTENCE and not _ITEM.match(last) and not _ADDRESS.search(words[-1])
    return f"it stops in a sentence: {one_line(last[-40:], 40)!r}" if goes_on or stops else None
