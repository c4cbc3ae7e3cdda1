"""Real failed runs of agent teams come in as workflows: every run and step, and what people said was wrong."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from command_line import command_line
from evalh.api.imports import import_calls
from evalh.api.workspace import Workspace


@pytest.fixture(scope="module")
def runs(real_data: Path) -> list[dict[str, Any]]:
    with gzip.open(real_data / "whowhen/algorithm-generated.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def workspace(runs: list[dict[str, Any]], tmp_path: Path) -> Workspace:
    (tmp_path / "evalh.toml").write_text("[trace]\ncontent = true\n")
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    workspace = Workspace.open(tmp_path, env={})
    import_calls(workspace, str(tmp_path / "runs.jsonl"), name="team")
    return workspace


def rows(workspace: Workspace, sql: str) -> list[Any]:
    return list(workspace.production.query(sql)[1])


def test_all_runs_and_steps_come_in_with_every_text_as_it_was(runs: list[dict[str, Any]], workspace: Workspace) -> None:
    found = {}
    for workflow in workspace.production.workflows(name="team"):
        detail = workspace.production.detail(workflow.id)
        found[workflow.attributes["id"]] = detail

    assert len(found) == len(runs) == 126
    assert sum(len(detail.steps) for detail in found.values()) == sum(len(run["steps"]) for run in runs) == 1099
    for run in runs:
        detail = found[run["id"]]
        assert [(step.position, step.name, step.kind) for step in detail.steps] == [
            (place, step["agent"], "agent") for place, step in enumerate(run["steps"])
        ]
        assert [step.output for step in detail.steps] == [step["content"] for step in run["steps"]]
        assert detail.workflow.inputs == {"question": run["question"]}
        assert detail.workflow.output == run["steps"][-1]["content"]
        assert detail.workflow.attributes["ground_truth"] == run["ground_truth"]


def test_sql_finds_the_annotated_step_of_each_run(runs: list[dict[str, Any]], workspace: Workspace) -> None:
    found = rows(
        workspace,
        """select json_extract(w.attributes, '$.id'), s.position, f.reason from failed_steps f
        join workflow_steps s on s.id = f.step_id join workflows w on w.id = f.workflow_id
        where f.said = 'first_mistake' and f.source = 'people'""",
    )

    assert sorted(map(tuple, found)) == sorted((run["id"], run["mistake_step"], run["mistake_reason"]) for run in runs)


def test_what_no_turn_says_is_null(workspace: Workspace) -> None:
    (unknown,) = rows(
        workspace,
        """select count(started_at), count(ended_at), count(inputs), (select count(*) from calls),
        (select count(ended_at) from workflows) from workflow_steps""",
    )

    assert tuple(unknown) == (0, 0, 0, 0, 0)


def test_the_same_file_twice_is_the_same_rows(workspace: Workspace, tmp_path: Path) -> None:
    everything = (
        "select * from workflows order by id",
        "select * from workflow_steps order by id",
        "select * from scores",
    )
    before = [rows(workspace, sql) for sql in everything]

    again = import_calls(workspace, str(tmp_path / "runs.jsonl"), name="team")

    assert again.counts == {"score": 126, "step": 1099, "workflow": 126}
    assert [rows(workspace, sql) for sql in everything] == before


def test_without_content_the_shape_is_kept_and_no_word(runs: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "evalh.toml").write_text("")
    (tmp_path / "runs.jsonl").write_text(json.dumps(runs[0]) + "\n")
    workspace = Workspace.open(tmp_path, env={})

    found = import_calls(workspace, str(tmp_path / "runs.jsonl"))

    assert not found.content
    assert rows(workspace, "select count(*) from workflow_steps")[0][0] == len(runs[0]["steps"])
    stored = b"".join(path.read_bytes() for path in (tmp_path / ".evalh").glob("production.db*"))
    for text in (runs[0]["question"], runs[0]["steps"][0]["content"], runs[0]["mistake_reason"]):
        assert text[:40].encode() not in stored


def test_the_longest_run_shows_who_said_what_and_what_was_wrong(workspace: Workspace) -> None:
    longest = rows(workspace, "select workflow_id from workflow_steps group by 1 order by count(*) desc, 1 limit 1")[0][
        0
    ]
    steps = workspace.production.detail(longest).steps

    done = command_line()(workspace.root, "show", longest, env={**os.environ, "COLUMNS": "100"})

    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 100
    for step in steps:
        (line,) = [line for line in lines if line.startswith(f"{step.position} {step.name} ")]
        assert len(line) > len(f"{step.position} {step.name}  ")
    assert sum("first_mistake: " in line for line in lines) == 1
