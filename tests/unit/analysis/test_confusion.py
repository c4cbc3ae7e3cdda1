"""Which label was expected and which one was given, from what `equals` compares."""

import pytest
from msgspec.structs import replace

from evalh.analysis.confusion import ANOTHER, NO_LABEL, LabelConfusion, Labels
from evalh.core.case import ABSENT, Case
from evalh.core.run import RunRecord
from evalh.core.sample import Standing
from evalh.core.strict_json import JsonValue
from evalh.report.html.confusion import confusion_section
from unit.analysis.test_matrix import story
from unit.report.test_tradeoff import run

EQUALS: dict[str, JsonValue] = {"name": "equals", "kind": "equals", "params": {"path": "label", "expected": "label"}}


def record(*documents: dict[str, JsonValue]) -> RunRecord:
    return replace(run("v1", 1, None).record, graders_document=documents)


def folded(pairs: list[tuple[object, str | None]], document: dict[str, JsonValue] = EQUALS) -> LabelConfusion | None:
    labels = Labels.of(record(document))
    assert labels is not None
    for gold, output in pairs:
        one = story("a", Standing.GOOD, output)
        expected = ABSENT if gold is None else {"label": gold}
        labels.add(replace(one, case=Case("a", {}, expected)))
    return labels.confusion()


def said(label: str) -> str:
    return f'{{"label": "{label}"}}'


def test_every_sample_with_a_gold_label_is_counted_once() -> None:
    pairs = [("bug", said("bug"))] * 3 + [("bug", said("billing"))] * 2 + [("billing", said("billing"))] * 4
    pairs += [("billing", None), ("billing", "no JSON"), (None, said("bug"))]

    confusion = folded(pairs)

    assert confusion is not None
    assert confusion.golds == ("billing", "bug")
    assert confusion.said == ("billing", "bug", NO_LABEL)
    assert confusion.counts == {
        ("bug", "bug"): 3,
        ("bug", "billing"): 2,
        ("billing", "billing"): 4,
        ("billing", NO_LABEL): 2,
    }
    assert (confusion.found("bug").value, confusion.right("billing").value) == (0.6, pytest.approx(4 / 6))
    assert confusion.mistakes()[0] == ("billing", NO_LABEL, 2)


def test_texts_that_are_no_gold_label_have_columns_while_they_are_few() -> None:
    pairs: list[tuple[object, str | None]] = [(gold, said(gold)) for gold in ("a", "b") for _ in range(9)]
    pairs += [("a", said(f"other {number}")) for number in range(12)] + [("a", said("other 3"))]

    confusion = folded(pairs)

    assert confusion is not None
    assert confusion.said[2] == "other 3"
    assert confusion.said[-1] == ANOTHER
    assert sum(confusion.counts.values()) == len(pairs)


def test_labels_are_compared_as_the_grader_compares_them() -> None:
    loose: dict[str, JsonValue] = {**EQUALS, "params": {"expected": "label", "ignore_case": True, "trim": True}}

    confusion = folded([("Bug", " bug\n"), ("Bug", "BUG"), ("Billing", "billing"), ("Billing", "Bug ")], loose)

    assert confusion is not None
    assert confusion.counts == {("bug", "bug"): 2, ("billing", "billing"): 1, ("billing", "bug"): 1}


@pytest.mark.parametrize(
    "golds",
    [["same"] * 9, [f"answer {number}" for number in range(9)], [{"deep": 1}] * 5, ["long " * 40, "other"] * 4],
    ids=["one label", "another gold in every case", "objects", "a letter"],
)
def test_gold_that_is_not_a_label_has_no_matrix(golds: list[object]) -> None:
    assert folded([(gold, said("same")) for gold in golds]) is None


@pytest.mark.parametrize(
    "document",
    [
        {"name": "contains", "kind": "contains", "params": {}},
        {"name": "equals", "kind": "equals", "params": {"value": "yes"}},
        {"name": "equals", "kind": "equals", "params": {"path": "a[["}},
        {"name": "equals", "kind": "equals", "params": {"gone": 1}},
        {"name": "equals", "kind": "equals"},
    ],
)
def test_a_suite_without_such_a_grader_has_no_matrix(document: dict[str, JsonValue]) -> None:
    assert Labels.of(record(document)) is None


def test_a_hostile_label_stays_text_on_the_page() -> None:
    hostile = "<script>alert(1)</script>\u202e"
    confusion = folded([(hostile, None), (hostile, said("a")), ("a", said("a")), ("a", said("a"))])
    assert confusion is not None

    page = confusion_section(confusion, "", "it")

    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
