"""CSV datasets."""

import json
from pathlib import Path

import pytest

from evalh.core.case import ABSENT, Case
from evalh.core.errors import WorkspaceError
from evalh.workspace.config import Config
from evalh.workspace.datasets import Dataset, open_dataset
from evalh.workspace.trees import WorkTree


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
        ("x,y\n1,2\n", "no column is called 'id'", 1),
        ("\n\nID,x\na,1\n", "no column is called 'id'", 3),
        ("id,x,x\na,1,2\n", "2 columns are called 'inputs.x'", 1),
        ("id,x,inputs.x\na,1,2\n", "2 columns are called 'inputs.x'", 1),
        ("id,id\na,b\n", "2 columns are called 'id'", 1),
        ("id,\na,1\n", "a column's name is not complete: ''", 1),
        ("id,inputs.\na,1\n", "a column's name is not complete", 1),
        ("id,expected.a..b\na,1\n", "a column's name is not complete", 1),
        ("id,expected,expected.a\na,1,2\n", "columns for what is inside it", 1),
        ("id,expected.a.b,expected.a\na,1,2\n", "columns for what is inside it", 1),
        ("id,expected_output\na,1\n", "it is not clear what the column 'expected_output' is", 1),
        ("id,inputs\na,1\n", "it is not clear what the column 'inputs' is", 1),
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


def test_another_separator_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, "id;x\na;1\n").hint == "cells are separated by commas, not by ';'"


def test_a_quote_that_swallows_the_file_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalh.workspace.dataset_csv.LONGEST_BYTES", 2**18)

    error = refused(tmp_path, 'id,x\na,"never closed\n' + "b,1\n" * 100_000)

    assert "a row is longer than" in error.what
    assert error.where == "datasets/d.csv:2"
