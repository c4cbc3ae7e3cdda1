"""Every `evalh.*/1` document is pinned: what scripts read keeps its keys, their order and their values."""

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from command_line import command_line
from evalh.analysis.blame import BlameCost, Blamed
from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.confusion import LabelConfusion
from evalh.analysis.drift import Drift
from evalh.analysis.duplicates import Duplicates
from evalh.analysis.explain import Statement
from evalh.analysis.failures import Failings
from evalh.analysis.gate.decision import GateDecision
from evalh.analysis.history import History
from evalh.analysis.matrix import Cell, Matrix, MatrixColumn, MatrixRow
from evalh.analysis.near_duplicates import Proposals
from evalh.analysis.power import Power
from evalh.analysis.prompt_diff import PromptDiff
from evalh.analysis.subsets import DatasetParts
from evalh.analysis.tradeoff import TradeOff
from evalh.api.check import CheckOutcome
from evalh.core.calibration import Calibration, JudgeStanding, Label, LabelCandidate
from evalh.core.case import Case
from evalh.core.errors import WorkspaceError
from evalh.core.log import CallRow, CaseDetail, RunRow, SampleDetail
from evalh.core.production import Spent
from evalh.core.run import Forecast, RunResult
from evalh.core.totals import Spend, SpendBy, SpendPart, Tallies
from evalh.report.documents.blame import blame_cost_document, blame_document
from evalh.report.documents.compare import compared_document
from evalh.report.documents.datasets import ClustersDocument, DuplicatesDocument, PartsDocument
from evalh.report.documents.document import document_of, text_of
from evalh.report.documents.drift import drift_document
from evalh.report.documents.gate import gate_document, undecided_document
from evalh.report.documents.judging import explain_document, labels_document
from evalh.report.documents.log import calls_document, cost_document, entry_document
from evalh.report.documents.matrix import MatrixDocument, matrix_document
from evalh.report.documents.prompts import diff_document
from evalh.report.documents.report import report_document
from evalh.report.documents.run import plan_document, run_document
from evalh.report.documents.workspace import (
    CheckDocument,
    ModelPriceDocument,
    PowerDocument,
)
from evalh.report.words import RunReport
from evalh.workspace.kept.calibrations import calibration_document
from filled import filled
from workspaces import write_workspace

GOLDEN = Path(__file__).parent / "golden" / "documents"
WRITE = os.environ.get("EVALH_GOLDEN") == "write"


def _failings() -> Failings:
    failings = Failings(samples=3)
    failings.tags, failings.graded_by = Counter({"": 3, "short": 2}), {"equals": None}
    failings.missed = Counter({("equals", ""): 2, ("equals", "short"): 1})
    return failings


def _told() -> RunReport:
    return RunReport(
        run=filled(RunRow),
        failings=_failings(),
        chosen=filled(TradeOff),
        past=filled(History),
        judges=[filled(JudgeStanding)],
        confusion=LabelConfusion(grader="equals", golds=("a", "b"), said=("a", "b"), counts={("a", "b"): 2}),
    )


def _matrix() -> MatrixDocument:
    columns = [MatrixColumn(filled(RunRow), "read"), MatrixColumn(filled(RunRow))]
    row = MatrixRow(case=filled(Case), cells=[Cell(trials=2, good=1, bad=1, output="text", reason="why"), None])
    return matrix_document(Matrix(columns, {("t-1", "d"): row}), [row])


MADE: dict[str, Callable[[], Struct]] = {
    "run": lambda: run_document([filled(RunResult)]),
    "plan": lambda: plan_document([("triage", "triage@v3", "small", filled(Forecast))]),
    "compare": lambda: compared_document(filled(Comparison), "c1"),
    "gate": lambda: gate_document(filled(GateDecision)),
    "gate-not-decided": lambda: undecided_document(
        WorkspaceError("broken", where="a:1", hint="mend it"), "main", "HEAD"
    ),
    "blame": lambda: blame_document(filled(Blamed)),
    "blame-plan": lambda: blame_cost_document(filled(BlameCost)),
    "drift": lambda: drift_document([filled(Drift), filled(Drift, move=None)]),
    "power": lambda: document_of(PowerDocument, filled(Power)),
    "cost": lambda: cost_document(
        SpendBy.SUITE,
        "2026-07-01T00:00:00Z",
        [filled(Spend, by_purpose={"task": SpendPart(Decimal("0.5"))}, by_reason={"retry": SpendPart(Decimal("0.5"))})],
        [filled(Spent)],
    ),
    "explain": lambda: explain_document([("small", filled(Tallies), [filled(Statement)]), ("inner", None, [])]),
    "clusters": lambda: document_of(ClustersDocument, filled(Proposals), written="datasets/triage.jsonl"),
    "duplicates": lambda: document_of(DuplicatesDocument, filled(Duplicates), written="datasets/triage.jsonl"),
    "dataset-parts": lambda: document_of(PartsDocument, filled(DatasetParts)),
    "labels": lambda: labels_document("triage", "good", [filled(LabelCandidate)], [filled(Label)]),
    "calibration": lambda: calibration_document(filled(Calibration)),
    "prompt-diff": lambda: diff_document(filled(PromptDiff)),
    "report": lambda: report_document(filled(RunResult), _told()),
    "matrix": _matrix,
    "check": lambda: document_of(
        CheckDocument,
        CheckOutcome(
            problems=[WorkspaceError("broken", where="a:1", hint="mend it")], notices=["note"], counts={"cases": 3}
        ),
    ),
    "model-price": lambda: filled(ModelPriceDocument),
    "case": lambda: entry_document("case", filled(CaseDetail)),
    "sample": lambda: entry_document("sample", filled(SampleDetail)),
    "call": lambda: entry_document("call", filled(CallRow)),
    "unfinished": lambda: entry_document("unfinished", filled(RunRow)),
    "calls": lambda: calls_document([filled(CallRow)]),
}

