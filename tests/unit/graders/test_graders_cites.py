"""What an output cites was handed in: ids as they are, quotes whatever case, blanks and marks they are written in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.errors import WorkspaceError
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome, StepOutput, Verdict
from evalh.graders.registry import build
from grading import environment as grading_environment
from hanging import ends

QUOTING = build(
    GraderSpec(kind="cites", name="cites", params={"quotes": "$", "in": "inputs.text"}), grading_environment()
)

ALL = {
    "ids": "citations[*].id",
    "of": "inputs.docs[*].id",
    "quotes": "citations[*].quote",
    "in": "inputs.docs[*].text",
}
DOCS = [
    {"id": "doc-1", "text": "Refunds take  14 days,\nhe said: “don’t wait – call”. We are unable to pay 1000 EUR."},
    {"id": 7, "text": "お支払いは返金されます。"},
]


@pytest.fixture
def cites(judge):
    """Judge what cites these ids and quotes of DOCS."""

    def cites(*cited: dict[str, Any], params: dict[str, Any] = ALL, **about: Any):
        output = json.dumps({"citations": list(cited)})
        return judge({"cites": params}, output, **{"inputs": {"docs": DOCS}, **about})

    return cites


@pytest.mark.parametrize(
    "quote",
    [
        "Refunds take 14 days, he said",
        "REFUNDS TAKE\n14 days",
        '"Refunds take 14 days,"',
        "he said: 'Don't wait - call'",
        "ｒefunds take 14\u00a0days",
        "re\u00adfunds take\u200b 14 days",
        "call”.",
        "返金",
    ],
)
def test_a_quote_is_found_despite_other_blanks_marks_case_and_forms(cites, quote: str) -> None:
    verdict = cites({"id": "doc-1", "quote": quote})

    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, "1 id and 1 quote, all found")


@pytest.mark.parametrize(
    "quote",
    ["Refunds take 15 days", "able to pay 1000", "unable to pay 100", "funds take 14 days", "1000 EUR. お支払い"],
)
def test_a_quote_with_other_words_or_with_a_cut_word_does_not(cites, quote: str) -> None:
    verdict = cites({"id": "doc-1", "quote": quote})

    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.endswith("does not occur in inputs.docs[*].text")


@pytest.mark.parametrize("quote", ["", "  ", "“”"])
def test_a_quote_of_nothing_fails(cites, quote: str) -> None:
    assert cites({"id": "doc-1", "quote": quote}).reason == "citations[0].quote is an empty quote"


@pytest.mark.parametrize("cited", ["doc-1", " doc-1\n", 7, "7", 7.0])
def test_an_id_that_was_handed_in_passes_as_number_or_text(cites, cited: Any) -> None:
    assert cites({"id": cited, "quote": None}).outcome is Outcome.PASS


@pytest.mark.parametrize("cited", ["DOC-1", "doc-2", 7.5, 8, 10**40, "doc", ""])
def test_an_id_that_was_not_handed_in_fails(cites, cited: Any) -> None:
    verdict = cites({"id": "doc-1", "quote": None}, {"id": cited, "quote": None})

    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.endswith("which is not in inputs.docs[*].id")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("doc-1", "the output is not JSON"),
        ("{}", "the output's JSON cites nothing: there is no citations"),
        ('{"citations": 1}', "the output's JSON cites nothing: citations is neither a list nor an object"),
        ('{"citations": [{"id": "doc-1"}, {}]}', "the output's JSON cites nothing: there is no citations[1].id"),
        ('{"citations": [{"id": true}]}', "citations[0].id is a boolean, not an id"),
        ('{"citations": [{"id": "doc-1", "quote": 3}]}', "citations[0].quote is a number, not a text"),
    ],
)
def test_an_output_that_cannot_be_read_fails_and_says_where(judge, output: str, reason: str) -> None:
    verdict = judge({"cites": ALL}, output, inputs={"docs": DOCS})

    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith(reason)


def test_citing_nothing_passes_unless_citations_are_asked_for(cites, judge) -> None:
    assert cites().reason == "0 ids and 0 quotes, all found"
    assert judge({"cites": ALL}, '{"citations": null}', inputs={"docs": DOCS}).outcome is Outcome.PASS
    assert cites(params={**ALL, "at_least": 1}).reason == "cites 0 ids; at least 1"


def test_ids_are_a_text_a_list_or_the_keys_of_what_was_handed_in(judge) -> None:
    def outcome(ids: Any, handed: Any) -> Outcome:
        params = {"ids": "sources", "of": "inputs.docs"}
        verdict: Outcome = judge({"cites": params}, json.dumps({"sources": ids}), inputs={"docs": handed}).outcome
        return verdict

    assert (
        outcome("a", "a") is outcome(["a", "b"], ["b", "a", "c"]) is outcome(["a"], {"a": "its text"}) is Outcome.PASS
    )
    assert (
        outcome(["a", "c"], ["a", "b"]) is outcome("a", None) is outcome("its text", {"a": "its text"}) is Outcome.FAIL
    )
    assert outcome([{"id": "a"}], ["a"]) is Outcome.FAIL
    assert outcome("a", [{"id": "a"}]) is Outcome.ERROR  # the suite names no id


def test_a_place_without_any_input_is_an_error_of_the_suite(cites) -> None:
    verdict = cites({"id": "a", "quote": "b"}, inputs={"texts": []})

    assert (verdict.outcome, verdict.reason) == (Outcome.ERROR, "there is no inputs.docs")


def test_steps_hand_in_too_and_one_that_did_not_run_handed_in_nothing(cites) -> None:
    params = {"ids": "citations[*].id", "of": ["search.hits[*].id", "inputs.docs[*].id"]}
    ran = {"search": StepOutput({"hits": [{"id": "web-1"}]}, {})}

    assert cites({"id": "web-1"}, {"id": "doc-1"}, params=params, steps=ran).outcome is Outcome.PASS
    assert cites({"id": "doc-1"}, params=params).outcome is Outcome.PASS
    assert cites({"id": "web-1"}, params=params).reason == (
        "cites \"web-1\", which is not in search.hits[*].id or inputs.docs[*].id: the step 'search' did not run"
    )


def test_it_needs_no_gold_and_says_which_steps_it_reads(build_grader) -> None:
    grader = build_grader({"not": {"cites": {"ids": "ids", "of": ["search.ids", "inputs.ids"]}}})

    assert not grader.needs_expected
    assert grader.reads == ("search",)


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({}, "needs something to look for"),
        ({"ids": "a"}, "states ids but not of"),
        ({"ids": "a", "of": "inputs", "in": "inputs"}, "states in but not quotes"),
        ({"quotes": "a"}, "states quotes but not in"),
        ({"ids": "a[*]b", "of": "inputs"}, "cannot use this path"),
        ({"ids": "a", "of": "$"}, "does not begin with a name"),
        ({"ids": "a", "of": "[*].id"}, "does not begin with a name"),
        ({"ids": "a", "of": ""}, "an empty path names nothing"),
    ],
)
def test_parameters_without_their_pair_are_refused(build_grader, params: dict[str, Any], what: str) -> None:
    with pytest.raises(WorkspaceError, match=r"evals/triage\.yaml:7") as caught:
        build_grader({"cites": params})

    assert what in caught.value.what


@given(
    words=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=12),
    places=st.tuples(st.integers(0, 11), st.integers(1, 12)),
    blank=st.sampled_from([" ", "\n", "\u00a0", " \t "]),
)
def test_any_run_of_words_of_a_text_is_found_in_it(words: list[str], places: tuple[int, int], blank: str) -> None:
    words = " ".join(words).split()
    quote = blank.join(words[places[0] : places[0] + places[1]])
    case = Case("c", {"text": " ".join(words)})

    verdict = QUOTING.judge(GradeContext(case=case, completion=Completion(text=json.dumps(quote))))

    assert isinstance(verdict, Verdict)
    assert verdict.outcome is Outcome.PASS or "is an empty quote" in verdict.reason, verdict.reason


def test_a_long_key_is_cut_everywhere(judge) -> None:
    output = json.dumps({"c": {"k\u202e" * 200_000: {"q": ["word"] * 100_000}}})
    with ends():
        verdict = judge({"cites": {"quotes": "c[*].q[*].x", "in": "inputs.text"}}, output, inputs={"text": "word"})
        passed = judge({"cites": {"quotes": "c[*].q[*]", "in": "inputs.text"}}, output, inputs={"text": "word"})

    assert (verdict.outcome, passed.outcome) == (Outcome.FAIL, Outcome.PASS)
    assert len(verdict.reason) < 420
    assert verdict.reason.isprintable()


def test_hostile_numbers_of_quotes_and_parts_of_words_take_bounded_time(judge) -> None:
    params = {"quotes": "q", "in": "inputs.text"}
    many = json.dumps({"q": [f"{'a' * number}" for number in range(1, 1_001)]})
    with ends():
        verdict = judge({"cites": params}, many, inputs={"text": "a" * 400_000})
        too_many = judge({"cites": params}, json.dumps({"q": [f"w {n}" for n in range(1_001)]}), inputs={"text": "a"})
        too_long = judge({"cites": params}, many, inputs={"text": "a" * 1_000_000})

    assert verdict.outcome is Outcome.FAIL
    assert too_many.reason == "cites 1,001 quotes; at most 1,000 can be checked"
    assert too_long.outcome is Outcome.ERROR
