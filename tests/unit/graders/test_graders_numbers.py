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


def test_fractions_are_divided_unless_that_is_switched_off(judge) -> None:
    assert judge({"number": {"value": 0.75}}, "it is 3/4").outcome == "pass"
    assert judge("number", "it is 1/3", expected="1/3").outcome == "pass"
    assert judge({"number": {"value": 4, "fractions": False}}, "it is 3/4").reason == "the output: 3/4 is not a number"
    assert judge({"number": {"value": 0}}, "it is 1/0").reason == "the output: 1/0 is not a number"


def test_a_decimal_comma_is_read_where_that_is_asked(judge) -> None:
    assert judge({"number": {"value": 1234.5, "decimal_comma": True}}, "Summe: 1.234,50 €").outcome == "pass"
    assert judge({"number": {"value": 1234.5, "decimal_comma": True}}, "Summe: 1234,5").outcome == "pass"


def test_a_place_in_the_json_may_hold_a_number_or_a_text(judge) -> None:
    at = {"number": {"path": "total", "value": 18}}

    assert judge(at, '{"total": 18.0}').outcome == "pass"
    assert judge(at, '{"total": "about $18"}').outcome == "pass"
    assert judge(at, '{"total": true}').reason == "total: a boolean is not a number"
    assert judge(at, '{"total": 1e999}').reason == "the output is not JSON: a number is too large: 1e999"
    assert judge(at, '{"sum": 18}').outcome == "fail"


def test_a_reason_names_both_numbers_shortly(judge) -> None:
    assert judge({"number": {"value": 18}}, "17").reason == "17; expected 18"
    assert len(judge({"number": {"value": 18}}, "9" * 100_000).reason) < 80


@pytest.mark.parametrize("params", [{"after": ""}, {"abs_tol": -1}, {"value": "18"}, {"value": 1, "expected": "a"}])
def test_parameters_that_make_no_sense_are_refused(build_grader, params: dict[str, object]) -> None:
    with pytest.raises(WorkspaceError, match="grader 'number'"):
        build_grader({"number": params})


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (r"9{,}500", 9500),
        ("10<sup>3</sup>", 1000),
        ("3 × 10<sup>-2</sup>", 0.03),
        ("₹1,00,000", 100000),
        ("₹ 1,00,000.50", 100000.5),
        ("CHF 1'500", 1500),
        ("CHF 1\u2019500.\u2013", 1500),
        ("CHF1'500", 1500),
        ("1_000_000", 1000000),
        (r"12\,345", 12345),
        (r"12,\!345", 12345),
        ("1.000.000", 1000000),
        ("1.234.567,89", 1234567.89),
        ("1\u2009234\u202f567", 1234567),
        ("1&nbsp;234", 1234),
        ("1~234", 1234),
        ("1 000", 1000),
        ("\u20135", -5),
        ("\u20115", -5),
        ("\uff0d5", -5),
        ("x = - 5", -5),
        ("-$ 5", -5),
        ("\u2212$5", -5),
        ("$-5", -5),
        ("minus 5", -5),
        ("-**5**", -5),
        ("3 × 10^8", 3e8),
        ("3 x 10^8", 3e8),
        (r"3 \times 10^{8}", 3e8),
        ("3·10\u2078", 3e8),
        ("2^10", 1024),
        ("2**10", 1024),
        ("10\u207b\u00b3", 0.001),
        ("1e-3", 0.001),
        ("1.234e3", 1234),
        ("1 1/2", 1.5),
        ("-1 1/2", -1.5),
        ("½", 0.5),
        ("1½", 1.5),
        ("-½", -0.5),
        (r"\frac{1}{2}", 0.5),
        (r"\dfrac12", 0.5),
        (r"-\frac{1}{2}", -0.5),
        (r"\frac{-1}{2}", -0.5),
        (r"1\frac{1}{2}", 1.5),
        ("1\u20442", 0.5),
        ("24/7.", 24 / 7),
        ("４２", 42),
        ("٤٢", 42),
        ("१,००,०००", 100000),
        ("๔๒", 42),
        ("۱٬۲۳۴٫۵", 1234.5),
        ("\u200e-5", -5),
        ("**42**", 42),
        ("__42__", 42),
        ("`42`", 42),
        (r"\boxed{42}", 42),
        (r"\boxed{-42}", -42),
        ("$42$", 42),
        (r"\(42\)", 42),
        (r"\text{42}", 42),
        ("5kg", 5),
        ("30°", 30),
        ("Rs.500", 500),
        ("USD5", 5),
        ("答案是3，500元", 3500),
        ("3) **5**", 5),
        ("Step 3: 5 apples", 5),
        ("3.141\u2009592", 3.141592),
    ],
)
def test_numbers_of_every_style_are_read_whole(judge, text: str, number: float) -> None:
    verdict = judge({"number": {"value": number, "rel_tol": 1e-12}}, text)

    assert verdict.outcome == "pass", verdict.reason
    assert judge("number", text, expected=text).outcome == "pass"


