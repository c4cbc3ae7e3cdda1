"""`contains`, `regex` and `length`."""

import pytest

from evalh.core.errors import WorkspaceError


@pytest.mark.parametrize(
    ("params", "text", "outcome"),
    [
        ({"value": "refund"}, "We refund you.", "pass"),
        ({"value": "refund"}, "We Refund you.", "fail"),
        ({"value": "refund", "ignore_case": True}, "We REFUND you.", "pass"),
        ({"value": ["refund", "days"]}, "a refund in 3 days", "pass"),
        ({"value": ["refund", "days"]}, "a refund", "fail"),
        ({"value": ["refund", "days"], "match": "any"}, "a refund", "pass"),
        ({"value": ["refund", "days"], "match": "any"}, "no", "fail"),
        ({"value": "ok", "path": "note"}, '{"note": "all ok", "x": "no"}', "pass"),
        ({"value": "ok", "path": "x"}, '{"note": "all ok", "x": "no"}', "fail"),
        ({"value": "1", "path": "n"}, '{"n": 1}', "fail"),
        ({"value": "ok", "path": "y"}, '{"note": "all ok"}', "fail"),
    ],
)
def test_contains_looks_for_texts(judge, params: dict[str, object], text: str, outcome: str) -> None:
    assert judge({"contains": params}, text).outcome == outcome


def test_contains_says_what_it_found_and_missed(judge) -> None:
    assert judge({"contains": {"value": "a"}}, "a").reason == 'contains "a"'
    assert judge({"contains": {"value": ["a", "b"]}}, "ab").reason == 'contains all of ["a", "b"]'
    assert judge({"contains": {"value": ["a", "b"]}}, "a").reason == 'does not contain "b"'
    assert judge({"contains": {"value": ["a", "b"], "match": "any"}}, "").reason == 'contains none of ["a", "b"]'
    assert judge({"contains": {"value": "a", "path": "n"}}, '{"n": 1}').reason == "n is a number, not a string"


def test_contains_takes_its_texts_from_the_case(judge) -> None:
    entry = {"contains": {"expected": "words"}}

    assert judge(entry, "red and blue", expected={"words": ["red", "blue"]}).outcome == "pass"
    assert judge(entry, "red", expected={"words": "red"}).outcome == "pass"
    assert judge(entry, "red").outcome == "abstain"
    assert judge(entry, "red", expected={"words": 3}).outcome == "error"
    assert judge(entry, "red", expected={"words": [""]}).outcome == "error"


@pytest.mark.parametrize("value", ["", [], ["a", ""]])
def test_what_stands_in_every_output_is_refused(build_grader, value: object) -> None:
    with pytest.raises(WorkspaceError, match="empty text"):
        build_grader({"contains": {"value": value}})


def test_a_pattern_that_matches_anywhere_passes(judge) -> None:
    assert judge({"regex": {"pattern": r"order \d+"}}, "your order 17 is late").outcome == "pass"
    assert judge({"regex": {"pattern": r"^order"}}, "your order 17").outcome == "fail"
    assert judge({"regex": {"pattern": "ORDER", "ignore_case": True}}, "your order").outcome == "pass"
    assert judge({"regex": {"pattern": "(?s)^a.*z$"}}, "a\nz").outcome == "pass"
    assert judge({"regex": {"pattern": "é{2}"}}, "caféé").outcome == "pass"
    assert judge({"regex": {"pattern": "x", "path": "a"}}, '{"a": "x"}').outcome == "pass"
    assert judge({"regex": {"pattern": "x", "path": "a"}}, '{"a": 1}').outcome == "fail"


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"pattern": r"Answer: (\w+)", "value": "blue"}, "fail"),
        ({"pattern": r"Answer: (\w+)", "value": "red"}, "pass"),
        ({"pattern": r"Answer: (\w+)", "value": "blue", "which": "last"}, "pass"),
        ({"pattern": r"Answer: \w+", "value": "Answer: red"}, "pass"),
        ({"pattern": r"(\w+): (\w+)", "value": "red", "group": 2}, "pass"),
        ({"pattern": r"(\w+): (?P<what>\w+)", "value": "red", "group": "what"}, "pass"),
        ({"pattern": r"(\w+): \w+", "value": "Answer: red", "group": 0}, "pass"),
        ({"pattern": r"answer: (\w+)", "value": "RED", "ignore_case": True}, "pass"),
        ({"pattern": r"Result: (\w+)", "value": "red"}, "fail"),
        ({"pattern": r"Answer: (\d+)?", "value": "red"}, "fail"),
    ],
)
def test_a_caught_group_is_compared(judge, params: dict[str, object], outcome: str) -> None:
    assert judge({"regex": params}, "Answer: red ... Answer: blue").outcome == outcome


