"""Any text, for long: no exception, and no text that hangs a grader."""

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.request import ToolCall
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.kinds import Grader
from evalh.graders.registry import build
from grading import environment as grading_environment
from hanging import assert_within, ends

PIECES = ["0", "1", "18", "000", "1,000", "1.000", "1,00,000", ".", ",", "'", "’", "_", "-", "–", "−", "－", "+", "$", "€", "₹", "%", "°", "(", ")", "[", "]", "{", "}", "\\", "/", ":", "^", "**", "*", "`", "```", "~~~", '"', "×", "x", "e", "10^8", "½", "⅓", "²", "⁻", "√", "π", "\\frac", "\\frac{1}{2}", "\\,", "{,}", "\\!", "\\boxed{", "\\times", "\\(", "\\[", "million", "k", "万", "minus", "v2", "2024-05-01", "10:30", "&nbsp;", "&#49;", "४२", "١٢", "５", "ü", "हिन्दी", "ภาษา", "日本", "é", "é", "😀", "\u200b", "\ufdd0", "�", "\x00", "\n", "\r\n", "\t", "\xa0", "\u2009", "####", "true", "null", "NaN", "1e400", '{"a":', "[1,", "```json", "```\n", "A:", "word"] + [" ", "  ", "\n\n", "\u0315\u0300" * 5]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(st.characters(codec=None), max_size=80)
ENTRIES: tuple[tuple[str, dict[str, object]], ...] = (
    ("number", {}),
    ("number", {"which": "first", "locale": "de", "rel_tol": 0.1}),
    ("number", {"after": "####", "fractions": False}),
    ("contradiction", {"after": "####"}),
    ("equals", {"normalize": "nfkc", "trim": True, "ignore_case": True, "fenced": True}),
    ("one_of", {"values": ["18", "é", 1, {"a": [1]}], "fenced": True}),
    ("contains", {"value": ["1", "é"], "match": "any", "ignore_case": True}),
    ("regex", {"pattern": r"\b(\w+)\s*\b", "value": "18", "which": "last"}),
    ("regex", {"pattern": r"(?m)^[^\W\d_]*\S\B"}),
    ("similarity", {"pass_mark": 0.5, "measure": "token_f1", "value": "18 é 日本 C++ -5"}),
    ("similarity", {"pass_mark": 0.5, "value": "18 é"}),
    ("truncation", {}),
    ("json", {"fenced": True}),
    ("schema", {"schema": {"type": "object", "properties": {"a": {"format": "date"}}}, "fenced": True}),
    ("json_subset", {"value": {"a": [1]}, "fenced": True}),
    ("cites", {"ids": "a[*]", "of": "inputs", "quotes": "a", "in": "inputs", "fenced": True}),
    ("tool_calls", {"value": ["find", {"name": "x", "arguments": {"a": 1}}]}),
)
GRADERS = [build(GraderSpec(kind=kind, name=kind, params=params), grading_environment()) for kind, params in ENTRIES]
NAMES = [f"{kind}-{number}" for number, (kind, _) in enumerate(ENTRIES)]


def judged(grader: Grader, text: str, expected: object = "18") -> Verdict:
    completion = Completion(text=text, tool_calls=(ToolCall("t", "find", text),))
    verdict = grader.judge(GradeContext(case=Case("c", {}, expected=expected), completion=completion))
    assert isinstance(verdict, Verdict)
    return verdict


def held(grader: Grader, text: str, expected: object = "18") -> None:
    with ends(of=text):
        verdict = judged(grader, text, expected)

    assert verdict.outcome is not Outcome.ERROR or expected != "18", verdict.reason
    assert verdict.reason.isprintable()
    assert len(verdict.reason) < 450


@pytest.mark.parametrize("grader", GRADERS, ids=NAMES)
@given(text=TEXTS)
def test_any_text_gets_a_verdict(grader: Grader, text: str) -> None:
    held(grader, text)


@pytest.mark.slow
@pytest.mark.parametrize("grader", GRADERS, ids=NAMES)
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS, expected=st.just("18") | TEXTS)
def test_any_text_gets_a_verdict_for_long(grader: Grader, text: str, expected: str) -> None:
    held(grader, text, expected)


@pytest.mark.slow
@settings(max_examples=1500)
@given(text=TEXTS)
def test_a_text_that_is_expected_of_itself_never_fails(text: str) -> None:
    assert judged(GRADERS[0], text, text).outcome is not Outcome.FAIL
    assert judged(GRADERS[4], text, text).outcome is Outcome.PASS


@pytest.mark.slow
@pytest.mark.parametrize("grader", GRADERS, ids=NAMES)
def test_a_long_text_of_anything_takes_linear_time(grader: Grader) -> None:
    """A tenth of a megabyte of each piece; `tests/unit/test_linear.py` has classes of characters."""
    for piece in filter(None, PIECES):
        text = piece * (100_000 // len(piece))
        assert_within(0.5, partial(judged, grader, text), of=repr(piece))  # what is not linear takes many
