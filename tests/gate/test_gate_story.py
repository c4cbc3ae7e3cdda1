"""What a pull request is told: the sides and the difference first, the prompt's words, the worst cases with their inputs."""

import json
import re
import subprocess
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from msgspec.structs import replace
from rich.console import Console

from evalh.analysis.gate.decision import GateDecision
from evalh.api.scaffold import ci_file
from evalh.core.errors import ExitCode
from evalh.report.documents.gate import gate_document, kept_gate
from evalh.report.files.junit import gate_junit
from evalh.report.markdown.gate import COMMENT_BYTES, DATASET_LABEL, gate_markdown
from evalh.report.terminal.gate import show_gate
from gating import Repo, row

ROOT = Path(__file__).parents[2]


def refused(folder: Path) -> tuple[Repo, GateDecision]:
    repo = Repo(folder, cases=60)
    repo.prompt(wrong=2)
    return repo, repo.gate()


def comment(decision: GateDecision) -> str:
    return gate_markdown(gate_document(decision), COMMENT_BYTES)


def test_the_headline_names_both_sides_and_the_difference(tmp_path: Path) -> None:
    _, decision = refused(tmp_path)
    compared = decision.suites[0].comparison

    assert compared is not None
    assert compared.difference.value is not None
    headline = comment(decision).splitlines()[1].replace("\\", "")
    assert headline.startswith("## ❌ evalh gate: refuse · triage draft on main → draft · good -")
    assert f"{100 * compared.difference.value:+.1f} points [" in headline


def test_the_terminal_names_every_case_that_got_worse(tmp_path: Path) -> None:
    _, decision = refused(tmp_path)
    comparison = decision.suites[0].comparison
    assert comparison is not None
    many = replace(comparison, regressed=(*comparison.regressed, *(f"c-{number}" for number in range(1_000))))
    told = []
    for one in (comparison, many):
        suite = replace(decision.suites[0], comparison=one)
        console = Console(width=200, file=StringIO(), color_system=None)
        show_gate(console, gate_document(replace(decision, suites=(suite,))))
        told.append(console.file.getvalue())  # type: ignore[attr-defined]

    shown = re.findall(r"^  worse  (\S+) *$", told[0], re.MULTILINE)
    (others,) = re.findall(r"^  also worse: (.+?) *$", told[0], re.MULTILINE)
    assert len(shown) == 3
    assert sorted([*shown, *others.split(", ")]) == sorted(comparison.regressed)
    (left,) = re.findall(r"^  also worse: .+ and (.+) more *$", told[1], re.MULTILINE)
    assert left == f"{len(many.regressed) - 13:,}"


def test_a_base_that_cannot_be_read_is_told_in_one_line_with_its_hint(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=20)
    suite = (tmp_path / "evals/triage.yaml").read_text()
    with repo.on_main():
        repo.write("evals/triage.yaml", suite.replace("dataset: triage", "dataset: triag"))
    repo.write("evals/triage.yaml", suite)

    (told,) = [one for one in repo.gate().suites[0].notices if "cannot be read" in one]
    assert told.endswith("no dataset 'triag'; did you mean 'triage'?")


def test_versions_are_named_without_the_commit_that_they_come_from(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=40)
    with repo.on_main():
        repo.git("mv", "prompts/triage/draft.prompt", "prompts/triage/v1.prompt")
    repo.prompt(wrong=9)

    assert "· triage v1 → draft ·" in comment(repo.gate()).splitlines()[1]


def test_the_prompts_words_are_told_apart_and_folded(tmp_path: Path) -> None:
    _, decision = refused(tmp_path)
    told = comment(decision)

    assert "<summary>What differs between the prompts: 1 word removed, 1 word added</summary>" in told
    assert "<pre>Sort the ticket; be wrong on every <del>10</del><ins>2</ins>.</pre>" in told


def test_what_a_prompt_says_is_text_in_the_comment(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=40)
    file = tmp_path / "prompts/triage/draft.prompt"
    hostile = "</pre><script>x</script><img src=http://b> </details> \u202ereversed"
    file.write_text(file.read_text().replace("Sort the ticket", f"Sort {hostile} the ticket"))
    told = comment(repo.gate())

    assert "&lt;/pre&gt;&lt;script&gt;x" in told
    assert "<script>" not in told
    assert "<img" not in told
    assert "\u202e" not in told
    assert told.count("<pre>") == told.count("</pre>") == 1
    assert told.count("<details>") == told.count("</details>")


def test_a_long_prompt_leaves_room_for_the_cases(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=40)
    file = tmp_path / "prompts/triage/draft.prompt"
    lines = "\n".join(f"Rule {number}: be kind to number {number}." for number in range(4_000))
    file.write_text(file.read_text().replace("wrong on every 10.", f"wrong on every 2.\n{lines}"))
    told = comment(repo.gate())

    assert len(told.encode()) < COMMENT_BYTES
    assert "… the rest is in evalh gate --json" in told
    assert "#### triage: " in told


def test_the_worst_cases_are_told_with_input_outputs_and_reason(tmp_path: Path) -> None:
    _, decision = refused(tmp_path)
    told = comment(decision)
    first = decision.suites[0].evidence[0]
    number = int(first.case_id.removeprefix("t-"))
    worse = decision.suites[0].comparison.losses if decision.suites[0].comparison else 0

    assert f"#### triage: {worse} cases got worse, the worst 5" in told
    assert told.count("<details><summary><b>") == 5
    assert f'<details><summary><b>t-{number:04d}</b>: label is "bug"; expected "billing"</summary>' in told
    assert f"input\n\n```text\norder {number}\n```" in told
    assert 'head\n\n```text\n{"label": "bug"}\n```' in told


