"""A gate asks the judges of two outputs, and is decided without them."""

from pathlib import Path

import pytest

from evalh.core.calibration import Held
from evalh.core.errors import ExitCode, WorkspaceError
from gating import ANSWERS, CONFIG, Repo
from workspaces import SUITE, document, evalh

JUDGE = """

def judge(request, case_id, trial):
    text = request.messages[-1].text
    first, second = text.index("Output (a):"), text.index("Output (b):")
    right = "billing" in text[first:second]
    return json.dumps({"reason": "I read both.", "better": "a" if right else "b"})
"""
GRADING = """

def judge(request):
    return json.dumps({"reason": "I read it.", "verdict": "pass"})
"""
STRONG = '\n[models.strong]\nprovider = "scripted"\nmodel = "judge-1"\nfunction = "evals/answers.py:judge"\n'


def repo(folder: Path, judge: str = JUDGE, model: str = "strong") -> Repo:
    made = Repo(folder, cases=60, gate=f"compare:\n  - prefer: {{rubric: The right team., model: {model}}}\n")
    with made.on_main("A judge"):
        made.write("evals/answers.py", ANSWERS + judge)
        made.write("evalh.toml", CONFIG + STRONG)
    return made


def test_the_judges_of_two_outputs_are_asked_and_decide_nothing(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo")
    made.prompt(wrong=50)

    decision = made.gate()

    (suite,) = decision.suites
    assert suite.comparison is not None
    (said,) = suite.comparison.preferred
    assert suite.comparison.wins > 0
    assert (said.head, said.base) == (suite.comparison.wins, suite.comparison.losses)
    assert said.ties == suite.comparison.ties  # equal outputs: no model is asked
    assert said.unjudged == 0
    assert [(one.judge, one.state, one.required) for one in suite.judges] == [("prefer", Held.NEVER, False)]
    assert suite.judge_relative == ()
    assert decision.exit is ExitCode.YES


def test_it_is_printed_and_shown_again_and_a_second_gate_buys_nothing(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo")
    made.prompt(wrong=50)
    printed = evalh(made.folder, "gate", "--base", "main")
    again = document(evalh(made.folder, "gate", "--base", "main", "--json"))
    asked = document(evalh(made.folder, "sql", "--json", "select count(*) as n from attempts where model = 'strong'"))

    (said,) = again["suites"][0]["comparison"]["preferred"]
    assert f"prefers head on {said['head']}, base on 0" in " ".join(printed.stdout.split())
    assert asked["rows"][0][0] == 2 * said["head"]


def test_a_judge_that_fails_leaves_the_decision_as_it_is(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "\n\ndef judge(request):\n    raise RuntimeError('down')\n")
    made.prompt(wrong=50)

    decision = made.gate()

    (suite,) = decision.suites
    assert decision.exit is ExitCode.YES
    assert suite.comparison is not None
    (said,) = suite.comparison.preferred
    assert said.unjudged == suite.comparison.wins
    assert said.why_unjudged is not None


def test_a_judge_that_nobody_knows_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", model="stronk")
    made.prompt(wrong=50)

    with pytest.raises(WorkspaceError, match="stronk"):
        made.gate()

    assert evalh(made.folder, "calls", "--json").stdout.count('"id"') == 0


def test_a_judge_of_a_model_that_only_head_has_scores_both_sides(tmp_path: Path) -> None:
    made = Repo(tmp_path / "repo", cases=60, wrong=10)
    made.write("evals/answers.py", ANSWERS + GRADING)
    made.write("evalh.toml", CONFIG + STRONG.replace("strong", "newer"))
    made.write("evals/triage.yaml", SUITE + "  - judge: {rubric: It names a team., scale: pass/fail, model: newer}\n")
    made.prompt(wrong=50)

    decision = made.gate(allow_suite_change=True)

    (suite,) = decision.suites
    assert suite.comparison is not None
    assert suite.comparison.n == suite.stopped_at > 0
    assert [one.judge for one in suite.judges] == ["judge"]
