"""`value:` of a suite: what a bad output costs downstream decides which version is worth its price."""

from pathlib import Path

import pytest

from evalh.core.errors import ExitCode
from gating import Repo
from telling import TELLING, found, repo, tell
from workspaces import document, evalh

VALUE = "value: {bad_usd: 0.01, review_usd: 0.002, abstain_usd: 0.005}\n"


def valued(folder: Path, gate: str, value: str = VALUE, **options: object) -> Repo:
    made = repo(folder, gate, **options)  # type: ignore[arg-type]
    with made.on_main("What a bad output costs"):
        made.write("evals/triage.yaml", f"{TELLING}gate:\n  {gate}\n{value}")
    return made


@pytest.mark.parametrize(("bad_usd", "code"), [(0.01, ExitCode.YES), (0.0001, ExitCode.NO)])
def test_a_dearer_version_that_errs_less_is_worth_it_only_where_errors_cost(
    tmp_path: Path, bad_usd: float, code: ExitCode
) -> None:
    """Head is bad on 5 of 60 instead of on 30, at twice the price of 0.00012 USD: it pays from 0.000288 USD on."""
    made = valued(
        tmp_path / "repo", "net_loss: {may_rise: 0.1}", f"value: {{bad_usd: {bad_usd}}}\n", cases=60, told="wrong=2"
    )
    tell(made, "wrong=12 microcents=200")

    decision = made.gate()

    assert decision.exit is found(decision, "net_loss").exit is code
    (suite,) = decision.suites
    assert suite.comparison is not None
    downstream = suite.comparison.downstream
    assert downstream is not None
    assert (downstream.base.accepted_bad, downstream.head.accepted_bad) == (30, 5)
    assert downstream.crossing_bad_usd == pytest.approx(0.00012 * 60 / 25)
    assert downstream.head_above is True
    assert downstream.chance_of_head == pytest.approx(1.0 if code is ExitCode.YES else 0.0, abs=0.01)
    net = (60 * 0.00024 + 5 * bad_usd) / 55
    assert downstream.head.net_cost_per_good_usd.value == pytest.approx(net)


def test_what_a_person_looks_at_costs_a_review_and_is_withheld_where_it_is_bad(tmp_path: Path) -> None:
    made = valued(tmp_path / "repo", "margin: 0.05", cases=60, told="wrong=10 leak=20")
    done = evalh(made.folder, "run", "--json")

    (result,) = document(done)["results"]
    downstream = result["downstream"]
    assert (downstream["accepted_bad"], downstream["reviewed"], downstream["withheld"]) == (3, 3, 3)
    spent = 60 * 0.00012 + 3 * 0.01 + 3 * 0.002 + 3 * 0.005
    assert downstream["net_cost_per_good_usd"]["value"] == pytest.approx(spent / 54)
    assert "net cost per good" in evalh(made.folder, "run").stdout
    page = tmp_path / "page.html"
    assert evalh(made.folder, "report", "-o", str(page)).returncode == 0
    assert "3 bad at $0.01 · 3 reviewed at $0.002 · 3 withheld at $0.005" in page.read_text(encoding="utf-8")


def test_a_change_cannot_make_its_own_errors_cheap(tmp_path: Path) -> None:
    made = valued(tmp_path / "repo", "net_loss: {may_rise: 0.1}", cases=60, told="wrong=12")
    made.write("evals/triage.yaml", f"{TELLING}gate:\n  net_loss: {{may_rise: 100}}\nvalue: {{bad_usd: 0}}\n")
    tell(made, "wrong=12 microcents=300")

    decision = made.gate()

    assert found(decision, "net_loss").exit is ExitCode.NO
    notices = " ".join(decision.suites[0].notices)
    assert "the suite's value changed" in notices


def test_compare_and_gate_say_where_the_preferred_version_flips(tmp_path: Path) -> None:
    made = valued(tmp_path / "repo", "margin: 0.05", cases=60, told="wrong=2")
    tell(made, "wrong=12 microcents=200")
    gate = evalh(made.folder, "gate", "--base", "main", "--comment", str(tmp_path / "comment.md"))
    as_json = evalh(made.folder, "gate", "--base", "main", "--json")
    page, gate_page = tmp_path / "compared.html", tmp_path / "gate.html"
    compared = evalh(made.folder, "compare", "main:triage@draft", "triage@draft", "--report", str(page))
    decided = evalh(made.folder, "report", document(as_json)["gate"], "-o", str(gate_page))

    assert "is worth its price as soon as a bad output costs more than $0.000288" in " ".join(compared.stdout.split())
    assert "is worth its price as soon as a bad output costs more than $0.000" in " ".join(gate.stdout.split())
    assert "worth its price" in (tmp_path / "comment.md").read_text()
    assert decided.returncode == 0
    for shown in (page.read_text(encoding="utf-8"), gate_page.read_text(encoding="utf-8")):
        assert "net cost per good</th>" in shown
        assert " bad at $0.01 · 0 reviewed at $0.002" in shown
        assert "is worth its price as soon as a bad output costs more than $0.000" in shown
    assert document(as_json)["suites"][0]["comparison"]["downstream"]["head_above"] is True
