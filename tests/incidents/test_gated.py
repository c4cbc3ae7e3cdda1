"""A gate asks incidents for `must_pass` alone: its order, its looks and its numbers know nothing of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import asdict

from evalh.analysis.gate.decision import GateDecision, SuiteDecision
from evalh.core.errors import ExitCode
from faults.fault_server import FaultServer
from faults.running import here, rows
from gating import Repo
from incidents.suites import ANSWERS, PROMPT, SUITE, incident
from incidents.suites import rows as suite_rows
from moving import Moving, accepted, moving

HOLDS = "must_pass: {tags: [incident], trials: 3, passes: 3}"


def repo(folder: Path, *, incidents: int, told: str = "wrong=9 keeps=1", gate: str = HOLDS, cases: int = 200) -> Repo:
    made = Repo(folder)
    with made.on_main("A model that tells its price"):
        made.write("evals/answers.py", ANSWERS)
        made.write("evals/triage.yaml", f"{SUITE}gate:\n  {gate}\n")
        made.rows(suite_rows(cases, incidents))
        tell(made, told)
    return made


def tell(made: Repo, told: str) -> None:
    made.write("prompts/triage/draft.prompt", PROMPT.replace("TOLD", told))


def only(decision: GateDecision) -> SuiteDecision:
    (suite,) = decision.suites
    return suite


@pytest.mark.parametrize("told", ["wrong=9 keeps=1 microcents=120", "wrong=3 keeps=1", "wrong=8 keeps=1"])
def test_a_gate_looks_at_the_same_cases_with_ten_incidents_or_none(tmp_path: Path, told: str) -> None:
    rules = "cost_per_good: {may_rise: 0.5}\n  good_rate: {at_least: 0.5}"
    decisions = []
    for incidents in (10, 0):
        made = repo(tmp_path / str(incidents), incidents=incidents, gate=rules)
        tell(made, told)
        decisions.append(only(made.gate()))
    found, bare = decisions

    assert [asdict(one) for one in found.findings] == [asdict(one) for one in bare.findings]
    assert (found.stopped_at, found.of, found.saved) == (bare.stopped_at, bare.of, bare.saved)
    assert (found.detectable_drop, found.cases_needed) == (bare.detectable_drop, bare.cases_needed)
    assert found.comparison is not None
    assert bare.comparison is not None
    for name in ("n", "clusters", "wins", "losses", "difference", "regressed", "downstream", "cost_per_good_ratio"):
        assert getattr(found.comparison, name) == getattr(bare.comparison, name), name
    assert (found.incidents, bare.incidents) == (10, 0)
    assert any("no rule checks 10 of 10 incidents" in notice for notice in found.notices)


def test_an_incident_that_is_lost_refuses_although_no_rate_moved(tmp_path: Path) -> None:
    made = repo(tmp_path, incidents=3)
    tell(made, "wrong=9")  # it keeps no incident any more

    decision = made.gate()

    assert decision.exit is ExitCode.NO
    assert "must_pass is broken (3 of 3 trials must be good): i-0001 0 of 3, i-0002 0 of 3" in decision.reasons[0]
    assert not any("no rule holds" in notice for notice in only(decision).notices)


def test_incidents_that_are_kept_are_asked_on_head_alone(tmp_path: Path) -> None:
    made = repo(tmp_path, incidents=3)
    tell(made, "wrong=9 keeps=1 microcents=90")

    decision = made.gate()

    assert decision.exit is ExitCode.YES
    asked = rows(
        tmp_path,
        "select distinct r.prompt, s.trial, r.kind from samples s join runs r on r.id = s.run_id"
        " where s.case_id like 'i-%' order by 2",
    )
    assert [one["trial"] for one in asked] == [0, 1, 2]
    said = here(tmp_path, "gate", "--base", "main").out
    assert "3 incidents counted apart: asked for must_pass alone" in said


def test_new_incidents_split_no_error_rate_and_thin_out_no_drop(tmp_path: Path) -> None:
    made = repo(tmp_path, incidents=0, cases=20)
    made.rows([*suite_rows(20, 0), *(incident(number) for number in range(1, 31))])
    tell(made, "wrong=9 keeps=1 microcents=90")

    suite = only(made.gate())

    assert [finding.rule for finding in suite.findings] == ["good", "must_pass"]
    assert not any("are new" in notice for notice in suite.notices)
    assert suite.of == 20


@pytest.mark.parametrize(("gate", "code"), [(HOLDS, ExitCode.YES), ("margin: 0.05", ExitCode.INCONCLUSIVE)])
def test_a_suite_of_incidents_alone_is_held_by_must_pass_or_by_nothing(
    tmp_path: Path, gate: str, code: ExitCode
) -> None:
    made = repo(tmp_path, incidents=3, gate=gate, cases=0)
    tell(made, "wrong=9 keeps=1 microcents=90")

    decision = made.gate()

    assert decision.exit is code
    assert "every case is an incident" in " ".join(finding.reason for finding in only(decision).findings)
    assert only(decision).of == 0


# -- a model that moves


@pytest.fixture
def model() -> Iterator[tuple[Moving, FaultServer]]:
    with moving() as both:
        yield both


def test_drift_and_the_canary_ask_no_incident_again(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    made = accepted(tmp_path, model[1], cases=30, more="gate: {canary: 30}\n")
    text = (made.folder / "datasets/triage.jsonl").read_text().splitlines()
    text[4] = text[4].replace('"expected"', '"tags": ["incident"], "expected"')
    made.write("datasets/triage.jsonl", "\n".join(text) + "\n")
    here(made.folder, "baseline", "accept")
    made.commit("An incident")
    made.git("branch", "-f", "main")
    model[0].tickets.clear()

    done = here(made.folder, "drift", "--json")

    assert done.exit == ExitCode.YES, done.out + done.err
    assert "t-0005" not in {name for _, name in model[0].tickets}
    assert '"of": 29' in done.out
    made.prompt(11)
    model[0].tickets.clear()
    suite = only(made.gate())
    assert suite.canary is not None
    assert len(suite.canary.cases) == 29
    assert "t-0005" not in {name for _, name in model[0].tickets}


def test_an_incident_that_is_added_to_a_pull_request_is_no_new_look(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", incidents=0)
    tell(made, "wrong=9 keeps=1 microcents=90")
    earlier, comment = tmp_path.parent / "earlier.md", tmp_path.parent / "comment.md"
    looks = []
    for change in (None, lambda: made.rows(suite_rows(200, 4)), lambda: tell(made, "wrong=8 keeps=1")):
        if change is not None:
            change()
        done = here(
            made.folder, "gate", "--base", "main", "--earlier", str(earlier), "--comment", str(comment), "--json"
        )
        looks.append(json.loads(done.out)["series"]["look"])
        comment.replace(earlier)

    assert looks == [1, 1, 2]
