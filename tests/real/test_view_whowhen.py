"""Real failed runs of agent teams in the viewer: the step that people annotated is the one that is chosen."""

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalh_trace.records import AnyRecord, Score, Step, Workflow
from traced import BEGAN, keep
from viewing import viewing
from workspaces import write_workspace

DATA = Path(os.environ.get("EVALH_REAL_DATA", "nowhere")) / "whowhen/algorithm-generated.jsonl.gz"
pytestmark = pytest.mark.skipif(not DATA.is_file(), reason="EVALH_REAL_DATA names no folder with whowhen/")


def _records(runs: list[dict[str, Any]]) -> Iterator[AnyRecord]:
    for run in runs:
        id_, steps = run["id"], run["steps"]
        yield Workflow(id=id_, name="team", door="whowhen", started_at=BEGAN, status="ok", inputs=run["question"])
        for place, step in enumerate(steps):
            about = {"name": step["agent"], "kind": "agent", "position": place, "output": step["content"]}
            yield Step(id=f"{id_}.{place}", workflow_id=id_, **about)
        told = {"outcome": "fail", "source": "people", "text": run["mistake_reason"]}
        mistake = f"{id_}.{run['mistake_step']}"
        yield Score(id=f"{id_}.m", workflow_id=id_, step_id=mistake, name="first_mistake", **told)  # type: ignore[arg-type]


def test_of_every_run_all_steps_are_there_and_the_annotated_one_is_chosen(tmp_path: Path) -> None:
    with gzip.open(DATA, "rt") as lines:
        runs = [json.loads(line) for line in lines]
    folder = write_workspace(tmp_path)
    keep(folder, _records(runs))
    with viewing(folder) as viewer:
        assert f"1–100 of {len(runs)} workflows shown" in viewer.get("production?kind=quiet").text
        for run in runs:
            page = viewer.get(f"production/{run['id']}").text
            assert page.count('class="panel"') == len(run["steps"]) + 1
            assert re.findall(r'data-at="(\d+)" aria-current="true"', page) == [str(run["mistake_step"] + 1)]
