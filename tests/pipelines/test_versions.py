"""`evalh prompt` and `evalh check` on pipelines, as a person types them."""

import os
from pathlib import Path

import pytest

from command_line import Done, command_line
from evalh.api.completion import names
from evalh.core.prompt import Pipeline
from evalh.engine.gate.evidence import _first_changed_step
from evalh.workspace.files import WorkTree
from evalh.workspace.prompt.prompts import Prompts
from stepping import EXTRACT, ORDERS, PIPELINE, write_pipeline

STEPS = "prompts/refund/draft.pipeline.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pipeline(tmp_path, 1, cases=3, pipeline=f"description: Refunds\n{PIPELINE}")
    (tmp_path / "evalh.toml").write_text('[models.small]\nprovider = "scripted"\ndefault = "{}"\n')
    return tmp_path


def evalh(folder: Path, *arguments: str) -> Done:
    return command_line()(folder, *arguments, env={**os.environ, "COLUMNS": "100"})


def edit(folder: Path, path: str, old: str, new: str) -> None:
    text = (folder / path).read_text()
    assert old in text
    (folder / path).write_text(text.replace(old, new))


def test_a_pipeline_is_shown_step_by_step(folder: Path) -> None:
    done = evalh(folder, "prompt", "show", "refund")

    lines = [line.split(" ─")[0].rstrip() for line in done.out.splitlines()]
    assert done.code == 0
    assert lines[0].startswith("refund@draft  sha256:")
    assert lines[1:4] == ["description  Refunds", f"path  {STEPS}", "extract"]
    assert lines[5:7] == ["inputs  email: inputs.email", "order"]
    assert lines[4].startswith("prompt  extract@v1 sha256:")
    assert lines[-2:] == ["output", "reply"]
    document = evalh(folder, "prompt", "show", "refund", "--json").document
    assert list(document["steps"]) == ["extract", "order", "reply"]
    assert document["steps"]["order"]["python"].startswith("steps/orders.py:find sha256:")
    assert document["output_steps"] == ["reply"]


def test_a_difference_is_listed_by_step(folder: Path) -> None:
    assert evalh(folder, "prompt", "release", "refund").out.split()[0::2] == [
        "refund@v1",
        "prompts/refund/v1.pipeline.yaml",
    ]
    assert "same content" in evalh(folder, "prompt", "diff", "refund@v1", "refund@draft").out
    edit(folder, STEPS, "  reply:\n", "  reply:\n    when: order.state == 'late'\n    model: small\n")
    edit(folder, "steps/orders.py", "late", "lost")
    (folder / "prompts/extract/v2.prompt").write_text(EXTRACT.replace("Find", "Look for"))

    found = evalh(folder, "prompt", "diff", "refund@v1", "refund@draft", "--json").document

    assert [(one["key"], one.get("base", "").split(" ")[0], one["head"].split(" ")[0]) for one in found["steps"]] == [
        ("extract.prompt", "extract@v1", "extract@v2"),
        ("reply.when", "", "order.state"),
    ]
    assert [one["key"] for one in found["notes"]] == ["reply.model"]


def test_lists_and_live_work_for_prompts_and_pipelines(folder: Path) -> None:
    (folder / "prompts/refund/v1.prompt").write_text("Answer {{email}}")
    evalh(folder, "prompt", "release", "refund")

    rows = evalh(folder, "prompt", "list", "refund", "--json").document["versions"]

    assert [(one["prompt"], one["path"].rpartition("/")[2], one["live"]) for one in rows] == [
        ("refund@v1", "v1.prompt", False),
        ("refund@v2", "v2.pipeline.yaml", True),
        ("refund@draft", "draft.pipeline.yaml", False),
    ]
    (folder / "evalh.toml").write_text((folder / "evalh.toml").read_text() + '[prompts.refund]\nlive = "v1"\n')
    rows = evalh(folder, "prompt", "list", "refund", "--json").document["versions"]
    assert [one["live"] for one in rows] == [True, False, False]


def test_a_new_pipeline_is_made_from_existing_prompts(folder: Path) -> None:
    done = evalh(folder, "prompt", "new", "other", "--step", "extract", "--step", "reply@v1")

    assert done.out.split() == ["other@draft", "prompts/other/draft.pipeline.yaml"]
    assert (folder / "prompts/other/draft.pipeline.yaml").read_text() == (
        "description: What this pipeline is for\nsteps:\n  extract:\n    inputs: {email: inputs.email}\n"
        "  reply:\n    prompt: reply@v1\n    inputs: {email: inputs.email, order: inputs.order}\n"
    )
    assert evalh(folder, "prompt", "new", "other", "--step", "extract").code == 2
    assert "no prompt 'extrct'" in evalh(folder, "prompt", "new", "third", "--step", "extrct").err
    assert not (folder / "prompts/third").exists()


def test_inputs_with_the_name_of_an_earlier_output_are_connected(folder: Path) -> None:
    (folder / "prompts/sort").mkdir()
    (folder / "prompts/sort/v1.prompt").write_text("Sort {{topic}} of {{extract}} in {{place}}")

    evalh(folder, "prompt", "new", "other", "--step", "extract", "--step", "sort")

    text = (folder / "prompts/other/draft.pipeline.yaml").read_text()
    assert "inputs: {extract: extract, place: inputs.place, topic: extract.topic}" in text