SESSION = {
    "init": ["init", "new"],
    "prompts": ["prompt", "list"],
    "prompt": ["prompt", "show", "v1"],
    "release": ["prompt", "release", "triage"],
    "prompt-log": ["prompt", "log", "triage"],
    "request": ["render", "t-0001"],
    "plan-of-a-workspace": ["run", "--dry-run"],
    "run-of-a-workspace": ["run"],
    "report-file": ["report", "-o", "page.html"],
    "export": ["export", "recorded", "-o", "recorded.jsonl"],
    "sql": ["sql", "select standing, count(*) as samples from samples group by 1 order by 1"],
    "accepted": ["baseline", "accept", "v1"],
    "baselines": ["baseline", "status"],
    "doctor": ["doctor"],
    "ci": ["ci", "init", "pre-commit", "--print"],
    "models": ["model", "list"],
    "grader-test": ["grader", "test", "evals/graders.py"],
    "error": ["show", "nothing"],
    "call-of-a-workspace": ["calls", "--limit", "1"],
    "case-of-a-workspace": ["show", "t-0007"],
}
GRADER = """from evalh import GradeContext, Verdict, grader


@grader("short_text")
def short_text(ctx: GradeContext, *, limit: int = 50) -> Verdict:
    return Verdict.check(len(ctx.text) <= limit, f"{len(ctx.text)} characters")
"""
TIMES = {
    "p50",
    "p95",
    "latency_ms",
    "waited_ms",
    "checks_ms",
    "ttft_ms",
    "started_at",
    "finished_at",
    "at",
    "ms_each",
    "bytes",
}
TIMES |= {"latency_p50_ms", "latency_p95_ms", "parts.attempts", "parts.waiting", "parts.checks"}
TEXTS = {"commit", "path", "what", "hint", "evalh_version", "date", "text"}


@pytest.mark.parametrize("name", MADE)
def test_a_document_keeps_its_keys_their_order_and_their_values(name: str) -> None:
    _compare(name, json.loads(text_of(MADE[name]())))


def test_what_a_workspace_prints_as_json_stays_as_recorded(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=10)
    draft = (folder / "prompts/triage/v1.prompt").read_text().replace("Sort the ticket.", "Sort this ticket.")
    (folder / "prompts/triage/draft.prompt").write_text(draft)
    (folder / "evals/graders.py").write_text(GRADER)
    for command in ("init -q", "add -A", "-c user.name=a -c user.email=a@example.org commit -qm Start"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    for name, arguments in SESSION.items():
        done = command_line().run([*arguments, "--json"], cwd=str(folder), env={**os.environ, "COLUMNS": "100"})
        text = done.out.replace(str(folder), "<workspace>")
        _compare(name, json.loads(text))


def _masked(value: Any, key: str = "") -> Any:  # noqa: PLR0911 (a return for each kind of value)
    match value:
        case dict():
            inner = "parts." if key in {"parts", "latency_parts_ms"} else ""
            return {name: _masked(one, inner + name) for name, one in value.items()}
        case list():
            return [_masked(one, key) for one in value]
        case None if key == "path":
            return "<text>"
        case bool() | None:
            return value
        case int() | float() if key in TIMES:
            return 0
        case str():
            value = re.sub(r"\b([rcgs])\d{8}-\d{6}-[0-9a-f]{6}", r"\g<1>19990101-000000-000000", value)
            value = re.sub(
                r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+]\d\d:\d\d)?", "1999-01-01T00:00:00Z", value
            )
            return "<text>" if key in TEXTS else value
    return value


def _compare(name: str, document: Mapping[str, Any]) -> None:
    text = json.dumps(_masked(document), indent=2, allow_nan=False) + "\n"
    path = GOLDEN / f"{name}.json"
    if WRITE:
        path.write_text(text)
    assert text == path.read_text()
