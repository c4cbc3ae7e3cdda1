"""A gate's canary: what a moved model broke is not laid at the prompt's door."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalh.analysis.gate.decision import GateStatus, SuiteDecision
from evalh.core.errors import ExitCode
from faults.fault_server import FaultServer
from faults.running import here, rows
from gating import Repo
from moving import Moving, accepted, moving

NO_CANARY = "gate: {canary: 0}\n"
Served = tuple[Moving, FaultServer]


@pytest.fixture
def model() -> Iterator[Served]:
    with moving() as both:
        yield both


def gated(repo: Repo, **options: object) -> SuiteDecision:
    decision = repo.gate(**options)
    (suite,) = decision.suites
    assert suite.exit is decision.exit
    return suite


def finding(suite: SuiteDecision, rule: str) -> Any:
    (found,) = [one for one in suite.findings if one.rule == rule]
    return found


def test_a_model_that_stayed_costs_thirty_calls(tmp_path: Path, model: Served) -> None:
    repo = accepted(tmp_path, model[1], cases=150)
    repo.prompt(wrong=11)
    before = model[0].count(10)

    suite = gated(repo)

    assert suite.status is GateStatus.ACCEPT
    assert suite.canary is not None
    assert suite.canary.verdict == "not_shown"
    assert len(suite.canary.cases) == model[0].count(10) - before == 30
    assert suite.asked == model[0].count(11) + 30
    assert not [one for one in suite.findings if one.rule == "canary"]
    assert suite.canary.cost_usd is not None
    assert float(suite.canary.cost_usd) == pytest.approx(30 * (20 * 0.25 + 8 * 2.0) / 1e6)


def test_what_the_model_broke_is_not_the_prompts_fault(tmp_path: Path, model: Served) -> None:
    repo = accepted(tmp_path, model[1], cases=150)
    repo.prompt(wrong=11)
    model[0].also = 3

    suite = gated(repo)

    assert suite.status is GateStatus.ACCEPT
    assert suite.canary is not None
    assert suite.canary.answers_moved
    assert {int(case[2:]) % 3 for case in suite.canary.worse} == {0}
    assert finding(suite, "canary").reason.startswith("the model changed, not your prompt: ")
    assert any("the model changed, not your prompt" in reason for reason in suite.reasons)
    assert suite.comparison is not None
    assert suite.comparison.base.good_rate.value == pytest.approx(suite.comparison.head.good_rate.value, abs=0.1)


def test_without_a_canary_the_prompt_would_have_been_blamed(tmp_path: Path, model: Served) -> None:
    repo = accepted(tmp_path, model[1], cases=150, more=NO_CANARY)
    repo.prompt(wrong=11)
    model[0].also = 3

    suite = gated(repo)

    assert suite.status is GateStatus.REFUSE
    assert suite.canary is None


def test_a_worse_prompt_is_refused_on_the_moved_model_too(tmp_path: Path, model: Served) -> None:
    repo = accepted(tmp_path, model[1], cases=150)
    repo.prompt(wrong=2)
    model[0].also = 3

    suite = gated(repo)

    assert suite.status is GateStatus.REFUSE
    assert finding(suite, "canary").reason.startswith("the model changed: ")
    assert "head is still worse" in finding(suite, "canary").reason


@pytest.mark.parametrize("more", ["", NO_CANARY], ids=["canary", "none"])
def test_another_name_makes_base_stale(tmp_path: Path, model: Served, more: str) -> None:
    repo = accepted(tmp_path, model[1], cases=60, more=more)
    repo.prompt(wrong=11)
    model[0].name = "sorter-2026-06-01"

    suite = gated(repo)

    assert suite.status is GateStatus.ACCEPT
    assert "sorter-2026-06-01" in finding(suite, "canary").reason
    assert "base was asked again" in finding(suite, "canary").reason
    assert model[0].count(10) == 60 + suite.stopped_at + (0 if more else 30)


def test_the_same_day_the_log_answers_and_the_decision_is_the_same(tmp_path: Path, model: Served) -> None:
    repo = accepted(tmp_path, model[1], cases=150)
    repo.prompt(wrong=11)
    model[0].also = 3
    first = gated(repo)
    asked = len(model[0].tickets)

    again = gated(repo)

    assert len(model[0].tickets) == asked
    assert again.asked == 0
    assert [(one.rule, one.exit) for one in again.findings] == [(one.rule, one.exit) for one in first.findings]
    assert again.comparison is not None
    assert first.comparison is not None
    assert again.comparison.regressed == first.comparison.regressed


def test_a_change_cannot_silence_its_canary(tmp_path: Path, model: Served) -> None:
    repo = accepted(tmp_path, model[1], cases=60)
    repo.prompt(wrong=11)
    repo.write("evals/triage.yaml", (repo.folder / "evals/triage.yaml").read_text() + NO_CANARY)

    assert gated(repo).canary is not None


def test_a_model_that_is_gone_decides_nothing(tmp_path: Path, model: Served) -> None:
    repo = accepted(tmp_path, model[1], cases=60)
    repo.prompt(wrong=11)
    model[0].broken = True

    suite = gated(repo)

    assert suite.exit is ExitCode.CANNOT_MEASURE
    assert {row["status"] for row in rows(repo.folder, "select status from runs")} == {"stopped"}


def test_every_report_tells_it(tmp_path: Path, model: Served) -> None:
    repo = accepted(tmp_path, model[1], cases=150)
    repo.prompt(wrong=11)
    model[0].also = 3
    comment = tmp_path / "comment.md"

    done = here(repo.folder, "gate", "--base", "main", "--comment", str(comment), "--json")
    said = here(repo.folder, "gate", "--base", "main")

    (suite,) = json.loads(done.out)["suites"]
    assert suite["canary"]["verdict"] == "moved"
    assert suite["canary"]["alpha"] == 0.05
    assert suite["canary"]["asked"] == 30
    assert "the model changed, not your prompt" in comment.read_text()
    assert "the model changed, not your prompt" in said.out
    assert "canary: moved · 30 asked again, 30 of them earlier today · $0.00" in said.out


def test_recordings_and_scripts_have_no_canary(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=30, gate="gate: {canary: 5}\n")
    repo.prompt(wrong=11)

    suite = gated(repo)

    assert suite.canary is None
    assert any("the canary has nothing to ask again" in notice for notice in suite.notices)
