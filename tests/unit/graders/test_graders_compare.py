"""`equals` and `one_of`."""

import pytest

from evalh.core.errors import WorkspaceError

LABEL = {"equals": {"path": "label", "expected": "label"}}


def test_a_value_in_the_output_is_compared_with_the_cases(judge) -> None:
    verdict = judge(LABEL, '{"label": "billing"}', expected={"label": "billing"})

    assert (verdict.outcome, verdict.score, verdict.reason) == ("pass", 1.0, 'label is "billing"')


def test_another_value_fails_and_shows_both(judge) -> None:
    verdict = judge(LABEL, '{"label": "bug"}', expected={"label": "billing"})

    assert (verdict.outcome, verdict.score) == ("fail", 0.0)
    assert verdict.reason == 'label is "bug"; expected "billing"'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("billing", "the output is not JSON: Expecting value at line 1, column 1"),
        ('{"lable": "billing"}', "the output's JSON has no label"),
        ('{"label": "bug", "label": "billing"}', "the output is not JSON: duplicate key 'label'"),
        ('{"label": NaN}', "the output is not JSON: NaN is not JSON"),
        ('```json\n{"label": "billing"}\n```', "the output is not JSON: Expecting value at line 1, column 1"),
        ("", "the output is not JSON: Expecting value at line 1, column 1"),
    ],
)
def test_an_output_without_the_value_fails_and_says_why(judge, text: str, reason: str) -> None:
    verdict = judge(LABEL, text, expected={"label": "billing"})

    assert (verdict.outcome, verdict.reason) == ("fail", reason)


def test_a_case_that_expects_nothing_is_abstained_from(judge) -> None:
    verdict = judge(LABEL, '{"label": "bug"}')

    assert (verdict.outcome, verdict.score, verdict.reason) == ("abstain", None, "the case has no expected value")


def test_a_case_whose_expected_lacks_the_place_is_abstained_from(judge) -> None:
    assert judge(LABEL, '{"label": "bug"}', expected={"lable": "bug"}).outcome == "abstain"


def test_null_is_a_value_that_can_be_expected(judge) -> None:
    assert judge({"equals": {"path": "label"}}, '{"label": null}', expected=None).outcome == "pass"
    assert judge({"equals": {"path": "label"}}, '{"label": "bug"}', expected=None).outcome == "fail"
    assert judge({"equals": {"path": "label", "value": None}}, '{"label": null}').outcome == "pass"


def test_a_string_is_compared_with_the_whole_text_exactly(judge) -> None:
    assert judge("equals", "billing", expected="billing").outcome == "pass"
    assert judge("equals", "billing\n", expected="billing").outcome == "fail"
    assert judge("equals", "Billing", expected="billing").outcome == "fail"
    assert judge("equals", '"billing"', expected="billing").outcome == "fail"


def test_case_and_blanks_are_overlooked_where_that_is_asked(judge) -> None:
    lenient = {"equals": {"trim": True, "ignore_case": True}}

    assert judge(lenient, " STRASSE\n", expected="Straße").outcome == "pass"
    assert judge({"equals": {"trim": True}}, " Billing ", expected="billing").outcome == "fail"
    assert judge(lenient, '{"a": ["X "]}', expected={"a": ["x"]}).outcome == "pass"
    assert judge(lenient, '{"A": "x"}', expected={"a": "x"}).outcome == "fail"


@pytest.mark.parametrize(
    ("text", "expected", "outcome"),
    [
        ("1", 1, "pass"),
        ("1.0", 1, "pass"),
        ("1", 1.0, "pass"),
        ("1", True, "fail"),
        ("true", 1, "fail"),
        ("true", True, "pass"),
        ("0", False, "fail"),
        ('"1"', 1, "fail"),
        ("123456789012345678901234567890", 123456789012345678901234567890, "pass"),
        ("123456789012345678901234567891", 123456789012345678901234567890, "fail"),
        ('{"a": 1, "b": [1, 2]}', {"b": [1, 2], "a": 1}, "pass"),
        ('{"a": 1, "b": [2, 1]}', {"b": [1, 2], "a": 1}, "fail"),
        ('{"a": 1}', {"a": 1, "b": None}, "fail"),
        ("[1]", {"0": 1}, "fail"),
        ('{"a": true}', {"a": 1}, "fail"),
        ("[]", {}, "fail"),
        ("null", None, "pass"),
    ],
)
def test_json_is_compared_as_json_means_it(judge, text: str, expected: object, outcome: str) -> None:
    assert judge("equals", text, expected=expected).outcome == outcome


def test_a_fenced_answer_counts_where_that_is_asked(judge) -> None:
    fenced = {"equals": {"path": "label", "value": "bug", "fenced": True}}

    assert judge(fenced, 'Sure:\n```json\n{"label": "bug"}\n```\nDone.').outcome == "pass"
    assert judge(fenced, '{"label": "bug"}').outcome == "pass"
    assert judge(fenced, '```\r\n{"label": "bug"}\r\n```').outcome == "pass"
    two = judge(fenced, '```\n{"label": "bug"}\n```\n```\n{"label": "bug"}\n```')
    assert (two.outcome, two.reason) == (
        "fail",
        "the output has 2 fenced blocks; one was expected, or one marked json",
    )
    assert judge(fenced, '```json\n{"label": "bug"}').outcome == "fail"


def test_one_of_several_values_is_enough(judge) -> None:
    labels = {"one_of": {"path": "label", "values": ["bug", "billing"]}}

    assert judge(labels, '{"label": "billing"}').outcome == "pass"
    refused = judge(labels, '{"label": "spam"}')
    assert (refused.outcome, refused.reason) == ("fail", 'label is "spam"; expected one of ["bug", "billing"]')
    assert judge(labels, "nothing").outcome == "fail"


