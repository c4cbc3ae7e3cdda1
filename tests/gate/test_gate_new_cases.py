"""New cases beside old ones: what old ones lose by any rule that chance can break is not made up for by new ones."""

from pathlib import Path

import pytest

from evalh.core.errors import ExitCode
from gating import row
from telling import found, repo, tell

# Head answers "bug" on these, as they expect; base does not.
SUITED = [row(1009 * number, expected={"label": "bug"}) for number in range(1, 56)]
EASY = [row(1001 + 2 * number) for number in range(55)]  # what is wrong on every other case is right on these


@pytest.mark.parametrize(
    ("gate", "base", "head", "rows", "told"),
    [
        (
            "cost_per_good: {may_rise: 0.1}",
            "wrong=99999",
            "wrong=1009 microcents=140",
            SUITED,
            "head's is 1.4 times base's",
        ),
        ("good_rate: {at_least: 0.75}", "wrong=2", "wrong=2 ms=99", EASY, "30 of 60 are good"),
        ("never: {no_number: 0.3}", "wrong=99999", "wrong=99999 leak=2", EASY, "failed on 30 of 60 cases"),
    ],
)
def test_new_cases_that_suit_head_hide_nothing_from_a_rule(
    tmp_path: Path, gate: str, base: str, head: str, rows: list[dict[str, object]], told: str
) -> None:
    made = repo(tmp_path / "repo", gate, told=base)
    tell(made, head)
    made.rows([row(number) for number in range(1, 61)] + rows)

    decision = made.gate()

    (suite,) = decision.suites
    (old,) = [one for one in suite.findings if one.rule.startswith("old cases, ")]
    assert decision.exit is old.exit is ExitCode.NO
    assert old.reason.startswith("old cases, ")
    assert told in old.reason
    assert found(decision, old.rule.removeprefix("old cases, ")).exit is not ExitCode.NO  # over all cases it is hidden
    assert any("55 of 115 cases are new" in notice for notice in suite.notices)


def test_a_bound_that_must_be_shown_may_be_shown_by_old_and_new_cases_together(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "never: {no_number: 0.04}", told="wrong=10")
    tell(made, "wrong=10 ms=99")
    made.rows([row(number) for number in range(1, 61)] + EASY)

    decision = made.gate()

    assert "shown to be at most 4 %" in found(decision, "never no_number").reason
    assert "at most 4 % is not shown" in found(decision, "old cases, never no_number").reason
    assert decision.exit is ExitCode.YES


def test_latencies_of_old_cases_are_held_to_their_rule_by_themselves(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "latency_p95: {may_rise: 0.1}")
    tell(made, "wrong=10 ms=130")
    made.rows([row(number) for number in range(1, 61)] + EASY)

    decision = made.gate()

    assert found(decision, "old cases, latency_p95").exit is ExitCode.NO
    assert "head's is 1.3 times base's" in found(decision, "old cases, latency_p95").reason
