"""A required judge that is not calibrated is named."""

import json
from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from evalh.api.judges import identity, stale_calibrations, uncalibrated
from evalh.api.workspace import Workspace
from evalh.core.calibration import AgreementTable, Calibration, Confusion
from evalh.core.run import Estimate
from evalh.graders.kinds import Grader
from evalh.graders.registry import build_all
from evalh.report.terminal.calibration import show_calibration
from evalh.stats.agreement import agreement
from evalh.stats.calibration import tells_little
from evalh.workspace.kept.calibrations import write_calibration
from faults.running import here
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
    table = Confusion(both_good=10, judge_only=2, people_only=1, both_bad=7)
    write_calibration(workspace.root, replace(calibration(judge), labelled=20, confusion=table, few_labels=True))
    (few,) = uncalibrated(workspace.tree, "triage", graders(workspace))
    write_calibration(workspace.root, calibration(judge))

    assert "tone: this judge is not calibrated (evalh label triage --about tone" in never
    assert "people and this judge disagree on 3 of 20 labelled outputs: too few to estimate its errors" in few
    assert uncalibrated(workspace.tree, "triage", graders(workspace)) == ()


def shown(calibration: Calibration) -> str:
    console = Console(file=StringIO(), width=200)
    show_calibration(console, calibration)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_a_judge_that_is_shown_to_be_worse_than_chance_is_called_so(workspace: Workspace) -> None:
    judge = graders(workspace)[-1]
    told = {}
    for agreed, disagreed in ((2, 18), (9, 11)):
        pairs = [(True, True), (False, False)] * (agreed // 2) + [(True, False), (False, True)] * (disagreed // 2)
        one = replace(calibration(judge), agreement=agreement(pairs, seed=1))
        write_calibration(workspace.root, one)
        told[disagreed] = (shown(one), uncalibrated(workspace.tree, "triage", graders(workspace)))

    worse, guessing = told[18], told[11]
    assert (
        "this judge is worse than chance: people and the judge disagree more often than random answers would"
        in worse[0]
    )
    assert "worse than chance" in worse[1][0]
    assert "worse than chance" not in guessing[0]  # kappa is below 0, its interval is not
    assert guessing[1] == ()


@pytest.mark.parametrize(
    ("agreed", "disagreed", "told"),
    [
        (17, 3, "3 of 20 labelled outputs: too few to estimate its errors"),
        (197, 3, "enough to show that it is rarely wrong, but not in which way"),
    ]
    + [(10, 10, None)],
)
def test_a_calibration_warns_by_disagreements(
    workspace: Workspace, agreed: int, disagreed: int, told: str | None
) -> None:
    table = Confusion(both_good=agreed, judge_only=disagreed, people_only=0, both_bad=0)
    one = replace(
        calibration(graders(workspace)[-1]),
        labelled=table.labelled,
        confusion=table,
        few_labels=tells_little(table.disagreements, table.labelled),
    )

    text = shown(one)

    assert ("people and the judge disagree on" in text) is (told is not None)
    assert told is None or told in text


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

    assert uncalibrated(workspace.tree, "triage", graders(workspace)) == ()


def test_every_report_says_how_far_the_judges_of_a_run_are_held_against_people(workspace: Workspace) -> None:
    folder = workspace.root
    assert here(folder, "run").exit == 4  # the scripted model cannot judge: its verdicts are errors
    never = reports(folder)
    judge = graders(workspace)[-1]
    kappa = Estimate(0.61, 0.42, 0.8, "delta")
    table = AgreementTable(cases=80, raters=2, raw=kappa, ac1=kappa, kappa=kappa, alpha=kappa)
    write_calibration(folder, replace(calibration(judge), agreement=table))
    held = reports(folder)
    write_calibration(folder, replace(calibration(judge), judge_digest="sha256:of another"))
    stale = reports(folder)

    for form in ("html", "markdown", "terminal", "json"):
        assert "is not calibrated" in never[form]
        assert "changed since it was calibrated" in stale[form]
    for form in ("html", "markdown", "terminal"):
        assert "judge tone" in never[form]
        assert "calibrated with 80 labels on 2026-11-24" in held[form]
        assert "kappa 0.61" in held[form]
    (one,) = json.loads(held["json"])["judges"]
    assert (one["judge"], one["calibration"], one["labels"], one["kappa"]["value"], one["relative"]) == (
        "tone",
        "calibrated",
        80,
        0.61,
        None,
    )


def reports(folder: Path) -> dict[str, str]:
    page = folder / "page.html"
    assert here(folder, "report", "last", "-o", str(page)).exit == 0
    texts = {"html": page.read_text().replace("&#39;", "'").replace("&#x27;", "'")}
    for form in ("markdown", "terminal", "json"):
        done = here(folder, "report", "last", *(["--json"] if form == "json" else []), "--format", form)
        assert done.exit == 0, done.err
        texts[form] = " ".join(done.out.split())
    return texts
