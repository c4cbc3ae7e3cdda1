"""Loops are found, and what only has a rhythm is not."""

import json

import pytest

from evalh.core.verdict import Outcome
from evalh.graders.defects import compressed, repeated


def test_rep_4_is_the_share_of_phrases_that_stood_there_before() -> None:
    words = ["a", "b", "c", "d", "a", "b", "c", "d"]  # five phrases of four words, one of them again

    assert repeated(words).share == pytest.approx(1 / 5)
    assert repeated(["a", "b", "c", "d", "e", "f"]).share == 0.0
    assert repeated([]).share == 0.0


@pytest.mark.parametrize(
    ("text", "times", "phrase"),
    [
        ("x y z", 1, ""),
        ("a b c d e a b c d e", 2, "a b c d e"),
        ("start a b a b a b a b a b end", 5, "a b"),
        ("no no no no no no", 6, "no"),
        ("a b c d q a b c d r a b c d", 1, ""),  # again, but never directly behind itself
    ],
)
def test_a_row_is_a_phrase_directly_behind_itself(text: str, times: int, phrase: str) -> None:
    said = repeated(text.split())

    assert (said.in_a_row, said.phrase) == (times, phrase)


def test_loops_inside_words_and_in_scripts_without_blanks_are_found(judge) -> None:
    assert judge("repetition", "12/11 = 1." + "09" * 200).outcome is Outcome.FAIL
    assert judge("repetition", "这是账单。" * 60).outcome is Outcome.FAIL
    assert judge("repetition", "haha" * 5).outcome is Outcome.PASS  # too short to tell
    assert compressed("x" * 50) == 1.0


def test_records_may_repeat_their_keys_and_a_string_among_them_may_not_loop(judge) -> None:
    records = [{"id": number, "status": "active", "owner": "support"} for number in range(80)]

    assert judge("repetition", json.dumps(records, indent=2)).outcome is Outcome.PASS
    records[7]["note"] = "I will check it. " * 40
    assert judge("repetition", json.dumps(records)).outcome is Outcome.FAIL
    assert judge({"repetition": {"path": "[0].status"}}, json.dumps(records)).outcome is Outcome.PASS


def test_a_loop_at_the_end_of_a_long_text_is_found(judge) -> None:
    text = " ".join(map(str, range(100_000))) + " and so on" * 20_000

    assert judge("repetition", text).outcome is Outcome.FAIL


def test_the_score_stands_at_a_half_where_the_measure_stands_at_its_bound(judge) -> None:
    text = "a b c d e f " * 2  # 3 of 9 phrases again
    assert judge({"repetition": {"max_share": 3 / 9}}, text).score == pytest.approx(0.5)
    assert judge({"repetition": {"max_share": 0.3}}, text).outcome is Outcome.FAIL
    assert judge("repetition", "").outcome is Outcome.PASS