@pytest.mark.parametrize(
    ("text", "tails"),
    [
        ("3-5", [5, 3, -2]),
        ("3\u20135", [5, 3]),
        ("30-7.5", [7.5]),
        ("(3)-2", [2]),
        ("10:30", [30, 10]),
        ("1.2.3", [3, 2.3, 1.2]),
        ("2024-05-01", [1, 2024]),
        ("01.05.2024", [2024, 1]),
        ("1/2/2024", [2024, 0.5]),
        ("+49 170 1234567", [1234567]),
        ("(555) 123-4567", [4567]),
        ("12 34 56 78", [78]),
        ("1,234,56", [56, 1234]),
        ("1,2,3", [3]),
        ("1e400", [1, 400]),
        ("10^400", [10, 400]),
        ("5'11\"", [11, 5]),
        ("30°15'", [15]),
        ("GPT-4", [4]),
        ("v2.5.1", [1, 5.1]),
        ("0x1F", [0, 1]),
        ("4h30", [4, 30]),
        (r"\frac{\pi}{2}", [2]),
        (r"2\sqrt{3}", [3, 2]),
        ("2π", [2]),
        ("x<sup>2</sup>", [2]),
        ("CO<sub>2</sub>", [2]),
        ("(-2)^2", [2, -2]),
        ("5×10^x", [10, 5]),
        ("3 * 4", [4]),
        ("10 minus 5", [5, -5]),
        ("3 -5", [-5, 5]),
        ("±5", [5]),
        ("**4**2", [2, 16]),
        ("**1**,234", [234]),
        ("3 million", [3]),
        ("1.5e3e2", [2, 1500]),
    ],
)
def test_a_part_of_something_else_never_passes(judge, text: str, tails: list[float]) -> None:
    for tail in tails:
        for which in ("first", "last"):
            assert judge({"number": {"value": tail, "which": which}}, text).outcome in {"fail", "abstain"}, tail


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("1.000", {"1.000", "1000"}),
        ("1,5", {"1.5", "5"}),
        ("1 234", {"1234", "234"}),
        ("- 5", {"5", "-5"}),
        ("(5)", {"5", "-5"}),
        ("($5.00)", {"5.00", "-5.00"}),
        ("3 million", {"3", "3000000"}),
        ("5k", {"5", "5000"}),
        ("3万", {"3", "30000"}),
    ],
)
def test_what_can_be_read_in_two_ways_is_an_abstention_that_names_both(judge, text: str, readings: set[str]) -> None:
    for value in map(float, readings):
        verdict = judge({"number": {"value": value}}, text)
        assert verdict.outcome == "abstain", verdict.reason
        assert all(one in verdict.reason for one in readings), verdict.reason
    assert judge({"number": {"value": 7}}, text).outcome == "fail"


def test_a_comma_before_three_digits_groups_and_the_other_reading_is_never_called_wrong(judge) -> None:
    assert judge({"number": {"value": 1234}}, "1,234").outcome == "pass"
    verdict = judge({"number": {"value": 1.234}}, "1,234")
    assert (verdict.outcome, verdict.reason) == (
        "abstain",
        "1,234 is 1234 or 1.234; expected 1.234; locale: sets the decimal separator",
    )
    assert judge({"number": {"value": 7}}, "1,234").reason == "1234; expected 7"


def test_a_number_that_is_written_as_the_expected_one_is_the_expected_one(judge) -> None:
    assert judge({"number": {"value": 3.142}}, "3.142").outcome == "pass"
    assert judge({"number": {"value": -3.142}}, "-3.142").outcome == "pass"
    assert judge("number", "1.000", expected="1.000").outcome == "pass"
    assert judge({"number": {"value": 3142}}, "3.142").outcome == "abstain"


