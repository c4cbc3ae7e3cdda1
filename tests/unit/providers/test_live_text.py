"""A text that is handed on while it arrives is the answer's beginning, whatever its pieces are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.reasoning import split
from evalh.providers.http.errors import MASK, Redactor
from evalh.providers.live_text import Arriving, WithoutReasoning

SECRET = "sk-abcabcab"
PIECES = st.lists(st.sampled_from(["sk-", "abc", "ab", "a", "Dear ", "s", SECRET, "[key]", "k-abcabc"]), max_size=12)
TAGGED = st.lists(
    st.sampled_from(["<", "think", ">", "</think>", "so ", "[THINK]", "[/THINK]", "[1]", " ", "\n", "answer", "{"]),
    max_size=14,
)


@given(PIECES)
def test_no_secret_is_handed_on_and_the_rest_is_the_redacted_text(pieces: list[str]) -> None:
    told: list[str] = []
    redact = Redactor([SECRET])
    arriving, text = Arriving(told.append, redact), ""
    for piece in pieces:
        text += piece
        arriving.so_far(text)

    assert SECRET not in "".join(told)
    assert redact.text(text).startswith("".join(told))
    assert len(redact.text(text)) - len("".join(told)) < len(SECRET)


def test_a_secret_is_masked_as_in_the_whole_answer() -> None:
    told: list[str] = []
    arriving = Arriving(told.append, Redactor([SECRET]))
    for end in range(1, len(f"It is {SECRET}.") + 1):
        arriving.so_far(f"It is {SECRET}."[:end])

    assert "".join(told) == f"It is {MASK}."


@given(TAGGED)
def test_what_begins_with_reasoning_is_not_handed_on(pieces: list[str]) -> None:
    told: list[str] = []
    tell = WithoutReasoning(told.append)
    for piece in pieces:
        tell(piece)
    text = "".join(pieces)
    thought, answer = split(text)

    if "</think>" not in text and "[/THINK]" not in text:  # a lone end tag is known when it comes
        assert answer.startswith("".join(told)) or not thought
    if thought and text.lstrip().startswith(("<think>", "[THINK]")):
        assert told == []


@pytest.mark.parametrize("text", ['{"label": "bug"}', "[1, 2]", "Dear Ada", "  Dear", "[key]"])
def test_an_answer_that_cannot_be_reasoning_is_handed_on_at_once(text: str) -> None:
    told: list[str] = []
    tell = WithoutReasoning(told.append)
    for char in text:
        tell(char)

    assert "".join(told) == text