def test_one_of_takes_its_values_from_the_case(judge) -> None:
    entry = {"one_of": {"expected": "labels", "ignore_case": True}}

    assert judge(entry, "BUG", expected={"labels": ["bug", "feature"]}).outcome == "pass"
    assert judge(entry, "BUG").outcome == "abstain"
    assert judge(entry, "BUG", expected={"labels": "bug"}).outcome == "error"
    empty = judge(entry, "BUG", expected={"labels": []})
    assert (empty.outcome, empty.reason) == ("error", "the case's expected is []; a list of values is needed")


def test_one_of_reads_numbers_as_json_and_strings_as_text(judge) -> None:
    assert judge({"one_of": {"values": ["two", 2]}}, "2").outcome == "pass"
    assert judge({"one_of": {"values": [None, 2]}}, "null").outcome == "pass"
    assert judge({"one_of": {"values": ["two", 2]}}, "three").reason.startswith('the output is "three"')


def test_a_literal_and_a_path_in_expected_exclude_each_other(build_grader) -> None:
    for entry in ({"equals": {"value": 1, "expected": "a"}}, {"one_of": {"values": [1], "expected": "a"}}):
        with pytest.raises(WorkspaceError, match="states both"):
            build_grader(entry)


def test_an_empty_list_of_values_is_refused(build_grader) -> None:
    with pytest.raises(WorkspaceError, match="nothing could pass"):
        build_grader({"one_of": {"values": []}})


def test_only_what_compares_with_the_case_needs_gold(build_grader) -> None:
    assert build_grader(LABEL).needs_expected
    assert build_grader("equals").needs_expected
    assert not build_grader({"equals": {"value": 1}}).needs_expected
    assert not build_grader({"one_of": {"values": [1]}}).needs_expected


def test_nesting_past_all_reason_fails_without_ending_the_process(judge) -> None:
    for depth in (201, 5_000, 200_000):
        verdict = judge({"equals": {"value": []}}, "[" * depth + "]" * depth)
        assert (verdict.outcome, verdict.reason) == ("fail", "the output is not JSON: nested too deeply")
    assert judge({"equals": {"value": 1}}, "[" * 200 + "]" * 200).reason != "the output is not JSON: nested too deeply"


def test_the_deepest_value_that_is_read_can_be_compared(judge) -> None:
    deep: object = "X"
    for _ in range(199):
        deep = [deep]

    text = "[" * 199 + '"x "' + "]" * 199

    assert judge({"equals": {"ignore_case": True, "trim": True}}, text, expected=deep).outcome == "pass"


DECOMPOSED, COMPOSED = "cafe\u0301", "caf\u00e9"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"equals": {"value": COMPOSED}}, DECOMPOSED),
        ({"equals": {"value": {"a": [COMPOSED]}}}, f'{{"a": ["{DECOMPOSED}"]}}'),
        ({"equals": {"value": COMPOSED.upper(), "ignore_case": True}}, DECOMPOSED),
        ({"one_of": {"values": ["x", COMPOSED]}}, DECOMPOSED),
        ({"contains": {"value": DECOMPOSED}}, f"a {COMPOSED} here"),
        ({"regex": {"pattern": f"^{DECOMPOSED}$"}}, COMPOSED),
        ({"regex": {"pattern": "caf(.)$", "value": "e\u0301"}}, DECOMPOSED),
        ({"json_subset": {"value": {"a": COMPOSED}}}, f'{{"a": "{DECOMPOSED}", "b": 1}}'),
    ],
)
def test_the_form_of_a_character_is_overlooked_unless_that_is_switched_off(judge, entry, text: str) -> None:
    ((kind, params),) = entry.items()

    assert judge(entry, text).outcome == "pass"
    assert judge({kind: {**params, "normalize": "nfkc"}}, text).outcome == "pass"
    assert judge({kind: {**params, "normalize": "none"}}, text).outcome == "fail"


def test_nfkc_overlooks_compatible_forms_too(judge) -> None:
    assert judge({"equals": {"value": "file 5"}}, "ﬁle ５").outcome == "fail"
    assert judge({"equals": {"value": "file 5", "normalize": "nfkc"}}, "ﬁle ５").outcome == "pass"
    assert (
        judge({"json_fields": {"fields": {"a": 1}, "normalize": "nfkc"}}, '{"a": "ﬁ"}', expected={"a": "fi"}).score
        == 1.0
    )


def test_a_reason_names_what_the_eye_does_not_see(judge) -> None:
    cyrillic = judge({"equals": {"value": "paypal"}}, "p\u0430ypal")
    assert cyrillic.reason == 'the output is "p\u0430ypal"; expected "paypal"; character 2 is U+0430, not U+0061'
    assert judge({"equals": {"value": COMPOSED, "normalize": "none"}}, DECOMPOSED).reason.endswith(
        "character 4 is U+0065, not U+00E9"
    )
    assert judge({"contains": {"value": COMPOSED, "normalize": "none"}}, DECOMPOSED).reason.endswith(
        " but does in another: normalize: nfc"
    )
    assert judge({"equals": {"value": "ab"}}, "ac").reason == 'the output is "ac"; expected "ab"'


def test_marks_without_end_take_linear_time(judge) -> None:
    marks = "a" + "\u0315\u0300" * 500_000

    for entry in ({"equals": {"value": "é"}}, {"contains": {"value": "é"}}, {"regex": {"pattern": "é"}}):
        assert judge(entry, marks).outcome == "fail"
