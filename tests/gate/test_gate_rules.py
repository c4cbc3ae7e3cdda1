"""Rules outside the statistics, from end to end: a repository, a branch, answers with a price and a time of their own."""

from pathlib import Path

import pytest

from evalh.core.errors import ExitCode
from gating import PROMPT, Repo, row
from telling import TELLING, found, repo, tell
from workspaces import SUITE


@pytest.mark.parametrize(("price", "code"), [(105, ExitCode.YES), (140, ExitCode.NO)])
def test_a_good_output_may_become_dearer_by_so_much_and_no_more(tmp_path: Path, price: int, code: ExitCode) -> None:
    made = repo(tmp_path / "repo", "cost_per_good: {may_rise: 0.1}")
    tell(made, f"wrong=10 microcents={price}")

    decision = made.gate()

    assert decision.exit is found(decision, "cost_per_good").exit is code
    assert f"head's is {price / 100:.3g} times base's" in found(decision, "cost_per_good").reason
    assert decision.suites[0].stopped_at == 60  # nothing is accepted before every case is in


def test_latencies_are_held_to_their_rule_only_where_one_gate_asked_both_sides(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "latency_p95: {may_rise: 0.1}")
    tell(made, "wrong=10 ms=130")
    slower = made.gate()
    tell(made, "wrong=10 ms=131")
    on_another_day = made.gate()
    asked_anew = made.gate(fresh=True)

    assert slower.exit is found(slower, "latency_p95").exit is ExitCode.NO
    assert "head's is 1.3 times base's" in slower.reasons[0]
    assert on_another_day.exit is ExitCode.INCONCLUSIVE  # base's answers came from the log
    assert "60 of 60 cases were not asked on both sides in one gate" in on_another_day.reasons[0]
    assert "--fresh" in on_another_day.reasons[0]
    assert asked_anew.exit is ExitCode.NO


def test_what_must_never_happen_refuses_at_once_and_names_the_case(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "never: [no_number]", cases=120)
    tell(made, "wrong=10 leak=30")

    decision = made.gate()

    (suite,) = decision.suites
    broken = found(decision, "never no_number")
    assert decision.exit is broken.exit is ExitCode.NO
    assert suite.stopped_at < 120
    assert broken.cases
    assert {int(case[2:]) % 30 for case in broken.cases} == {0}
    assert set(broken.cases) <= set(suite.broken)


def test_what_never_happened_is_told_with_what_that_shows(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "never: [no_number]")
    tell(made, "wrong=11")

    decision = made.gate()

    assert decision.exit is ExitCode.YES
    assert found(decision, "never no_number").reason.startswith(
        "never: no_number failed on 0 of 50 cases; it fails on fewer than 5.8 % of such"
    )


@pytest.mark.parametrize(
    ("cases", "leak", "code", "told"),
    [
        (150, 1000, ExitCode.YES, "shown to be at most 2 %"),
        (60, 1000, ExitCode.INCONCLUSIVE, "149 cases without a failure show it"),
        (60, 10, ExitCode.NO, "shown to exceed 2 %"),
    ],
)
def test_a_bound_must_be_shown(tmp_path: Path, cases: int, leak: int, code: ExitCode, told: str) -> None:
    made = repo(tmp_path / "repo", "never: {no_number: 0.02}", cases=cases)
    tell(made, f"wrong=11 leak={leak}")

    decision = made.gate()

    assert decision.exit is found(decision, "never no_number").exit is code
    assert told in found(decision, "never no_number").reason


def test_a_grader_that_vanishes_does_not_fulfil_what_it_was_to_watch(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "never: [no_number]")
    tell(made, "wrong=10 leak=2")
    made.write("evals/triage.yaml", TELLING[: TELLING.index("  - not")])

    decision = made.gate()

    assert decision.exit is ExitCode.INCONCLUSIVE
    assert "head's suite has no grader 'no_number' any more" in decision.reasons[0]


@pytest.mark.parametrize(("wrong", "code"), [(11, ExitCode.YES), (4, ExitCode.NO)])
def test_a_new_prompt_is_held_to_its_good_rate(tmp_path: Path, wrong: int, code: ExitCode) -> None:
    made = Repo(tmp_path / "repo", cases=40)
    made.write("prompts/second/draft.prompt", PROMPT.format(wrong=wrong, description="New"))
    made.write(
        "evals/second.yaml", SUITE.replace("prompt: triage", "prompt: second") + "gate: {good_rate: {at_least: 0.9}}\n"
    )

    decision = made.gate()

    (suite,) = decision.suites
    assert (suite.base, suite.head, suite.stopped_at) == (None, "second@draft", 40)
    assert decision.exit is found(decision, "good_rate").exit is code
    assert {int(case[2:]) % wrong for case in found(decision, "good_rate").cases} <= {0}


def test_a_grader_with_a_rule_of_its_own_refuses_although_as_many_outputs_are_good(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "graders: {no_number: {margin: 0.02}}", cases=150)
    tell(made, "wrong=10 leak=3")

    decision = made.gate()

    broken = found(decision, "grader no_number")
    assert found(decision, "good").exit is ExitCode.YES
    assert decision.exit is broken.exit is ExitCode.NO
    assert broken.reason.startswith("no_number: shown to be worse")
    assert {int(case[2:]) % 3 for case in broken.cases} == {0}


@pytest.mark.parametrize(("wrong", "code"), [(9, ExitCode.YES), (5, ExitCode.NO)])
def test_about_these_cases_alone_few_are_enough_to_decide(tmp_path: Path, wrong: int, code: ExitCode) -> None:
    """Of 40 cases 4 are bad on base. `require: no_worse` over cases like these would need hundreds."""
    made = Repo(tmp_path / "repo", cases=40, gate="gate: {require: no_worse, target: dataset}\n")
    made.prompt(wrong=wrong)

    assert made.gate().exit is code


def test_a_deleted_case_needs_a_word_where_the_dataset_is_what_counts(tmp_path: Path) -> None:
    made = Repo(tmp_path / "repo", cases=40, gate="gate: {target: dataset}\n")
    made.prompt(wrong=5)
    made.rows([row(number) for number in range(1, 41) if number % 5])

    assert "deleted" in made.gate().reasons[0]
