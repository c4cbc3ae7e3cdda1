"""`evalh init`: a workspace that says something at once, for a starter or for a person's own rows."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from evalh.api.new_workspace import NAMES, RECORDED, Task
from faults.running import here
from workspaces import document, evalh


def written(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("task", list(Task))
def test_without_a_model_the_recorded_answers_decide_between_the_two_versions(tmp_path: Path, task: Task) -> None:
    begun = here(tmp_path, "init", "--task", task.value, "--model", RECORDED)
    runs = [evalh(tmp_path, "run", "--prompt", version, "--json") for version in ("v1", "v2", "draft")]
    compared = evalh(tmp_path, "compare", "v1", "v2", "--json")

    assert begun.exit == 0, begun.err
    assert here(tmp_path, "check").exit == 0
    assert [document(done)["results"][0]["ungraded"] for done in runs] == [0, 0, 0]
    assert document(compared)["verdict"] == "better"
    assert f"suite {NAMES[task]}" in here(tmp_path, "run").out


_DRAWN = 2
"""Answers that may differ: at temperature 0, too, the embedded model is not fully repeatable while other programs run."""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("task", list(Task))
def test_the_embedded_model_answers_as_the_recordings_say(tmp_path: Path, task: Task) -> None:
    assert here(tmp_path, "init", "--task", task.value, "--model", "small").exit == 0

    good = {}
    for model in ("small", RECORDED):
        done = evalh(tmp_path, "run", "--prompt", "v1", "--prompt", "v2", "-m", model, "--json")
        good[model] = [result["good"] for result in document(done)["results"]]

    for live, recorded in zip(good["small"], good[RECORDED], strict=True):
        assert abs(live - recorded) <= _DRAWN
    assert good["small"][0] < good["small"][1]


def test_on_a_terminal_it_asks_for_the_task_the_model_and_ci(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "evalh", "-C", str(tmp_path), "init"]
    process = subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, text=True)
    os.close(terminal)
    os.write(controller, b"extract\nopenai\ngithub\n")
    told, _ = process.communicate(timeout=60)
    os.close(controller)

    assert process.returncode == 0
    assert "wrote evals/order.yaml" in told
    assert "wrote .github/workflows/evalh.yml" in told
    assert "model: strong\n" in written(tmp_path, "evals/order.yaml")
    assert 'api_key_env = "OPENAI_API_KEY"' in written(tmp_path, "evalh.toml")


def test_a_script_is_asked_nothing(tmp_path: Path) -> None:
    done = here(tmp_path, "init", "--task", "reply", "--model", "server", "--ci", "pre-commit")

    assert done.exit == 0, done.err
    assert (tmp_path / ".pre-commit-config.yaml").is_file()
    assert 'base_url = "http://localhost:11434/v1"' in written(tmp_path, "evalh.toml")
    assert here(tmp_path, "check").exit == 0


TICKETS = """Ticket No,Text,queue,notes
7,"I paid twice, please help",billing,x
8,It crashes,bug,y
9,Refund please,billing,
10,App is slow,bug,
"""


def test_columns_become_a_dataset_a_suite_and_a_prompt(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(TICKETS)
    words = ("--map", "id=Ticket No,expected=queue", "--map", "ticket=Text")
    done = here(tmp_path, "init", "--from", "tickets.csv", "--model", "small", *words)

    assert done.exit == 0, done.err
    rows = [json.loads(line) for line in written(tmp_path, "datasets/tickets.jsonl").splitlines()]
    assert rows[0] == {
        "id": "7",
        "inputs": {"ticket": "I paid twice, please help"},
        "expected": "billing",
    }
    assert '"queue(enum)": [billing, bug]' in written(tmp_path, "prompts/tickets/v1.prompt")
    assert "equals: {path: queue}" in written(tmp_path, "evals/tickets.yaml")
    assert "column Text: input ticket" in done.out
    assert here(tmp_path, "check").out.startswith("ok: 1 prompt, 2 versions, 1 suite, 4 cases")


@pytest.mark.parametrize(
    ("rows", "graded", "shown"),
    [
        ([{"q": "2+2?", "answer": "4"}, {"q": "3+3?", "answer": "6"}], "- number", "{{q}}"),
        ([{"q": "Capital?", "answer": "Rome"}, {"q": "3+3?", "answer": "6"}], "equals: {trim", "{{q}}"),
        ([{"vars": {"m": "hi"}, "expected": {"city": "Rome", "n": 2}}], 'equals: {path: "n"', '"n": integer'),
        ([{"m": "hi", "reference": "a long answer " * 9}], "similarity", "{{m}}"),
        ([{"role": "x", "if": "y"}, {"role": "z", "if": ""}], "length", "{{if_text}}"),
        ([{"m": "a", "label": '{{x}} "q"'}, {"m": "b", "label": "---id: 1"}] * 3, "schema", "label(enum)"),
        ([{"Größe (cm)": 3, "größe cm": [1, 2]}], "length", "{{grosse_cm_2}}"),
    ],
)
def test_whatever_the_rows_look_like_the_workspace_is_right(
    tmp_path: Path, rows: list[dict[str, object]], graded: str, shown: str
) -> None:
    (tmp_path / "my data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = here(tmp_path, "init", "--from", "my data.jsonl", "--model", "small")

    assert done.exit == 0, done.err
    assert graded in written(tmp_path, "evals/my-data.yaml")
    assert shown in written(tmp_path, "prompts/my-data/v1.prompt")
    assert (checked := here(tmp_path, "check")).exit == 0, checked.err
    first = json.loads(written(tmp_path, "datasets/my-data.jsonl").splitlines()[0])
    assert here(tmp_path, "render", first["id"], "--prompt", "v1").exit == 0


SAID = ("(a) is short, (b) is complete. So it is (b).", "(b) is long, and (a) says it all. So it is (a).")


@pytest.mark.parametrize(
    ("labels", "outputs", "good"),
    [
        (["(b)", "(a)"], SAID, 4),
        (["(b)", "(b)"], SAID, 2),
        (["No", "yes"], ["Yes, I know, but I must say no.", "There is no reason not to, so: YES."], 4),
        (["spam", "not spam"], ["It is clearly not spam at all.", "I am sure that it is not spam."], 2),
    ],
)
def test_outputs_that_weigh_several_labels_are_graded_by_the_one_that_they_end_with(
    tmp_path: Path, labels: list[str], outputs: list[str], good: int
) -> None:
    more = [("c", labels[0], f"It is {labels[0]}, if I am not mistaken.")] if labels[0] == labels[1] else []
    rows = [*zip("aabb", labels * 2, list(outputs) * 2, strict=True), *more]
    rows += [("d", "(a)", "I am sure that it is (a).")] * 2 if more else []
    text = "".join(json.dumps({"m": m, "label": label, "said": said}) + "\n" for m, label, said in rows)
    (tmp_path / "pairs.jsonl").write_text(text)
    begun = here(tmp_path, "init", "--from", "pairs.jsonl", "--map", "output=said")

    several = f"{4} of {len(rows)} outputs contain more than one of the expected values"
    assert several in begun.out
    assert several in written(tmp_path, "IMPORT.md")
    assert "which: last" in written(tmp_path, "evals/pairs.yaml")
    assert f"{good + 3 * bool(more)} good" in here(tmp_path, "run").out


def test_a_rate_that_is_too_high_is_announced_where_no_grader_is_right(tmp_path: Path) -> None:
    rows = [("a", "Rome"), ("b", "Paris"), ("c", "Oslo")]
    said = "It may be Rome, Paris or Oslo."
    text = "".join(json.dumps({"m": m, "answer": answer, "said": said}) + "\n" for m, answer in rows)
    (tmp_path / "pairs.jsonl").write_text(text)
    begun = here(tmp_path, "init", "--from", "pairs.jsonl", "--map", "output=said")

    doubt = (
        "3 of 3 outputs contain more than one of the expected values: contains passes these whichever they decide for"
    )
    assert doubt in begun.out
    assert "so the good rate is too high; write a regex" in written(tmp_path, "IMPORT.md")


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("", (), "holds no rows"),
        ("{", (), "data.jsonl:1: is not JSON"),
        ("[1]\n", (), "data.jsonl:1: must be an object"),
        ('{"id": "a", "m": "x"}\n', ("--map", "text=n"), "there is no column 'n'"),
        ('{"id": "a", "m": "x"}\n', ("--map", "m"), "--map cannot be read: 'm'"),
        ('{"id": "a", "m": "x"}\n', ("--map", "a b=m"), "cannot be the name of an input"),
        ('{"id": "a", "m": "x"}\n', ("--map", "id=id", "--map", "id=m"), "--map names 'id' twice"),
        ('{"id": "a", "m": "x"}\n', ("--map", "expected=m"), "no column is an input"),
        ('{"m": "x"}\n', ("--task", "label"), "leave out --task"),
        ('{"m": "x"}\n', ("--model", "recorded"), "only the starters bring answers"),
        ('{"m": "\udc80"}\n', (), "data.jsonl"),
    ],
)
def test_what_cannot_be_mapped_says_why_and_writes_nothing(
    tmp_path: Path, content: str, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "data.jsonl").write_bytes(content.encode("utf-8", "surrogateescape"))
    done = here(tmp_path, "init", "--from", "data.jsonl", *arguments)

    assert done.exit == 2
    assert said in done.err
    assert [one.name for one in tmp_path.iterdir()] == ["data.jsonl"]


def test_a_file_that_is_there_is_never_changed(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals/sentiment.yaml").write_text("mine")

    assert here(tmp_path, "init").exit == 2
    assert written(tmp_path, "evals/sentiment.yaml") == "mine"
    assert not (tmp_path / "evalh.toml").exists()
    assert here(tmp_path, "init", "--map", "a=b").exit == 2
