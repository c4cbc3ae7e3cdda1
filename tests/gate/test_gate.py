"""The gate in a scripted git repository: what is refused, accepted, and left undecided."""

from pathlib import Path

import pytest

from evalh.analysis.gate.decision import GateStatus
from evalh.core.errors import ExitCode, UsageError
from gating import Make, Repo, row
from workspaces import SUITE


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(**options: object) -> Repo:
        return Repo(tmp_path / "repo", **options)  # type: ignore[arg-type]

    return build


def test_a_worse_prompt_is_refused_naming_the_cases(make: Make) -> None:
    repo = make()
    repo.prompt(wrong=2)

    decision = repo.gate()

    (suite,) = decision.suites
    assert decision.exit is ExitCode.NO
    assert "shown to be worse" in decision.reasons[0]
    assert suite.comparison is not None
    assert suite.comparison.regressed
    assert suite.comparison.regressed[0] in decision.reasons[0]
    assert {int(case[2:]) % 2 for case in suite.broken} == {0}
    assert suite.evidence[0].base_output == '{"label": "billing"}'
    assert suite.evidence[0].head_output == '{"label": "bug"}'
    assert suite.stopped_at == 25
    assert suite.saved == 2 * 175


def test_a_harmless_edit_runs_nothing(make: Make) -> None:
    repo = make()
    repo.prompt(wrong=10, description="Another description")
    repo.commit()

    decision = repo.gate(head="HEAD")

    assert decision.exit is ExitCode.YES
    assert decision.suites == ()
    assert decision.unchanged == ("triage",)
    assert "no suite ran" in decision.reasons[0]
    assert not (repo.folder / ".evalh").exists()


def test_a_better_prompt_is_accepted(make: Make) -> None:
    repo = make(wrong=4)
    repo.prompt(wrong=50)

    decision = repo.gate()

    assert decision.status is GateStatus.ACCEPT
    assert "shown to be no worse" in decision.reasons[0]
    assert decision.suites[0].stopped_at < 200


def test_a_new_case_and_a_new_grader_are_scored_on_both_sides(make: Make) -> None:
    repo = make(cases=100)
    repo.prompt(wrong=2)
    repo.write("evals/triage.yaml", SUITE + "  - length: {max_chars: 30}\n")
    repo.rows([row(number) for number in range(1, 104)])

    decision = repo.gate()

    (suite,) = decision.suites
    assert decision.status is GateStatus.REFUSE
    assert suite.of == 103
    assert suite.parts == ("prompt", "dataset", "graders")
    assert suite.comparison is not None
    assert suite.comparison.mismatches == ()
    assert [part.name for part in suite.comparison.graders] == ["schema", "equals", "length"]


def test_twenty_cases_cannot_show_no_worse_and_it_says_how_many_could(make: Make) -> None:
    repo = make(cases=20, gate="gate:\n  require: no_worse\n")
    repo.prompt(wrong=11)

    decision = repo.gate()

    (suite,) = decision.suites
    assert decision.exit is ExitCode.INCONCLUSIVE
    assert suite.cases_needed is not None
    assert suite.cases_needed > 250
    assert f"about {suite.cases_needed} cases are needed" in decision.reasons[0]


def test_a_case_that_must_pass_refuses_whatever_the_statistics_say(make: Make) -> None:
    repo = make(cases=60, wrong=3, gate="gate:\n  must_pass: {cases: [t-0050], trials: 2}\n")
    repo.prompt(wrong=50)

    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert "t-0050 0 of 2" in decision.reasons[0]
    assert decision.suites[0].broken == ("t-0050",)
    assert decision.suites[0].asked == 2  # the trials of what must pass: nothing else was worth asking


def test_a_change_cannot_lower_its_own_bar(make: Make) -> None:
    repo = make(cases=60, gate="gate:\n  good_rate: {at_least: 0.95}\n")
    repo.prompt(wrong=7)
    repo.write("evals/triage.yaml", SUITE + "gate:\n  good_rate: {at_least: 0.1}\n")

    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert "below 95 %" in decision.reasons[0]
    assert any("policy changed" in notice for notice in decision.suites[0].notices)


def test_cases_that_vanish_need_a_word_and_are_scored_the_old_way(make: Make) -> None:
    repo = make(cases=60)
    repo.prompt(wrong=7)
    repo.rows([row(n, **({"expected": {"label": "bug"}} if n == 7 else {})) for n in range(1, 61) if n != 14])

    refused, allowed = repo.gate(), repo.gate(allow_dataset_change=True)

    assert refused.exit is ExitCode.NO
    assert "1 deleted (t-0014), 1 relabelled (t-0007)" in refused.reasons[0]
    assert "--allow-dataset-change" in refused.reasons[0]
    assert any("by base's suite: 2 of 2 good on base, 0 on head" in note for note in refused.suites[0].notices)
    assert allowed.exit is ExitCode.YES


