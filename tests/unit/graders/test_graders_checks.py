"""Checks of the output itself: hedging and contradiction."""

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.verdict import Outcome
from evalh.graders.confidence import HEDGES


@pytest.mark.parametrize("phrase", HEDGES)
def test_every_phrase_of_the_list_is_found_once(judge, phrase: str) -> None:
    text = "word " * 99
    assert judge("hedging", f"{text}{phrase.upper()}.").reason.startswith(
        f"{100 / (99 + len(phrase.split())):.1f} hedges"
    )


@pytest.mark.parametrize("text", ["The dismay bed is mightier.", "unlikelihood", "It is billing.", "", "   "])
def test_words_inside_words_do_not_hedge(judge, text: str) -> None:
    assert judge("hedging", text).outcome is Outcome.PASS


def test_the_typographers_apostrophe_is_one(judge) -> None:
    assert judge("hedging", "I\u2019m not sure.").outcome is Outcome.FAIL


def test_a_longer_phrase_counts_once_and_line_ends_are_blanks(judge) -> None:
    assert "8.3 hedges" in judge("hedging", "as far\nas I know, yes indeed my friend, it is billing").reason


def test_more_phrases_may_be_named(judge) -> None:
    assert judge({"hedging": {"also": ["sort of"]}}, "Sort of billing.").outcome is Outcome.FAIL
    with pytest.raises(WorkspaceError, match="empty phrase"):
        judge({"hedging": {"also": [" "]}}, "x")


def test_the_score_falls_with_the_rate_and_the_mark_is_the_bound(judge) -> None:
    once = "maybe " + "word " * 99
    assert judge("hedging", once).score == pytest.approx(0.5)
    assert judge({"hedging": 1}, once).outcome is Outcome.PASS
    assert judge({"hedging": 0.9}, once).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("3 + 4 = 7\n#### 7", Outcome.PASS),
        ("3 + 4 = 7\n#### 7.0", Outcome.PASS),
        ("It costs $1,200.\n#### 1200", Outcome.PASS),
        ("3 + 4 = 7\n#### 8", Outcome.FAIL),
        ("#### 1\n3 + 4 = 7\n#### 7", Outcome.PASS),
        ("3 + 4 = 7", Outcome.FAIL),
        ("3 + 4 = 7\n#### seven", Outcome.FAIL),
        ("Clear.\n#### 7", Outcome.ABSTAIN),
    ],
)
def test_an_answer_is_held_to_its_own_reasoning(judge, text: str, outcome: Outcome) -> None:
    assert judge({"contradiction": {"after": "####"}}, text).outcome is outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"why": "3 and 4 make 7", "answer": 7}', Outcome.PASS),
        ('{"why": "3 and 4 make 7", "answer": "8"}', Outcome.FAIL),
        ('{"why": "3 and 4 make 7"}', Outcome.FAIL),
        ("no JSON", Outcome.FAIL),
    ],
)
def test_both_may_be_fields(judge, text: str, outcome: Outcome) -> None:
    assert judge({"contradiction": {"path": "answer", "rationale": "why"}}, text).outcome is outcome


@pytest.mark.parametrize("params", [{}, {"path": "a"}, {"after": "#", "path": "a", "rationale": "b"}, {"after": ""}])
def test_where_the_answer_stands_must_be_said_once(judge, params: dict[str, str]) -> None:
    with pytest.raises(WorkspaceError, match="contradiction"):
        judge({"contradiction": params}, "x")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("So 3 × 10^3 in all. #### 3,000", Outcome.PASS),
        ("So it is 1/2. #### 0.5", Outcome.PASS),
        ("So it is 1000. #### 1.000", Outcome.ABSTAIN),
        ("It takes 3-5 days. #### 5", Outcome.ABSTAIN),
        ("It takes 3-5 days. #### 7", Outcome.FAIL),
    ],
)
def test_both_numbers_are_read_as_number_reads_them(judge, text: str, outcome: Outcome) -> None:
    assert judge({"contradiction": {"after": "####"}}, text).outcome is outcome
