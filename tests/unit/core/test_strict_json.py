"""What the strict reader says of a text that is not JSON."""

import pytest

from evalh.core.strict_json import NotStrictJson, parse


@pytest.mark.parametrize(
    ("text", "whole", "in_line"),
    [
        ('{"a": "b', "Unterminated string starting at line 1, column 7", "Unterminated string starting at column 7"),
        ('["\x01"]', "Invalid control character at line 1, column 3", "Invalid control character at column 3"),
        ("[1,,2]", "Expecting value at line 1, column 4", "Expecting value at column 4"),
        ("[\n1,,2]", "Expecting value at line 2, column 3", "Expecting value at line 2, column 3"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'", "duplicate key 'a'"),
    ],
)
def test_a_message_says_the_place_once(text: str, whole: str, in_line: str) -> None:
    with pytest.raises(NotStrictJson) as raised:
        parse(text)

    assert str(raised.value) == whole
    assert raised.value.in_line == in_line
