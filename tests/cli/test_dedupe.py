"""`evalh dataset dedupe`: rows that repeat an earlier one are shown, and removed where nothing is lost with them."""

import json
import subprocess
from pathlib import Path

import pytest

from evalh.core.case import Case
from evalh.store.rows import case_row
from faults.running import here
from workspaces import write_workspace

A = '{"id": "a", "inputs": {"ticket": "Where is it?"}, "expected": {"label": "bug"}, "tags": ["x", "y"]}'
B = '{"id": "b",  "inputs":{"ticket": "The app shows a white page."}}'
COPY = '{"tags": ["y", "x"], "id": "c", "expected": {"label": "bug"}, "inputs": {"ticket": "Where is it\\u003f"}}'
JSONL = f"\ufeff{A}\r\n\r\n{B}\r\n{COPY}\r\n \r\n"
CSV = '\ufeffsep=;\r\nid;ticket;tags;;\r\na;"Where; is it?";x y;;\r\n;;;;\r\nc;"Where; is it?";"y,x";;\r\nb;"Wh""y?";;;'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(write_workspace(tmp_path / "desk"), JSONL)


def write(folder: Path, text: str, name: str = "triage.jsonl") -> Path:
    (folder / "datasets/triage.jsonl").unlink(missing_ok=True)
    (folder / "datasets" / name).write_bytes(text.encode())
    return folder


def rows(folder: Path, *more: str) -> str:
    text = "".join(f"{row}\n" for row in (A, B, *more))
    write(folder, text)
    return text


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("triage.jsonl", JSONL, JSONL.replace(COPY + "\r\n", "")),
        ("triage.csv", CSV, CSV.replace(';;;;\r\nc;"Where; is it?";"y,x";;\r\n', "")),
    ],
)
def test_a_row_that_repeats_an_earlier_one_goes_and_no_other_byte_moves(
    folder: Path, name: str, text: str, left: str
) -> None:
    file = write(folder, text, name).joinpath("datasets", name)

    shown = here(folder, "dataset", "dedupe")
    kept = file.read_bytes().decode()
    done = here(folder, "dataset", "dedupe", "triage", "--write")

    assert shown.exit == done.exit == 0, done.err
    assert kept == text
    assert f"c  datasets/{name}:{4 if name.endswith('jsonl') else 5}  repeats a" in shown.out
    assert "add --write" in shown.err
    assert file.read_bytes().decode() == left
    assert f"wrote datasets/{name}: 1 row removed" in done.out
    again = here(folder, "dataset", "dedupe", "--write")
    assert again.exit == 0
    assert "no two rows have equal inputs" in again.out
    assert "wrote" not in again.out


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('{"id": "c", "inputs": {"ticket": "Where is it?"}, "tags": ["x", "y"]}', "differs in expected"),
        (COPY.replace('"bug"', '"billing"'), "differs in expected"),
        (COPY.replace('"bug"}', '"bug", "n": 1}'), "differs in expected"),
        (COPY.replace('["y", "x"]', '["y"]'), "differs in tags"),
        (COPY.replace('"id"', '"cluster": "k", "given": {"step": 1}, "id"'), "differs in cluster, given"),
        (COPY.replace('"id"', '"source": {"workflow": "w-1"}, "id"'), "differs in source"),
    ],
)
def test_a_row_that_says_something_of_its_own_is_never_removed(folder: Path, row: str, why: str) -> None:
    same = COPY.replace('"c"', '"d"')
    text = rows(folder, row, same)

    shown = here(folder, "dataset", "dedupe")
    done = here(folder, "dataset", "dedupe", "--write", "--force")

    assert f"c  datasets/triage.jsonl:3  repeats a, but {why}\n" in shown.out
    assert "d  datasets/triage.jsonl:4  repeats a\n" in shown.out
    assert "--write" not in shown.err
    assert done.exit == 2
    assert f"datasets/triage.jsonl:3: the row of 'c' repeats 'a', but {why}; nothing was written" in done.err
    assert (folder / "datasets/triage.jsonl").read_text() == text


