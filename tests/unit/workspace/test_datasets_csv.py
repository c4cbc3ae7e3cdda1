"""CSV datasets."""

import json
from pathlib import Path

import pytest

from evalh.core.case import ABSENT, Case
from evalh.core.errors import WorkspaceError
from evalh.workspace.config import Config
from evalh.workspace.dataset.dataset import Dataset, open_dataset
from evalh.workspace.files import WorkTree


def dataset(tmp_path: Path, data: str | bytes, name: str = "d.csv") -> Dataset:
    (tmp_path / "datasets").mkdir(exist_ok=True)
    (tmp_path / "datasets" / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return open_dataset(WorkTree(tmp_path), Config(), f"datasets/{name}")


def refused(tmp_path: Path, data: str | bytes) -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        dataset(tmp_path, data)
    return caught.value


def only(found: Dataset) -> Case:
    (case,) = found
    return case


def test_columns_become_inputs_expected_and_tags(tmp_path: Path) -> None:
    text = 'id, ticket ,inputs.lang,expected.label,expected.order.id,tags\nt-1,hi,en,bug,17,"short;angry, two"\n'
    case = only(dataset(tmp_path, text))

    assert case == Case(
        "t-1",
        {"ticket": "hi", "lang": "en"},
        {"label": "bug", "order": {"id": "17"}},
        frozenset({"short", "angry", "two"}),
        "datasets/d.csv:2",
    )


def test_names_of_our_own_can_be_inputs(tmp_path: Path) -> None:
    case = only(dataset(tmp_path, "id,inputs.id,inputs.expected,inputs.tags,inputs.target\na,1,2,3,4\n"))

    assert case == Case("a", {"id": "1", "expected": "2", "tags": "3", "target": "4"}, where="datasets/d.csv:2")


def test_an_empty_expected_cell_expects_nothing(tmp_path: Path) -> None:
    whole = dataset(tmp_path, "id,x,expected\na,,\nb,,no\n")
    parts = dataset(tmp_path, "id,expected.x,expected.y\na,,\nb,1,\n", "e.csv")

    assert [case.expected for case in whole] == [ABSENT, "no"]
    assert [case.expected for case in parts] == [ABSENT, {"x": "1"}]
    assert [case.inputs for case in whole] == [{"x": ""}, {"x": ""}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_quoted_cells_hold_commas_quotes_and_line_ends(tmp_path: Path, end: str) -> None:
    lines = ["\ufeffid,x", 'a,"one, ""two""', "", 'three"', "", ",", 'b,"x"']
    first, second = dataset(tmp_path, end.join(lines))

    assert first.inputs == {"x": 'one, "two"\n\nthree'}
    assert (first.where, second.where) == ("datasets/d.csv:2", "datasets/d.csv:7")


def test_a_csv_and_its_jsonl_have_one_digest(tmp_path: Path) -> None:
    csv = 'id,x,expected.label,tags\na,1,bug,s\nb,"2\n3",,\n'
    jsonl = [
        {"id": "b", "inputs": {"x": "2\n3"}},
        {"id": "a", "inputs": {"x": "1"}, "expected": {"label": "bug"}, "tags": ["s"]},
    ]

    assert dataset(tmp_path, csv).digest == dataset(tmp_path, "\n".join(map(json.dumps, jsonl)), "d.jsonl").digest


def test_a_case_is_found_among_records_of_several_lines(tmp_path: Path) -> None:
    text = "id,x\n" + "".join(f'c-{number},"{number}\n{"y" * number}"\n' for number in range(500))
    found = dataset(tmp_path, text)

    assert found.find("c-321") == list(found)[321]
    assert found.find("c-321").where == "datasets/d.csv:644"


def test_a_big_cell_is_read(tmp_path: Path) -> None:
    assert len(only(dataset(tmp_path, f"id,x\na,{'y' * 500_000}\n")).inputs["x"]) == 500_000


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("x,y\n1,2\n", "no column 'id'", 1),
        ("\n\nID,x\na,1\n", "no column 'id'", 3),
        ("id,x,x\na,1,2\n", "2 columns have the name 'inputs.x'", 1),
        ("id,x,inputs.x\na,1,2\n", "2 columns have the name 'inputs.x'", 1),
        ("id,id\na,b\n", "2 columns have the name 'id'", 1),
        ("id,\na,1\n", "a cell is in a column without a name", 2),
        ("id,,x\na,1,2\n", "a column's name is not complete: ''", 1),
        ("id,x:json,x\na,1,2\n", "2 columns have the name 'inputs.x'", 1),
        ("id,expected.a:json,expected.a.b\na,1,2\n", "columns for what is inside it", 1),
        ("id:json\na\n", "the column 'id' is text", 1),
        ("id,n:int\na,1\n", ":int is not a type of cell, in 'n:int'", 1),
        ("id,expected.n:json\na,1\nb,x\n", "the cell of expected.n:json is not JSON", 3),
        ("id,expected.n:json\na,NaN\n", "the cell of expected.n:json is not JSON", 2),
        ('id,expected.n:json\na,"{""a"":1,""a"":2}"\n', "the cell of expected.n:json is not JSON", 2),
        ("id,n:json\na," + "[" * 300 + "]" * 300 + "\n", "nested more than 200 levels deep", 2),
        ("id,expected." + "a." * 300 + "b\na,1\n", "nested more than 200 levels deep", 1),
        ("id,inputs.\na,1\n", "a column's name is not complete", 1),
        ("id,expected.a..b\na,1\n", "a column's name is not complete", 1),
        ("id,expected,expected.a\na,1,2\n", "columns for what is inside it", 1),
        ("id,expected.a.b,expected.a\na,1,2\n", "columns for what is inside it", 1),
        ("id,expected_output\na,1\n", "unknown column 'expected_output'", 1),
        ("id,inputs\na,1\n", "unknown column 'inputs'", 1),
        ("id,x\na,1\n<<<<<<< HEAD\nb,1\n=======\nb,2\n>>>>>>> b\n", "a merge conflict is not settled", 3),
        ("<<<<<<< HEAD\nid,x\n=======\nid,y\n>>>>>>> b\na,1\n", "a merge conflict is not settled", 1),
        ("id\na\n>>>>>>> their side\n", "a merge conflict is not settled: >>>>>>> their side", 3),
        ("id,x\na,1\nb\n", "has 1 cells where the header has 2", 3),
        ("id,x\na,1,2\n", "has 3 cells where the header has 2", 2),
        ("id,x\n,1\n", "'id' is empty", 2),
        ("id,x\n ,\n", "'id' is empty", 2),
        ("id,x\na,1\n\nb,2\na,3\n", "duplicate id 'a', first on line 2", 5),
        ('id,x\na,1\nb,"2\n3\n', "double quote is never closed", 3),
        ('id,x\na,"1"2\n', "is not CSV", 2),
        ('id,x\na,5" pipe\nb,6" pipe\n', "is not CSV", 2),
        ("id,x\na,\0\n", "binary", 2),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, what: str, line: int) -> None:
    error = refused(tmp_path, text)

    assert what in error.what
    assert error.where == f"datasets/d.csv:{line}"


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(tmp_path: Path) -> None:
    assert refused(tmp_path, b'id,x\na,"1\n\xe4"\n').where == "datasets/d.csv:3"


@pytest.mark.parametrize("text", ["", "\n"])
def test_a_file_without_a_header_is_refused(tmp_path: Path, text: str) -> None:
    assert "is empty" in refused(tmp_path, text).what


@pytest.mark.parametrize("text", ["id,x\n", "id,x\n\n,,\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    assert "has no rows" in refused(tmp_path, text).what


@pytest.mark.parametrize(
    "text",
    [
        "id;x;expected\na;1,5;yes\n",
        '"id";"x";"expected"\n"a";"1,5";"yes"\n',
        "id\tx\texpected\na\t1,5\tyes\n",
        "sep=;\nid;x;expected\na;1,5;yes\n",
        "\ufeffsep=;\r\nid;x;expected;;\r\na;1,5;yes;;\r\n;;;;\r\n",
        '"sep=;"\n\nid;x;expected\n\na;1,5;yes\n\n',
        "SEP=|\nid|x|expected\na|1,5|yes\n",
        'id,x,expected,,\na,"1,5",yes,,\n,,,,\n',
        'id,x,expected,,\na,"1,5",yes\n"","","",,\n',
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, text: str) -> None:
    case = only(dataset(tmp_path, text))

    assert (case.id, case.inputs, case.expected) == ("a", {"x": "1,5"}, "yes")


def test_a_separator_line_is_believed(tmp_path: Path) -> None:
    error = refused(tmp_path, "sep=;\nid,x\na,1\n")

    assert (error.what, error.hint) == ("no column 'id'", "have: id,x")


def test_typed_columns_hold_any_json(tmp_path: Path) -> None:
    header = "id,n:json,expected.n:json,expected.ok : Json,expected.list:json,expected.none:json,expected.word\n"
    row = 'a,"[1,2]",12345678901234567890,TRUE,"[1, ""two""]",null,3\n'
    case = only(dataset(tmp_path, header + row + "\n"))

    assert case.inputs == {"n": [1, 2]}
    assert case.expected == {"n": 12345678901234567890, "ok": True, "list": [1, "two"], "none": None, "word": "3"}


def test_a_whole_expectation_may_be_json_and_an_empty_cell_is_nothing(tmp_path: Path) -> None:
    first, second = dataset(tmp_path, 'id,x:json,expected:json\na,1,"{""a"": null}"\nb,,\n')

    assert (first.inputs, first.expected) == ({"x": 1}, {"a": None})
    assert (second.inputs, second.expected) == ({}, ABSENT)


@pytest.mark.parametrize("kind", ["", "inputs.", "expected."])
def test_a_header_is_read_in_linear_time(tmp_path: Path, kind: str) -> None:
    names = [f"{kind}column_{number}" for number in range(100_000)]
    case = only(dataset(tmp_path, f"id,{','.join(names)}\na,{','.join('1' * len(names))}\n"))

    assert len(case.expected if kind == "expected." else case.inputs) == 100_000


def test_a_quote_that_swallows_the_file_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalh.workspace.dataset.csv_rows.LONGEST_BYTES", 2**18)

    error = refused(tmp_path, 'id,x\na,"never closed\n' + "b,1\n" * 100_000)

    assert "a row is longer than" in error.what
    assert error.where == "datasets/d.csv:2"


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        *((one, "expected") for one in ("Expected", "EXPECTED", "expect", " Expects", "expcted", "__expected")),
        *((one, "expected") for one in ("Expected Output", "expectedAnswer", "Target", "Ｅxpected", "expected\u200b")),
        *((one, "expected.label") for one in ("expected_label", "Expected.label", "expect.label", "expected label")),
        *((one, "tags") for one in ("Tags", "TAGS", "tag", "Tag ")),
        *((one, "cluster") for one in ("Cluster", "clusters", "clsuter", "CLUSTER")),
        *((one, "id") for one in ("ID", "Id", "_id")),
        *((one, "inputs.x") for one in ("INPUTS.x", "Inputs.x")),
    ],
)
def test_a_name_that_is_nearly_one_of_ours_is_no_input_without_a_word(tmp_path: Path, column: str, meant: str) -> None:
    error = refused(tmp_path, f"id,ticket,{column}\na,b,c\n")
    name = column.strip()
    assert error.what == f"unknown column {name!r}"
    assert error.hint == f"call it {meant}; or inputs.{name} if the prompt uses it"
    assert error.where == "datasets/d.csv:1"


@pytest.mark.parametrize("name", ["Expected", "expected_delivery", "tag", "ID"])
def test_such_a_name_may_be_an_input_that_says_so(tmp_path: Path, name: str) -> None:
    case = only(dataset(tmp_path, f"id,inputs.{name}\na,b\n"))
    assert case.inputs == {name: "b"}


def test_other_names_are_inputs(tmp_path: Path) -> None:
    names = ["input", "tabs", "label", "expert", "clutch", "idea", "tagline", "unexpected", "order.x"]
    case = only(dataset(tmp_path, f"id,{','.join(names)}\na,{','.join(names)}\n"))
    assert list(case.inputs) == names


def test_a_conflict_inside_a_cell_of_several_lines_is_text(tmp_path: Path) -> None:
    case = only(dataset(tmp_path, 'id,x\na,"what is\n<<<<<<< HEAD\n?"\n'))
    assert case.inputs["x"] == "what is\n<<<<<<< HEAD\n?"
