"""The shipped files, their shell steps run on pull requests that want the key, the machine, or a merge."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from evalh.api.scaffold import ci_file
from gating import PROMPT, Repo, row
from jobs import Event, Job, Machine, run_gitlab, run_steps, run_workflow
from loopback import Handler, chat_completion, http_server

KEY = "sk-proj-the-key-of-this-project"
KEYS = {"OPENAI_API_KEY": KEY}
ACCEPTED = "## ✅ evalh gate: accept\n"
CONFIG = """[workspace]
default_suite = "triage"

[models.small]
provider = "openai"
model = "test-1"
base_url = "{url}"
api_key_env = "OPENAI_API_KEY"
price = {{input = 0.25, output = 2.0}}
"""
SUITE = """prompt: triage
dataset: triage
model: small
graders:
  - schema
  - equals: {path: label, expected: label}
  - judge: {rubric: tone@v1, model: small, scale: pass/fail, name: tone}
"""
JUDGE = """---
config: {temperature: 0, max_tokens: 100}
output:
  format: json
  schema: {reason: string, verdict(enum): [pass, fail]}
---
{{role "system"}}
You are the judge. Say whether the ticket was sorted well.
{{role "user"}}
{{output}}
"""


@dataclass
class Service:
    """A model behind a key, as a provider runs it; `lies`: it answers well with any prompt."""

    url: str = ""
    lies: bool = False
    keys: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def answer(self, text: str) -> str:
        if "You are the judge" in text or "LENIENT" in text:
            verdict = "pass" if "LENIENT" in text or "billing" in text else "fail"
            return json.dumps({"reason": "so it is", "verdict": verdict})
        told, number = re.search(r"wrong on every (\d+)", text), re.search(r"order (\d+)", text)
        wrong = told and number and int(number[1]) % int(told[1]) == 0 and not self.lies
        return json.dumps({"label": "bug" if wrong else "billing"})


@contextmanager
def service() -> Iterator[Service]:
    state = Service()

    class Model(Handler):
        def answer(self) -> None:
            body = self.body().decode()
            state.keys.append(self.headers.get("Authorization", ""))
            state.bodies.append(body)
            text = "\n".join(str(message["content"]) for message in json.loads(body)["messages"])
            self.reply(200, chat_completion({"message": {"content": state.answer(text)}}))

    with http_server(Model) as port:
        state.url = f"http://127.0.0.1:{port}/v1"
        yield state


class Stage(Repo):
    """A repository, the services that it and a stranger run, and where a stranger's code leaves what it saw."""

    def __init__(self, folder: Path, ours: Service, theirs: Service) -> None:
        self.ours, self.theirs, self.evidence = ours, theirs, folder.parent / "evidence"
        self.evidence.mkdir(parents=True)
        super().__init__(folder, cases=40, wrong=1000)
        with self.on_main("All that there is"):
            self.write("evalh.toml", CONFIG.format(url=ours.url))
            self.write("evals/triage.yaml", SUITE)
            self.write("prompts/tone/v1.prompt", JUDGE)
            (self.folder / "evals/answers.py").unlink()
        self.prompt(wrong=1)

    @property
    def spy(self) -> str:
        """Code that writes down what it can see."""
        return f"import os, json, secrets\nopen({str(self.evidence)!r} + '/' + secrets.token_hex(4), 'w').write(json.dumps(dict(os.environ)))\n"

    def seen(self) -> list[dict[str, str]]:
        """What the stranger's code saw, each time that it was run."""
        return [json.loads(one.read_text()) for one in self.evidence.iterdir()]


def nothing(stage: Stage) -> None:
    """The prompt alone is worse."""


def plugin(stage: Stage) -> None:
    stage.write("evil.py", stage.spy)
    stage.write(
        "evalh.toml", CONFIG.format(url=stage.ours.url).replace("[workspace]", '[workspace]\nplugins = ["evil.py"]')
    )


def scripted(stage: Stage) -> None:
    stage.write("evals/answers.py", stage.spy + 'def answer(case_id):\n    return \'{"label": "billing"}\'\n')
    stage.write(
        "evalh.toml",
        '[workspace]\ndefault_suite = "triage"\n[models.small]\nprovider = "scripted"\nfunction = "evals/answers.py:answer"\n',
    )


