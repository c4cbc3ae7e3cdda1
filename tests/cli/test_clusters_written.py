"""`evalh dataset clusters --write`: what was proposed is put into the file, and nothing else is touched."""

import json
import subprocess
from pathlib import Path

import pytest

from faults.running import here
from workspaces import write_workspace

TEXTS = [f"My order {number} has not come, where is it?" for number in (17, 93, 4)] + ["The app shows a white page."]


def filled(template: str) -> str:
    for text in TEXTS:
        template = template.replace("TEXT", text, 1)
    return template


JSONL = filled(
    '{"id":"a","inputs":{"ticket":"TEXT"}}\r\n'
    '{ "inputs" : {"ticket": "TEXT"}, "id": "b", "expected": {"label": "b: {}"} }\r\n'
    "\r\n"
    '{"id": "c", "inputs": {"ticket": "TEXT"}, "tags": ["x"]}  \r\n'
    '{"id": "d", "inputs": {"ticket": "TEXT"}}'
)
WRITTEN = (
    JSONL.replace('come, where is it?"}}\r\n{ "inputs"', 'come, where is it?"},"cluster":"like-a"}\r\n{ "inputs"')
    .replace('"b: {}"} }', '"b: {}"}, "cluster": "like-a" }')
    .replace('["x"]}', '["x"], "cluster": "like-a"}')
)
CSV = filled('\ufeffid;ticket;;\r\na;"TEXT";;\r\nb;TEXT;;\r\n;;;\r\n"c";TEXT;;\r\nd;TEXT;;')
CSV_WRITTEN = (
    CSV.replace("id;ticket;;", "id;ticket;cluster;").replace('it?";;', 'it?";like-a;').replace("it?;;", "it?;like-a;")
)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = write_workspace(tmp_path / "desk")
    git(place, "init", "-q")
    write(place, JSONL)
    return place


def write(folder: Path, text: str, name: str = "triage.jsonl") -> Path:
    """Put a dataset in the place of the workspace's own, and commit it."""
    (folder / "datasets/triage.jsonl").unlink(missing_ok=True)
    file = folder / "datasets" / name
    file.write_bytes(text.encode())
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "Rows")
    return file


@pytest.mark.parametrize(
    ("name", "text", "written"), [("triage.jsonl", JSONL, WRITTEN), ("triage.csv", CSV, CSV_WRITTEN)]
)
def test_each_row_gains_its_cluster_and_no_other_byte_moves(folder: Path, name: str, text: str, written: str) -> None:
    file = write(folder, text, name)
    file.chmod(0o640)

    done = here(folder, "dataset", "clusters", "triage", "--write")

    assert done.exit == 0, done.err
    assert file.read_bytes().decode() == written
    assert file.stat().st_mode & 0o777 == 0o640
    assert f"wrote datasets/{name}: 3 rows now name 1 cluster" in done.out
    assert f"git diff datasets/{name}" in done.err
    again = here(folder, "dataset", "clusters", "triage", "--write")
    assert again.exit == 0
    assert "no cases look alike" in again.out
    assert "wrote" not in again.out
    assert [one.name for one in file.parent.iterdir()] == [name]


def test_without_write_nothing_is_written_and_json_says_what_was(folder: Path) -> None:
    shown = json.loads(here(folder, "dataset", "clusters", "--json").out)
    kept = (folder / "datasets/triage.jsonl").read_bytes().decode()
    written = json.loads(here(folder, "dataset", "clusters", "--write", "--json").out)

    assert kept == JSONL
    assert shown["written"] is None
    assert written == {**shown, "written": "datasets/triage.jsonl"}
    assert shown["proposed"] == [{"cluster": "like-a", "cases": ["a", "b", "c"]}]


@pytest.mark.parametrize("state", ["edited", "staged", "untracked", "ignored"])
def test_a_file_that_git_could_not_bring_back_is_left_alone_unless_forced(folder: Path, state: str) -> None:
    file = folder / "datasets/triage.jsonl"
    if state in ("untracked", "ignored"):
        git(folder, "rm", "-q", "--cached", "datasets/triage.jsonl")
        (folder / ".gitignore").write_text("datasets\n" if state == "ignored" else "")
        git(folder, "commit", "-q", "-am", "Gone")
    text = JSONL.replace("white", "blue")
    file.write_bytes(text.encode())
    if state == "staged":
        git(folder, "add", "-A")

    refused = here(folder, "dataset", "clusters", "--write")
    kept = file.read_bytes().decode()
    forced = here(folder, "dataset", "clusters", "--write", "--force")

    assert refused.exit == 2
    assert kept == text
    assert "datasets/triage.jsonl" in refused.err
    assert "--force" in refused.err
    assert forced.exit == 0, forced.err
    assert file.read_bytes().decode() == WRITTEN.replace("white", "blue")


def test_a_cluster_that_stands_already_is_never_written_over(folder: Path) -> None:
    text = JSONL.replace('"tags": ["x"]', '"cluster": "mine"')
    file = write(folder, text)

    done = here(folder, "dataset", "clusters", "--write", "--force")

    assert done.exit == 2
    assert "has a cluster already, 'mine'; nothing was written" in done.err
    assert "datasets/triage.jsonl:4" in done.err
    assert file.read_bytes().decode() == text


def test_the_name_is_one_that_no_other_cluster_has(folder: Path) -> None:
    text = JSONL.replace('white page."}}', 'white page."}, "cluster": "like-a"}')
    file = write(folder, text)

    assert here(folder, "dataset", "clusters", "--write").exit == 0
    assert file.read_text().count('"like-a-2"') == 3


def test_without_git_the_file_is_written(folder: Path, tmp_path: Path) -> None:
    alone = write_workspace(tmp_path / "alone")
    file = alone / "datasets/triage.jsonl"
    file.write_bytes(JSONL.encode())

    assert here(alone, "dataset", "clusters", "--write").exit == 0
    assert file.read_bytes().decode() == WRITTEN


def test_nothing_is_written_through_a_link_and_force_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    real = tmp_path / "desk/datasets/real.jsonl"
    (folder / "datasets/triage.jsonl").rename(real)
    (folder / "datasets/triage.jsonl").symlink_to("real.jsonl")

    done = here(folder, "dataset", "clusters", "--write", "--force")

    assert done.exit == 2
    assert "is a symbolic link" in done.err
    assert real.read_bytes().decode() == JSONL
    assert here(folder, "dataset", "clusters", "--force").exit == 2