@pytest.mark.parametrize(
    ("locale", "text", "number"),
    [
        ("en", "3.142", 3.142),
        ("de", "1.000", 1000),
        ("de", "1,234", 1.234),
        ("de", "1.5", 1.5),
        ("de-CH", "1.000", 1),
        ("pt_BR", "1.000", 1000),
        ("es-MX", "1.000", 1),
        ("es", "1.000", 1000),
        ("hi", "1,00,000.5", 100000.5),
        ("de-XX", "1,5", 1.5),
    ],
)
def test_a_locale_says_which_sign_stands_before_the_decimals(judge, locale: str, text: str, number: float) -> None:
    verdict = judge({"number": {"value": number, "locale": locale}}, text)

    assert verdict.outcome == "pass", verdict.reason


@pytest.mark.parametrize("locale", ["xx", "german", "de_", "", "DE"])
def test_a_locale_that_is_not_known_is_refused(build_grader, locale: str) -> None:
    with pytest.raises(WorkspaceError, match="locale that is not known") as caught:
        build_grader({"number": {"locale": locale}})

    assert caught.value.hint == "write it as de, de-CH or pt-BR"
    with pytest.raises(WorkspaceError, match="both locale and decimal_comma"):
        build_grader({"number": {"locale": "de", "decimal_comma": True}})


def test_a_date_or_a_time_is_passed_over_but_nothing_passes_then(judge) -> None:
    verdict = judge({"number": {"value": 42}}, "It is 42, at 10:30.")

    assert (verdict.outcome, verdict.reason) == ("abstain", "10:30 is nearer, but not a number; expected 42")
    assert judge({"number": {"value": 41}}, "It is 42, at 10:30.").outcome == "fail"


PARTS = frozenset(
    "=;?!|<>#&\u201c\u201d\u201e\u00ab\u00bb\u2192\u21d2\u2248\u2260\u2264\u2265\u3001\u3002\u300c\u300d\u300e\u300f\u3010\u3011"
)


@pytest.mark.parametrize("which", ["first", "last"])
def test_no_sign_between_digits_makes_a_part_of_them_pass(build_grader, make_context, which: str) -> None:
    signs = [sign for sign in map(chr, range(0x21, 0x3100)) if not sign.isalnum() and not sign.isspace()]
    part = {"first": 12, "last": 345}[which]
    grader = build_grader({"number": {"which": which, "value": part}})

    passed = {sign for sign in signs if grader.judge(make_context(f"12{sign}345")).outcome == "pass"}

    assert passed <= PARTS


@pytest.mark.parametrize(
    ("text", "number", "not_at_all"),
    [
        ("12\\>345", 12345, 345),
        ("12\\thinspace 345", 12345, 345),
        ("12{\\,}345{\\,}678", 12345678, 678),
        ("1\\!,\\!000\\!,\\!000", 1000000, 0),
        ("1\\text{,}500", 1500, 500),
        ("1{'}500", 1500, 500),
        ("-\\boxed{5}", -5, 5),
        ("x = -\\text{5}", -5, 5),
        ("-\\mathbf{\\frac{1}{2}}", -0.5, 0.5),
        ("-<b>5</b>", -5, 5),
        ("{-}5", -5, 5),
        ("-{5}", -5, 5),
        ("= \\textminus 5", -5, 5),
        ("\u27965", -5, 5),
        ("\u207b5", -5, 5),
        ("-\uffe55", -5, 5),
        ("-\ufe695", -5, 5),
        ("-kr 5", -5, 5),
        ("-PLN 5", -5, 5),
        ("-NT$5", -5, 5),
        ("5 \u2219 10^3", 5000, 1000),
        ("5 \u2715 10^3", 5000, 1000),
        ("5 \u2022 10^3", 5000, 1000),
        ("2\u02c610", 1024, 10),
        ("1\\;\\frac{1}{2}", 1.5, 2),
        ("1\\,\\frac{1}{2}", 1.5, 2),
        ("\\nicefrac{1}{2}", 0.5, 2),
        ("1 \\over 2", 0.5, 2),
        ("\u00b3\u2044\u2084", 0.75, 4),
    ],
)
def test_signs_groups_and_factors_in_every_dress_are_part_of_the_number(judge, text, number, not_at_all) -> None:
    assert judge({"number": {"value": number}}, text).outcome == "pass"
    assert judge({"number": {"value": not_at_all}}, text).outcome != "pass"


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("3 \\text{ million}", 3, 3_000_000),
        ("**3** million", 3, 3_000_000),
        ("3-million", 3, 3_000_000),
        ("3 Mrd. Euro", 3, 3_000_000_000),
        ("3 millones", 3, 3_000_000),
        ("3 \u043c\u043b\u043d", 3, 3_000_000),
        ("3 \u0932\u093e\u0916", 3, 300_000),
        ("3\u0e25\u0e49\u0e32\u0e19", 3, 3_000_000),
        ("3\ucc9c", 3, 3000),
        ("$3 M", 3, 3_000_000),
        ("3 tenths", 3, 0.3),
    ],
)
def test_a_word_for_a_power_of_ten_leaves_two_readings(judge, text, one, other) -> None:
    for number in (one, other):
        assert judge({"number": {"value": number}}, text).outcome == "abstain"
    assert judge({"number": {"value": 7}}, text).outcome == "fail"


