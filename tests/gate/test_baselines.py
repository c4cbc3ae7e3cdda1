"""Baselines: written, committed, read at the merge base, refused when they were edited."""

import json
import time
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from evalh.api.baselines import accept, states
from evalh.api.event_loop import SystemClock
from evalh.api.options import AcceptOptions
from evalh.api.workspace import Workspace
from evalh.core.errors import ExitCode, WorkspaceError
from evalh.workspace.kept.baselines import Baseline, read_baseline, write_baseline
from gating import Repo

FILE = "reports/baselines/triage/draft.small.jsonl"
pytest_plugins = ["pytester"]


def accepted(folder: Path, *, outputs: bool) -> Repo:
    """A repository whose main branch holds a baseline, cloned onto a machine without a log."""
    repo = Repo(folder / "repo", cases=40)
    accept(Workspace.open(repo.folder), AcceptOptions(suite="triage", outputs=outputs))
    repo.commit("Accept")
    repo.git("branch", "-f", "main")
    repo.git("clone", "-q", str(repo.folder), str(folder / "fresh"))
    repo.folder = folder / "fresh"
    repo.git("branch", "-q", "main", "origin/main")
    return repo


@pytest.mark.parametrize("outputs", [True, False])
def test_a_fresh_machine_asks_only_what_head_changed(tmp_path: Path, outputs: bool) -> None:
    repo = accepted(tmp_path, outputs=outputs)
    repo.prompt(wrong=2)

    decision = repo.gate()

    (suite,) = decision.suites
    assert decision.exit is ExitCode.NO
    assert suite.asked == suite.stopped_at == 25
    assert suite.evidence[0].base_output == ('{"label": "billing"}' if outputs else None)


def test_a_baseline_of_head_is_not_believed(tmp_path: Path) -> None:
    repo = accepted(tmp_path, outputs=False)
    repo.prompt(wrong=2)
    lines = (repo.folder / FILE).read_text().splitlines(keepends=True)
    (repo.folder / FILE).write_text("".join(lines[:1]))

    assert repo.gate().suites[0].asked == 25


def test_a_baseline_that_was_edited_is_refused(tmp_path: Path) -> None:
    repo = accepted(tmp_path, outputs=False)
    edited = (repo.folder / FILE).read_text().replace('"bad"', '"good"', 1)
    repo.write(FILE, edited)
    repo.commit()
    repo.prompt(wrong=2)

    with pytest.raises(WorkspaceError, match="were edited"):
        repo.gate(base="HEAD")


@pytest.mark.parametrize("fits", [True, False])
def test_a_trial_that_stands_twice_is_named_with_its_lines(tmp_path: Path, fits: bool) -> None:
    folder = accepted(tmp_path, outputs=False).folder
    header, *rows = (json.loads(line) for line in (folder / FILE).read_text().splitlines())
    kept = Baseline(path=FILE, header=header, rows=[*rows, rows[3]])
    if fits:
        write_baseline(folder, kept)
    else:
        (folder / FILE).write_text("".join(json.dumps(one) + "\n" for one in (header, *kept.rows)))

    with pytest.raises(WorkspaceError, match=r"has trial 0 twice: here and in line 5") as raised:
        read_baseline(Workspace.open(folder).tree, FILE)

    assert raised.value.where == f"{FILE}:42"


def test_a_stale_baseline_says_what_changed(tmp_path: Path) -> None:
    repo = accepted(tmp_path, outputs=True)
    before = states(Workspace.open(repo.folder))
    repo.prompt(wrong=9)

    after = states(Workspace.open(repo.folder))

    assert [one.stale for one in before] == [()]
    assert [one.stale for one in after] == [("prompt changed",)]
    assert [one.again for one in before] == [None]
    assert after[0].again is not None
    assert after[0].again.startswith("evalh baseline accept triage@")  # the log has no answer of this prompt


def test_a_suites_gate_is_a_test(tmp_path: Path, pytester: pytest.Pytester) -> None:
    repo = Repo(pytester.path, cases=40)
    for version, wrong in (("v1", 2), ("v2", 20)):
        repo.prompt(wrong)
        (repo.folder / "prompts/triage/draft.prompt").rename(repo.folder / f"prompts/triage/{version}.prompt")
    pytester.makepyfile(
        """
        def test_better(evalh):
            evalh.gate("triage", base="v1", head="v2").assert_accepted()

        def test_worse(evalh):
            evalh.gate("triage", base="v2", head="v1").assert_accepted()
        """
    )

    installed = any(one.value == "evalh.pytest_plugin" for one in entry_points(group="pytest11"))
    named = () if installed else ("-p", "evalh.pytest_plugin")  # an environment from before there was a plugin
    result = pytester.runpytest_subprocess(*named, "-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*shown to be worse*"])