def test_a_case_that_lost_more_trials_comes_first(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=40, gate="gate: {trials: 4, sequential: false}\n")
    answers = tmp_path / "evals/answers.py"
    text = answers.read_text().replace("number % int(told[1]) == 0", "wrong_in(number, int(told[1]), trial)")
    answers.write_text(
        f"{text}\n\ndef wrong_in(number, every, trial):\n    return number % every == 0 and trial < number // 2\n"
    )
    repo.prompt(wrong=2)
    first, *_, last = repo.gate().suites[0].evidence

    assert int(first.case_id.removeprefix("t-")) >= 8
    assert int(last.case_id.removeprefix("t-")) >= 8 or last.case_id in ("t-0002", "t-0004", "t-0006")


def test_what_was_asked_has_its_price(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=40)
    with repo.on_main():
        repo.write("evalh.toml", (tmp_path / "evalh.toml").read_text() + "price = {input = 1000, output = 1000}\n")
    repo.prompt(wrong=2)
    decision = repo.gate()
    spent = decision.suites[0].spent_usd

    assert spent is not None
    assert spent > 0
    assert f"asked for ${float(spent):.3g}"[:14] in comment(decision)
    assert gate_document(decision).suites[0].spent_usd == spent


def test_junit_has_a_test_for_each_case_that_got_worse(tmp_path: Path) -> None:
    _, decision = refused(tmp_path)
    (suite,) = ET.fromstring(gate_junit(gate_document(decision)))
    cases = [one for one in suite if str(one.get("classname")).endswith(".worse")]

    assert [one.get("name") for one in cases] == [one.case_id for one in decision.suites[0].evidence]
    assert all(one[0].tag == "failure" for one in cases)
    assert int(str(suite.get("failures"))) == len(cases) + 1
    assert "input: order" in str(cases[0][0].text)


def test_a_gate_that_accepts_fails_no_test_of_a_case(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=60)
    repo.prompt(wrong=12)
    decision = repo.gate()
    root = ET.fromstring(gate_junit(gate_document(decision)))

    assert decision.exit is ExitCode.YES
    assert decision.suites[0].evidence
    assert root.get("failures") == "0"
    assert int(str(root.get("skipped"))) == len(decision.suites[0].evidence)


def test_a_decision_of_an_older_log_is_still_told(tmp_path: Path) -> None:
    repo, decision = refused(tmp_path)
    from evalh.api.workspace import Workspace

    kept = Workspace.open(repo.folder).log.overview(1).gates[0]
    held = json.loads(kept.content)
    for suite in held["suites"]:
        del suite["diff"], suite["spent_usd"]
        for one in suite["evidence"]:
            del one["inputs"]
    told = gate_markdown(kept_gate(replace(kept, content=json.dumps(held).encode())), COMMENT_BYTES)

    assert "#### triage: " in told
    assert "What differs" not in told
    assert decision.id is not None


def test_rows_that_were_changed_name_the_label_that_allows_them(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=40)
    repo.rows([row(number, expected={"label": "bug"}) if number == 3 else row(number) for number in range(1, 41)])
    decision = repo.gate()

    assert decision.exit is ExitCode.NO
    assert f"give the pull request the label `{DATASET_LABEL}`" in comment(decision)
    assert DATASET_LABEL in ci_file("github")
    assert DATASET_LABEL in ci_file("gitlab")
    assert DATASET_LABEL in (ROOT / "action.yml").read_text()


@pytest.mark.parametrize(
    ("labels", "allowed"),
    [
        (f"bug\n{DATASET_LABEL}\n", True),
        ("", False),
        (f"not-{DATASET_LABEL}\n", False),
        (f"{DATASET_LABEL} x\n", False),
    ],
)
@pytest.mark.parametrize("file", ["workflow", "action"])
def test_the_shipped_job_allows_changed_rows_by_that_label_alone(
    tmp_path: Path, file: str, labels: str, *, allowed: bool
) -> None:
    text = ci_file("github") if file == "workflow" else (ROOT / "action.yml").read_text()
    held = yaml.safe_load(text)
    steps = held["jobs"]["gate"]["steps"] if file == "workflow" else held["runs"]["steps"]
    (script,) = (step["run"] for step in steps if step.get("name") == "Decide")
    (tmp_path / "labels").write_text(labels)
    (tmp_path / "evalh").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "evalh").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": f"{tmp_path}/out", "EARLIER": f"{tmp_path}/none"}
    env |= {"LABELS": f"{tmp_path}/labels", "BASE": "main", "ARGUMENTS": "", "GITHUB_OUTPUT": f"{tmp_path}/output"}
    done = subprocess.run(["bash", "-e", "-c", script], env=env, capture_output=True, text=True, timeout=30, check=True)

    assert ("--allow-dataset-change" in done.stdout) is allowed
    assert "--trust base" in done.stdout


def test_a_prompt_that_crowds_the_comment_hides_no_case(tmp_path: Path) -> None:
    repo = Repo(tmp_path, cases=40)
    file = tmp_path / "prompts/triage/draft.prompt"
    settings = "".join(f", x{number}: {number}" for number in range(2_000))
    messages = "".join(f'{{{{role "user"}}}}\n{"<" * 2_000}\n' for _ in range(40))
    text = file.read_text().replace("max_tokens: 24", f"max_tokens: 24{settings}").replace("every 10.", "every 2.")
    file.write_text(text.replace('{{role "user"}}\n', f'{messages}{{{{role "user"}}}}\n'))
    told = comment(repo.gate())

    assert len(told.encode()) < COMMENT_BYTES
    assert "the rest is in evalh gate --json" in told
    assert "#### triage: " in told
    assert told.count("<pre>") == told.count("</pre>")
    assert told.count("<details>") == told.count("</details>")
