"""YAML 1.2, strictly."""

import json

import pytest

from evalh.core.errors import WorkspaceError
from evalh.workspace.yaml import parse_yaml


def refused(text: str) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        parse_yaml(text, "f.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        *(
            (word, word)
            for word in ("yes", "no", "on", "off", "Yes", "y", "2020-01-01", "1:30", "1_000", "0b1", "1e", "=")
        ),
        *(("true", True), ("True", True), ("FALSE", False)),
        *(("null", None), ("Null", None), ("~", None), ("", None)),
        *(("017", 17), ("0o17", 15), ("0x1F", 31), ("+5", 5), ("-0", 0)),
        *(("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1E-2", -0.01)),
        ("12345678901234567890123", 12345678901234567890123),
        *(("'1'", "1"), ('"true"', "true"), ("!!str 1", "1"), ("! 1", "1")),
    ],
)
def test_plain_scalars_are_read_as_yaml_1_2_says(source: str, value: object) -> None:
    read = parse_yaml(f"k: {source}\n", "f.yaml").value["k"]

    assert read == value
    assert type(read) is type(value)


def test_an_empty_document_is_null() -> None:
    assert parse_yaml("# nothing\n", "f.yaml").value is None


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("a: 1\nb: 2\n'a': 3\n", "duplicate key 'a', first on line 1", 3),
        ("a: {b: 1,\n b: 2}\n", "duplicate key 'b', first on line 1", 2),
        ("a: 1\n---\nb: 2\n", "more than one YAML document", 2),
        ("a: 1\n1: b\n", "the key 1 is not text", 2),
        ("a: 1\ntrue: b\n", "the key true is not text", 2),
        ("a: {{ticket}}\n", "is used as a key", 1),
        ("a: &x b\n*x : c\n", "is used as a key", 2),
        ("a:\n  - !python/object:os.system x\n", "the tag !python", 2),
        ("a: !!binary aGk=\n", "the tag tag:yaml.org,2002:binary", 1),
        ("a: !!set {x}\n", "the tag tag:yaml.org,2002:set", 1),
        ("a: .inf\n", "is not a number that JSON has", 1),
        ("a: .NaN\n", "is not a number that JSON has", 1),
        ("a: 1e999\n", "is not a number that JSON has", 1),
        (f"a: {'9' * 5000}\n", "too long", 1),
        ("a: *b\n", "has no anchor &b before it", 1),
        ("a: 1\nb: &b [*b]\n", "lies inside itself", 2),
        ('a: 1\nb: "x\n', "is not YAML", 3),
        ("a: 1\n\tb: 2\n", "is not YAML", 2),
        ("a: 1\nb: \x07\n", "control characters", 2),
        ("a: 1\nb: \ud800\n", "surrogate", 2),
        ('a: "\\ud800"\n', "is not YAML", 1),
    ],
)
def test_what_may_be_misread_is_refused_with_its_line(text: str, what: str, line: int) -> None:
    error = refused(text)

    assert what in error.what
    assert error.where == f"f.yaml:{line}"


def test_lines_count_from_where_the_text_begins() -> None:
    located = parse_yaml("a: 1\nb: [x, y]\n", "v3.prompt", first_line=2)

    assert located.where("b") == "v3.prompt:3"


def test_where_points_at_keys_items_and_the_nearest_thing_that_is_known() -> None:
    text = "graders:\n  - schema\n  - equals:\n      path: label\n      of: {a: 1}\nname: &n\n  x: 1\nother: *n\n"
    located = parse_yaml(text, "s.yaml")

    assert located.where("graders", 0) == "s.yaml:2"
    assert located.where("graders", 1, "equals", "path") == "s.yaml:4"
    assert located.where("graders", 1, "equals", "missing") == "s.yaml:3"
    assert located.where("other", "x") == "s.yaml:8"
    assert located.where("missing") == "s.yaml:1"


def test_anchors_and_aliases_work() -> None:
    text = "a: &x {k: [1, 2]}\nb: *x\nc: &x 3\nd: [*x, *x]\n"

    assert parse_yaml(text, "f").value == {"a": {"k": [1, 2]}, "b": {"k": [1, 2]}, "c": 3, "d": [3, 3]}


def test_aliases_cannot_explode() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 12):
        laughs += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"

    assert "aliases expand to more than" in refused(laughs).what


def test_aliases_cannot_nest_deeper_than_collections_may() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{level}: &a{level} [*a{level - 1}]\n" for level in range(1, 99))
    parse_yaml(text, "f")

    assert (
        "levels deep" in refused(text + "".join(f"a{level}: &a{level} [*a{level - 1}]\n" for level in (99, 100))).what
    )


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "a:\n"])
def test_deep_nesting_is_refused_before_it_costs_anything(opening: str) -> None:
    deep = "".join(" " * level + "a:\n" for level in range(500)) if opening == "a:\n" else opening * 100_000

    refused(deep)


def test_merge_keys_are_plain_keys() -> None:
    assert parse_yaml("<<: {a: 1}\n", "f").value == {"<<": {"a": 1}}


def test_json_is_yaml() -> None:
    document = {"a": [1, 2.5, None, True, "x\ny", {"ä": "😀"}], "b": {}, "c": []}

    assert parse_yaml(json.dumps(document, ensure_ascii=False), "f").value == document


def test_a_tab_as_indentation_is_told_as_such() -> None:
    assert refused("a: 1\ngate:\n\tmargin: 0.1\n").hint == "indent with spaces, not with a tab"
    assert refused('a: 1\nb: "x\n').hint is None
