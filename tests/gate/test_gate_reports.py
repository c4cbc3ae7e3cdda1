"""What a decision looks like elsewhere: it stays text, and stays small."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from evalh.analysis.gate.decision import Evidence, Finding, GateDecision, SuiteDecision
from evalh.api.event_loop import SystemClock
from evalh.api.report import gate_page, page
from evalh.api.workspace import Workspace
from evalh.core.errors import ExitCode
from evalh.core.run import Estimate
from evalh.report.documents.gate import gate_document
from evalh.report.files.junit import gate_junit
from evalh.report.markdown.gate import COMMENT_BYTES, MARKER, gate_markdown
from evalh.report.terminal.gate import annotations, certainty
from evalh.store import open_store
from faults.running import here
from gating import Repo
from workspaces import write_workspace

HOSTILE = "@everyone <script>x</script> [a](http://b) `c` #12 ::error::d\x1b[2J\x00"


def decision(*codes: ExitCode, evidence: int = 1, output: str = HOSTILE) -> GateDecision:
    suite = SuiteDecision(
        suite="triage",
        findings=tuple(Finding(f"rule {n}", code, f"{HOSTILE}\nsecond line 100%") for n, code in enumerate(codes)),
        require="not_worse_shown",
        parts=("prompt",),
        base="triage@v1",
        head="triage@v2",
        model="small",
        margin=0.05,
        detectable_drop=None,
        cases_needed=None,
        stopped_at=25,
        of=100,
        saved=150,
        asked=0,
        comparison=None,
        evidence=tuple(
            Evidence(case_id=HOSTILE, base_output=output, head_output=None, reasons=()) for _ in range(evidence)
        ),
        prompt_path="prompts/a,b:c/v2.prompt",
        prompt_line=9,
    )
    return GateDecision(suites=(suite,), base="main", head="HEAD")


def test_a_comment_calls_nobody_and_runs_nothing() -> None:
    text = gate_markdown(gate_document(decision(ExitCode.NO, output="````\n@you")), COMMENT_BYTES)
    outside = text.split("`````text")[0]

    assert text.startswith(MARKER)
    assert "@everyone" not in outside
    assert "<script>" not in text
    assert "[a](" not in text
    assert "\x1b" not in text
    assert "`````text\n````\n" in text


def test_a_comment_stays_below_the_limit_and_keeps_the_verdict() -> None:
    one = decision(ExitCode.NO, evidence=200, output="ü" * 5000)
    text = gate_markdown(gate_document(replace(one, suites=one.suites * 9)), COMMENT_BYTES)

    assert len(text.encode()) <= COMMENT_BYTES
    assert "evalh gate: refuse" in text
    assert "more is in the log" in text


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (ExitCode.YES, "✅ evalh gate: accept"),
        (ExitCode.NO, "❌ evalh gate: refuse"),
        (ExitCode.INCONCLUSIVE, "❔ evalh gate: inconclusive"),
        (ExitCode.CANNOT_MEASURE, "⚠️ evalh gate: could not be measured"),
        (ExitCode.INTERRUPTED, "❔ evalh gate: not decided"),
    ],
)
def test_the_headline_is_what_the_exit_code_says(code: ExitCode, named: str) -> None:
    assert f"## {named}\n" in gate_markdown(gate_document(decision(code)), COMMENT_BYTES)


def test_limits_say_how_sure_they_are() -> None:
    estimate = Estimate(-0.1, -0.2, -0.01, "gate-bets")

    assert certainty(estimate, 0.05) == ", each limit 95 %, valid at any stopping point"
    assert certainty(estimate, 0.05 / 6) == ", each limit 99.17 %, valid at any stopping point"


def test_junit_tells_failures_errors_and_what_is_undecided_apart() -> None:
    codes = (ExitCode.YES, ExitCode.NO, ExitCode.CANNOT_MEASURE, ExitCode.INCONCLUSIVE)
    root = ET.fromstring(gate_junit(gate_document(decision(*codes, evidence=0))))

    (suite,) = root
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    tests = suite.findall("testcase")
    assert [[child.tag for child in case] for case in tests] == [
        ["system-out"],
        ["failure"],
        ["error"],
        ["skipped"],
    ]


def test_junit_says_on_whose_word_a_decision_rests() -> None:
    document = gate_document(decision(ExitCode.YES, evidence=0))
    suite = replace(document.suites[0], judge_relative=(f"tone: {HOSTILE}",))

    properties, _ = ET.fromstring(gate_junit(replace(document, suites=(suite,))))[0]

    assert [one.get("name") for one in properties] == ["sides", "judge-relative"]
    assert str(properties[1].get("value")).startswith("tone: @everyone <script>")


def test_a_kept_decision_is_the_comment_and_the_junit_that_it_was_at_once(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60)
    repo.prompt(wrong=2)
    here(repo.folder, "gate", "--base", "main", "--comment", f"{tmp_path}/c.md", "--junit", f"{tmp_path}/j.xml")
    kept = Workspace.open(repo.folder).log.overview(1).gates[0].id
    told = {form: here(repo.folder, "report", kept, "--format", form) for form in ("markdown", "junit", "csv")}

    assert told["markdown"].out == (tmp_path / "c.md").read_text(encoding="utf-8")
    assert told["junit"].out == (tmp_path / "j.xml").read_text(encoding="utf-8")
    assert "got worse" in told["markdown"].out
    assert told["csv"].exit == 2
    assert f"evalh report {kept} --format markdown, or junit, or json" in told["csv"].err


def test_at_most_ten_annotations_each_one_line_at_the_prompts_place() -> None:
    lines = list(annotations(decision(*[ExitCode.NO] * 30), "apps/x/"))

    assert len(lines) == 10
    assert all("\n" not in line for line in lines)
    assert lines[0].startswith("::error file=apps/x/prompts/a%2Cb%3Ac/v2.prompt,line=9,title=")
    assert "%0Asecond line 100%25" in lines[0]


def test_a_decision_is_a_page_that_the_log_can_make_again(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60)
    repo.prompt(wrong=2)
    decision = repo.gate()
    workspace = Workspace.open(repo.folder)

    at_once = gate_page(workspace, gate_document(decision))

    assert page(workspace, [decision.id]) == at_once
    assert '<span class="bad">refuse</span>' in at_once
    assert "shown to be worse" in at_once
    held = json.loads(at_once.partition('id="evalh-data" type="application/json">')[2].partition("</script>")[0])
    changed = [row for row in held["rows"] if row.get("z") == "regressed"]
    assert decision.suites[0].comparison is not None
    assert {row["i"] for row in changed} == set(decision.suites[0].comparison.regressed)
    assert (changed[0]["b"]["o"], changed[0]["o"]) == (
        {"output": '{"label": "billing"}'},
        {"output": '{"label": "bug"}'},
    )


def test_a_page_of_hostile_findings_holds_no_markup_of_theirs(tmp_path: Path) -> None:
    workspace = Workspace.open(write_workspace(tmp_path, cases=1))
    open_store(tmp_path / ".evalh", clock=SystemClock()).close()

    made = gate_page(workspace, gate_document(decision(ExitCode.NO)))

    assert "<script>x" not in made
    assert "&lt;script&gt;x" in made
    assert "\x1b" not in made