def test_a_caught_group_is_compared_with_the_cases_expected(judge) -> None:
    whole = {"regex": {"pattern": r"(\d+)$", "expected": "$"}}

    assert judge(whole, "so 18", expected="18").outcome == "pass"
    assert judge(whole, "so 18", expected=18).outcome == "pass"
    assert judge(whole, "so 19", expected="18").reason == 'matched "19"; expected "18"'
    assert judge(whole, "so 18").outcome == "abstain"
    assert judge({"regex": {"pattern": r"(\d+)$", "expected": "n"}}, "so 18", expected={"n": "18"}).outcome == "pass"


@pytest.mark.parametrize(
    ("pattern", "place", "hint"),
    [
        ("a(b", "missing", None),
        ("good|(?=b)", "at character 6", "no lookahead and no lookbehind"),
        ("(?<!x)y", "at character 1", "no lookahead and no lookbehind"),
        (r"(a)\1", "at character 4", "no backreferences"),
        ("x(?>a)", "at character 2", "no atomic groups"),
        ("[z-a]", "at character 2", None),
        ("a{1001}", "at character 2", None),
    ],
)
def test_a_pattern_that_re2_does_not_take_is_refused_at_its_place(
    build_grader, pattern: str, place: str, hint: str | None
) -> None:
    with pytest.raises(WorkspaceError, match=place) as caught:
        build_grader({"regex": {"pattern": pattern}})

    assert caught.value.where == "evals/triage.yaml:7"
    assert (caught.value.hint is None) if hint is None else hint in str(caught.value.hint)


def test_a_group_that_is_not_in_the_pattern_is_refused(build_grader) -> None:
    for group in (2, -1, "name"):
        with pytest.raises(WorkspaceError, match="no group") as caught:
            build_grader({"regex": {"pattern": "(?P<a>x)", "value": "x", "group": group}})
        assert caught.value.hint == "have: 0, 1, a"


def test_a_group_without_anything_to_compare_is_refused(build_grader) -> None:
    with pytest.raises(WorkspaceError, match="nothing to compare"):
        build_grader({"regex": {"pattern": "(x)", "group": 1}})


def test_a_pattern_that_freezes_other_engines_does_not_freeze_us(judge) -> None:
    assert judge({"regex": {"pattern": "(a+)+$"}}, "a" * 1_000_000 + "b").outcome == "fail"


@pytest.mark.parametrize(
    ("params", "text", "outcome", "reason"),
    [
        ({"max_chars": 3}, "abc", "pass", "3 chars"),
        ({"max_chars": 3}, "abcd", "fail", "4 chars; at most 3"),
        ({"min_chars": 1}, "", "fail", "0 chars; at least 1"),
        ({"max_words": 2, "min_words": 1}, "a b c", "fail", "3 words; from 1 to 2"),
        ({"max_words": 3, "min_chars": 2}, "a b\nc", "pass", "5 chars, 3 words"),
        ({"max_chars": 0}, "", "pass", "0 chars"),
    ],
)
def test_length_is_counted(judge, params: dict[str, int], text: str, outcome: str, reason: str) -> None:
    verdict = judge({"length": params}, text)

    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_tokens_are_those_that_the_provider_counted(judge) -> None:
    assert judge({"length": {"max_tokens": 5}}, "a b", output_tokens=6).outcome == "fail"
    assert judge({"length": {"max_tokens": 5}}, "a b", output_tokens=5).outcome == "pass"
    assert judge({"length": {"max_tokens": 5}}, "a b").outcome == "abstain"
    assert judge({"length": {"max_tokens": 5, "max_words": 1}}, "a b").outcome == "fail"


@pytest.mark.parametrize("params", [{}, {"min_words": 3, "max_words": 2}, {"max_chars": -1}, {"max_chars": 1.5}])
def test_bounds_that_make_no_sense_are_refused(build_grader, params: dict[str, object]) -> None:
    with pytest.raises(WorkspaceError, match="grader 'length'"):
        build_grader({"length": params})
