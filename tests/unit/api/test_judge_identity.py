"""A required judge that nobody holds to account is told by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from evalh.api.judge_identity import identity, stale_calibrations, uncalibrated
from evalh.api.workspace import Workspace
from evalh.core.calibration import Calibration, Confusion
from evalh.graders.kinds import Grader
from evalh.graders.registry import build_all
from evalh.workspace.calibrations import write_calibration
from workspaces import SUITE, write_workspace

JUDGE = "  - judge: {rubric: It names the next step., scale: pass/fail, model: small, name: tone}\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_workspace(tmp_path)
    (tmp_path / "evals/triage.yaml").write_text(SUITE + JUDGE)
    return Workspace.open(tmp_path)


def graders(workspace: Workspace) -> tuple[Grader, ...]:
    return build_all(workspace.suite("triage").graders, workspace.grader_environment)


def calibration(judge: Grader) -> Calibration:
    return Calibration(
        suite="triage",
        judge=judge.name,
        about=judge.name,
        judge_digest=identity(judge.document()),
        outputs=200,
        unjudged=0,
        labelled=80,
        torn=0,
        authors=1,
        of_others=0,
        confusion=Confusion(both_good=40, judge_only=5, people_only=5, both_bad=30),
        agreement=None,
        people=None,
        rates=(),
        few_labels=False,
        at="2026-11-24T18:00:00Z",
    )


def test_a_judge_is_told_until_it_was_held_against_enough_labels(workspace: Workspace) -> None:
    judge = graders(workspace)[-1]
    (never,) = uncalibrated(workspace.tree, "triage", graders(workspace))
    write_calibration(workspace.root, replace(calibration(judge), labelled=20, few_labels=True))
    (few,) = uncalibrated(workspace.tree, "triage", graders(workspace))
    write_calibration(workspace.root, calibration(judge))

    assert "tone: this judge was never held against people (evalh label triage --about tone" in never
    assert "20 labels, fewer than 50" in few
    assert uncalibrated(workspace.tree, "triage", graders(workspace)) == []


def test_a_changed_rubric_makes_a_calibration_stale(workspace: Workspace) -> None:
    write_calibration(workspace.root, calibration(graders(workspace)[-1]))
    suite = workspace.root / "evals/triage.yaml"
    suite.write_text(suite.read_text().replace("next step", "next two steps"))

    (changed,) = uncalibrated(workspace.tree, "triage", graders(workspace))
    (stale,) = stale_calibrations(workspace.tree, "triage", graders(workspace))
    assert "tone: the judge was changed" in changed
    assert "reports/calibrations/triage/tone.json: stale" in stale


def test_a_judge_that_decides_nothing_and_a_rule_are_not_told(workspace: Workspace) -> None:
    suite = workspace.root / "evals/triage.yaml"
    suite.write_text(suite.read_text().replace("name: tone", "name: tone, required: false"))

    assert uncalibrated(workspace.tree, "triage", graders(workspace)) == []
