"""What a gate says of the graders that rows bring: one that was removed or weakened can hide a regression."""

from pathlib import Path

import pytest

from evalh.core.errors import ExitCode
from gating import Make, Repo, row
from workspaces import SUITE

COUNTED = SUITE + "  - case: {none: pass}\n"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A repository on whose main every row asks for a billing label, by a grader of its own."""

    def build(gate: str = "") -> Repo:
        repo = Repo(tmp_path / "repo", cases=60, wrong=60)
        with repo.on_main():
            repo.write("evals/triage.yaml", COUNTED + gate)
            repo.rows(rows())
        return repo

    return build


def rows(**changed: list[object]) -> list[dict[str, object]]:
    """Return the rows; `t7=[…]` gives row 7 these graders of its own."""
    own: list[object] = [{"contains": {"value": "billing", "name": "sorted"}}]
    return [row(number, graders=changed.get(f"t{number}", own)) for number in range(1, 61)]


def test_a_row_whose_grader_was_removed_is_listed_and_scored_the_old_way(make: Make) -> None:
    repo = make()
    repo.prompt(wrong=7)
    repo.rows(rows(t7=[]))

    refused, allowed = repo.gate(), repo.gate(allow_dataset_change=True)

    assert refused.exit is ExitCode.NO
    assert any("1 with other graders in the row (t-0007)" in reason for reason in refused.reasons)
    assert any("by base's suite: 1 of 1 good on base, 0 on head" in note for note in refused.suites[0].notices)
    assert not any("with other graders" in reason and "allowed" not in reason for reason in allowed.reasons)


@pytest.mark.parametrize(
    "graders",
    [
        [{"contains": {"value": "b", "name": "sorted"}}],
        [{"contains": {"value": "billing", "name": "sorted", "required": False}}],
        [{"contains": {"value": "billing", "name": "sorted", "weight": 0}}],
        [{"weighted": {"graders": [{"contains": {"value": "billing", "name": "sorted"}}], "threshold": 0}}],
    ],
    ids=["another value", "not required", "no weight", "a threshold of 0"],
)
def test_a_row_whose_grader_was_weakened_is_listed(make: Make, graders: list[object]) -> None:
    repo = make()
    repo.rows(rows(t7=graders))

    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert any("1 with other graders in the row (t-0007)" in reason for reason in decision.reasons)


def test_a_new_row_with_a_grader_of_a_new_kind_needs_no_permission(make: Make) -> None:
    repo = make()
    repo.prompt(wrong=59)
    repo.rows([*rows(), row(61, graders=["json", {"length": {"max_words": 5}}])])

    decision = repo.gate()

    assert not any("graders were changed" in reason for reason in decision.reasons)
    assert not any("cases of the dataset were changed" in reason for reason in decision.reasons)


def test_a_suite_that_stops_counting_the_graders_of_rows_needs_permission(make: Make) -> None:
    repo = make()
    repo.write("evals/triage.yaml", SUITE)

    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert any("graders were removed: case" in reason for reason in decision.reasons)


def test_what_rows_without_graders_get_cannot_be_eased_without_permission(make: Make) -> None:
    repo = make()
    with repo.on_main():
        repo.write("evals/triage.yaml", SUITE + "  - case\n")
    repo.write("evals/triage.yaml", COUNTED)

    decision = repo.gate()

    assert any("graders were changed: case" in reason for reason in decision.reasons)


def test_never_names_a_part_and_refuses_where_it_fails(make: Make) -> None:
    repo = make(gate="gate:\n  never: [sorted]\n")
    repo.prompt(wrong=7)

    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert any("never: sorted failed on" in reason for reason in decision.reasons)


def test_never_cannot_be_escaped_by_another_name_of_the_part(make: Make) -> None:
    repo = make(gate="gate:\n  never: [sorted]\n")
    repo.prompt(wrong=7)
    repo.write("evals/triage.yaml", COUNTED)
    own: list[object] = [{"contains": {"value": "billing", "name": "other"}}]
    repo.rows([row(number, graders=own) for number in range(1, 61)])

    decision = repo.gate(allow_dataset_change=True)

    assert decision.exit is not ExitCode.YES