def test_a_row_that_people_have_labelled_is_never_removed_and_an_older_label_does_not_keep_it(folder: Path) -> None:
    text = rows(folder, COPY)
    case = Case("c", {"ticket": "Where is it?"}, {"label": "bug"}, frozenset({"x", "y"}))
    label = {"case": "c", "output_digest": "sha256:1", "about": "good", "good": True, "at": "2026-07-28T10:15:00Z"}
    file = folder / "datasets/labels/triage/ada.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({**label, "case_digest": case_row(case)[1]}))

    refused = here(folder, "dataset", "dedupe", "--write")
    kept = (folder / "datasets/triage.jsonl").read_text()
    file.write_text(json.dumps({**label, "case_digest": "sha256:0"}))  # of the row before it was edited
    done = here(folder, "dataset", "dedupe", "--write")

    assert refused.exit == 2
    assert "the row of 'c' repeats 'a', but has labels" in refused.err
    assert kept == text
    assert done.exit == 0, done.err
    assert (folder / "datasets/triage.jsonl").read_text() == text.removesuffix(COPY + "\n")


def test_many_rows_that_stay_are_told_shortly(folder: Path) -> None:
    rows(folder, *(COPY.replace('"c"', f'"c{n}"').replace("bug", f"l{n}") for n in range(30)))

    shown = here(folder, "dataset", "dedupe")
    done = here(folder, "dataset", "dedupe", "--write")

    assert "and 10 more: --json" in shown.out
    assert done.exit == 2
    assert "and 25 more rows; nothing was written" in done.err


def test_cases_that_are_nearly_the_same_are_shown_and_stay(folder: Path) -> None:
    near = [B.replace('"b"', f'"n{n}"').replace("The app", f"Since {n} o'clock the app") for n in (1, 2)]
    text = rows(folder, *near)

    done = here(folder, "dataset", "dedupe", "--write")

    assert done.exit == 0, done.err
    assert "2 cases look alike  n1, n2" in done.out
    assert (folder / "datasets/triage.jsonl").read_text() == text


def test_what_is_equal_to_python_alone_is_not_equal(folder: Path) -> None:
    texts = enumerate(("1", "1.0", "true", '"1"'))
    write(folder, "".join(f'{{"id": "n{at}", "inputs": {{"ticket": {text}}}}}\n' for at, text in texts))

    assert "no two rows have equal inputs" in here(folder, "dataset", "dedupe").out


def test_json_says_what_repeats_what_and_what_was_written(folder: Path) -> None:
    shown = json.loads(here(folder, "dataset", "dedupe", "--json").out)
    written = json.loads(here(folder, "dataset", "dedupe", "--write", "--json").out)

    assert shown["equal"] == [
        {"id": "c", "where": "datasets/triage.jsonl:4", "first": "a", "differs": [], "labelled": False}
    ]
    assert shown["written"] is None
    assert written == {**shown, "written": "datasets/triage.jsonl"}


def test_a_file_that_git_could_not_bring_back_is_left_alone_unless_forced(folder: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True, timeout=30)

    refused = here(folder, "dataset", "dedupe", "--write")
    kept = (folder / "datasets/triage.jsonl").read_bytes().decode()
    forced = here(folder, "dataset", "dedupe", "--write", "--force")

    assert refused.exit == 2
    assert "has uncommitted changes" in refused.err
    assert kept == JSONL
    assert forced.exit == 0, forced.err
    assert here(folder, "dataset", "dedupe", "--force").exit == 2


def test_nothing_is_written_through_a_link(folder: Path) -> None:
    file = folder / "datasets/triage.jsonl"
    file.rename(folder / "datasets/real.jsonl")
    file.symlink_to("real.jsonl")

    done = here(folder, "dataset", "dedupe", "--write")

    assert done.exit == 2
    assert "is a symbolic link" in done.err
    assert (folder / "datasets/real.jsonl").read_bytes().decode() == JSONL