def test_a_baseline_ages(tmp_path: Path) -> None:
    repo = accepted(tmp_path, outputs=True)
    repo.write("evals/triage.yaml", (repo.folder / "evals/triage.yaml").read_text() + "baseline: {max_age: 2w}\n")
    workspace = Workspace.open(repo.folder)
    accepted_at = datetime.fromisoformat(states(workspace)[0].date + "T12:00:00+00:00").timestamp()

    fresh, stale = (states(workspace, accepted_at + days * 86_400) for days in (14, 15))

    assert fresh[0].stale == ()
    assert stale[0].stale == ("15 days old, more than 14",)
    assert stale[0].again is not None
    assert stale[0].again.startswith("evalh baseline accept --fresh triage@")  # the log's answers are as old


def test_outputs_that_a_suite_does_not_allow_are_not_kept(tmp_path: Path) -> None:
    repo = accepted(tmp_path, outputs=True)
    repo.write("evals/triage.yaml", (repo.folder / "evals/triage.yaml").read_text() + "baseline: {outputs: false}\n")
    workspace = Workspace.open(repo.folder)
    (before,) = states(workspace)

    accept(workspace, AcceptOptions(suite="triage"))

    assert before.stale[0].startswith("has outputs")
    assert states(workspace)[0].stale == ()
    assert not list((repo.folder / "reports").rglob("*.gz"))


def test_a_gate_does_not_believe_what_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = accepted(tmp_path, outputs=True)
    suite = (repo.folder / "evals/triage.yaml").read_text()
    repo.write("evals/triage.yaml", suite + "baseline: {max_age: 4w}\n")
    repo.commit("Believe it for four weeks")
    repo.git("branch", "-f", "main")
    repo.write("evals/triage.yaml", suite + "baseline: {max_age: 99w}\n")  # its own bar: not read
    repo.prompt(wrong=2)
    monkeypatch.setattr(SystemClock, "now", lambda _: time.time() + 30 * 86_400)

    (late,) = repo.gate().suites

    assert late.asked == 2 * late.stopped_at
    assert any("30 days old, more than 28: it is not used" in notice for notice in late.notices)


def test_a_gate_says_that_no_outputs_are_kept(tmp_path: Path) -> None:
    repo = accepted(tmp_path, outputs=False)
    repo.prompt(wrong=2)

    (suite,) = repo.gate().suites

    assert suite.asked == suite.stopped_at
    assert any("has no outputs: base's answers cannot be shown" in notice for notice in suite.notices)
    repo.write("evals/triage.yaml", (repo.folder / "evals/triage.yaml").read_text().replace("- schema", "- json"))
    (regraded,) = repo.gate().suites
    assert any("has no outputs to grade again" in notice for notice in regraded.notices)
    assert regraded.comparison is not None
    assert regraded.comparison.base.samples == regraded.stopped_at


def test_a_version_of_another_prompt_is_accepted_in_that_prompts_suite(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=4)
    repo.write("prompts/other/v1.prompt", (repo.folder / "prompts/triage/draft.prompt").read_text())
    repo.write(
        "evals/other.yaml", (repo.folder / "evals/triage.yaml").read_text().replace("prompt: triage", "prompt: other")
    )

    (accepted_,) = accept(Workspace.open(repo.folder), AcceptOptions(ref="other@v1"))

    assert (accepted_.prompt, accepted_.samples) == ("other@v1", 4)
    assert accepted_.files[0] == repo.folder / "reports/baselines/other/v1.small.jsonl"


def test_an_id_may_hold_what_python_takes_for_a_line_end(tmp_path: Path) -> None:
    folder = accepted(tmp_path, outputs=False).folder
    header, row, *_ = (json.loads(line) for line in (folder / FILE).read_text().splitlines())
    written = Baseline(path=FILE, header=header, rows=[{**row, "id": "a\u2028b\x85c"}])
    write_baseline(folder, written)

    read = read_baseline(Workspace.open(folder).tree, FILE)

    assert read is not None
    assert read.rows == written.rows
