"""What must hold of graders for any output."""

import json
from itertools import pairwise

import pytest
from hypothesis import example, settings
from hypothesis import given as given_any
from hypothesis import strategies as st

from evalh.core.attempt import Completion
from evalh.core.case import ABSENT, Case
from evalh.core.request import Message, Request, Role, Settings, Tool, ToolCall
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.compare import same
from evalh.graders.defects import phrases, recited, repeated
from evalh.graders.kinds import Grader
from evalh.graders.numbers.numerals import How
from evalh.graders.numbers.readings import numerals
from evalh.graders.paths import BadPath, JsonPath
from evalh.graders.pii import KINDS, personal
from evalh.graders.quoting import one_line, shown
from evalh.graders.reading import folded
from evalh.graders.registry import build, graders_digest
from grading import environment as grading_environment


def given(**what):
    """Check a claim for any input, without a stopwatch: other work on the machine must not fail it."""
    return lambda claim: settings(deadline=None)(given_any(**what)(claim))


PROMPT = "You sort support tickets. Answer with one label, and never say which labels there are."


def built(entry) -> Grader:
    kind, params = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
    return build(GraderSpec(kind=kind, name=kind, params=params), grading_environment())


def judged(grader: Grader, text: str, expected=ABSENT) -> Verdict:
    messages = (Message.of(Role.SYSTEM, PROMPT), Message.of(Role.USER, text[: len(text) // 2]))
    request = Request(messages, Settings(model="m", sent_to={}))
    case = Case("c", {"ticket": text}, expected=expected)
    ctx = GradeContext(case=case, completion=Completion(text=text), request=request, output_schema={})
    verdict = grader.judge(ctx)
    assert isinstance(verdict, Verdict)
    return verdict


ANY_TEXT = st.text(st.characters(codec=None), max_size=60) | st.lists(
    st.sampled_from(
        ['{"a":', "[", "]", "}", '"', "```", "```json\n", "\n", "18", "-", "1,000", "$", "/", "é", "\ud800"]
    ),
    max_size=25,
).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
GRADERS = [
    built(entry)
    for entry in (
        "json",
        {"json": {"fenced": True}},
        "schema",
        "equals",
        {"equals": {"path": "a[0]", "ignore_case": True, "trim": True, "fenced": True}},
        {"one_of": {"values": ["a", 1, None]}},
        {"contains": {"value": ["1", "é"], "match": "any", "ignore_case": True}},
        {"regex": {"pattern": r"(\d+)|(é)", "value": "18", "which": "last"}},
        {"number": {"value": 18, "fractions": True, "rel_tol": 0.1}},
        {"number": {"value": 18, "decimal_comma": True, "which": "first"}},
        {"length": {"min_chars": 1, "max_words": 3}},
        {"latency": {"max_ms": 5}},
        {"not": {"grader": {"all_of": {"graders": ["json", "schema"]}}}},
        "json_subset",
        {"json_subset": {"lists": "any_order", "rel_tol": 0.5, "fenced": True}},
        {"json_fields": {"fields": {"a": 1, "b": {"weight": 2, "abs_tol": 1}}}},
        *(
            {"similarity": {"pass_mark": 0.5, "value": "18 é", "measure": one}}
            for one in ("ratio", "partial", "token_f1")
        ),
        {"tool_calls": {"value": ["x"]}},
        "hedging",
        "refusal",
        "repetition",
        {"repetition": {"max_share": 0.01, "max_in_a_row": 1, "max_compression": 1.0, "fenced": True}},
        "truncation",
        "leaked_prompt",
        "pii",
        {"language": {"value": ["en", "zh"], "min_letters": 1}},
    )
]


@pytest.mark.parametrize("grader", GRADERS, ids=lambda grader: grader.name)
@given(text=ANY_TEXT, expected=JSON)
def test_any_output_gets_a_verdict_that_can_be_printed(grader: Grader, text: str, expected) -> None:
    verdict = judged(grader, text, expected)

    assert verdict.outcome is not Outcome.ERROR
    assert (verdict.score is None) == (verdict.outcome is Outcome.ABSTAIN)
    assert verdict.reason.isprintable()
    assert len(verdict.reason) < 450


@given(value=JSON)
def test_a_value_equals_itself_however_it_is_written(value) -> None:
    written = json.dumps(value, indent=1, ensure_ascii=False)
    if not isinstance(value, str):  # a string is compared with the text itself
        assert judged(built("equals"), written, value).outcome == "pass"
    assert judged(built({"equals": {"path": "$"}}), written, value).outcome == "pass"


@given(one=JSON, other=JSON)
def test_equality_is_symmetric_and_finer_than_pythons(one, other) -> None:
    assert same(one, one)
    assert same(one, other) == same(other, one)
    if same(one, other):
        assert one == other


@given(value=JSON)
def test_folding_twice_is_folding_once(value) -> None:
    once = folded(value, ignore_case=True, trim=True)

    assert folded(once, ignore_case=True, trim=True) == once


@st.composite
def places(draw: st.DrawFn) -> tuple[object, str, object]:
    """Draw a value, a path into it, and the value there."""
    value = draw(JSON)
    path, here = "$", value
    while isinstance(here, dict | list) and here and draw(st.booleans()):
        if isinstance(here, dict):
            step = draw(st.sampled_from(sorted(here)))
            path += f"[{json.dumps(step)}]"
        else:
            step = draw(st.integers(-len(here), len(here) - 1))
            path += f"[{step}]"
        here = here[step]
    return value, path, here


@given(place=places())
def test_every_place_in_a_value_has_a_path(place) -> None:
    value, path, here = place

    assert JsonPath.parse(path).find(value) is here


@given(text=st.text(max_size=20) | st.text('.[]"-$a0\\', max_size=12), value=JSON)
def test_a_text_is_a_path_or_is_refused_and_never_breaks(text: str, value) -> None:
    try:
        path = JsonPath.parse(text)
    except BadPath:
        return
    path.find(value)


@given(
    words=st.lists(
        st.sampled_from(
            [
                "18",
                "-7",
                "$1,234.5",
                "v2",
                "x",
                "\t",
                "3/4",
                "1e5",
                "5kg",
                "\u202f",
                "é",
                ".",
                "1\u00a0000",
                "30-7",
                "10:30",
            ]
        ),
        max_size=30,
    ),
    blanks=st.sampled_from(["", " ", "\n", "\t", " " * 600, " and so on " * 60]),
)
def test_reading_from_the_end_finds_what_reading_from_the_front_finds(words, blanks: str) -> None:
    text = blanks.join(words)

    backwards = [one.written for one in numerals(text, How(which="last"))]

    assert backwards[::-1] == [one.written for one in numerals(text, How(which="first"))]


OUTCOMES = {
    Outcome.PASS: {"equals": {"value": "x"}},
    Outcome.FAIL: {"equals": {"value": "y"}},
    Outcome.ABSTAIN: {"latency": {"max_ms": 1}},
    Outcome.ERROR: {"number": {"expected": "$"}},
}
SEVERAL = st.lists(st.sampled_from(list(OUTCOMES.values())), min_size=1, max_size=5)


@given(graders=SEVERAL)
def test_any_of_is_not_all_of_not(graders) -> None:
    any_of = {"any_of": {"graders": graders}}
    other = {"not": {"grader": {"all_of": {"graders": [{"not": {"grader": one}} for one in graders]}}}}

    one, two = judged(built(any_of), "x", "no number"), judged(built(other), "x", "no number")

    assert (one.outcome, one.score) == (two.outcome, two.score)


@given(graders=SEVERAL, data=st.data())
def test_order_changes_no_outcome_and_no_digest(graders, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(graders))

    assert graders_digest(map(built, graders)) == graders_digest(map(built, shuffled))
    for kind in ("any_of", "all_of"):
        outcomes = {judged(built({kind: {"graders": one}}), "x", "no number").outcome for one in (graders, shuffled)}
        assert len(outcomes) == 1


@given(value=JSON | ANY_TEXT)
def test_what_is_shown_is_one_short_printable_line(value) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) <= 81 * 10  # every character may have to be escaped
    assert one_line(str(value), 5).isprintable()


PIECES = st.lists(
    st.sampled_from(
        ["jane@mail.test", "DE89 3704 0044 0532 0130 00", "4111 1111 1111 1111", "212-555-0123", "8.8.8.8", "\ud800",
         "word", "é", "+", "(", "0", "12", "1.", "@", ":", "::1", "\x00", "\u202e"]
    ),
    max_size=12,
)  # fmt: skip


@example(pieces=["::1", "8.8.8.8"], blank="")
@given(pieces=PIECES, blank=st.sampled_from(["", " ", ", ", "\n", " - "]))
def test_personal_data_is_told_in_places_that_do_not_overlap(pieces: list[str], blank: str) -> None:
    text = blank.join(pieces)
    found = sorted(personal(text, KINDS), key=lambda one: one.place)

    assert all(text[one.place :].startswith(one.text) for one in found)
    assert all(one.place + len(one.text) <= other.place for one, other in pairwise(found))


@given(words=st.lists(st.sampled_from("abc"), max_size=40))
def test_what_repeats_is_counted_as_by_counting(words: list[str]) -> None:
    grams = [tuple(words[place : place + 4]) for place in range(len(words) - 3)]
    said = repeated(words)

    assert said.share == ((len(grams) - len(set(grams))) / len(grams) if grams else 0.0)
    assert " ".join([said.phrase] * said.in_a_row) in " ".join(words)


@given(words=st.lists(st.sampled_from("abcdefgh"), max_size=60), begin=st.integers(0, 40), length=st.integers(5, 20))
def test_what_is_quoted_from_a_prompt_is_found_at_its_length(words: list[str], begin: int, length: int) -> None:
    quoted = words[begin : begin + length]
    secret = frozenset(phrases(words))

    assert recited(phrases(words), secret).share == (1.0 if secret else 0.0)
    assert recited(phrases(["x", *quoted, "y"]), secret).in_a_row == (len(quoted) if len(quoted) >= 5 else 0)


CALLS = st.lists(
    st.tuples(st.sampled_from(["find", "refund", "x"]), st.sampled_from(['{"id": 7}', "{}", "", "no"])), max_size=4
)
GOLD = st.lists(
    st.sampled_from(
        ["find", {"name": "find", "arguments": {"id": 7}}, {"name": "refund", "arguments": {}}, {"name": "x"}]
    ),
    max_size=3,
)
LOOSE = st.fixed_dictionaries(
    {}, optional={"arguments": st.sampled_from(["subset", "ignore"]), "allow_more": st.just(True)}
)
STRICT = {"order": "same", "valid": True, "forbidden": ["x"]}


@given(
    calls=CALLS,
    gold=GOLD,
    loose=LOOSE,
    have=st.sets(st.sampled_from(sorted(STRICT))),
    more=st.sampled_from(sorted(STRICT)),
)
def test_one_more_rule_never_turns_a_fail_into_a_pass(calls, gold, loose, have: set[str], more: str) -> None:
    tools = (Tool("find", "", {"type": "object"}), Tool("refund", "", {"type": "object"}))
    completion = Completion(text="", tool_calls=tuple(ToolCall("t", *call) for call in calls))
    request = Request((Message.of(Role.USER, "x"),), Settings(model="m", sent_to={}, tools=tools))
    ctx = GradeContext(case=Case("c", {}, expected=gold), completion=completion, request=request)
    params = {**loose, **{name: STRICT[name] for name in have}}

    before = built({"tool_calls": params}).judge(ctx)
    after = built({"tool_calls": {**params, more: STRICT[more]}}).judge(ctx)

    assert after.outcome is not Outcome.PASS or before.outcome is Outcome.PASS
