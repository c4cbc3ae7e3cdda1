"""A verdict by a judge that is not calibrated says so, beside the decision: over a real socket, from the log."""

import io
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

from evalh.api.gate import gate_versions
from evalh.api.report import gate_page
from evalh.api.workspace import Workspace
from evalh.report.documents.gate import gate_document
from evalh.report.markdown.gate import gate_markdown
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked, fault_server
from faults.running import here, two_versions

CASES = 60
SUITE = """prompt: triage
dataset: triage
model: small
graders:
  - judge: {rubric: It gives its reason., scale: pass/fail, model: strong, name: tone}
"""
ANSWERS = """import json


def answer(request, case_id, trial):
    told = {"label": "billing", "order": case_id}
    if "carefully" in request.messages[0].text or int(case_id.split("-")[1]) % 4 == 0:
        told["why"] = "an order"
    return json.dumps(told)
"""


def likes_reasons(asked: Asked) -> Act:
    said = "pass" if '"why"' in asked.document["messages"][-1]["content"] else "fail"
    return OPENAI.answer(json.dumps({"reason": "I read it.", "verdict": said}))


def folder_for(tmp_path: Path, port: int) -> Path:
    folder = two_versions(tmp_path, SUITE, ANSWERS, OPENAI.config(port, model="gpt-9-judge"), cases=CASES)
    config = folder / "evalh.toml"
    config.write_text(config.read_text().replace('"script-1"', '"gpt-9-nano"'))  # of one family, by their names
    return folder


def label(folder: Path, answers: str) -> None:
    with patch("sys.stdin", io.StringIO(answers)):
        done = here(folder, "label", "--about", "tone", "--author", "ada", "--number", "200")
    assert done.exit == 0, done.err


def compared(folder: Path) -> dict[str, Any]:
    done = here(folder, "compare", "v1", "v2", "--json")
    assert done.exit == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_judge_that_is_kinder_to_one_version_makes_the_verdict_relative_to_it(tmp_path: Path) -> None:
    with fault_server(likes_reasons) as server:
        folder = folder_for(tmp_path, server.port)
        never = compared(folder)
        asked = len(server.asked)
        label(folder, "y\n" * 200)  # people call every output good: what the judge sees is its own taste
        assert here(folder, "calibrate", "tone").exit == 0
        shown = here(folder, "calibrate", "tone")
        kinder = compared(folder)
        terminal = here(folder, "compare", "v1", "v2", "--examples", "0").out
        (newest, *_) = Workspace.open(folder).log.comparisons("triage")
        junit = here(folder, "report", newest.id, "--format", "junit").out
        decision = gate_versions(Workspace.open(folder), "triage", "triage@v1", "triage@v2")
        page = gate_page(Workspace.open(folder), gate_document(decision))
        assert len(server.asked) == asked

    assert never["verdict"] == kinder["verdict"] == "better"
    (why,) = never["judge_relative"]
    assert "tone: this judge is not calibrated" in why
    assert kinder["judge_relative"] == ["tone: this judge is kinder to head than people are"]
    (judge,) = kinder["judges"]
    one = judge["difference"]
    assert (judge["calibration"], one["labels"], one["judge_difference"]) == ("calibrated", CASES, 0.75)
    assert (one["corrected"]["value"], one["shift"]["value"]) == (0.0, -0.75)
    assert "better, judge-relative: head is good more often" in terminal
    assert '<property name="judge-relative" value="tone: this judge is kinder to head than people are"/>' in junit
    assert "tone as people would: +0.0 points" in " ".join(terminal.split())
    assert "it is kinder to triage@v2 on small than people are" in " ".join(shown.out.split())
    document = gate_document(decision)
    assert document.judge_relative is True
    assert document.suites[0].judge_relative == tuple(kinder["judge_relative"])
    assert "triage: judge-relative: tone: this judge is kinder to head than people are" in page
    assert "accept (judge-relative)" in gate_markdown(document, 64_000)
    assert any("of the same family (GPT)" in notice for notice in kinder["notices"])


def test_a_judge_for_whom_peoples_labels_speak_makes_nothing_relative(tmp_path: Path) -> None:
    with fault_server(likes_reasons) as server:
        folder = folder_for(tmp_path, server.port)
        assert here(folder, "run", "--prompt", "v1", "--prompt", "v2").exit == 0
        from evalh.api.labels import labelling

        work = labelling(Workspace.open(folder), "triage", about="tone", author="ada")
        for question in work.questions(1000):
            work.answer(question, good='"why"' in question.text, note=None)
        assert here(folder, "calibrate", "tone").exit == 0
        held = compared(folder)

    assert held["judge_relative"] == []
    assert held["judges"][0]["difference"]["shift"]["value"] == 0.0


def test_check_and_compare_say_that_a_judge_is_of_the_family_of_what_it_judges(tmp_path: Path) -> None:
    folder = folder_for(tmp_path, 9)
    done = here(folder, "check", "--json")

    assert done.exit == 0, done.out
    assert any("'strong' is of the same family (GPT) as 'small'" in one for one in json.loads(done.out)["notices"])
