"""Comparing from a script."""

from pathlib import Path

from evalh import Workspace
from evalh.analysis.compare.comparison import ComparisonVerdict
from workspaces import write_workspace


def test_a_script_compares_and_the_second_side_is_not_run_twice(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=30)
    text = (folder / "prompts/triage/v1.prompt").read_text()
    (folder / "prompts/triage/v2.prompt").write_text(text.replace("Sort", "Do sort"))
    workspace = Workspace.open(folder, env={})

    same, other = workspace.compare("v1", "v1"), workspace.compare("v1", "v2", margin=0.4)

    assert same.identical
    assert same.base.run == same.head.run
    assert not other.identical
    assert other.verdict is ComparisonVerdict.NO_WORSE
    assert len(workspace.log.runs()) == 3
    again = workspace.compare("v1", "v1", fresh=True, trials=1)
    assert again.verdict is ComparisonVerdict.NO_WORSE


def test_a_version_beside_a_saved_run_takes_its_cases_and_trials(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=30)
    (folder / "prompts/triage/v2.prompt").write_text((folder / "prompts/triage/v1.prompt").read_text() + "\nNow.\n")
    workspace = Workspace.open(folder, env={})
    from evalh import Selection

    saved = workspace.run(prompt="v1", selection=Selection(limit=7), trials=2).record.id

    comparison = workspace.compare(saved, "v2")

    assert comparison.comparable
    assert (comparison.n, comparison.head.samples, comparison.head.trials) == (7, 14, 2)
