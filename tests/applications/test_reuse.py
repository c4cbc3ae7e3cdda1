"""An answer of an application counts again only while its stated revision does; models and fingerprints are as ever."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from applications.applying import application
from loopback import Handler, http_server
from workspaces import evalh, write_workspace

MODEL = """provider = "http"
url = "http://127.0.0.1:{port}/chat"
body = {{ticket = "{{{{inputs.ticket}}}}", id = "{{{{case_id}}}}"}}
output = "answer"
"""


@pytest.fixture
def asked() -> list[dict[str, str]]:
    return []


@pytest.fixture
def port(asked: list[dict[str, str]]) -> Iterator[int]:
    class Application(Handler):
        def answer(self) -> None:
            asked.append(json.loads(self.body()))
            if self.path == "/refuse":
                self.reply(401, {})
                return
            self.reply(200, {"answer": '{"label": "billing"}'})

    with http_server(Application) as port:
        yield port


def workspace(folder: Path, port: int, more: str = "") -> Path:
    write_workspace(folder, cases=4, model=MODEL.format(port=port) + more)
    return folder


def state(folder: Path, more: str, port: int) -> None:
    file = folder / "evalh.toml"
    head = file.read_text().partition("[models.small]")[0]
    file.write_text(f"{head}[models.small]\n{MODEL.format(port=port)}{more}")


def run(folder: Path) -> dict[str, Any]:
    done = evalh(folder, "run", "triage", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["results"][0]


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.test")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_without_a_revision_every_run_asks_again(tmp_path: Path, port: int, asked: list[dict[str, str]]) -> None:
    folder = workspace(tmp_path, port)

    run(folder)
    run(folder)

    assert len(asked) == 8
    assert asked.count({"ticket": "order 1", "id": "t-0001"}) == 2
    told = evalh(folder, "explain", "triage").stdout
    assert "no other run uses the answer again" in " ".join(told.split())


def test_with_a_revision_an_answer_counts_until_the_revision_or_an_input_changes(
    tmp_path: Path, port: int, asked: list[dict[str, str]]
) -> None:
    folder = workspace(tmp_path, port, 'revision = "1"\n')

    run(folder)
    run(folder)
    assert len(asked) == 4
    assert "while the model states the same" in " ".join(evalh(folder, "explain", "triage").stdout.split())

    rows = folder / "datasets/triage.jsonl"
    rows.write_text(rows.read_text().replace('"ticket": "order 1"', '"ticket": "order 1", "user": "Ada"'))
    run(folder)
    assert len(asked) == 5  # the prompt does not show the new input, the application may see it

    state(folder, 'revision = "2"\n', port)
    run(folder)
    assert len(asked) == 9


def test_revision_git_holds_while_head_does_and_nothing_is_uncommitted(
    tmp_path: Path, port: int, asked: list[dict[str, str]]
) -> None:
    folder = workspace(tmp_path, port, 'revision = "git"\n')
    refused = evalh(folder, "run", "triage")
    assert (refused.returncode, "git knows no HEAD" in refused.stderr) == (2, True), refused.stderr

    (folder / ".gitignore").write_text(".evalh/\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    run(folder)
    run(folder)
    assert len(asked) == 4

    (folder / "app.py").write_text("changed")
    run(folder)
    run(folder)
    assert len(asked) == 12

    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "second")
    run(folder)
    run(folder)
    assert len(asked) == 16


def test_two_revisions_of_an_application_can_be_compared(tmp_path: Path, port: int) -> None:
    folder = workspace(tmp_path, port, 'revision = "1"\n')
    base = run(folder)
    state(folder, 'revision = "2"\n', port)
    head = run(folder)

    done = evalh(folder, "compare", base["run"], head["run"])

    assert done.returncode == 0, done.stdout + done.stderr
    assert base["fingerprint"] == head["fingerprint"]


def test_no_secret_is_in_the_log(tmp_path: Path, port: int) -> None:
    folder = workspace(tmp_path, port, 'headers_env = {Authorization = "APP_AUTH"}\n')
    done = evalh(folder, "run", "triage", env={"APP_AUTH": "Bearer 4f9c2a7e8b1d99"})
    assert done.returncode == 0, done.stderr

    stored = b"".join(path.read_bytes() for path in (folder / ".evalh").rglob("*") if path.is_file())
    assert b"4f9c2a7e8b1d99" not in stored
    missing = evalh(folder, "run", "triage")
    assert (missing.returncode, "APP_AUTH is not set" in missing.stderr) == (2, True), missing.stderr


def test_a_judge_that_is_an_application_is_the_same_judge_in_every_run(tmp_path: Path, port: int) -> None:
    folder = workspace(tmp_path, port)
    with (folder / "evals/triage.yaml").open("a") as suite:
        suite.write("  - judge: {model: small, rubric: Is it a label?, scale: pass/fail, required: false}\n")

    base, head = run(folder), run(folder)

    assert base["fingerprint"] == head["fingerprint"]


def test_revision_git_says_nothing_of_the_files_of_another_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "app.py").write_text("")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    options = {"url": "http://127.0.0.1:9", "body": "{{prompt}}", "revision": "git"}

    here = application("http", options, root=tmp_path, env={"PATH": os.environ["PATH"]})
    base = application("http", options, root=tmp_path, revision="main")

    assert list(here.passing) == ["revision"]  # type: ignore[attr-defined]
    assert list(base.passing) == ["asked_once"]  # type: ignore[attr-defined]


def test_a_key_in_the_file_is_refused_and_a_variables_name_or_a_slot_is_not(tmp_path: Path, port: int) -> None:
    key, name, slot = (
        evalh(workspace(tmp_path / folder, port, f"headers_env = {{Authorization = {value!r}}}\n"), "check")
        for folder, value in (("a", "sk-abcdefghijklmnopqrstuv"), ("b", "APP_AUTH"), ("c", "{{inputs.key}}"))
    )

    assert (key.returncode, name.returncode, slot.returncode) == (2, 0, 2)
    assert "headers_env = {Authorization" in key.stderr
    assert "sk-abc" not in key.stdout + key.stderr
    assert "never a key" in slot.stderr


@pytest.mark.parametrize("revision", ["", 'revision = "1"\n'])
def test_a_run_that_stopped_early_says_whether_the_same_command_goes_on(
    tmp_path: Path, port: int, revision: str
) -> None:
    more = f"{revision}headers_env = {{X-Key = 'APP_KEY'}}\nurl = 'http://127.0.0.1:{port}/refuse'\n"
    model = MODEL.format(port=port).replace(f'url = "http://127.0.0.1:{port}/chat"\n', "")
    write_workspace(tmp_path, cases=4, model=model + more)

    done = evalh(tmp_path, "run", "triage", env={"APP_KEY": "0123456789"})

    assert done.returncode == 4, done.stderr
    told = " ".join(done.stderr.split())
    assert ("continues where this stopped" in told) is bool(revision)
    assert ("asks everything again" in told) is not bool(revision)
