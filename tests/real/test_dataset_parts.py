"""Parts and duplicates of real datasets: 770 questions of bank customers, 1,319 problems of mathematics."""

import gzip
import json
from math import sqrt
from pathlib import Path
from random import Random

import pytest

from faults.running import here
from workspaces import write_workspace

FILES = {"banking77": ("test-sample", "text", "label"), "gsm8k": ("cases", "question", "answer")}


@pytest.fixture(params=FILES)
def real(request: pytest.FixtureRequest, real_data: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    """Return a workspace with a real dataset, and its rows."""
    file, slot, expected = FILES[request.param]
    with gzip.open(real_data / request.param / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    rows = [
        json.dumps({"id": row["id"], "inputs": {slot: row[slot]}, "expected": row[expected]}, ensure_ascii=False) + "\n"
        for row in found
    ]
    folder = write_workspace(tmp_path / "desk")
    (folder / "datasets/triage.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder, rows


def split(folder: Path) -> dict[str, list[str]]:
    done = here(folder, "dataset", "split", "triage", "--parts", "dev=0.3,test=0.7", "--force")
    assert done.exit == 0, done.err
    return {
        name: (folder / f"datasets/triage-{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        for name in ("dev", "test")
    }


def test_a_split_of_real_cases_has_the_shares_and_stays_when_the_dataset_grows(real: tuple[Path, list[str]]) -> None:
    folder, rows = real
    whole = split(folder)
    mixed = Random(1).sample(rows, len(rows) * 2 // 3)
    (folder / "datasets/triage.jsonl").write_text("".join(mixed), encoding="utf-8")
    smaller = split(folder)

    assert sorted(whole["dev"] + whole["test"]) == sorted(rows)
    assert abs(len(whole["dev"]) - 0.3 * len(rows)) < 4 * sqrt(0.3 * 0.7 * len(rows))
    assert all(set(smaller[name]) == set(whole[name]) & set(mixed) for name in whole)


def test_copies_among_real_cases_are_found_and_removed_to_the_last_byte(real: tuple[Path, list[str]]) -> None:
    folder, rows = real
    assert "no two rows have equal inputs" in here(folder, "dataset", "dedupe").out
    rng = Random(2)
    grown = list(rows)
    for row in rng.sample(rows, 50):
        copy = json.loads(row)
        copy["id"] = f"copy-of-{copy['id']}"
        grown.insert(rng.randint(grown.index(row) + 1, len(grown)), json.dumps(copy) + "\n")
    file = folder / "datasets/triage.jsonl"
    file.write_text("".join(grown), encoding="utf-8")

    done = here(folder, "dataset", "dedupe", "--write", "--json")

    assert done.exit == 0, done.err
    found = json.loads(done.out)["equal"]
    assert len(found) == 50
    assert all(one["id"] == f"copy-of-{one['first']}" for one in found)
    assert file.read_text(encoding="utf-8") == "".join(rows)
