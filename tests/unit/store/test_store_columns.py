from pathlib import Path

import pytest

from evalh.store.columns import Instants, json_text, read_instant, read_json, restored, stored, whole_number


def test_plain_text_is_stored_as_it_is() -> None:
    for text in ("", "label: billing\n\ttab", "Rückerstattung 返金 🙂"):
        assert stored(text) == text


def test_nul_is_stored_as_its_visible_sign() -> None:
    assert stored("a\0b") == "a␀b"
    assert restored("a␀b") == "a\0b"


@pytest.mark.parametrize(
    "text",
    [
        "\ud800",
        "x\udfffy",
        "\ud83d\ude42",
        "␀",
        "\0␀\0",
        "\U0010f7ff",
        "\U0010f7ff\ud800",
        "\U0010f800\udc00\U0010ffff",
    ],
)
def test_text_that_utf8_or_sqlite_cannot_carry_comes_back_the_same(text: str) -> None:
    kept = stored(text)

    kept.encode("utf-8")
    assert "\0" not in kept
    assert restored(kept) == text


def test_json_keeps_big_integers_and_lone_surrogates() -> None:
    value = {"amount": 12345678901234567890123, "text": "\ud800\0", "none": None}

    text = json_text(value)

    assert text.isascii()
    assert "\0" not in text
    assert read_json(text) == value


def test_json_of_what_is_no_json_is_text_rather_than_an_error() -> None:
    assert read_json(json_text({"file": Path("a/b")})) == {"file": "a/b"}


def test_instants_sort_as_text_and_come_back_to_the_millisecond() -> None:
    seconds = [0.0, 1.9996, 1_785_233_700.123, 1_785_233_700.9, 1_785_233_759.9999]
    instants = Instants()

    texts = [instants.text(one) for one in seconds]

    assert texts[2] == "2026-07-28T10:15:00.123Z"
    assert texts == sorted(texts)
    assert [read_instant(text) for text in texts] == [pytest.approx(one, abs=0.0006) for one in seconds]


def test_a_count_that_sqlite_cannot_hold_is_unknown() -> None:
    assert whole_number(2**63 - 1) == 2**63 - 1
    assert whole_number(2**63) is None
    assert whole_number(-(2**63)) is None
