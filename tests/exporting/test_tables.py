"""`evalh export csv` and `evalh export parquet`: what other programs read of the log."""

import csv
import io
import json
import sqlite3
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evalh.api.exports import write_parquet
from evalh.api.workspace import Workspace
from evalh.core.errors import UsageError
from evalh.core.tables import ColumnKind, TableColumn, TableRows
from evalh.interop import parquet_tables
from workspaces import document, evalh, write_workspace

HOSTILE = {
    "t-0001": '=HYPERLINK("http://evil.example","x")',
    "t-0002": "\uff1d1+1",
    "t-0003": "\u00a0@SUM(1)",
    "t-0004": "red \x1b[31m and \x07 bell, \x9b8m",
    "t-0005": 'a "quoted", cell\r\nin two lines',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_workspace(tmp_path, cases=8)
    evalh(made, "run")
    return made


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    made = write_workspace(tmp_path, cases=6)
    answers = f"SAID = {HOSTILE!r}\n\n\ndef answer(request, case_id, trial):\n    return SAID.get(case_id, '{{}}')\n"
    (made / "evals/answers.py").write_text(answers)
    evalh(made, "run")
    return made


def logged(folder: Path, sql: str) -> list[sqlite3.Row]:
    with sqlite3.connect(folder / ".evalh/evalh.db") as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(sql).fetchall()


def exported(folder: Path, *runs: str) -> dict[str, list[dict[str, object]]]:
    done = evalh(folder, "export", "parquet", *runs, "-o", str(folder / "out"), "--json")
    return {one["table"]: pq.read_table(one["output"]).to_pylist() for one in document(done)["files"]}


@pytest.mark.parametrize("table", ["runs", "samples", "verdicts", "attempts", "cases"])
def test_parquet_holds_every_row_and_column_of_the_log(folder: Path, table: str) -> None:
    rows = logged(folder, f"select * from {table}")
    found = exported(folder)[table]

    assert len(found) == len(rows) > 0
    key = next(name for name in ("id", "sample_id") if name in rows[0].keys())  # noqa: SIM118 (a row is not a dict)
    order = lambda row: (row[key], row["position"] if "position" in dict(row) else 0)  # noqa: E731
    for row, one in zip(sorted(rows, key=order), sorted(found, key=order), strict=True):
        for name in row.keys():  # noqa: SIM118
            value, cell = row[name], one[name]
            match cell:
                case Decimal():
                    assert cell == Decimal(str(value)).quantize(Decimal("1e-12"))
                case datetime():
                    assert cell == datetime.fromisoformat(value)
                case _:
                    assert cell == value, name


def test_a_sample_stands_beside_its_output_prompt_and_model(folder: Path) -> None:
    found = exported(folder)

    texts = {row["id"]: row["text"] for row in found["attempts"]}
    assert {row["prompt"] for row in found["samples"]} == {"triage@v1"}
    assert {row["model"] for row in found["samples"]} == {"small"}
    assert all(row["output"] == texts[row["answered_by"]] for row in found["samples"])


def test_answers_that_an_earlier_run_bought_come_with_a_run(folder: Path) -> None:
    evalh(folder, "run")  # answered by the log

    found = exported(folder, "last")

    assert {row["cache_hit"] for row in found["samples"]} == {True}
    assert {row["answered_by"] for row in found["samples"]} == {row["id"] for row in found["attempts"]}


def test_several_runs_share_a_file_and_no_row_comes_twice(folder: Path) -> None:
    evalh(folder, "run")
    runs = [row["id"] for row in logged(folder, "select id from runs")]

    found = exported(folder, *runs, runs[0])

    assert [len(found[name]) for name in ("runs", "samples", "attempts", "cases")] == [2, 16, 8, 8]


def test_a_files_metadata_holds_the_runs_document(folder: Path) -> None:
    exported(folder)
    about = json.loads(pq.read_metadata(folder / "out/samples.parquet").metadata[b"evalh.run"])

    assert about["schema"] == "evalh.run/1"
    assert about["results"][0]["samples"] == 8


def test_unknown_is_null_not_zero(folder: Path) -> None:
    with sqlite3.connect(folder / ".evalh/evalh.db") as connection:
        connection.execute("update samples set cost_usd = null, latency_ms = null")

    assert {(row["cost_usd"], row["latency_ms"]) for row in exported(folder)["samples"]} == {(None, None)}
    printed = evalh(folder, "export", "csv").stdout
    assert {(row["cost_usd"], row["latency_ms"]) for row in csv.DictReader(io.StringIO(printed))} == {("", "")}


def test_no_cell_of_csv_begins_a_formula_or_moves_a_terminal(hostile: Path) -> None:
    evalh(hostile, "export", "csv", "-o", str(hostile / "out"))

    for file in (hostile / "out").glob("*.csv"):
        text = file.read_bytes().decode()
        assert not set(text) & {*map(chr, range(9)), *map(chr, range(14, 32)), *map(chr, range(127, 160))}, file
        for row in csv.DictReader(io.StringIO(text)):
            assert not [cell for cell in row.values() if cell.lstrip("\u00a0 ")[:1] in {*"=+-@", "\uff1d"}], file


def test_an_output_in_csv_is_whole_with_its_quotes_and_lines(hostile: Path) -> None:
    printed = evalh(hostile, "export", "csv").stdout
    outputs = {row["case_id"]: row["output"] for row in csv.DictReader(io.StringIO(printed, newline=""))}

    assert outputs["t-0001"] == f"'{HOSTILE['t-0001']}"
    assert outputs["t-0005"] == 'a "quoted", cell\\r\nin two lines'


def test_parquet_holds_an_output_as_it_was_written(hostile: Path) -> None:
    outputs = {row["case_id"]: row["output"] for row in exported(hostile)["samples"]}

    assert {case: outputs[case] for case in HOSTILE} == HOSTILE


def test_long_texts_end_a_row_group_before_its_rows_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_tables, "GROUP_BYTES", 1 << 20)
    columns = [TableColumn("text", ColumnKind.TEXT)]
    table = TableRows(columns, ((f"{number} " + "x" * 2000,) for number in range(3000)))
    with (tmp_path / "long.parquet").open("wb") as file:
        assert parquet_tables.write_parquet(table, file, {}) == 3000

    assert pq.ParquetFile(tmp_path / "long.parquet").num_row_groups == 3


