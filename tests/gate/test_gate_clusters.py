"""Cases that are alike count as one in a gate, and a change cannot tie cases together unseen."""

from pathlib import Path

import pytest

from evalh.analysis.gate.decision import GateStatus
from evalh.core.errors import ExitCode
from gating import PROMPT, Repo, row
from telling import found
from workspaces import SUITE


def templates(cases: int, size: int) -> list[dict[str, object]]:
    """Rows of which each `size` come from one template: the model is wrong on whole templates."""
    return [row(number, cluster=f"template-{(number - 1) // size}") for number in range(1, cases + 1)]


def test_templates_are_asked_and_counted_as_wholes(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=100)
    repo.rows(templates(100, 5))
    repo.commit("Name the templates")
    repo.git("branch", "-f", "main")
    repo.prompt(wrong=5)

    decision = repo.gate()

    (suite,) = decision.suites
    assert suite.comparison is not None
    assert suite.comparison.clusters * 5 == suite.comparison.n == suite.stopped_at
    assert suite.comparison.test == "none"
    # Every template loses one case in five: twenty clusters that each lost a fifth, not twenty lost cases.
    assert suite.comparison.difference.value == pytest.approx(-0.1, abs=0.03)


def test_copies_of_one_question_show_nothing(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60)
    repo.rows([{**row(number), "inputs": {"ticket": "The same."}} for number in range(1, 61)])
    repo.commit("Copies")
    repo.git("branch", "-f", "main")
    repo.prompt(wrong=2)

    decision = repo.gate()

    (suite,) = decision.suites
    assert suite.comparison is not None
    assert (suite.comparison.n, suite.comparison.clusters) == (60, 1)
    assert decision.exit is ExitCode.YES
    assert suite.doubt
    assert "no drop, however large" in decision.reasons[0] or "chance may explain it" in decision.reasons[0]


@pytest.mark.parametrize("how", ["cluster", "new rows"])
def test_tying_cases_together_needs_a_word(tmp_path: Path, how: str) -> None:
    repo = Repo(tmp_path / "repo", cases=60)
    repo.prompt(wrong=2)
    rows = [row(number) for number in range(1, 61)]
    if how == "cluster":
        rows = [{**one, "cluster": "all"} for one in rows]
    else:  # each new row shares an old one's inputs, and all new rows share a cluster
        rows += [{**row(number + 100), "inputs": row(number)["inputs"], "cluster": "all"} for number in range(1, 61)]
    repo.rows(rows)

    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert "--allow-dataset-change" in found(decision, "dataset").reason
    assert len(found(decision, "dataset").cases) == 60


@pytest.mark.parametrize("copies", [1, 4])
def test_new_rows_in_the_clusters_of_cases_that_get_worse_hide_nothing(tmp_path: Path, copies: int) -> None:
    repo = Repo(tmp_path / "repo", cases=100, wrong=1000)
    repo.prompt(wrong=5)
    lost = range(5, 101, 5)
    # Beside each case that is lost: each cluster loses a half, or a fifth.
    fresh = (1001 + 5 * (copies * number + copy) for number in lost for copy in range(copies))
    repo.rows(
        [row(number) for number in range(1, 101)]
        + [{**row(next(fresh)), "inputs": row(number)["inputs"]} for number in lost for _ in range(copies)]
    )

    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert found(decision, "old cases").exit is ExitCode.NO
    assert set(found(decision, "old cases").cases) <= {f"t-{number:04d}" for number in lost}


def test_a_large_drop_over_few_cases_is_accepted_in_doubt_and_says_so(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=24, wrong=30)
    repo.prompt(wrong=8)

    decision = repo.gate()

    assert decision.status is GateStatus.ACCEPT
    assert decision.doubt
    assert "worse by 12.5 points as measured, and chance may explain it" in decision.reasons[0]
    assert "cases in all would decide" in decision.reasons[0]


@pytest.mark.parametrize(("doubt", "code"), [("inconclusive", ExitCode.INCONCLUSIVE), ("refuse", ExitCode.NO)])
def test_the_policy_says_what_becomes_of_a_doubt(tmp_path: Path, doubt: str, code: ExitCode) -> None:
    repo = Repo(tmp_path / "repo", cases=24, wrong=30, gate=f"gate: {{doubt: {doubt}}}\n")
    repo.prompt(wrong=8)

    decision = repo.gate()

    assert decision.exit is code
    assert not decision.doubt
    assert "chance may explain it" in decision.reasons[0]


def test_what_is_better_is_accepted_without_a_doubt(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=24, wrong=8)
    repo.prompt(wrong=30)

    decision = repo.gate()

    assert decision.exit is ExitCode.YES
    assert not decision.doubt


def test_a_good_rate_below_its_bar_by_chance_is_a_doubt(tmp_path: Path) -> None:
    made = Repo(tmp_path / "repo", cases=20)
    made.write("prompts/second/draft.prompt", PROMPT.format(wrong=7, description="New"))
    made.write(
        "evals/second.yaml", SUITE.replace("prompt: triage", "prompt: second") + "gate: {good_rate: {at_least: 0.95}}\n"
    )

    decision = made.gate()

    assert decision.exit is ExitCode.YES
    assert decision.doubt
    assert "18 of 20 are good, 90.0 %, below 95 %; chance may explain it" in decision.reasons[0]


def test_many_suites_with_a_rule_share_one_error_rate(tmp_path: Path) -> None:
    made = Repo(tmp_path / "repo", cases=40)
    for number in range(12):
        # Each alone is below the bar with a p-value of 0.03 or so; twelve such suites are expected of chance.
        made.write(f"prompts/p{number}/draft.prompt", PROMPT.format(wrong=8, description="New"))
        made.write(
            f"evals/p{number}.yaml",
            SUITE.replace("prompt: triage", f"prompt: p{number}") + "gate: {good_rate: {at_least: 0.95}}\n",
        )

    decision = made.gate()

    assert decision.exit is ExitCode.YES
    assert all(suite.doubt for suite in decision.suites)
