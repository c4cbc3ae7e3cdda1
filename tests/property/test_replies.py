"""What must hold of any reply of a judge, and of any output that text graders read: a verdict or an error, at once."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalh.graders.judges.asking import UnreadableReplyError
from evalh.graders.judges.replies import ReplyReading, Sought, read, read_schema
from hanging import ends
from unit.test_linear import GRADERS, SOUGHT, grader

PIECES = st.sampled_from(
    [
        *("verdict", "Verdict:", "**Verdict:** ", "<verdict>", "</verdict>", "score", "Score: ", "Rating", "overall", "final "),
        *("pass", "fail", "PASS", "failed", "4", "5/5", "-4", "4/10", "4 out of 5", "a", "b", "tie", "true", "false", "no"),
        *("Output (a)", "output (b) is better", "is not better", "tone", "help", "better: ", "agree: ", "[[", "]]", "\\boxed{"),
        *('{"reason": "r", "verdict": "pass"}', '{"reason": "r", "score": 4}', '{"better": "b", "reason": "r"}', '"verdict"'),
        *('{"scores": {"tone": 4, "help": 2}, "reason": "r"}', '{"agree": true, "reason": "r"}', "{", "}", "[", "]", ":", ","),
        *('"', "'", "\\", "\n", "\n\n", " ", "  ", "|", "|---|", "```", "```json\n", "# ", "- ", "1. ", "> ", "//", "/*", "*/"),
        *("wait, ", "actually, ", "or", "to", "not ", "<think>", "</think>", "…", "...", "\u200b", "\u202e", "\0", "\ud800"),
        *("\u0301", "é", "：", "４", "²", "判定", "✅", "❌", "→", "–", "=", "%", "&#65;", "%41", "\\u0041", "UEFTUw==", "I rate "),
    ]
)  # fmt: skip
TEXT = st.lists(PIECES | st.text(max_size=4), max_size=30).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | PIECES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PIECES, inner, max_size=3),
    max_leaves=8,
).map(json.dumps)
REPLY = TEXT | st.lists(TEXT | JSON, max_size=4).map("\n".join)


def reading(text: str, sought: Sought, graded: str, how=read) -> ReplyReading | None:
    with ends(of=text):
        try:
            return how(text, sought, [graded])
        except UnreadableReplyError as error:
            assert str(error).isprintable()
    return None


def holds_of_replies(text: str, graded: str, name: str) -> None:
    sought = SOUGHT[name]
    said = reading(text, sought, graded)
    assert said is None or len(said.values) == len(sought.parts)
    if said is not None and name in ("points", "criteria"):
        assert all(value in range(1, 6) for value in said.values)
    strict = reading(text, sought, graded, read_schema)
    assert strict is None or (said is not None and strict.values == said.values)
    if name == "pass or fail":
        for word, value in (("pass", 1), ("fail", 0)):
            last = reading(f"{text}\n\nVerdict: {word}", sought, graded)
            assert last is None or last.values == (value,)
    assert reading(text, sought, text) is None  # an echo of what was graded


def holds_of_graders(text: str) -> None:
    for judge in JUDGES:
        with ends(of=text):
            judge(text)


JUDGES = [grader(entry) for entry in GRADERS]
NO_CLOCK = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(NO_CLOCK, max_examples=100)
@given(text=REPLY, graded=REPLY, name=st.sampled_from(sorted(SOUGHT)))
def test_a_reply_says_one_verdict_on_the_scale_or_none(text: str, graded: str, name: str) -> None:
    holds_of_replies(text, graded, name)


@settings(NO_CLOCK, max_examples=50)
@given(text=REPLY)
def test_text_graders_take_any_text(text: str) -> None:
    holds_of_graders(text)


@pytest.mark.slow
@settings(NO_CLOCK, max_examples=1000)
@given(text=REPLY, graded=REPLY, name=st.sampled_from(sorted(SOUGHT)))
def test_a_reply_says_one_verdict_on_the_scale_or_none_for_long(text: str, graded: str, name: str) -> None:
    holds_of_replies(text, graded, name)


@pytest.mark.slow
@settings(NO_CLOCK, max_examples=1000)
@given(text=REPLY)
def test_text_graders_take_any_text_for_long(text: str) -> None:
    holds_of_graders(text)
