"""The reasoning that a model writes before its answer, in the same text: `<think>…</think>` and similar tags.

Only what stands *before* the answer counts. An answer that talks about such tags keeps them.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec
from msgspec.structs import replace

from evalh.core.attempt import Answer, Completion
from evalh.core.strict_json import JsonValue

KEEP = "keep"
STRIP = "strip"

KEPT = {"reasoning": KEEP}
"""Part of the identity of a model whose reasoning is kept: its answers differ."""

# Tags that models write: DeepSeek R1, Qwen, QwQ, GLM (think), Seed-OSS (seed:think), EXAONE (thought),
# Magistral ([THINK]), Kimi-VL (◁think▷), OpenThinker and Sky-T1, Cohere's Command A Reasoning.
_NAMES = ("think", "thinking", "thought", "seed:think")
_PAIRS = (
    *((rf"<{name}(?:\s[^<>]{{0,200}})?/?>", rf"</{name}\s{{0,8}}>") for name in _NAMES),  # <think time="3"> too
    (r"\[THINK\]", r"\[/THINK\]"),
    ("◁think▷", "◁/think▷"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
)
_OPENS = re.compile("|".join(f"({opens})" for opens, _ in _PAIRS), re.IGNORECASE)
_CLOSE = tuple(re.compile(closes, re.IGNORECASE) for _, closes in _PAIRS)
_CLOSES = re.compile("|".join(f"({closes})" for _, closes in _PAIRS), re.IGNORECASE)
_WRAPPED = (("<|begin_of_solution|>", "<|end_of_solution|>"), ("<|START_RESPONSE|>", "<|END_RESPONSE|>"))

# gpt-oss, if the server does not read its channels: https://cookbook.openai.com/articles/openai-harmony
_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>(analysis|commentary|final)\b[^<]{0,100}")
_MESSAGE = "<|message|>"
_FINAL = re.compile(r"<\|channel\|>final\b[^<]{0,100}(?:<\|constrain\|>[^<]{0,100})?<\|message\|>")
_CONTROL = re.compile(r"<\|(?:start|end|return|channel|message|constrain|call)\|>(?:assistant)?")
_ENDS = ("<|return|>", "<|end|>")

_BLANKS = " \t\r\n"
_UNSEEN = "\ufeff\u200b\u2060"  # a byte order mark and similar before the first tag
_SPACE = re.compile(f"[{_BLANKS}]*")
_QUOTES = "\"'`([{\u201c\u2018\u00ab\u201e\\"
_LOOK_BACK = 80
_MOST_SPOKEN_OF = 20
_SENTENCE_ENDS = ".!?:\u2026\u3002\uff01\uff1f"


def split(text: str) -> tuple[str, str]:
    """Return the reasoning before an answer, without its tags, and the answer. No reasoning: "" and the text itself.

    Reasoning that was cut off has the answer "". Takes linear time.
    """
    if "<" not in text and "[" not in text and "◁" not in text:
        return "", text
    start = len(text) - len(text.lstrip(_BLANKS + _UNSEEN))
    if _CHANNEL.match(text, start) is not None:
        return _harmony(text, start)
    thoughts: list[str] = []
    place = start
    last = {found.lastindex: found.start() for found in _CLOSES.finditer(text, start)}
    while (opened := _OPENS.match(text, place)) is not None:
        if opened[0].endswith("/>"):
            place = _past_blanks(text, opened.end())
            continue
        # Its own tag closes it; if there is none, another tag does: <think>a</thinking>.
        comes = last.get(opened.lastindex, -1) >= opened.end()
        closed = _closing(text, _CLOSE[(opened.lastindex or 1) - 1] if comes else _CLOSES, opened.end())
        if closed is None:
            return _joined([*thoughts, text[opened.end() :]]), ""
        thoughts.append(text[opened.end() : closed.start()])
        place = _past_blanks(text, closed.end())
    # After reasoning that was opened and closed, a lone tag belongs to the answer, unless another was opened inside.
    alone = _closed_alone(text, place) if not thoughts or any(map(_OPENS.search, thoughts)) else None
    if alone is not None:
        thoughts.append(text[place : alone.start()])
        place = _past_blanks(text, alone.end())
    if place == start:
        return "", text
    return _joined(thoughts), _unwrapped(text[place:])


def thinks_first(text: str) -> bool:
    """Whether a text begins with a tag that opens reasoning."""
    start = len(text) - len(text.lstrip(_BLANKS + _UNSEEN))
    return _OPENS.match(text, start) is not None or _CHANNEL.match(text, start) is not None


def _closing(text: str, closes: re.Pattern[str], start: int) -> re.Match[str] | None:
    """Find the end of reasoning: the first tag that closes it, or the first tag if all are only mentioned."""
    ends = list(islice(closes.finditer(text, start), _MOST_SPOKEN_OF))
    return next((one for one in ends if _delimits(text, one, start)), ends[0] if ends else None)


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(thought.strip() for thought in thoughts if thought.strip())


def _past_blanks(text: str, place: int) -> int:
    blanks = _SPACE.match(text, place)
    return place if blanks is None else blanks.end()


def _unwrapped(answer: str) -> str:
    for opens, closes in _WRAPPED:
        if answer.startswith(opens):
            return answer[len(opens) :].strip(_BLANKS).removesuffix(closes).strip(_BLANKS)
    return answer


def _closed_alone(text: str, start: int) -> re.Match[str] | None:
    """Find the end of reasoning whose opening tag was in the prompt, as in some chat templates; None if there is none.

    This is the last tag that an answer follows, as these models' templates read it; otherwise the first.
    """
    opened = _OPENS.search(text, start)
    ends = list(_unquoted(text, start, len(text) if opened is None else opened.start()))
    if not ends or _is_json(text[start:]):
        return None
    return next((one for one in reversed(ends) if _past_blanks(text, one.end()) < len(text)), ends[0])


def _unquoted(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Find the tags that close reasoning, not those that a text only mentions: in code, in quotes, in a sentence."""
    fences, seen = 0, start
    for closed in _CLOSES.finditer(text, start, end):
        fences += text.count("```", seen, closed.start())
        seen = closed.start()
        if fences % 2 == 0 and _delimits(text, closed, start):
            yield closed


