"""A script has one face: `Workspace` has a method for each verb."""

from pathlib import Path

import pytest

from evalh import Workspace
from evalh.core.errors import ExitCode, NotFound
from gating import Repo


def test_a_script_measures_decides_and_reads_by_methods(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60, wrong=10)
    workspace = Workspace.open(repo.folder)
    run = workspace.run()
    (accepted,) = workspace.accept()
    (moved,) = workspace.drift("triage", cases=20)
    repo.git("checkout", "-q", "-B", "main")
    repo.commit("A baseline")
    repo.git("checkout", "-q", "-B", "change")
    repo.prompt(wrong=2)

    decision = Workspace.open(repo.folder).gate(base="main")

    assert (run.summary.good, accepted.good, moved.exit) == (54, 54, ExitCode.YES)
    assert decision.exit is ExitCode.NO
    assert workspace.check().problems == []
    assert workspace.doctor()[1].state == "ok"
    assert next(workspace.label(author="ada").questions(1)).case.id.startswith("t-")
    assert workspace.power(cases=60).cases == 60
    assert workspace.explain()[0][0] == "small"
    assert run.record.id in workspace.report(run.record.id)
    assert workspace.compare("draft", run.record.id).n == 60
    with pytest.raises(NotFound, match="no grader 'tone'"):
        workspace.calibrate("tone")
