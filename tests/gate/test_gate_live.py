"""What goes live is gated, also if there is a draft."""

from pathlib import Path

import pytest

from evalh.core.errors import ExitCode
from gating import CONFIG, PROMPT, Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Two frozen versions, of which v2 is live, and a draft that is no better than v2."""
    made = Repo(tmp_path / "repo")
    with made.on_main("Two versions"):
        for version, wrong in (("v1", 2), ("v2", 50), ("draft", 50)):
            made.write(f"prompts/triage/{version}.prompt", PROMPT.format(wrong=wrong, description=version))
    return made


def live(repo: Repo, version: str) -> None:
    repo.write("evalh.toml", f'{CONFIG}\n[prompts.triage]\nlive = "{version}"\n')


def test_a_rollback_is_gated_although_the_draft_is_what_it_was(repo: Repo) -> None:
    live(repo, "v1")
    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert decision.suites[0].head == "triage@v1"
    assert any("triage@v2 → triage@v1" in notice for notice in decision.suites[0].notices)


def test_an_edited_draft_is_gated_while_the_live_version_stays(repo: Repo) -> None:
    repo.prompt(wrong=2)
    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert decision.suites[0].head == "triage@draft"


def test_a_draft_that_is_not_released_does_not_hide_what_goes_live(repo: Repo) -> None:
    live(repo, "v1")
    repo.prompt(wrong=40)
    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert decision.suites[0].head == "triage@v1"
    assert any("triage@draft differs too" in notice for notice in decision.suites[0].notices)


def test_a_live_version_named_anew_with_the_same_words_changes_nothing(repo: Repo) -> None:
    live(repo, "v2")

    assert repo.gate().suites == ()


def test_a_judge_that_nobody_holds_to_account_is_told_beside_the_decision(tmp_path: Path) -> None:
    judge = "  - judge: {rubric: It names a team., scale: pass/fail, model: small, name: tone}\n"
    made = Repo(tmp_path / "repo", cases=30, gate=judge)
    made.prompt(wrong=2)
    (suite,) = made.gate().suites

    assert any("tone: this judge is not calibrated" in why for why in suite.judge_relative)