@pytest.mark.parametrize("text", ["3 m", "3 mm", "3 k\u00f6rner", "3 millimetres", "3 tests", "3 mild cases"])
def test_a_unit_is_no_word_for_a_power_of_ten(judge, text) -> None:
    assert judge({"number": {"value": 3}}, text).outcome == "pass"


@pytest.mark.parametrize(
    ("text", "part"),
    [("10 to the power of 3", 3), ("10 cubed", 10), ("5 and a half", 5), ("10^\\text{3}", 3), ("5 e3", 5)],
)
def test_a_part_of_what_is_not_worked_out_does_not_pass(judge, text, part) -> None:
    assert judge({"number": {"value": part}}, text).outcome == "abstain"


@pytest.mark.parametrize("text", ["So x-\\boxed{5}", "3-\\boxed{5}", "A hat (5)", "10 squared tiles"])
def test_a_dash_between_two_things_is_no_sign(judge, text) -> None:
    assert judge({"number": {"value": -5}}, text).outcome != "pass"


def outcome(judge, text: str, value: float, **params: object) -> str:
    return judge({"number": {"value": value, **params}}, text).outcome


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("2 thirds", 2 / 3, 2),
        ("2 dozen", 24, 2),
        ("2 dozen eggs", 24, 2),
        ("3 Dutzend", 36, 3),
        ("trois: 3 douzaines", 36, 3),
        ("3ダース", 36, 3),
        ("3打", 36, 3),
        ("3 quarters", 0.75, 3),
        ("1 half", 0.5, 1),
        ("5 eighths", 0.625, 5),
        ("2 Drittel", 2 / 3, 2),
        ("3 gross", 432, 3),
        ("1½ dozen", 18, 1.5),
        ("2 1/2 dozen", 30, 2.5),
        ("2 and 3 quarters", 2.75, 3),
        ("5 and 2 thirds", 5 + 2 / 3, 2),
        ("3万5", 35000, 5),
        ("3百5", 350, 5),
        ("-\u201e5", -5, 5),
    ],
)
def test_a_word_that_multiplies_leaves_a_choice_and_no_wrong_number(
    judge, text: str, right: float, wrong: float
) -> None:
    assert outcome(judge, text, right, abs_tol=1e-9) == "abstain"
    assert outcome(judge, text, wrong, abs_tol=1e-9) in ("abstain", "fail")
    assert outcome(judge, text, 77) == "fail"


