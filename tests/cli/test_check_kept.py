"""`evalh check` reads what calibrate, gate and drift read later: people's labels and the accepted baselines."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from evalh.api.baselines import accept
from evalh.api.options import AcceptOptions
from evalh.api.workspace import Workspace
from evalh.workspace.files import WorkTree
from evalh.workspace.kept.labels import label_problems
from faults.running import here
from workspaces import write_workspace

LABEL = {
    "about": "good",
    "at": "2026-07-28T10:15:00Z",
    "case": "t-0001",
    "case_digest": "sha256:1",
    "good": True,
    "output_digest": "sha256:2",
}
LINE = json.dumps(LABEL) + "\n"
FOLDER = "datasets/labels/triage"
BASELINE = "reports/baselines/triage/v1.small.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_workspace(tmp_path, cases=6)
    (tmp_path / FOLDER).mkdir(parents=True)
    return tmp_path


def accepted(folder: Path) -> Path:
    accept(Workspace.open(folder), AcceptOptions(suite="triage"))
    return folder / BASELINE


def problems(folder: Path) -> list[tuple[str, str]]:
    done = here(folder, "check", "--json")
    found = json.loads(done.out)["problems"]
    assert done.exit == (2 if found else 0), done.err
    assert all(one["hint"] for one in found)
    return [(one["where"], one["what"]) for one in found]


def test_every_wrong_line_of_every_label_file_is_named_at_once(folder: Path) -> None:
    conflict = f"<<<<<<< HEAD\n{LINE}=======\n{LINE}>>>>>>> theirs\n"
    wrong = json.dumps({**LABEL, "good": "yes"}) + "\n" + json.dumps({**LABEL, "godo": True}) + "\n"
    (folder / FOLDER / "ada.jsonl").write_text(LINE + conflict + LINE + "{'about': 1}\n" + wrong)
    (folder / FOLDER / "bob.jsonl").write_bytes(LINE.encode() + b"a\0b\n" + b'{"case": "\xff"}\n')
    (folder / FOLDER / "cy.jsonl").mkdir()
    other = folder / "datasets/labels/renamed"
    other.mkdir()
    (other / "ada.jsonl").write_bytes(gzip.compress(LINE.encode()))
    (other / "bob.jsonl").write_text(LINE.replace('"good": true', '"good": true, "good": false'))

    found = problems(folder)

    assert [where.removeprefix("datasets/labels/") for where, _ in found] == [
        "renamed/ada.jsonl",
        "renamed/bob.jsonl:1",
        "triage/ada.jsonl:2",
        "triage/ada.jsonl:8",
        "triage/ada.jsonl:9",
        "triage/ada.jsonl:10",
        "triage/bob.jsonl:2",
        "triage/bob.jsonl:3",
        "triage/cy.jsonl",
    ]
    assert [what.partition(":")[0] for _, what in found] == [
        "is compressed",
        "is not a label",
        "a merge conflict is not settled",
        *["is not a label"] * 3,
        "is a binary file",
        "is not UTF-8",
        "is not a file",
    ]


def test_calibrate_names_the_same_lines(folder: Path) -> None:
    assert here(folder, "run").exit == 0
    (folder / FOLDER / "ada.jsonl").write_text(f"{{\n{LINE}[]\n")
    done = here(folder, "calibrate", "equals")

    assert done.exit == 2
    assert [f"{FOLDER}/ada.jsonl:{line}: " in done.err for line in (1, 2, 3)] == [True, False, True]


def test_labels_of_both_sides_are_kept_when_the_marker_lines_are_deleted(folder: Path) -> None:
    file = folder / FOLDER / "ada.jsonl"
    file.write_text(f"<<<<<<< HEAD\n{LINE}=======\n{LINE}>>>>>>> theirs\n")
    assert "delete only the marker lines" in here(folder, "check").out
    file.write_text(LINE * 2)

    assert problems(folder) == []


def test_a_long_label_file_is_read_line_by_line(folder: Path) -> None:
    (folder / FOLDER / "ada.jsonl").write_text(LINE * 20_000)  # 3 MB
    (folder / FOLDER / "bob.jsonl").write_text("no label\n" * 300_000)

    tracemalloc.start()
    found = list(label_problems(WorkTree(folder), "datasets"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(found) == 51
    assert found[-1].what == "there are more mistakes"
    assert peak < 2e6


def test_a_label_cannot_write_to_the_terminal(folder: Path) -> None:
    evil = json.dumps({**LABEL, "\x1b]0;mine\x07": 1}) + "\n"
    (folder / FOLDER / "ada.jsonl").write_text(evil + "x" * 10_000 + "\n" + json.dumps({**LABEL, "k" * 10_000: 1}))
    done = here(folder, "check")

    assert done.exit == 2
    assert "\x1b]0" not in done.out
    assert len(done.out) < 2_000


def test_a_baseline_is_read_before_a_gate_needs_it(folder: Path) -> None:
    file = accepted(folder)
    assert problems(folder) == []
    lines = file.read_text().splitlines(keepends=True)

    file.write_text("".join([*lines[:2], lines[2].replace(",", ",,", 1), lines[3], "{\n"]))
    assert [where for where, _ in problems(folder)] == [f"{BASELINE}:3", f"{BASELINE}:5"]

    file.write_text("".join([lines[0], "<<<<<<< HEAD\n", *lines[1:]]))
    assert problems(folder) == [(f"{BASELINE}:2", "a merge conflict is not settled: <<<<<<< HEAD")]

    file.write_text("".join([lines[0], *lines[2:]]))
    assert "there are more outputs than samples" in problems(folder)[0][1]

    file.write_text("".join([lines[0].replace('"trials": 1', '"trials": 2'), *lines[1:]]))
    assert "the digest does not match" in problems(folder)[0][1]

    file.write_text("".join(lines[1:]))
    assert "its first line is not the header of one" in problems(folder)[0][1]

    file.unlink()
    file.mkdir()
    assert problems(folder) == [(BASELINE, "is not a file: a folder, or a broken link")]


def test_outputs_that_unpack_to_any_size_are_not_unpacked(folder: Path) -> None:
    accepted(folder)
    outputs = folder / BASELINE.replace(".jsonl", ".outputs.jsonl.gz")

    outputs.write_bytes(gzip.compress(b"{}\n" * 10_000_000, 1))
    assert problems(folder) == [(f"{BASELINE}:1", "it or its outputs were edited: there are more outputs than samples")]

    outputs.write_bytes(gzip.compress(b"x\n"))
    assert problems(folder) == [(f"{BASELINE}: output 1", "is not JSON: Expecting value at column 1")]
