"""Datasets: what is read, what is refused, and that rows are what they were when they were checked."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalh.core.case import ABSENT, Case
from evalh.core.digest import RowsDigest
from evalh.core.errors import ExitCode, NotFound, WorkspaceError
from evalh.store.rows import case_row
from evalh.workspace.config import Config
from evalh.workspace.dataset.dataset import Dataset, open_dataset
from evalh.workspace.files import WorkTree

ROW = '{"id": "a", "inputs": {"x": 1}}'


class Commit:
    """A revision that holds files in memory and counts how often they are read."""

    revision = "main"

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.reads = 0

    def read(self, path: str) -> bytes:
        self.reads += 1
        return self.files[path]

    def exists(self, path: str) -> bool:
        return path in self.files

    def names(self, folder: str) -> list[str]:
        return sorted(path.removeprefix(f"{folder}/") for path in self.files)


def dataset(tmp_path: Path, data: str | bytes, name: str = "d.jsonl") -> Dataset:
    (tmp_path / "datasets").mkdir(exist_ok=True)
    (tmp_path / "datasets" / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return open_dataset(WorkTree(tmp_path), Config(), f"datasets/{name}")


def refused(tmp_path: Path, data: str | bytes, name: str = "d.jsonl") -> WorkspaceError:
    with pytest.raises(WorkspaceError) as caught:
        dataset(tmp_path, data, name)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def rows(count: int, text: str = "x") -> str:
    return "".join(
        json.dumps({"id": f"t-{number}", "inputs": {"x": text * (number % 97)}}) + "\n" for number in range(count)
    )


def test_a_row_becomes_a_case(tmp_path: Path) -> None:
    text = '{"id": "t-1", "inputs": {"ticket": "hi"}, "expected": {"label": "bug"}, "tags": ["short", "short"]}\n'
    found = dataset(tmp_path, text)

    assert list(found) == [
        Case("t-1", {"ticket": "hi"}, {"label": "bug"}, frozenset({"short"}), "datasets/d.jsonl:1"),
    ]
    assert (len(found), found.path) == (1, "datasets/d.jsonl")


def test_absent_is_not_null(tmp_path: Path) -> None:
    found = dataset(tmp_path, '{"id": "a", "inputs": {}}\n{"id": "b", "inputs": {}, "expected": null}\n')

    assert [case.expected for case in found] == [ABSENT, None]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_byte_order_mark_and_line_ends_change_nothing_but_line_numbers(tmp_path: Path, end: str) -> None:
    lines = ["", '{"id": "a", "inputs": {}}', "", "  \t", '{"id": "b", "inputs": {"x": 1}}']
    plain = dataset(tmp_path, '{"id": "a", "inputs": {}}\n{"id": "b", "inputs": {"x": 1}}')

    found = dataset(tmp_path, "\ufeff" + end.join(lines), "e.jsonl")

    assert found.digest == plain.digest
    assert [case.where for case in found] == ["datasets/e.jsonl:2", "datasets/e.jsonl:5"]
    assert found.find("b").where == "datasets/e.jsonl:5"


def test_numbers_stay_exact(tmp_path: Path) -> None:
    row = '{"id": "a", "inputs": {"n": 12345678901234567890123, "f": 0.1, "i": 1.0, "m": -18446744073709551617}}'
    inputs = next(iter(dataset(tmp_path, row))).inputs

    assert inputs == {"n": 12345678901234567890123, "f": 0.1, "i": 1.0, "m": -18446744073709551617}
    assert isinstance(inputs["i"], float)


def test_the_digest_is_that_of_the_cases(tmp_path: Path) -> None:
    found = dataset(tmp_path, rows(50))
    digest = RowsDigest()
    for case in found:
        digest.add(case.document())

    assert found.digest == digest.value()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "is not JSON"),
        ('{"id": "b"', "is not JSON"),
        ('{"id": "b", "inputs": {"x": NaN}}', "NaN is not JSON"),
        ('{"id": "b", "inputs": {"x": 1e999}}', "a number is too large"),
        ('{"id": "b", "inputs": {"x": ' + "9" * 5000 + "}}", "is not JSON: Exceeds the limit"),
        ('{"id": "b", "inputs": {"x": "\\ud800"}}', "half a surrogate pair"),
        ('{"id": "b", "inputs": {"x": 1, "x": 1}}', "duplicate key 'x'"),
        ('{"id": "b", "id": "b", "inputs": {}}', "duplicate key 'id'"),
        ('{"id": "b", "inputs": {"x": 1, "x": "\\u0022\\u0022"}}', "duplicate key 'x'"),
        ('{"id": "b", "inputs": {}} {}', "is not JSON: Extra data at column 27"),
        ('["b"]', "a row must be an object, not a list"),
        ("3", "a row must be an object, not a number"),
        ('{"inputs": {}}', "'id' is missing"),
        ('{"id": 17, "inputs": {}}', "'id' must be text, not a number"),
        ('{"id": "", "inputs": {}}', "'id' must be text that is not empty"),
        ('{"id": " ", "inputs": {}}', "'id' must be text that is not empty"),
        ('{"id": null, "inputs": {}}', "'id' must be text that is not empty, not null"),
        ('{"id": "b"}', "'inputs' is missing"),
        ('{"id": "b", "inputs": "x"}', "'inputs' must be an object, not text"),
        ('{"id": "b", "inputs": {}, "tags": "x"}', "'tags' must be a list of texts"),
        ('{"id": "b", "inputs": {}, "tags": [""]}', "'tags' must be a list of texts"),
        ('{"id": "b", "inputs": {}, "tags": null}', "'tags' must be a list of texts"),
        ('{"id": "b", "inputs": {}, "expect": 1}', "unknown key 'expect'"),
        ("<<<<<<< HEAD", "a merge conflict is not settled: <<<<<<< HEAD"),
        (">>>>>>> theirs", "a merge conflict is not settled: >>>>>>> theirs"),
        ('{"id": "a", "inputs": {"y": 2}}', "duplicate id 'a', first on line 1"),
        ('{"id": "b", "inputs": {"x": ' + "[" * 200 + "]" * 200 + "}}", "levels deep"),
        ('{"id": "b", "inputs": {"x": ' + "[" * 100_000 + "}}", "nested too deeply"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, line: str, what: str) -> None:
    error = refused(tmp_path, f"{ROW}\n\n{line}\n")

    assert what in error.what
    assert error.where == "datasets/d.jsonl:3"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('{"id": 17, "inputs": {}}', 'write "id": "17"'),
        ('{"id": "b", "inputs": {}, "expect": 1}', "did you mean 'expected'?"),
        ('{"id": "b", "input": {}}', 'it belongs in inputs, an object: "inputs": {"<name>": …}'),
        ('{"id": "b", "vars": {}}', 'it belongs in inputs, an object: "inputs": {"<name>": …}'),
        *(
            (f'{{"id": "b", "inputs": {{}}, "{name}": 1}}', "it belongs in expected")
            for name in ("expected_output", "ideal", "target", "reference_outputs")
        ),
        ("[", "a dataset has one JSON object on each line; this file spreads over several"),
        ("{", "a dataset has one JSON object on each line; this file spreads over several"),
    ],
)
def test_the_hint_says_what_to_write(tmp_path: Path, line: str, hint: str) -> None:
    assert refused(tmp_path, line).hint == hint


@pytest.mark.parametrize(
    ("data", "what", "where"),
    [
        (f"{ROW}\n".encode() + b'{"id": "\xff"}', "not UTF-8: byte 0xff", ":2"),
        (f"{ROW}\n\0".encode(), "binary", ":2"),
        (f"{ROW}\n".encode("utf-16"), "UTF-16", ""),
        (b"\x1f\x8b\x08\0", "compressed", ""),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, data: bytes, what: str, where: str) -> None:
    error = refused(tmp_path, data)

    assert what in error.what
    assert error.where == f"datasets/d.jsonl{where}"


@pytest.mark.parametrize("data", ["", "\n\n  \n", "\ufeff"])
def test_an_empty_dataset_is_refused(tmp_path: Path, data: str) -> None:
    assert "has no rows" in refused(tmp_path, data).what


def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalh.workspace.files.LONGEST_BYTES", 2**20)

    error = refused(tmp_path, ROW + "\n" + '{"id": "' + "x" * 2**21)

    assert "a row is longer than" in error.what
    assert error.where == "datasets/d.jsonl:2"


def test_a_case_is_found_by_its_id_wherever_it_stands(tmp_path: Path) -> None:
    found = dataset(tmp_path, rows(5000))
    cases = list(found)

    assert [found.find(f"t-{number}") for number in (0, 1, 2047, 4999)] == [cases[n] for n in (0, 1, 2047, 4999)]


def test_an_unknown_case_names_the_nearest(tmp_path: Path) -> None:
    found = dataset(tmp_path, rows(20))

    with pytest.raises(NotFound, match="no case 't-0017'") as caught:
        found.find("t-0017")
    assert caught.value.hint == "did you mean 't-17'?"


def test_ids_that_share_a_hash_are_not_one_id(tmp_path: Path) -> None:
    text = rows(60)
    dataset(tmp_path, text)
    tree = WorkTree(tmp_path)

    found = Dataset(tree, "datasets/d.jsonl", hash_of=lambda _: 7)

    assert [case.id for case in found] == [f"t-{number}" for number in range(60)]
    assert found.find("t-33").where == "datasets/d.jsonl:34"
    with pytest.raises(NotFound):
        found.find("t-60")
    (tmp_path / "datasets/d.jsonl").write_text(text + '{"id": "t-33", "inputs": {}}\n')
    with pytest.raises(WorkspaceError, match="duplicate id 't-33', first on line 34"):
        Dataset(tree, "datasets/d.jsonl", hash_of=lambda _: 7)


def changes(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data.replace(b"xxx", b"yyy")  # as long as before
    yield data.replace(b"t-3", b"t-X")
    yield data + b'{"id": "new", "inputs": {}}\n'
    yield data[:-40]
    yield b"\n" + data[:-1]
    yield b""


def test_a_file_that_changed_is_never_read_as_if_it_had_not(tmp_path: Path) -> None:
    found = dataset(tmp_path, rows(3000))
    path = tmp_path / "datasets/d.jsonl"
    before = path.stat()
    for data in changes(path):
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # a clock that shows nothing

        with pytest.raises(WorkspaceError, match="changed while evalh read it"):
            list(found)
        with pytest.raises(WorkspaceError, match="changed while evalh read it"):
            found.find("t-3")


def test_a_change_while_reading_is_seen(tmp_path: Path) -> None:
    found = dataset(tmp_path, rows(20_000))
    path = tmp_path / "datasets/d.jsonl"
    reading = iter(found)
    next(reading)
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(data) - 20)
        file.write(b"?")

    with pytest.raises(WorkspaceError, match="changed while evalh read it"):
        list(reading)


def test_a_file_that_went_away_is_an_error_too(tmp_path: Path) -> None:
    found = dataset(tmp_path, rows(3))
    (tmp_path / "datasets/d.jsonl").unlink()

    with pytest.raises(WorkspaceError, match="no such file"):
        list(found)


def test_a_dataset_can_be_read_twice_at_once(tmp_path: Path) -> None:
    found = dataset(tmp_path, rows(3000))

    assert all(one == other for one, other in zip(found, found, strict=True))


def test_a_commits_file_is_read_once(tmp_path: Path) -> None:
    tree = Commit({"datasets/d.jsonl": rows(100).encode()})
    found = open_dataset(tree, Config(), "d")

    assert len(list(found)) == len(list(found)) == 100
    assert found.find("t-7").where == "main:datasets/d.jsonl:8"
    assert found.digest == dataset(tmp_path, rows(100)).digest
    assert tree.reads == 1


def test_a_name_finds_jsonl_and_csv_and_a_path_finds_itself() -> None:
    tree = Commit({"datasets/a.jsonl": ROW.encode(), "datasets/b.csv": b"id,x\na,1\n", "elsewhere/c.csv": b"id\na\n"})

    assert open_dataset(tree, Config(), "a").path == "datasets/a.jsonl"
    assert open_dataset(tree, Config(), "b").path == "datasets/b.csv"
    assert open_dataset(tree, Config(), "elsewhere/c.csv").path == "elsewhere/c.csv"
    assert open_dataset(tree, Config(datasets_dir="elsewhere"), "c").path == "elsewhere/c.csv"


@pytest.mark.parametrize(
    ("files", "name", "what", "hint"),
    [
        (["datasets/a.jsonl", "datasets/b.csv"], "c", "no dataset 'c'", "have: a, b"),
        (["datasets/triage.jsonl"], "triag", "no dataset 'triag'", "did you mean 'triage'?"),
        (
            ["datasets/a.jsonl", "datasets/a.csv"],
            "a",
            "may be datasets/a.jsonl or datasets/a.csv",
            "dataset: datasets/a.jsonl",
        ),
        (["datasets/a.jsonl"], "a.jsonl", "no dataset", "did you mean datasets/a.jsonl?"),
        (["datasets/a.jsonl"], "x/a.csv", "no dataset", "the path starts at the workspace's root"),
        (["datasets/a.jsonl.gz"], "a", "compressed datasets", "unpack it: gunzip datasets/a.jsonl.gz"),
        (
            ["datasets/a.jsonl.gz"],
            "datasets/a.jsonl.gz",
            "compressed datasets",
            "unpack it: gunzip datasets/a.jsonl.gz",
        ),
    ],
)
def test_what_cannot_be_opened_says_what_can(files: list[str], name: str, what: str, hint: str) -> None:
    with pytest.raises((NotFound, WorkspaceError)) as caught:
        open_dataset(Commit(dict.fromkeys(files, ROW.encode())), Config(), name)

    assert what in caught.value.what
    assert caught.value.hint == hint


def test_what_every_row_gives_as_text_is_known(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "inputs": {"x": "one", "y": "two", "z": "three"}},
        {"id": "b", "inputs": {"x": "one", "y": 2, "w": "four"}},
        {"id": "c", "inputs": {"y": "two", "x": ""}},
    ]

    cases = dataset(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))

    assert cases.text_inputs == {"x"}
    assert cases.some_inputs == {"x", "y", "z", "w"}


@pytest.mark.parametrize(
    ("key", "meant"),
    [("EXPECTED", "expected"), ("Expect", "expected"), ("TAGS", "tags"), ("CLUSTER", "cluster"), ("ID", "id")],
)
def test_a_key_in_other_letters_is_refused_with_the_one_that_is_meant(tmp_path: Path, key: str, meant: str) -> None:
    row = {"id": "b", "inputs": {}} | {key: "x"}
    with pytest.raises(WorkspaceError) as caught:
        dataset(tmp_path, json.dumps(row) + "\n")
    assert (caught.value.what, caught.value.hint) == (f"unknown key {key!r}", f"did you mean {meant!r}?")


def test_where_a_case_was_found_is_read_and_changes_no_digest(tmp_path: Path) -> None:
    found = '{"workflow": "w-1", "at": "2026-07-28T10:15:00Z", "version": "triage@v3"}'
    plain = dataset(tmp_path, ROW + "\n").digest

    read = dataset(tmp_path, ROW.replace("}}", '}, "source": ' + found + "}\n"))

    assert next(iter(read)).source == json.loads(found)
    assert read.digest == plain
    assert case_row(next(iter(read)))[1] == case_row(Case("a", {"x": 1}))[1]


def test_a_source_that_is_not_an_object_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, ROW.replace("}}", '}, "source": "w-1"}\n'))

    assert str(error).startswith("datasets/d.jsonl:1: 'source' must be an object, not text")