def _delimits(text: str, closed: re.Match[str], start: int) -> bool:
    line = text[max(start, closed.start() - _LOOK_BACK) : closed.start()].rpartition("\n")[2]
    if not line.strip():
        return True  # a line's first word
    follows = text[closed.end() : closed.end() + 2].lstrip(" \t\r")
    at_end = not follows or follows[0] == "\n"
    if line[-1] in " \t":  # in the middle of a sentence it is mentioned
        return at_end and line.rstrip()[-1] in _SENTENCE_ENDS
    return line[-1] not in _QUOTES


def _is_json(text: str) -> bool:
    if not text.startswith(("{", "[", '"')):
        return False
    try:
        msgspec.json.decode(text.encode("utf-8", "replace"), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _harmony(text: str, start: int) -> tuple[str, str]:
    finals = list(_FINAL.finditer(text, start))
    last = finals[-1] if finals else None
    thoughts = text[start:] if last is None else text[start : last.start()]
    answer = "" if last is None else text[last.end() :].rstrip(_BLANKS)
    for end in _ENDS:
        answer = answer.removesuffix(end)
    messages = (piece.partition(_MESSAGE)[2] for piece in thoughts.split("<|channel|>"))
    return _joined([_CONTROL.sub("", one) for one in messages]), answer.strip(_BLANKS)


def apart(completion: Completion) -> Completion:
    """Separate an answer from the reasoning before it. `raw` keeps the whole text if it is empty so far."""
    thought, answer = split(completion.text)
    if answer == completion.text:
        return replace(completion, reasoning=completion.reasoning or "")
    reasoning = _joined([completion.reasoning or "", thought])
    raw = completion.text if completion.raw is None else completion.raw
    return replace(completion, text=answer, reasoning=reasoning, raw=raw)


def reread(answer: Answer, sent_to: Mapping[str, JsonValue]) -> Answer:
    """Separate an answer that an older version logged with its reasoning, unless the model keeps it."""
    if answer.completion.reasoning is not None or sent_to.get("reasoning") == KEEP:
        return answer
    parted = apart(answer.completion)
    return answer if parted.text == answer.completion.text else replace(answer, completion=parted)
