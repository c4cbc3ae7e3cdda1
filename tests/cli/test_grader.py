"""`evalh grader test`: a file's graders, tried on the outputs of the log."""

import json
from pathlib import Path

import pytest

from faults.running import here
from workspaces import write_workspace

FILE = """from evalh import GradeContext, Verdict, grader


@grader("max_words")
def max_words(ctx: GradeContext, *, limit: int) -> Verdict:
    words = len(ctx.text.split())
    return Verdict.check(words <= limit, f"{words} words; limit {limit}")


@grader("odd")
async def odd(ctx: GradeContext) -> Verdict:
    if ctx.case.id == "t-0003":
        raise ValueError("boom")
    return Verdict.check("bug" not in ctx.text, "no bug")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_workspace(tmp_path, cases=14)
    (made / "evals/graders.py").write_text(FILE)
    suite = made / "evals/triage.yaml"
    suite.write_text(suite.read_text() + "  - max_words: {limit: 1, required: false}\n")
    config = made / "evalh.toml"
    config.write_text(config.read_text().replace("[workspace]\n", '[workspace]\nplugins = ["evals/graders.py"]\n'))
    return made


def test_every_grader_judges_the_logs_outputs_and_an_error_is_a_no(folder: Path) -> None:
    before = here(folder, "grader", "test", "evals/graders.py")
    assert here(folder, "run").exit == 0
    done = here(folder, "grader", "test", "evals/graders.py", "--json")
    shown = here(folder, "grader", "test", "evals/graders.py")

    assert before.exit == 0
    assert "the log has no output to try it on" in before.out
    assert (done.exit, shown.exit) == (1, 1)
    words, odd = json.loads(done.out)["graders"]
    assert (words["grader"], words["params"], words["counts"]["fail"]) == ("max_words", {"limit": 1}, 14)
    assert (odd["counts"]["error"], odd["outputs"]) == (1, 14)
    assert odd["examples"][0]["case_id"] == "t-0003"
    assert "ValueError: boom" in odd["examples"][0]["reason"]
    assert "2 words; limit 1" in shown.out


def test_a_file_without_graders_a_missing_one_and_an_unknown_run_are_told(folder: Path) -> None:
    (folder / "evals/empty.py").write_text("x = 1\n")
    assert here(folder, "run").exit == 0

    for arguments, told in (
        (["evals/empty.py"], "registers no grader"),
        (["evals/none.py"], "none.py"),
        (["evals/graders.py", "--run", "r20200101-000000-000000"], "r20200101"),
    ):
        done = here(folder, "grader", "test", *arguments)
        assert done.exit == 2
        assert told in done.err
        assert "Traceback" not in done.err
