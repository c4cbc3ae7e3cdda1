"""`number`."""

import pytest

from evalh.core.errors import WorkspaceError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 18", 18),
        ("The answer is 18.", 18),
        ("5 eggs and 3 hens: 15 in all", 15),
        ("It costs $1,234,567.50 in total.", 1234567.5),
        ("-$5", -5),
        ("$-5", -5),
        ("\u22125 degrees", -5),
        ("30-7.5", 7.5),
        ("(3)-2", 2),
        ("x = -2", -2),
        ("so +4", 4),
        ("€.50", 0.5),
        ("50%", 50),
        ("5kg", 5),
        ("the 3rd", 3),
        ("6.02e23", 6.02e23),
        ("1E-3", 0.001),
        ("12 (see v2 and H2O)", 12),
        ("7 in gsm8k_3", 7),
        ("答案是18。", 18),
        ("1\u202f234\u00a0567", 1234567),
        ("1,2", 2),
        ("1,2345", 2345),
        ("1,234,56", 56),
        ("3/4", 4),
        ("18\u0000\ud800\u202e", 18),
        ("18" + " nothing more" * 1000, 18),
        ("18" + "x" * 10_000, 18),
        ("18 " + "v2 " * 10_000, 18),
        ("18\tv2" * 3, 18),
        ("18 " + "v2" * 10_000, 18),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_the_last_number_is_read_as_people_write_it(judge, text: str, number: float) -> None:
    verdict = judge({"number": {"value": number}}, text)

    assert verdict.outcome == "pass", verdict.reason


@pytest.mark.parametrize("text", ["", "no digits", "v2", "H2O", ".", "-", "$", "twelve"])
def test_a_text_without_a_number_fails(judge, text: str) -> None:
    verdict = judge({"number": {"value": 2}}, text)

    assert (verdict.outcome, verdict.reason) == ("fail", "the output: there is no number in it")


def test_the_first_number_counts_where_that_is_asked(judge) -> None:
    assert judge({"number": {"value": 3, "which": "first"}}, "3 of 4").outcome == "pass"
    assert judge({"number": {"value": 4, "which": "first"}}, "3 of 4").outcome == "fail"


def test_a_tag_says_where_the_number_stands(judge) -> None:
    tagged = {"number": {"value": 7, "after": "Answer:"}}

    assert judge(tagged, "Answer: 7 (I am 90% sure)").outcome == "pass"
    assert judge(tagged, "Answer: 3? No. Answer: 7, of 9").outcome == "pass"
    assert judge({"number": {"value": 3, "after": "Answer:", "which": "first"}}, "Answer:3 Answer:7").outcome == "pass"
    assert judge({"number": {"value": 7, "after": "x"}}, "x7").outcome == "pass"
    missing = judge(tagged, "It is 7")
    assert (missing.outcome, missing.reason) == ("fail", 'the output: there is no "Answer:" in it')
    assert judge(tagged, "7. Answer: none").outcome == "fail"


@pytest.mark.parametrize("expected", ["18", 18, 18.0, "4 + 14 = <<4+14=18>>18\n#### 18", "#### 18", "$18.00"])
def test_the_cases_expected_may_be_a_number_or_a_text_that_ends_in_one(judge, expected: object) -> None:
    assert judge("number", "A: 18", expected=expected).outcome == "pass"
    assert judge("number", "A: 19", expected=expected).outcome == "fail"


def test_the_expected_number_may_stand_behind_a_tag_of_its_own(judge) -> None:
    entry = {"number": {"after": "A:", "expected_after": "####", "expected": "answer"}}

    assert judge(entry, "A: 18", expected={"answer": "#### 18 (page 3)"}).outcome == "pass"
    assert judge(entry, "A: 18").outcome == "abstain"
    assert judge(entry, "A: 18", expected={"answer": "18"}).outcome == "error"


@pytest.mark.parametrize("expected", ["none", None, True, ["18"], {"n": 18}])
def test_an_expected_without_a_number_is_the_datasets_error(judge, expected: object) -> None:
    assert judge("number", "18", expected=expected).outcome == "error"


@pytest.mark.parametrize(
    ("params", "text", "outcome"),
    [
        ({"value": 0.3}, "0.3", "pass"),
        ({"value": 0.3}, "0.30000000000000004", "fail"),
        ({"value": 0.3, "abs_tol": 1e-9}, "0.30000000000000004", "pass"),
        ({"value": 100, "abs_tol": 0.5}, "100.5", "pass"),
        ({"value": 100, "abs_tol": 0.5}, "100.51", "fail"),
        ({"value": 200, "rel_tol": 0.01}, "198", "pass"),
        ({"value": 200, "rel_tol": 0.01}, "197.9", "fail"),
        ({"value": -200, "rel_tol": 0.01}, "-198", "pass"),
        ({"value": 0, "rel_tol": 0.5}, "0.001", "fail"),
        ({"value": 1, "abs_tol": 1}, "1e9999", "fail"),
    ],
)
def test_a_tolerance_is_the_larger_of_both(judge, params: dict[str, float], text: str, outcome: str) -> None:
    assert judge({"number": params}, text).outcome == outcome


def test_fractions_are_divided_where_that_is_asked(judge) -> None:
    assert judge({"number": {"value": 0.75, "fractions": True}}, "it is 3/4").outcome == "pass"
    assert judge({"number": {"fractions": True}}, "it is 1/3", expected="1/3").outcome == "pass"
    assert judge({"number": {"value": 0, "fractions": True}}, "it is 1/0").reason == "the output: 1/0 is no number"


def test_a_decimal_comma_is_read_where_that_is_asked(judge) -> None:
    assert judge({"number": {"value": 1234.5, "decimal_comma": True}}, "Summe: 1.234,50 €").outcome == "pass"
    assert judge({"number": {"value": 1234.5, "decimal_comma": True}}, "Summe: 1234,5").outcome == "pass"


def test_a_place_in_the_json_may_hold_a_number_or_a_text(judge) -> None:
    at = {"number": {"path": "total", "value": 18}}

    assert judge(at, '{"total": 18.0}').outcome == "pass"
    assert judge(at, '{"total": "about $18"}').outcome == "pass"
    assert judge(at, '{"total": true}').reason == "total: a boolean is no number"
    assert judge(at, '{"total": 1e999}').reason == "total: inf is no number"
    assert judge(at, '{"sum": 18}').outcome == "fail"


def test_a_reason_names_both_numbers_shortly(judge) -> None:
    assert judge({"number": {"value": 18}}, "17").reason == "17; expected 18"
    assert len(judge({"number": {"value": 18}}, "9" * 100_000).reason) < 80


@pytest.mark.parametrize("params", [{"after": ""}, {"abs_tol": -1}, {"value": "18"}, {"value": 1, "expected": "a"}])
def test_parameters_that_make_no_sense_are_refused(build_grader, params: dict[str, object]) -> None:
    with pytest.raises(WorkspaceError, match="grader 'number'"):
        build_grader({"number": params})
