"""What is cut is found by the provider's word or by the text."""

import pytest

from evalh.core.verdict import Outcome

CUT = [
    '{"label": "billing',
    '{"label": "a \\" b',
    '[{"a": 1}, {"a": ',
    '["a", "b"',
    '```json\n{"a": 1}',
    "So the sum is\n\\[\n3 + 4",
    "First, it is late. Second, the customer did not get the",
    "He pays $3. Then he pays $4, and together they are 3 +",
    "It is late. The invoice, the reminder,",
    "Es ist spät. Die Rechnung wurde gestern von uns verschickt und heute",
]
FINISHED = [
    "",
    "   ",
    "billing",
    "It is about the bill",
    "It is about the bill.",
    'He said: "It is late."',
    "It is late. Really (it is).",
    "**It is late.**",
    '{"label": "billing"}',
    '{"label": "}{["}\n',
    "```json\n{}\n```",
    "First we add them.\n#### 18",
    "He pays. Answer: 18",
    "These are the labels. Choose one:\n- the one about the bill that was sent",
    "That is 3. \\(3 + 4 = 7\\)",
    "[x] is done and [y] is not",
    "{oops] is no JSON",
    "這是帳單。它在昨天已經寄出。",
    "It is late. See https://example.com/x",
    "It works! \U0001f600",
]


@pytest.mark.parametrize("text", CUT)
def test_it_is_cut(judge, text: str) -> None:
    assert judge("truncation", text).outcome is Outcome.FAIL


@pytest.mark.parametrize("text", FINISHED)
def test_it_is_finished(judge, text: str) -> None:
    verdict = judge("truncation", text)
    assert verdict.outcome is Outcome.PASS, verdict.reason


def test_the_provider_is_believed_and_the_last_sentence_may_be_left_alone(judge) -> None:
    assert judge("truncation", "It is late.", finish="length").outcome is Outcome.FAIL
    assert judge({"truncation": {"sentence": False}}, CUT[6]).outcome is Outcome.PASS
    assert judge({"truncation": {"sentence": False}}, CUT[0]).outcome is Outcome.FAIL