@pytest.mark.parametrize(
    ("text", "number", "other"),
    [
        ("5 and 1/2", 5.5, 0.5),
        ("5 & 1/2 cups", 5.5, 0.5),
        ("5 and ½", 5.5, 0.5),
        ("-5 and 1/2", -5.5, 0.5),
        ("2 and a half", 2.5, 0.5),
        ("2 and three quarters", 2.75, 3),
        ("-2 and a third", -2 - 1 / 3, 2),
        ("16 quarters", 16, 5),
        ("7 dozens", 7, 12),
        ("2 third graders", 2, 2 / 3),
        ("-円5", -5, 5),
        ("-元5", -5, 5),
        ("-원5", -5, 5),
        ("-zł5", -5, 5),
        ("-Rp5", -5, 5),
        ("-R$5", -5, 5),
        ("$-$$5$", -5, 5),
        ("-$$5$$", -5, 5),
        ("円5", 5, -5),
        ("5円", 5, -5),
        ("3万5千", 35000, 5000),
        ("3万5千円", 35000, 5),
        ("-3万5千", -35000, 35000),
        ("3万5000", 35000, 5000),
        ("1億2000万", 120_000_000, 2000),
        ("1億2,345万6,789", 123_456_789, 6789),
        ("3千5百万", 35_000_000, 500),
        ("12万3456", 123456, 3456),
        ("3만 5천", 35000, 5000),
        ("五万3千", 53000, 3000),
        ("3万零5百", 30500, 500),
        ("3万零5", 30005, 35000),
        ("百5十", 150, 50),
        ("二十3", 23, 3),
        ("5分の3", 0.6, 3),
        ("5分之3", 0.6, 5),
        ("5분의 3", 0.6, 3),
        ("5 AND 1/2", 5.5, 0.5),
        ("1,000 and 1/2", 1000.5, 0.5),
        ("$500 gross", 500, 72_000),
    ],
)
def test_what_stands_together_is_one_number(judge, text: str, number: float, other: float) -> None:
    assert outcome(judge, text, number, abs_tol=1e-9) == "pass"
    assert outcome(judge, text, other, abs_tol=1e-9) != "pass"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "42 [1]",
            "42[1]",
            "42 [1][2]",
            "42 [1, 2]",
            "42 [1-3]",
            "42.[1]",
            "It is 42. [^1]",
            "42 [^note2]",
            "**42** [3]",
        ),
        *(
            "\\boxed{42} [1]",
            "42【4†source】",
            "42 [1](https://a.example/7)",
            "42 (https://a.example/page/7)",
            "42^[1]",
        ),
        *(
            "[42](https://a.example/7)",
            "42<sup>[1]</sup>",
            "42 \\cite{3}",
            "$42$ \\tag{1}",
            "42 [note 3]",
            "42 [12, 14]",
        ),
        *(
            "see https://a.example/1/2.html: 42",
            "42\n\n[^1]: Smith 2019",
            "1. 42",
            "Step 2: it is 42",
            "[1] 42",
            "[42]",
        ),
        *("The answer is [42]", "42.", "42) is it", "42 (Table 2)", "42 (see p. 7)", "1) 40\n2) 42"),
    ],
)
def test_what_refers_to_a_source_or_counts_a_list_is_not_the_number(judge, text: str) -> None:
    assert outcome(judge, text, 42) == "pass"


@pytest.mark.parametrize(
    ("text", "mark", "params"),
    [
        ("42 apples [1]", 1, {}),
        ("42 (1)", 1, {}),
        ("42 apples [1][2]", 2, {}),
        ("It is 42 (see [1], [2]).", 2, {}),
        ("42, [1]", 1, {}),
        ("It is 42:\n1. add\n2. divide", 2, {}),
        ("It is 42:\n**Step 3:** divide", 3, {}),
        ("42\n\n1) Smith", 1, {}),
        ("1. 42 apples", 1, {"which": "first"}),
        ("Step 3: she has 42 apples", 3, {"which": "first"}),
    ],
)
def test_what_may_be_a_mark_or_the_number_is_not_decided(judge, text: str, mark: int, params: dict[str, str]) -> None:
    assert outcome(judge, text, 42, **params) == "abstain"
    assert outcome(judge, text, mark, **params) == "abstain"
    assert outcome(judge, text, 7, **params) == "fail"
    assert "or 42" in judge({"number": {"value": 42, **params}}, text).reason


@pytest.mark.parametrize(("text", "number"), [("2. That is it", 2), ("[[3], [4]]", 4), ("a[3]", 3), ("x, [3, 4]", 4)])
def test_a_number_in_brackets_or_before_a_point_is_a_number_where_nothing_else_is(
    judge, text: str, number: int
) -> None:
    assert outcome(judge, text, number) == "pass"


@pytest.mark.parametrize("text", ["3万5万", "3千5千", "1億2億", "3万20000"])
def test_places_that_do_not_go_down_are_no_number(judge, text: str) -> None:
    for number in (3, 5, 2, 50_000, 35_000, 5_000, 20_000):
        assert outcome(judge, text, number) == "fail"


@pytest.mark.parametrize("text", ["Answer: 42. She has 5 left", "1. 7\nAnswer:\n42) and 5 more", "Answer: 42 [1]"])
def test_the_number_behind_a_tag_is_no_mark(judge, text: str) -> None:
    assert outcome(judge, text, 42, after="Answer:") == "pass"