def test_a_run_without_samples_gives_files_without_rows(folder: Path) -> None:
    with sqlite3.connect(folder / ".evalh/evalh.db") as connection:
        for name in ("samples", "verdicts", "calls", "attempts"):
            connection.execute(f"delete from {name}")

    found = exported(folder)

    assert [len(found[name]) for name in ("runs", "samples", "verdicts", "attempts", "cases")] == [1, 0, 0, 0, 0]


def test_a_log_that_another_program_changed_is_named_and_leaves_no_file(folder: Path) -> None:
    with sqlite3.connect(folder / ".evalh/evalh.db") as connection:
        connection.execute("update samples set latency_ms = 'soon'")

    done = evalh(folder, "export", "parquet", "-o", str(folder / "out"))

    assert done.returncode == 2
    assert "the log is damaged, or another program changed it" in done.stderr
    assert not (folder / "out/samples.parquet").exists()


def test_a_run_that_is_not_there_is_an_error_with_the_newest(folder: Path) -> None:
    done = evalh(folder, "export", "csv", "r1999")

    assert (done.returncode, "no run 'r1999'" in done.stderr, "r2" in done.stderr) == (2, True, True)


def test_options_that_contradict_each_other_say_what_to_type(folder: Path) -> None:
    both = evalh(folder, "export", "csv", "-o", "out", "--table", "cases")
    document_of_csv = evalh(folder, "export", "csv", "--json")

    assert (both.returncode, "--table cases > FILE.csv" in both.stderr) == (2, True)
    assert (document_of_csv.returncode, "--json -o FOLDER" in document_of_csv.stdout) == (2, True)


def test_without_its_library_parquet_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "evalh.interop.parquet_tables", raising=False)
    monkeypatch.delattr("evalh.interop.parquet_tables", raising=False)

    with pytest.raises(UsageError) as refused:
        write_parquet(Workspace.open(folder), (), folder / "out")

    assert refused.value.hint is not None
    assert "pip install 'evalh[parquet]'" in refused.value.hint
