"""`evalh show` of a workflow, and lists of them: names, numbers and ids stay readable, what was said gives way."""

from pathlib import Path

import pytest

from evalh.api.workspace import Workspace
from evalh_trace.records import Attempt, Call, Feedback, Score, Step, Workflow
from workspaces import evalh

NOW = 1_800_000_000.0
ID = "01a228450f4ee7dcd4f8ae00bd44b632"
LONG = "the provider says: " + "no " * 200


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "evalh.toml").write_text("")
    workspace = Workspace.open(tmp_path)
    of = {"workflow_id": ID, "started_at": NOW + 0.1}
    with workspace.production_writer() as production:
        production.write(
            [
                Workflow(
                    id=ID,
                    name="order_status",
                    door="trace",
                    started_at=NOW,
                    ended_at=NOW + 2,
                    status="error",
                    error=LONG,
                ),
                Step(id="s-1", name="read the number", ended_at=NOW + 1.9, status="error", error=LONG, **of),
                Call(id="c-1", step_id="s-1", settings={"model": "smollm2-135m-instruct"}, latency_ms=1700.0, **of),
                Attempt(id="a-1", call_id="c-1", status="error", error=LONG, input_tokens=20, **of),
                Step(id="s-2", name="reply", **{**of, "started_at": NOW + 1.9}),
                Step(id="s-3", workflow_id=ID, name="ask", status="ok", attributes={"state": "skipped"}),
            ]
        )
    return workspace


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_long_error_takes_no_room_from_names_and_numbers(
    workspace: Workspace, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    shown = evalh(workspace.root, "show", ID).stdout
    table = shown[shown.index("step ") :].splitlines()

    assert max(map(len, table)) <= width
    assert [line.split("  ")[0] for line in table if not line.startswith(" ")] == [
        "step",
        "0 read the number",
        "1 reply",
        "2 ask",
    ]
    assert f"  chat {'smollm2-135m-instruct' if width > 80 else 'smollm2-1'}" in shown
    assert "None" not in shown
    assert all(title in table[0] for title in ("took", "tokens", "cost", "attempts"))
    assert "1800 ms" in shown
    assert "skipped" in shown


def test_a_call_that_a_retry_saved_is_shown_with_its_answer(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    with workspace.production_writer() as production:
        answer = Attempt(id="a-2", workflow_id=ID, call_id="c-1", started_at=NOW + 1, status="ok", text="four")
        production.write([answer])

    shown = evalh(workspace.root, "show", ID).stdout

    assert "answered after 1 failed attempt: four" in shown
    assert shown.count("the provider says") == 2  # of the workflow and its step


@pytest.mark.parametrize(("width", "shown"), [(100, 8), (140, 32)])
def test_a_long_error_takes_no_room_from_a_workflows_id_and_name(
    workspace: Workspace, width: int, shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    title, line = evalh(workspace.root, "trace", "list").stdout.splitlines()

    assert line.startswith(ID[:shown])
    assert "  order_status  error" in line
    assert max(len(title), len(line)) <= width


def test_many_votes_and_scores_are_shown_in_part_and_the_others_counted(workspace: Workspace) -> None:
    with workspace.production_writer() as production:
        production.write(
            record
            for one in range(50)
            for record in (
                Feedback(id=f"f-{one}", workflow_id=ID, at=NOW, good=False, note=f"vote {one}"),
                Score(id=f"o-{one}", workflow_id=ID, name="polite", score=0.5, at=NOW),
                Score(id=f"p-{one}", workflow_id=ID, step_id="s-2", name="short", score=0.5, at=NOW),
            )
        )

    shown = evalh(workspace.root, "show", ID).stdout
    step = evalh(workspace.root, "show", "s-2").stdout

    assert (shown.count("a user:"), shown.count("polite")) == (20, 20)
    assert "and 30 votes more: evalh sql --production" in shown
    assert "and 30 scores more: evalh sql --production" in shown
    assert (step.count("short"), step.count("30 scores more")) == (20, 1)


def test_a_damaged_file_is_told_in_words_of_production(workspace: Workspace) -> None:
    file = workspace.root / ".evalh/production.db"
    for left in workspace.root.glob(".evalh/production.db*"):
        left.unlink()
    file.write_bytes(b"not a database" * 1000)

    for arguments in (("trace", "list"), ("sql", "--production", "select 1"), ("show", "last")):
        done = evalh(workspace.root, *arguments)
        assert done.returncode == 2
        assert "production.db: not a database" in done.stderr
        assert "the next workflow makes a new one" in done.stderr
        assert "evalh run" not in done.stderr


def test_a_wrong_query_names_the_page_of_its_file(workspace: Workspace) -> None:
    done = evalh(workspace.root, "sql", "--production", "select * from nothing")

    assert "columns: docs/reference/production.md" in done.stderr
    assert "docs/reference/log.md" not in done.stderr
