"""Measures of likeness, by their definitions."""

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.verdict import Outcome
from evalh.graders.similarity import token_f1


@pytest.mark.parametrize(
    ("got", "wanted", "f1"),
    [
        ("a b", "a b", 1.0),
        ("A, b!", "a b", 1.0),
        ("a b c", "a b d", 2 / 3),
        ("a a", "a", 2 / 3),
        ("a", "b", 0.0),
        ("", "", 1.0),
        ("", "a", 0.0),
    ],
)
def test_token_f1_counts_words_as_a_bag(got: str, wanted: str, f1: float) -> None:
    assert token_f1(got, wanted) == pytest.approx(f1)
    assert token_f1(wanted, got) == pytest.approx(f1)


@pytest.mark.parametrize("measure", ["ratio", "partial", "token_sort", "token_set", "token_f1", "jaro_winkler"])
@pytest.mark.parametrize("text", ["", "x", "Your refund is on its way.", "\x00\ud800\u202e"])
def test_a_text_is_like_itself(judge, measure: str, text: str) -> None:
    verdict = judge({"similarity": {"pass_mark": 1, "measure": measure, "value": text}}, text)

    assert (verdict.outcome, verdict.score) == (Outcome.PASS, 1.0)
    assert verdict.reason.isprintable()


def test_the_ratio_is_one_minus_insertions_and_deletions_over_both_lengths(judge) -> None:
    assert judge({"similarity": {"pass_mark": 0.5, "value": "abcd"}}, "abxd").score == pytest.approx(1 - 2 / 8)
    assert judge({"similarity": {"pass_mark": 0.9, "value": "b a", "measure": "token_sort"}}, "a b").score == 1.0
    assert (
        judge({"similarity": {"pass_mark": 0.9, "value": "way", "measure": "partial"}}, "on its way now").score == 1.0
    )
    assert judge({"similarity": {"pass_mark": 0.9, "value": ["x", "ABC"], "ignore_case": True}}, "abc").score == 1.0


def test_what_is_too_long_is_an_error_and_words_have_no_limit(judge) -> None:
    text = "word " * 200_000

    assert judge({"similarity": {"pass_mark": 0.5, "value": "x"}}, text).outcome is Outcome.ERROR
    assert judge({"similarity": {"pass_mark": 0.5, "value": text, "measure": "token_f1"}}, text).score == 1.0
    assert judge({"similarity": {"pass_mark": 0.5}}, "x", expected=7).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    "params", [{}, {"pass_mark": 0}, {"pass_mark": 0.5, "value": []}, {"pass_mark": 1, "measure": "x"}]
)
def test_what_cannot_be_measured_is_refused(judge, params) -> None:
    with pytest.raises(WorkspaceError, match="similarity"):
        judge({"similarity": params}, "x")


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        ("हिन्दी", "हिन्दि"),
        ("काम", "कम"),
        ("ที่", "ที"),
        ("கலி", "கல"),
        ("কি", "কী"),
        ("-5", "5"),
        ("\u22125", "5"),
        ("C++", "C#"),
        ("C", "C#"),
        ("50%", "50"),
        ("€5", "$5"),
        ("日本", "本日"),
        ("これは猫です", "これは犬です"),
        ("😀", "😡"),
        ("!!!", "???"),
        ("café", "cafe"),
    ],
)
def test_different_words_are_not_the_same(judge, got: str, wanted: str) -> None:
    assert token_f1(got, wanted) < 1.0
    assert (
        judge({"similarity": {"pass_mark": 1.0, "measure": "token_f1", "value": wanted}}, got).outcome is Outcome.FAIL
    )


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        ("cafe\u0301", "café"),
        ("It is **billing**.", "it is billing"),
        ("_yes_", "yes"),
        ("can\u2019t", "can't"),
        ("これは猫です。", "これは猫です"),
        ("«ja», sagte er", "Ja sagte er"),
        ("a:b", "a b"),
        ("क्या हुआ?", "क्या हुआ"),
    ],
)
def test_the_same_words_are_the_same_in_every_form(got: str, wanted: str) -> None:
    assert token_f1(got, wanted) == 1.0


@pytest.mark.parametrize("measure", ["ratio", "partial", "token_sort", "token_set", "token_f1", "jaro_winkler"])
def test_composed_and_decomposed_text_is_the_same(judge, measure: str) -> None:
    entry = {"similarity": {"pass_mark": 1.0, "measure": measure, "value": "Crème brûlée"}}

    assert judge(entry, "Cre\u0300me bru\u0302le\u0301e").outcome is Outcome.PASS