def test_check_finds_nothing_wrong_with_a_good_workspace(folder: Path) -> None:
    done = evalh(folder, "check")

    assert (done.code, done.out.splitlines()[-1].partition(" in ")[0]) == (
        0,
        "ok: 3 prompts, 3 versions, 1 suite, 3 cases",
    )


@pytest.mark.parametrize(
    ("path", "old", "new", "told"),
    [
        (
            STEPS,
            "{email: inputs.email}",
            "{email: inputs.mail}",
            "datasets/refunds.jsonl:1: case 'r-0001' gives no 'mail'",
        ),
        (
            STEPS,
            "  reply:\n",
            "  reply:\n    checks: [equals]\n",
            f"{STEPS}:9: 'equals' needs gold, and a check",
        ),
        (STEPS, "  reply:\n", "  reply:\n    checks: [equal]\n", f"{STEPS}:9: no grader 'equal'"),
        (STEPS, "  reply:\n", "  reply:\n    model: smal\n", f"{STEPS}:8: no model or route 'smal'"),
        ("evals/refund.yaml", "  extract: [", "  extrct: [", "evals/refund.yaml:5: refund@draft has no step 'extrct'"),
        ("evals/refund.yaml", "[{equals:", "[{equal:", "evals/refund.yaml:5: no grader 'equal'"),
        ("evals/refund.yaml", "prompt: refund", "prompt: reply", "evals/refund.yaml:5: reply@v1 has no step 'extract'"),
        (
            "datasets/refunds.jsonl",
            '{"extract":',
            '{"extrct":',
            "expected.steps names the step 'extrct', which no version",
        ),
        (
            "datasets/refunds.jsonl",
            '"expected"',
            '"given": {"ordr": 1}, "expected"',
            "given names the step 'ordr', which no",
        ),
        (
            "datasets/refunds.jsonl",
            '{"order_id": 1}',
            '{"order_id": "1"}',
            "expects text at order_id, where extract@v1",
        ),
        (STEPS, "steps:\n", "output: []\nsteps:\n", f"{STEPS}:2: the output does not name a step"),
        (STEPS, "steps/orders.py:find", "steps/orders.py:fnd", f"{STEPS}:6: steps/orders.py has no function 'fnd'"),
    ],
)
def test_check_finds_what_is_wrong_with_steps(folder: Path, path: str, old: str, new: str, told: str) -> None:
    edit(folder, path, old, new)

    done = evalh(folder, "check")

    assert done.code == 2
    assert told in done.out + done.err


def test_check_runs_nothing(folder: Path) -> None:
    (folder / "steps/orders.py").write_text(f"raise SystemExit('executed')\n{ORDERS}")

    assert evalh(folder, "check").code == 0
    assert evalh(folder, "prompt", "show", "refund").code == 0


def test_what_the_first_steps_send_is_rendered(folder: Path) -> None:
    document = evalh(folder, "render", "r-0001", "-s", "refund", "--step", "extract", "--json").document

    assert [one["role"] for one in document["messages"]] == ["system", "user"]
    assert "Where is order 1?" in str(document["messages"][1])


def test_a_rows_doubles_replace_the_steps_before_the_rendered_one(folder: Path) -> None:
    edit(
        folder,
        "datasets/refunds.jsonl",
        '"r-0002", ',
        '"r-0002", "given": {"extract": {"order_id": 2}, "order": {"id": 77}}, ',
    )

    done = evalh(folder, "render", "r-0002", "-s", "refund", "--step", "reply")

    assert done.code == 0
    assert 'Where is order 2? -- {"id":77}' in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "refund@draft is a pipeline: which step?\n  --step extract"),
        (["--step", "reply"], "'reply' sends no request before order"),
        (["--step", "order"], "'order' sends no request: it is a function"),
        (["--step", "replay"], "refund@draft has no step 'replay'\n  did you mean 'reply'?"),
    ],
)
def test_render_says_what_it_cannot_do(folder: Path, arguments: list[str], told: str) -> None:
    done = evalh(folder, "render", "r-0001", "-s", "refund", *arguments)

    assert done.code == 2
    assert told in done.err


def test_a_judge_asks_one_prompt(folder: Path) -> None:
    edit(folder, "evals/refund.yaml", "says}", "says}\n  - judge: {rubric: refund@draft, model: small}")

    done = evalh(folder, "check")

    assert done.code == 2
    assert "refund@draft is a pipeline, but a judge needs a single prompt" in done.out + done.err


def test_a_shell_completes_versions_of_both_kinds(folder: Path) -> None:
    evalh(folder, "prompt", "release", "refund")

    found = [one.text for one in names("versions", str(folder), "refund@")]

    assert found == ["refund@v1", "refund@draft"]


def test_a_gates_comment_is_at_the_first_step_that_changed(folder: Path) -> None:
    def pipeline() -> Pipeline:
        found = Prompts(WorkTree(folder), "prompts", {}).load("refund", "draft").pipeline
        assert found is not None
        return found

    before = pipeline()
    assert _first_changed_step(before, before) == 1
    edit(folder, "steps/orders.py", "late", "lost")
    assert _first_changed_step(before, pipeline()) == 5
    edit(folder, STEPS, "inputs.email}", "inputs.email, kind: {value: a}}")
    assert _first_changed_step(None, pipeline()) == 3
