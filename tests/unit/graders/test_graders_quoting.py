"""Foreign text in reasons."""

import pytest

from evalh.graders.quoting import kind_of, one_line, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", '"plain"'),
        ('say "hi"\n', r'"say \"hi\"\n"'),
        ("\x1b[2J\x07", r'"\u001b[2J\u0007"'),
        ("\x7f\x9b", r'"\x7f\x9b"'),
        ("\u202eevil\u2069", r'"\u202eevil\u2069"'),
        ("\ud800", r'"\ud800"'),
        ("\x00", r'"\u0000"'),
        ("\U000e0041", r'"\U000e0041"'),
        ("grüße 日本", '"grüße 日本"'),
        (None, "null"),
        (True, "true"),
        ({"a": [1, 2.5]}, '{"a": [1, 2.5]}'),
        (object(), "a object"),
    ],
)
def test_a_value_is_shown_on_one_printable_line(value: object, text: str) -> None:
    assert shown(value) == text
    assert shown(value).isprintable()


def test_a_long_value_is_cut() -> None:
    assert shown("x" * 1_000_000) == '"' + "x" * 79 + "…"
    assert len(shown(list(range(10_000)))) == 81
    assert one_line("y" * 500, 10) == "y" * 10 + "…"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (False, "a boolean"),
        (0, "a number"),
        (0.5, "a number"),
        ("", "a string"),
        ([], "a list"),
        ({}, "an object"),
    ],
)
def test_a_json_type_has_a_name(value: object, name: str) -> None:
    assert kind_of(value) == name
