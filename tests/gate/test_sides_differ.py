"""Every report of a gate and of a comparison names the parts of the fingerprint in which its sides differ."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from evalh.report.documents.gate import GateDocument, gate_document
from evalh.report.files.junit import gate_junit
from evalh.report.markdown.gate import COMMENT_BYTES, gate_markdown
from evalh.report.words import sides_differ
from gating import CONFIG, Repo, row
from workspaces import SUITE, document, evalh, write_workspace

CANNED = '\n[models.canned]\nprovider = "scripted"\nmodel = "c"\ndefault = \'{"label": "billing"}\'\n'
ROUTE = '\n[routes.careful]\nmodel = "small"\nretry = {attempts = 4}\n'


def other_model(repo: Repo) -> None:
    repo.write("evalh.toml", CONFIG + CANNED)
    repo.write("evals/triage.yaml", SUITE.replace("model: small", "model: canned"))


def model_that_it_is_sent_to(repo: Repo) -> None:
    repo.write("evalh.toml", CONFIG.replace("script-1", "script-2"))


def parameters(repo: Repo) -> None:
    repo.write("evalh.toml", f"{CONFIG}params = {{top_p = 0.5}}\n")


def prompt_and_model(repo: Repo) -> None:
    repo.prompt(wrong=9)
    other_model(repo)


def rows_and_graders(repo: Repo) -> None:
    repo.rows([row(number) for number in range(1, 22)])
    repo.write("evals/triage.yaml", SUITE.replace("  - schema\n", "  - schema\n  - contains: billing\n"))


def route(repo: Repo) -> None:
    repo.write("evalh.toml", (repo.folder / "evalh.toml").read_text().replace("attempts = 4", "attempts = 2"))


CHANGES = {
    other_model: "sides differ in: model or route (small → canned)",
    model_that_it_is_sent_to: "sides differ in: model (small: script-1 → script-2)",
    parameters: "sides differ in: model (small: top_p not set → 0.5)",
    prompt_and_model: "sides differ in: prompt, model or route (small → canned)",
    rows_and_graders: "sides differ in: dataset rows, graders",
    route: "sides differ in: route",
}


def decided(folder: Path, change: object) -> GateDocument:
    repo = Repo(folder, cases=20)
    if change is route:
        with repo.on_main():
            repo.write("evalh.toml", CONFIG + ROUTE)
            repo.write("evals/triage.yaml", SUITE.replace("model: small", "model: careful"))
    assert callable(change)
    change(repo)
    return gate_document(repo.gate(allow_dataset_change=True, allow_suite_change=True))


@pytest.mark.parametrize(("change", "told"), CHANGES.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_a_gates_comment_and_junit_name_every_part_that_differs(tmp_path: Path, change: object, told: str) -> None:
    gate = decided(tmp_path, change)
    comment = gate_markdown(gate, COMMENT_BYTES).replace("\\", "").replace("\u200b", "")
    headline = comment.split("### ", 1)[0]
    properties = [one.get("value") for one in ET.fromstring(gate_junit(gate)).iter("property")]

    assert told in headline
    assert told in properties


def test_a_gates_terminal_page_and_document_name_the_models(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=20)
    prompt_and_model(repo)
    said, page = (
        evalh(tmp_path, "gate", "--base", "main", "--report", str(tmp_path / "gate.html")),
        tmp_path / "gate.html",
    )
    (suite,) = document(evalh(tmp_path, "gate", "--base", "main", "--json"))["suites"]

    assert CHANGES[prompt_and_model] in said.stdout
    assert CHANGES[prompt_and_model] in page.read_text(encoding="utf-8").split("</header>")[0]
    assert suite["comparison"]["differing"] == [
        {"part": "prompt", "details": []},
        {"part": "model", "details": ["small → canned"]},
        {"part": "route", "details": []},
    ]


def test_a_model_with_a_hostile_name_stays_text(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=20)
    repo.write("evalh.toml", CONFIG.replace("script-1", "a <img src=x> @everyone | b"))
    comment = gate_markdown(gate_document(repo.gate()), COMMENT_BYTES)

    assert "script-1 → a &lt;img src=x&gt; @\u200beveryone \\| b" in comment
    assert "<img" not in comment
    assert "@everyone" not in comment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "100")
    folder = write_workspace(tmp_path, cases=10)
    config = folder / "evalh.toml"
    config.write_text(f"{config.read_text()}params = {{top_p = 0.5}}\n{CANNED}")
    return folder


def test_every_form_of_a_comparison_names_the_models(folder: Path) -> None:
    told = "sides differ in: model or route (small → canned)"
    said = evalh(folder, "compare", "v1@small", "v1@canned", "--report", str(folder / "page.html"))
    found = document(evalh(folder, "compare", "v1@small", "v1@canned", "--json"))
    texts = {form: evalh(folder, "report", found["id"], "--format", form).stdout for form in ("markdown", "junit")}

    assert told in said.stdout
    assert told in (folder / "page.html").read_text(encoding="utf-8").split("</header>")[0]
    assert all(told in text for text in texts.values())
    assert found["differing"][0] == {"part": "model", "details": ["small → canned"]}


def test_two_saved_runs_under_one_name_tell_which_parameter_differs(folder: Path) -> None:
    before = document(evalh(folder, "run", "--json"))["results"][0]["run"]
    config = folder / "evalh.toml"
    config.write_text(config.read_text().replace("top_p = 0.5", "top_p = 0.9"))
    after = document(evalh(folder, "run", "--json"))["results"][0]["run"]

    assert "sides differ in: model (small: top_p 0.5 → 0.9)" in evalh(folder, "compare", before, after).stdout
    same = "sides are the same in prompt, dataset rows, graders, model and route"
    assert same in evalh(folder, "compare", after, after).stdout


def test_another_recording_is_told_by_the_beginning_of_its_digest(folder: Path) -> None:
    config, recording = folder / "evalh.toml", folder / "recorded.jsonl"
    replay = '\n[models.replayed]\nprovider = "replay"\npath = "recorded.jsonl"\n'
    config.write_text(config.read_text() + replay)
    runs = []
    for label in ("billing", "bug"):
        rows = (
            json.dumps({"id": f"t-{number:04d}", "output": json.dumps({"label": label})}) for number in range(1, 11)
        )
        recording.write_text("\n".join(rows))
        done = document(evalh(folder, "run", "--model", "replayed", "--json"))
        runs.append(done["results"][0]["run"])

    told = evalh(folder, "compare", *runs).stdout.split("\n\n")[0].replace("\n", " ")
    assert re.search(r"sides differ in: model \(replayed: recording sha256:\w{8}… → sha256:\w{8}…\)", told), told


def test_rows_that_differ_are_counted(folder: Path) -> None:
    before = document(evalh(folder, "run", "--json"))["results"][0]["run"]
    data = folder / "datasets/triage.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    rows[0]["expected"] = {"label": "bug"}
    data.write_text("".join(json.dumps(one) + "\n" for one in rows[:-1]))
    after = document(evalh(folder, "run", "--json"))["results"][0]["run"]

    assert "sides differ in: dataset rows (2 cases)" in evalh(folder, "compare", before, after).stdout


def test_a_decision_of_an_older_log_names_the_parts_by_their_digests(tmp_path: Path) -> None:
    (suite,) = decided(tmp_path, prompt_and_model).suites
    assert suite.comparison is not None

    assert sides_differ(replace(suite.comparison, differing=())) == "sides differ in: prompt, model or route"
