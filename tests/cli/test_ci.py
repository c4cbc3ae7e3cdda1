"""`evalh ci init`: files that the services accept, and scripts in them that run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evalh.api.ci_files import FILES, ci_file
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