def test_a_new_suite_needs_a_rule_of_its_own(make: Make) -> None:
    repo = make(cases=30)
    repo.write("evals/second.yaml", SUITE)
    without = repo.gate()
    repo.write("evals/second.yaml", SUITE + "gate:\n  good_rate: {at_least: 0.8}\n")
    with_rule = repo.gate()

    assert without.exit is ExitCode.INCONCLUSIVE
    assert "good_rate: {at_least: 0.8}" in without.reasons[0]
    assert with_rule.exit is ExitCode.YES
    assert with_rule.unchanged == ("triage",)


def test_what_could_not_be_measured_is_never_accepted(make: Make) -> None:
    repo = make(cases=30)
    repo.prompt(wrong=11)
    repo.write("evals/answers.py", "def answer(request, case_id, trial):\n    raise RuntimeError('down')\n")

    decision = repo.gate()

    assert decision.exit is ExitCode.CANNOT_MEASURE
    assert decision.status is GateStatus.INCONCLUSIVE


def test_the_base_is_where_head_branched_off(make: Make) -> None:
    repo = make(cases=60)
    repo.git("checkout", "-q", "main")
    repo.prompt(wrong=2)
    repo.commit("Worse on main")
    repo.git("checkout", "-q", "change")
    repo.prompt(wrong=10, description="Only words")
    repo.commit()

    decision = repo.gate(head="change")

    assert decision.exit is ExitCode.YES
    assert "not a descendant of main, which is 1 commit ahead" in decision.notices[0]


def test_without_a_common_commit_there_is_nothing_to_compare(make: Make) -> None:
    repo = make(cases=5)
    repo.git("checkout", "-q", "--orphan", "other")
    repo.commit("Another start")

    with pytest.raises(UsageError, match="share no commit"):
        repo.gate(head="other")


def test_a_shallow_clone_says_what_to_fetch(make: Make, tmp_path: Path) -> None:
    repo = make(cases=5)
    repo.prompt(wrong=3)
    repo.commit()
    shallow = tmp_path / "shallow"
    repo.git("clone", "-q", "--depth", "1", "--branch", "change", f"file://{repo.folder}", str(shallow))
    repo.folder = shallow

    with pytest.raises(UsageError) as caught:
        repo.gate(base="origin/main")

    assert "fetch-depth: 0" in (caught.value.hint or "")


def test_a_strangers_code_is_not_run_when_only_base_is_trusted(make: Make) -> None:
    repo = make(cases=60)
    repo.write("evals/answers.py", "raise SystemExit('a stranger ran')\n")
    repo.write("evalh.toml", "this is not even TOML")
    repo.prompt(wrong=2)
    repo.commit()
    repo.git("checkout", "-q", "main")

    decision = repo.gate(head="change", trust_base=True)

    assert decision.exit is ExitCode.NO


def test_the_same_inputs_give_the_same_decision(make: Make) -> None:
    repo = make(wrong=9)
    repo.prompt(wrong=8)
    first = repo.gate()
    repo.commit()
    again = repo.gate(head="HEAD")

    assert [suite.stopped_at for suite in first.suites] == [suite.stopped_at for suite in again.suites]
    assert first.reasons == again.reasons
    assert again.suites[0].asked == 0


@pytest.mark.parametrize("trust_base", [True, False])
@pytest.mark.parametrize("gate", ["", "gate: {sequential: false}\n", "gate: {require: no_worse}\n"])
def test_new_cases_that_expect_what_head_answers_make_up_for_no_old_one(
    tmp_path: Path, gate: str, trust_base: bool
) -> None:
    repo = Repo(tmp_path / "repo", cases=60, wrong=1000, gate=gate)
    repo.prompt(wrong=5)
    repo.rows(
        [row(number) for number in range(1, 61)] + [row(1000 + 5 * n, expected={"label": "bug"}) for n in range(12)]
    )
    repo.commit()

    decision = repo.gate(head="HEAD", trust_base=trust_base)

    assert decision.exit is ExitCode.NO
    assert decision.reasons[0].startswith("old cases: shown to be worse")
    assert not {case for case in decision.suites[0].findings[1].cases if case >= "t-1000"}


def test_new_cases_make_up_for_no_old_one_by_a_graders_own_rule(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60, wrong=1000)
    text = SUITE.replace("expected: label}", "expected: label, required: false}") + "gate: {graders: {equals: {}}}\n"
    repo.write("evals/triage.yaml", text)
    repo.commit()
    repo.git("branch", "-f", "main")
    repo.prompt(wrong=5)
    repo.rows(
        [row(number) for number in range(1, 61)] + [row(1000 + 5 * n, expected={"label": "bug"}) for n in range(12)]
    )

    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert decision.reasons[0].startswith("old cases, equals: shown to be worse")


def test_new_cases_that_both_sides_answer_well_refuse_nothing(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60, wrong=1000)
    repo.prompt(wrong=999)
    repo.rows([row(number) for number in range(1, 91)])

    assert repo.gate().exit is ExitCode.YES
