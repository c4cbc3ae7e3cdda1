"""JSON in a fenced block."""

import pytest

PARSED = {"equals": {"value": {"a": 1}, "fenced": True}}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```',
        '```JSON\n{"a": 1}\n```\n',
        '~~~json\n{"a": 1}\n~~~',
        '````json\n{"a": 1}\n````',
        '```json title="x"\n{"a": 1}\n```',
        '```{"a": 1}```',
        '``` {"a": 1} ```',
        'Here:\n\n```json\n{"a": 1}\n```\nThat is all.',
        '1. Here:\n   ```json\n   {"a": 1}\n   ```',
        '~~~\n{"a": 1}\n~~~~',
        '```python\nx = 1\n```\nso\n```json\n{"a": 1}\n```',
        '```\nx\n```\n```\ny\n```\n```json\n{"a": 1}\n```',
    ],
)
def test_one_block_is_read_wherever_its_fences_stand(judge, text: str) -> None:
    verdict = judge(PARSED, text)

    assert verdict.outcome == "pass", verdict.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('```json\n{"a": 1}', "a fenced block that is not closed"),
        ('```json\n{"a": 1}\n~~~', "a fenced block that is not closed"),
        ('````json\n{"a": 1}\n```', "a fenced block that is not closed"),
        ('```\n{"a": 1}\n```\n```\n{"a": 1}\n```', "2 fenced blocks"),
        ('```json\n{"a": 2}\n```\n```json\n{"a": 1}\n```', "2 fenced blocks"),
        ('```json\n{"a": 1}\n```\n```json\n{"a":', "not closed"),
        ("It is `{}`.", "not JSON"),
        ("```x``` and ```y```", "not JSON"),
    ],
)
def test_what_holds_no_block_or_several_is_not_read(judge, text: str, reason: str) -> None:
    verdict = judge(PARSED, text)

    assert verdict.outcome == "fail"
    assert reason in verdict.reason


def test_fences_inside_a_json_string_are_text(judge) -> None:
    text = '{"code": "x\\n```python\\n```"}'

    assert judge({"json": {"fenced": True}}, text).outcome == "pass"


@pytest.mark.parametrize("text", ['```json {"a": 1}```', '```json{"a": 1}```', '\ufeff```json\n{"a": 1}\n```'])
def test_a_block_on_one_line_may_name_its_language(judge, text: str) -> None:
    assert judge({"equals": {"path": "a", "value": 1, "fenced": True}}, text).outcome == "pass"