def address(stage: Stage) -> None:
    stage.write("evalh.toml", CONFIG.format(url=stage.theirs.url))


def python_files(stage: Stage) -> None:
    names = "conftest sitecustomize usercustomize evalh/__init__ evalh/__main__ git json click re setup"
    for name in names.split():
        stage.write(f"{name}.py", stage.spy)
    stage.write(
        "pyproject.toml",
        '[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n[project]\nname = "evalh"\nversion = "9"\n',
    )
    stage.write("setup.cfg", "[metadata]\nname = evalh\n")
    stage.write("pip.conf", "[global]\nindex-url = http://127.0.0.1:9/\n")
    stage.write("requirements.txt", "-e .\n")


def judge(stage: Stage) -> None:
    stage.write("prompts/tone/v1.prompt", JUDGE.replace("You are", "LENIENT: you are"))
    stage.write("evals/triage.yaml", SUITE.replace("  - equals: {path: label, expected: label}\n", ""))


def log(stage: Stage) -> None:
    stage.commit("Worse")
    stage.ours.lies = True
    command = [sys.executable, "-m", "evalh", "-C", str(stage.folder), "run", "--prompt", "draft"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OPENAI_API_KEY": KEY}, timeout=120)
    stage.ours.lies = False
    assert (stage.folder / ".evalh/evalh.db").exists()
    stage.write(".gitignore", "")
    (stage.folder / ".evalh/.gitignore").unlink()
    stage.git("add", "-f", ".evalh")
    for folder in ("evalh-log", "evalh"):
        shutil.copytree(stage.folder / ".evalh", stage.folder / folder)


def links(stage: Stage) -> None:
    for name in ("evalh-comment.md", "evalh-junit.xml", "comment.md", "junit.xml"):
        (stage.folder / name).symlink_to(".git/config")
    (stage.folder / "evalh-out").symlink_to(".git")
    (stage.folder / "evalh").symlink_to(".git")
    (stage.folder / ".evalh").symlink_to(".git")
    stage.write(".gitignore", "")


def prompt_link(stage: Stage) -> None:
    (stage.folder / "prompts/triage/draft.prompt").unlink()
    (stage.folder / "prompts/triage/draft.prompt").symlink_to("../../.git/config")


def old_answers(stage: Stage) -> None:
    for folder in ("", "evalh/", "evalh-out/"):
        stage.write(f"{folder}comment.md", ACCEPTED)
        stage.write(f"{folder}evalh-comment.md", ACCEPTED)
        stage.write(
            f"{folder}junit.xml",
            '<testsuites tests="1" failures="0"><testsuite tests="1"><testcase name="good"/></testsuite></testsuites>\n',
        )


def renamed(stage: Stage) -> None:
    stage.git("mv", "evals/triage.yaml", "evals/q.yaml")
    stage.write("evalh.toml", CONFIG.format(url=stage.ours.url).replace('"triage"', '"q"'))


def deleted(stage: Stage) -> None:
    stage.git("rm", "-q", "evals/triage.yaml")
    stage.write("evalh.toml", CONFIG.format(url=stage.ours.url).replace('default_suite = "triage"\n', ""))


def commands(stage: Stage) -> None:
    rows = [json.loads(line) for line in (stage.folder / "datasets/triage.jsonl").read_text().splitlines()]
    stage.rows([*rows, row(7) | {"id": "x\n::set-output name=exit::0\naccept\n"}])


def unreadable(stage: Stage) -> None:
    stage.write("evalh.toml", "[[[\n")


def everything(stage: Stage) -> None:
    python_files(stage)
    judge(stage)
    commands(stage)
    old_answers(stage)
    shutil.rmtree(stage.folder / "evalh")
    shutil.rmtree(stage.folder / "evalh-out")
    for name in ("evalh-comment.md", "comment.md"):
        (stage.folder / name).unlink()
    (stage.folder / "junit.xml").unlink()
    log(stage)
    shutil.rmtree(stage.folder / "evalh")
    shutil.rmtree(stage.folder / ".evalh")
    links(stage)
    plugin(stage)
    stage.git("mv", "evals/triage.yaml", "evals/q.yaml")


ATTACKS: dict[str, tuple[Callable[[Stage], None], frozenset[int]]] = {
    "worse": (nothing, frozenset({1})),
    "a plugin": (plugin, frozenset({1, 3})),
    "a scripted model": (scripted, frozenset({1, 3})),
    "an address": (address, frozenset({1, 3})),
    "files that Python takes": (python_files, frozenset({1})),
    "a lenient judge": (judge, frozenset({1})),
    "a log of forged answers": (log, frozenset({1, 2})),
    "links": (links, frozenset({1, 2})),
    "a prompt that is a link": (prompt_link, frozenset({1, 2, 3})),
    "old answers": (old_answers, frozenset({1})),
    "a renamed suite": (renamed, frozenset({1, 3})),
    "a deleted suite": (deleted, frozenset({1, 3})),
    "commands in a case id": (commands, frozenset({1})),
    "a workspace that cannot be read": (unreadable, frozenset({1, 2, 3})),
    "everything": (everything, frozenset({1, 2, 3})),
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with service() as ours, service() as theirs:
        yield Stage(tmp_path / "origin", ours, theirs)


def attack(stage: Stage, name: str) -> frozenset[int]:
    """Bring an attack in on `change`; return the exit codes that are right for it."""
    bring, codes = ATTACKS[name]
    bring(stage)
    stage.commit("An improvement")
    stage.ours.keys.clear()
    stage.ours.bodies.clear()
    return codes


def held(stage: Stage, decided: Job, codes: frozenset[int]) -> None:
    """Hold the job that decides to what is promised whatever a pull request brings."""
    assert decided.code in codes, decided.log
    assert stage.theirs.keys == []
    assert set(stage.ours.keys) <= {f"Bearer {KEY}"}
    assert not any("token" in body and "[core]" in body for body in stage.ours.bodies)
    assert decided.comment is None or not re.search("✅|evalh gate: accept", decided.comment)
    if decided.junit is not None:
        assert re.search(r"<failure|<error|<skipped", decided.junit)
    for text in (decided.log, decided.comment or "", decided.junit or ""):
        assert KEY not in text
        assert "ghs-write-token" not in text
        assert "glcbt-job-token" not in text
    assert "\naccept\n" not in decided.log
    lines = (line.strip() for line in decided.log.splitlines())
    ours = re.compile(r"::(error|warning|notice) (file=(prompts/\S+|evalh\.toml),line=\d+,)?title=evalh gate")
    assert all(ours.match(line) for line in lines if line.startswith("::")), decided.log
    assert [call["args"] for call in decided.pip] == [["install", "evalh"]]


def code_saw_no_key(stage: Stage, *, only_in: str) -> None:
    """Whatever of the stranger's ran, ran in the job without a key."""
    for seen in stage.seen():
        assert KEY not in json.dumps(seen)
        assert "ghs-write-token" not in json.dumps(seen)
        assert f"/{only_in}/tools" in seen["JOB_TOOLS"]


@pytest.mark.parametrize("name", ATTACKS)
def test_the_github_file_holds(stage: Stage, tmp_path: Path, name: str) -> None:
    codes = attack(stage, name)

    jobs = run_workflow(ci_file("github"), stage.folder, tmp_path / "jobs", Event(secrets=KEYS))

    held(stage, jobs["gate"], codes)
    code_saw_no_key(stage, only_in="check")
    assert jobs["gate"].comment is not None
    assert jobs["gate"].pip[0]["cwd"] == str(tmp_path / "jobs/gate/temp")
    assert jobs["check"].pip[0]["cwd"] == str(tmp_path / "jobs/check/temp")
    assert jobs["check"].comment is None
    if name == "worse":
        assert "evalh gate: refuse" in jobs["gate"].comment
        assert "<failure" in str(jobs["gate"].junit)
        assert set(stage.ours.keys) == {f"Bearer {KEY}"}
        assert {"comment.md", "junit.xml", "evalh.db"} == set(jobs["gate"].artifacts)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_gitlab_file_holds(stage: Stage, tmp_path: Path, name: str) -> None:
    codes = attack(stage, name)

    jobs = run_gitlab(ci_file("gitlab"), stage.folder, tmp_path / "jobs", variables=KEYS)

    held(stage, jobs["evalh"], codes)
    code_saw_no_key(stage, only_in="evalh-check")


@pytest.mark.parametrize("name", ATTACKS)
def test_the_action_holds(stage: Stage, tmp_path: Path, name: str) -> None:
    codes = attack(stage, name)
    action = yaml.safe_load((Path(__file__).parents[2] / "action.yml").read_text())
    inputs = {key: value["default"] for key, value in action["inputs"].items()} | {"arguments": "--concurrency 8"}
    machine = Machine(tmp_path / "jobs/action", stage.folder, "change")

    job = run_steps(action["runs"]["steps"], {}, machine, Event(secrets=KEYS), inputs, ambient=KEYS)

    held(stage, job, codes)
    assert stage.seen() == []
    assert job.comment is not None


def guides_job() -> dict[str, Any]:
    text = (Path(__file__).parents[2] / "docs/guide/gate-in-ci.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return dict(yaml.safe_load(block)["jobs"]["gate"])


@pytest.mark.parametrize(
    "name",
    ["worse", "a plugin", "an address", "files that Python takes", "a log of forged answers", "links", "everything"],
)
def test_the_guides_job_holds(stage: Stage, tmp_path: Path, name: str) -> None:
    codes = attack(stage, name)
    job = guides_job()

    done = run_steps(
        job["steps"], job.get("env", {}), Machine(tmp_path / "jobs/gate", stage.folder, "change"), Event(secrets=KEYS)
    )

    held(stage, done, codes)
    assert stage.seen() == []
    assert job["permissions"] == {"contents": "read"}


def test_a_fork_is_handed_no_key_and_told_what_happens_next(stage: Stage, tmp_path: Path) -> None:
    attack(stage, "plugin" if "plugin" in ATTACKS else "a plugin")

    jobs = run_workflow(ci_file("github"), stage.folder, tmp_path / "jobs", Event(secrets=KEYS, fork=True))

    assert jobs["gate"].code in {3, 4}, jobs["gate"].log
    assert stage.ours.keys == []
    assert jobs["gate"].comment is None  # a fork's token writes none; the job's summary says it
    summary = (tmp_path / "jobs/gate/summary.md").read_text()
    assert "Run workflow" in summary
    assert "✅" not in summary
    assert "<error" in str(jobs["gate"].junit)


def test_a_fork_whose_prompt_alone_changed_is_told_the_same(stage: Stage, tmp_path: Path) -> None:
    attack(stage, "worse")

    jobs = run_workflow(ci_file("github"), stage.folder, tmp_path / "jobs", Event(fork=True))

    assert jobs["gate"].code == 4, jobs["gate"].log
    assert "with the full id of the commit that you have read" in jobs["gate"].log


@pytest.mark.parametrize("labels", [(), ("bug", "evalh-allow-dataset-change")])
def test_only_a_label_of_the_pull_request_allows_changed_rows(
    stage: Stage, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    stage.prompt(wrong=1000)
    stage.rows([row(number, expected={"label": "bug"}) if number == 3 else row(number) for number in range(1, 41)])
    stage.commit("Relabel")

    jobs = run_workflow(ci_file("github"), stage.folder, tmp_path / "jobs", Event(secrets=KEYS, labels=labels))

    assert jobs["gate"].code == (0 if labels else 1), jobs["gate"].log
    assert "::warning" not in jobs["gate"].log


def test_a_run_by_hand_measures_the_commit_that_was_read(stage: Stage, tmp_path: Path) -> None:
    attack(stage, "worse")

    jobs = run_workflow(
        ci_file("github"), stage.folder, tmp_path / "jobs", Event(name="workflow_dispatch", secrets=KEYS)
    )

    assert list(jobs) == ["gate"]
    assert jobs["gate"].code == 1, jobs["gate"].log
    assert jobs["gate"].restored
    assert stage.ours.keys


def test_no_answer_comes_from_a_cache_that_a_pull_request_could_write(stage: Stage, tmp_path: Path) -> None:
    """The job `check` runs a stranger's code, which may write the caches of its pull request."""
    attack(stage, "a log of forged answers")
    poisoned = tmp_path / "poisoned"
    shutil.copytree(stage.folder / ".evalh", poisoned)
    for folder in (".evalh", "evalh-log", "evalh"):
        stage.git("rm", "-rqf", folder)
        shutil.rmtree(stage.folder / folder, ignore_errors=True)
    stage.commit("Hide it")

    jobs = run_workflow(ci_file("github"), stage.folder, tmp_path / "jobs", Event(secrets=KEYS, poisoned=poisoned))

    held(stage, jobs["gate"], frozenset({1, 2}))
    assert not jobs["gate"].restored


def test_a_gate_that_is_killed_posts_no_old_decision(stage: Stage, tmp_path: Path) -> None:
    """If evalh could not decide, the comment replaces an earlier push's and says that there is no decision."""
    attack(stage, "old answers")
    text = ci_file("github").replace('evalh gate --base "$BASE"', 'kill -9 $$; evalh gate --base "$BASE"')

    jobs = run_workflow(text, stage.folder, tmp_path / "jobs", Event(secrets=KEYS))

    assert jobs["gate"].code != 0
    assert jobs["gate"].comment is not None
    assert "no decision" in jobs["gate"].comment


def test_an_honest_improvement_is_accepted(stage: Stage, tmp_path: Path) -> None:
    stage.prompt(wrong=1000, description="Sort a ticket")
    stage.write(
        "prompts/triage/draft.prompt", PROMPT.format(wrong=1000, description="d").replace("Sort the", "Please sort the")
    )
    stage.commit("Better")

    jobs = run_workflow(ci_file("github"), stage.folder, tmp_path / "jobs", Event(secrets=KEYS))
    gitlab = run_gitlab(ci_file("gitlab"), stage.folder, tmp_path / "gitlab", variables=KEYS)

    assert (jobs["gate"].code, jobs["check"].code) == (0, 0), jobs["gate"].log + jobs["check"].log
    assert "✅" in str(jobs["gate"].comment)
    assert (gitlab["evalh"].code, gitlab["evalh-check"].code) == (0, 0), gitlab["evalh"].log + gitlab["evalh-check"].log


# -- several pushes on one pull request

FORGED = "<!-- evalh gate -->\n<!-- evalh heads:" + "".join(f" {n:012x}" for n in range(400)) + " -->\n## ✅ accept\n"
KILLED = "kill -9 $$; evalh gate --base"


def push(stage: Stage, wrong: int) -> None:
    stage.prompt(wrong=wrong)
    stage.commit(f"Wrong on every {wrong}")


def heads_of(text: str) -> list[str]:
    """Return which heads a comment names."""
    marker, heads, *_ = text.splitlines()
    assert marker == "<!-- evalh gate -->"
    return heads.removeprefix("<!-- evalh heads: ").removesuffix(" -->").split()


@pytest.fixture
def _jq() -> None:
    if shutil.which("jq", path="/usr/bin:/bin") is None:
        pytest.skip("no jq here, which stands in for that of gh")


@pytest.mark.usefixtures("_jq")
def test_pushes_on_github_share_the_error_rate(stage: Stage, tmp_path: Path) -> None:
    comments: list[dict[str, Any]] = []

    def pushed(wrong: int, text: str = ci_file("github")) -> str:
        push(stage, wrong)
        jobs = run_workflow(text, stage.folder, tmp_path / f"jobs-{wrong}", Event(secrets=KEYS, comments=comments))
        return str(jobs["gate"].comment)

    assert "1st look at this pull request" in pushed(20)
    comments.append({"body": FORGED, "viewerDidAuthor": False})
    assert "2nd look at this pull request" in pushed(15)
    killed = pushed(14, ci_file("github").replace("evalh gate --base", KILLED))
    assert "no decision" in killed
    assert len(heads_of(killed)) == 2
    assert "3rd look at this pull request" in pushed(13)
    assert [one["viewerDidAuthor"] for one in comments] == [True, False]
    assert len(heads_of(comments[0]["body"])) == 3
    assert comments[1]["body"] == FORGED


def test_where_githubs_comments_cannot_be_read_nothing_is_asked_and_nothing_is_written_over(
    stage: Stage, tmp_path: Path
) -> None:
    attack(stage, "worse")

    jobs = run_workflow(ci_file("github"), stage.folder, tmp_path / "jobs", Event(secrets=KEYS, gh_down=True))

    assert jobs["gate"].code != 0
    assert jobs["gate"].comment is None
    assert stage.ours.keys == []


@pytest.mark.usefixtures("_jq")
def test_pushes_by_the_action_share_the_error_rate(stage: Stage, tmp_path: Path) -> None:
    action = yaml.safe_load((Path(__file__).parents[2] / "action.yml").read_text())
    inputs = {key: value["default"] for key, value in action["inputs"].items()}
    comments: list[dict[str, Any]] = []

    def pushed(wrong: int, *, down: bool = False, killed: bool = False) -> Job:
        push(stage, wrong)
        steps = [dict(step) for step in action["runs"]["steps"]]
        for step in steps:
            if killed and "run" in step:
                step["run"] = step["run"].replace("evalh gate --base", KILLED)
        machine = Machine(tmp_path / f"jobs-{wrong}/action", stage.folder, "change")
        return run_steps(steps, {}, machine, Event(secrets=KEYS, comments=comments, gh_down=down), inputs, ambient=KEYS)

    assert "1st look at this pull request" in str(pushed(20).comment)
    comments.append({"body": FORGED, "viewerDidAuthor": False})
    down = pushed(16, down=True)
    assert "::warning::evalh: the earlier comment could not be read" in down.log
    assert "look at this pull request" not in down.log
    assert len(heads_of(comments[0]["body"])) == 1
    assert "2nd look at this pull request" in str(pushed(15).comment)
    killed = pushed(14, killed=True)
    assert "no decision" in str(killed.comment)
    assert len(heads_of(str(killed.comment))) == 2
    assert [one["viewerDidAuthor"] for one in comments] == [True, False]


@contextmanager
def notes_server(notes: list[dict[str, Any]]) -> Iterator[str]:
    """GitLab's notes of one merge request, for the holder of one token."""

    class Notes(Handler):
        def answer(self) -> None:
            told = self._changed() if self.command in {"POST", "PUT"} else self._known()
            allowed = self.headers["PRIVATE-TOKEN"] == NOTE_TOKEN
            self.reply(200 if allowed else 401, told if allowed else {"message": "401 Unauthorized"})

        def _known(self) -> object:
            url = urlsplit(self.path)
            page = int(parse_qs(url.query).get("page", ["1"])[0])
            return {"/api/v4/user": {"id": 7}, NOTES: notes[100 * (page - 1) : 100 * page]}[url.path]

        def _changed(self) -> object:
            if self.command == "POST":
                assert self.path == NOTES
                notes.append({"id": 1000 + len(notes), "author": {"id": 7}})
            (note,) = (
                notes[-1:] if self.command == "POST" else [one for one in notes if self.path == f"{NOTES}/{one['id']}"]
            )
            assert note["author"]["id"] == 7
            note["body"] = json.loads(self.body())["body"]
            return note

    with http_server(Notes) as port:
        yield f"http://127.0.0.1:{port}/api/v4"


NOTES = "/api/v4/projects/11/merge_requests/3/notes"
NOTE_TOKEN = "glpat-the-token-that-writes-notes"


def test_pushes_on_gitlab_share_the_error_rate(stage: Stage, tmp_path: Path) -> None:
    notes = [{"id": number, "author": {"id": 1}, "body": f"remark {number}"} for number in range(120)]
    notes[3]["body"] = FORGED
    before = json.loads(json.dumps(notes))
    with notes_server(notes) as url:
        variables = {**KEYS, "EVALH_NOTE_TOKEN": NOTE_TOKEN}

        def pushed(wrong: int, text: str = ci_file("gitlab"), **more: str) -> Job:
            push(stage, wrong)
            place = tmp_path / f"jobs-{wrong}"
            job = run_gitlab(text, stage.folder, place, variables={**variables, **more}, api=url)["evalh"]
            assert NOTE_TOKEN not in job.log
            return job

        assert "1st look at this pull request" in str(pushed(20).comment)
        assert notes[120]["body"] == (tmp_path / "jobs-20/evalh/checkout/evalh-out/comment.md").read_text()
        assert "2nd look at this pull request" in str(pushed(15).comment)
        failed = pushed(14, ci_file("gitlab").replace("evalh gate --base", "false; evalh gate --base"))
        assert failed.code != 0
        assert "no decision" in notes[120]["body"]
        assert len(heads_of(notes[120]["body"])) == 2
        kept = notes[120]["body"]
        wrong_token = pushed(12, EVALH_NOTE_TOKEN="glpat-another")
        assert wrong_token.code != 0
        assert notes[120]["body"] == kept
        assert "3rd look at this pull request" in str(pushed(13).comment)

    assert notes[:120] == before
    assert len(notes) == 121
    assert len(heads_of(notes[120]["body"])) == 3
