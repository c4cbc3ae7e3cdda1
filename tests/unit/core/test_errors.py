"""What a refusal lists: the word that may be meant, or what is known, as far as a person reads it."""

import pytest

from evalh.core.errors import did_you_mean, is_typo


def test_a_close_word_is_named_alone() -> None:
    assert did_you_mean("equal", ["equals", "json"]) == "did you mean 'equals'?"


def test_what_is_known_is_listed_whole_while_it_can_be_read() -> None:
    assert did_you_mean("x", ["b", "a"]) == "have: a, b"


def test_of_very_many_the_first_are_listed_and_the_others_counted() -> None:
    told = did_you_mean("x", [f"t-{number:03}" for number in range(168)])

    assert told == f"have: {', '.join(f't-{number:03}' for number in range(8))} and 160 more"


@pytest.mark.parametrize(
    ("word", "known", "typo"),
    [
        ("expcted", "expected", True),
        ("outptu", "output", True),
        ("tag", "tags", True),
        ("expected", "expected", False),
        ("tabs", "tags", False),
        ("ship", "skip", False),
        ("input", "output", False),
        ("", "id", False),
    ],
)
def test_a_typo_is_one_slip_and_not_another_word(word: str, known: str, *, typo: bool) -> None:
    assert is_typo(word, known) is typo
