"""`evalh init --from` on what GPT-4 and ChatGPT wrote about pairs: each output discusses both answers of a pair."""

import gzip
import json
import os
from pathlib import Path

import pytest

from faults.running import here

DATA = Path(os.environ.get("EVALH_REAL_DATA", "nowhere")) / "llmbar"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="EVALH_REAL_DATA names no folder with llmbar/")


def lines(name: str) -> list[dict[str, object]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("part", ["natural", "neighbor"])
def test_the_chosen_grader_counts_the_pairs_that_gpt_4_decided_as_people_did(tmp_path: Path, part: str) -> None:
    labels = {row["id"]: row["human_label"] for row in lines(f"{part}-cases")}
    said = [
        row
        for row in lines(f"{part}-outputs")
        if (row["model"], row["prompt"], row["swapped"]) == ("GPT-4", "CoT", False)
    ]
    rows = [
        {"id": row["id"], "label": f"Output ({'ab'[int(str(labels[row['id']])) - 1]})", "said": row["output"], "m": "x"}
        for row in said
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    begun = here(tmp_path, "init", "--from", "pairs.jsonl", "--map", "output=said")

    good = sum(str(row["winner"]) == str(labels[row["id"]]) for row in said)
    assert f"{len(said)} of {len(said)} outputs contain more than one of the expected values" in begun.out
    assert 0 < good < len(said)
    assert f"{len(said)}: {good} good" in here(tmp_path, "run").out
