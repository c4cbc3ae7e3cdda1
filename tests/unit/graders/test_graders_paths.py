"""JSON paths."""

import pytest

from evalh.core.case import ABSENT
from evalh.core.errors import WorkspaceError
from evalh.graders.paths import BadPath, JsonPath

VALUE = {
    "label": "bug",
    "order": {"id": 7, "note": None, "first name": "Ada"},
    "items": [{"name": "a"}, {"name": "b"}],
    "a.b": {"c": 1},
    'q"t': 2,
    "$ref": 3,
    "0": "zero",
    "é": 4,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("label", "bug"),
        ("order.id", 7),
        ("order.note", None),
        ("order.first name", "Ada"),
        ("items[0].name", "a"),
        ("items[-1].name", "b"),
        ("items[-2].name", "a"),
        ('["a.b"].c', 1),
        ("['a.b'].c", 1),
        ('["a.b"]["c"]', 1),
        (r'["q\"t"]', 2),
        ("$ref", 3),
        ("0", "zero"),
        ("é", 4),
        ("$", VALUE),
        ("$.order.id", 7),
        ('$["order"].id', 7),
    ],
)
def test_a_path_finds_what_stands_there(path: str, found: object) -> None:
    assert JsonPath.parse(path).find(VALUE) == found


@pytest.mark.parametrize(
    "path",
    ["lable", "order.id.x", "items[2]", "items[-3]", "items.0", "order[0]", "label[0]", "label.x", "items.name", "a.b"],
)
def test_a_path_that_leads_nowhere_finds_nothing(path: str) -> None:
    assert JsonPath.parse(path).find(VALUE) is ABSENT


@pytest.mark.parametrize("value", [None, 1, "text", True, [], {}])
def test_the_whole_of_any_value_is_found(value: object) -> None:
    assert JsonPath.parse("$").find(value) is value
    assert JsonPath.parse("a[0]").find(value) is ABSENT


@pytest.mark.parametrize(
    ("path", "character"),
    [
        (".a", 1),
        ("a..b", 2),
        ("a.", 2),
        ("a[", 2),
        ("a[x]", 2),
        ("a[1", 2),
        ("a.[0]", 2),
        ("a[0]b", 5),
        ('["a]', 1),
        ("a b.", 4),
        (" a", 1),
        ("a[99999999999]", 2),
    ],
)
def test_a_path_that_cannot_be_read_is_refused_at_its_character(path: str, character: int) -> None:
    with pytest.raises(BadPath, match=f"at character {character}:"):
        JsonPath.parse(path)


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(BadPath, match="empty path"):
        JsonPath.parse("")


def test_a_broken_string_in_a_path_is_refused() -> None:
    with pytest.raises(BadPath, match="is not a JSON string"):
        JsonPath.parse(r'["\x"]')


def test_a_bad_path_is_the_suites_error(build_grader) -> None:
    for entry in ({"equals": {"path": "a..b"}}, {"equals": {"expected": "a..b"}}):
        with pytest.raises(WorkspaceError, match="cannot use this path"):
            build_grader(entry)
