"""`evalh ci init`: files that the services accept, and scripts in them that run."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evalh.api.scaffold import FILES, ci_file
from faults.running import here
from workspaces import write_workspace

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    "github": "vendor.github-workflows",
    "github-nightly": "vendor.github-workflows",
    "gitlab": "vendor.gitlab-ci",
    "gitlab-nightly": "vendor.gitlab-ci",
}


def accepted(schema: str, file: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=30)
    return write_workspace(tmp_path / "services" / "desk")


@pytest.mark.parametrize("service", FILES)
def test_the_file_stands_in_the_repositorys_root_and_works_from_there(repository: Path, service: str) -> None:
    done = here(repository, "ci", "init", service, "--json")
    told = json.loads(done.out)

    written = repository.parents[1] / FILES[service][1]
    assert done.exit == 0
    assert told["written"]
    assert written.read_text() == told["text"] == ci_file(service, "services/desk")
    assert yaml.safe_load(told["text"])
    for line in told["text"].splitlines():
        if line.strip().startswith(("run: evalh", "- evalh", "entry: evalh", "evalh gate")):
            assert "evalh -C services/desk" in line
    if service in SCHEMAS:
        accepted(SCHEMAS[service], written)


@pytest.mark.parametrize("service", FILES)
def test_a_file_that_exists_is_left_alone(repository: Path, service: str) -> None:
    file = repository.parents[1] / FILES[service][1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine\n")
    done = here(repository, "ci", "init", service)

    assert done.exit == 2
    assert file.read_text() == "mine\n"
    assert f"evalh ci init {service} --print" in done.err
    assert here(repository, "ci", "init", service, "--print").out == ci_file(service, "services/desk")


def suite_of(repository: Path) -> Path:
    return repository / "evals/triage.yaml"


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_without_an_answer_the_suites_stay_as_they_are(repository: Path, service: str) -> None:
    before = suite_of(repository).read_bytes()
    done = here(repository, "ci", "init", service)

    assert done.exit == 0
    assert suite_of(repository).read_bytes() == before
    assert "gate: {require: no_worse}" in done.err


@pytest.mark.parametrize("doubt", ["accept", "inconclusive", "refuse"])
def test_a_script_says_what_becomes_of_a_doubt(repository: Path, doubt: str) -> None:
    before = suite_of(repository).read_text()
    flow = before + "gate: {margin: 0.1, doubt: refuse}\n"
    (repository / "evals/own.yaml").write_text(flow)
    (repository / "evals/odd.yaml").write_text(before + '"gate": {margin: 0.1}\n')
    done = here(repository, "ci", "init", "github", "--doubt", doubt)

    assert done.exit == 0, done.err
    assert (repository / "evals/own.yaml").read_text() == flow
    assert ("own.yaml: doubt is refuse already" in done.out) is (doubt == "refuse")
    assert ("own.yaml: keeps doubt: refuse" in done.out) is (doubt != "refuse")
    if doubt == "accept":  # the default
        assert suite_of(repository).read_text() == before
        return
    assert suite_of(repository).read_text() == f"{before}gate:\n  doubt: {doubt}\n"
    assert f"wrote evals/triage.yaml: gate: {{doubt: {doubt}}}" in done.out
    assert f"evals/odd.yaml: not edited; add this yourself:  gate: {{doubt: {doubt}}}" in done.out
    assert here(repository, "check").exit in (0, 3)


def test_json_says_how_each_suite_stands(repository: Path) -> None:
    told = json.loads(here(repository, "ci", "init", "gitlab", "--doubt", "refuse", "--json").out)

    assert told["doubt"] == "refuse"
    assert told["suites"] == [{"file": "evals/triage.yaml", "doubt": "written"}]


@pytest.mark.parametrize("arguments", [("pre-commit",), ("github-nightly",), ("github", "--print")])
def test_a_doubt_where_there_is_no_gate_is_refused(repository: Path, arguments: tuple[str, ...]) -> None:
    done = here(repository, "ci", "init", *arguments, "--doubt", "refuse")

    assert done.exit == 2
    assert "--doubt is about the suites' gate" in done.err
    assert not (repository.parents[1] / FILES[arguments[0]][1]).exists()


@pytest.mark.parametrize(
    ("typed", "said"), [("inconclusive\n", "inconclusive"), ("\n", None), ("no\nrefuse\n", "refuse")]
)
def test_a_person_at_a_terminal_is_asked(repository: Path, typed: str, said: str | None) -> None:
    before = suite_of(repository).read_text()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "evalh", "-C", str(repository), "ci", "init", "github"]
    with subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        out, _ = process.communicate(timeout=60)
    os.close(ours)

    assert process.returncode == 0, out
    assert suite_of(repository).read_text() == before + (f"gate:\n  doubt: {said}\n" if said else "")


def test_the_composite_action_is_one_that_github_accepts() -> None:
    accepted("vendor.github-actions", ROOT / "action.yml")


def test_no_job_that_runs_strangers_code_holds_a_key() -> None:
    jobs = yaml.safe_load(ci_file("github"))["jobs"]

    assert "secrets" not in str(jobs["check"])
    assert "token" not in str(jobs["check"])
    assert jobs["check"]["permissions"] == {"contents": "read"}
    assert "evalh check" not in str(jobs["gate"])
    assert "if" not in jobs["gate"]  # a job that is skipped counts as passed where it is required
    for job in jobs.values():
        for step in job["steps"]:
            if "run" in step:  # what strangers write reaches a shell by variables, never as its text
                assert "${{" not in step["run"]
            if "evalh gate --" in step.get("run", "").replace("<!-- evalh gate -->", ""):
                assert "--trust base" in step["run"]
                assert step["env"]["EVALH_STORE"].startswith("${{ runner.temp }}")
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["fetch-depth"] == 0
                assert step["with"]["persist-credentials"] is False
            if step.get("uses", "").startswith("actions/cache"):
                assert "github.event_name != 'pull_request'" in step["if"]
