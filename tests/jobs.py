"""A CI service in a few lines: runs the shell steps of the shipped files as GitHub and GitLab would. Not a test itself.

Each job is a machine of its own: a fresh clone, a fresh temporary folder, an environment that holds what the job may
know and nothing else. `pip` and `gh` are stand-ins that write down how they were called.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PIP = """#!/usr/bin/env python3 -IS
import json, os, sys
with open(os.environ["JOB_TOOLS"] + "/pip.jsonl", "a") as file:
    file.write(json.dumps({"cwd": os.getcwd(), "args": sys.argv[1:]}) + "\\n")
for one in sys.argv[2:]:
    if one.startswith((".", "/")) or one == "-e":
        exec(open(os.path.join(one if one != "-e" else ".", "setup.py")).read())
"""
GH = """#!/usr/bin/env python3 -IS
import json, os, subprocess, sys
place, args = os.environ["JOB_TOOLS"] + "/comments.json", sys.argv[1:]
comments = json.load(open(place))
if comments is None or not os.environ.get("GH_TOKEN"):
    sys.exit("gh: HTTP 503")
if args[:2] == ["pr", "view"] and args[args.index("--json") + 1] == "labels":
    print("\\n".join(json.load(open(os.environ["JOB_TOOLS"] + "/labels.json"))))
elif args[:2] == ["pr", "view"]:
    assert args[args.index("--json") + 1] == "comments"
    if comments:  # jq stands in for the one that is built into gh
        told = json.dumps({"comments": comments})
        sys.exit(subprocess.run(["jq", "-r", args[args.index("--jq") + 1]], input=told, text=True).returncode)
elif args[:2] == ["pr", "comment"]:
    body = open(args[args.index("--body-file") + 1]).read()
    own = [one for one in comments if one["viewerDidAuthor"]]
    if "--edit-last" in args and own:
        own[-1]["body"] = body
    else:
        assert "--edit-last" not in args or "--create-if-none" in args
        comments.append({"body": body, "viewerDidAuthor": True})
    json.dump(comments, open(place, "w"))
    open(os.environ["JOB_TOOLS"] + "/comment.md", "w").write(body)
"""


@dataclass
class Job:
    """What a job did."""

    code: int = 0
    log: str = ""
    comment: str | None = None  # what was posted
    junit: str | None = None
    artifacts: list[str] = field(default_factory=list)
    pip: list[dict[str, Any]] = field(default_factory=list)
    restored: bool = False


class Machine:
    """A fresh machine for one job."""

    def __init__(self, folder: Path, origin: Path, revision: str, target: str = "main") -> None:
        self.folder = folder
        self.checkout, self.temp, self.tools = (folder / name for name in ("checkout", "temp", "tools"))
        for one in (self.temp, self.tools):
            one.mkdir(parents=True)
        git = ["git", "-c", "advice.detachedHead=false"]
        subprocess.run([*git, "clone", "-q", str(origin), str(self.checkout)], check=True, capture_output=True)
        subprocess.run([*git, "checkout", "-q", revision], cwd=self.checkout, check=True, capture_output=True)
        subprocess.run(["git", "fetch", "-q", "origin", target], cwd=self.checkout, check=True, capture_output=True)
        for name, text in (("pip", PIP), ("gh", GH)):
            (self.tools / name).write_text(text.replace("/usr/bin/env python3 -IS", f"{sys.executable} -IS"))
            (self.tools / name).chmod(0o755)
        (self.tools / "evalh").symlink_to(Path(sys.executable).with_name("evalh"))
        (self.tools / "python").symlink_to(Path(sys.executable).resolve())
        self.job = Job()

    def shell(self, script: str, env: Mapping[str, str], *, cwd: Path | None = None) -> int:
        """Run a step as the services do: bash, ended by its first failure."""
        whole = {
            "PATH": f"{self.tools}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "CI": "true",
            "JOB_TOOLS": str(self.tools),
            "GIT_CONFIG_NOSYSTEM": "1",
            **env,
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            cwd=cwd or self.checkout,
            env=whole,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.job.log += done.stdout + done.stderr
        return done.returncode

    def close(self) -> Job:
        """Collect what the stand-ins wrote down."""
        if (self.tools / "pip.jsonl").exists():
            self.job.pip = [json.loads(line) for line in (self.tools / "pip.jsonl").read_text().splitlines()]
        if (self.tools / "comment.md").exists():
            self.job.comment = (self.tools / "comment.md").read_text()
        return self.job


# -- GitHub


class Expression:
    """GitHub's expressions, as far as our files use them."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context

    def text(self, template: str) -> str:
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: self._shown(self.value(found[1])), str(template))

    def holds(self, condition: str, *, failed: bool) -> bool:
        value = self.value(condition.replace("${{", "").replace("}}", ""), failed=failed)
        return bool(value) and (not failed or "always()" in condition)

    def value(self, expression: str, *, failed: bool = False) -> Any:
        parts = re.split(r"('(?:[^']|'')*')", expression)
        made = []
        for part in parts:
            if part.startswith("'"):
                made.append(repr(part[1:-1]))
                continue
            python = part.replace("&&", " and ").replace("||", " or ").replace("!=", " != ")
            made.append(re.sub(r"\b([a-z_]+(?:\.[A-Za-z_-]+)+)\b", r"_look('\1')", python))
        names = {"_look": self._look, "format": self._format, "always": lambda: True, "failed": failed}
        return eval("".join(made).strip(), {"__builtins__": {}}, names)

    def _look(self, path: str) -> Any:
        value: Any = self._context
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def _format(self, template: str, *values: Any) -> str:
        return template.format(*(self._shown(value) for value in values))

    def _shown(self, value: Any) -> str:
        return "" if value is None else "true" if value is True else "false" if value is False else str(value)


@dataclass(frozen=True, kw_only=True)
class Event:
    """What set the workflow off."""

    name: str = "pull_request"
    head: str = "change"
    fork: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)
    poisoned: Path | None = None  # a log that code of the pull request put into its scope's caches
    comments: list[dict[str, Any]] = field(default_factory=list)  # on the pull request; grows
    gh_down: bool = False
    labels: tuple[str, ...] = ()  # of the pull request

    def context(self, temp: Path) -> dict[str, Any]:
        return {
            "github": {
                "event_name": self.name,
                "base_ref": "main" if self.name == "pull_request" else "",
                "ref": "refs/pull/1/merge",
                "repository": "us/desk",
                "run_id": "77",
                "run_attempt": "2",
                "sha": self.head,
                "token": "ghs-write-token",
                "event": {
                    "pull_request": {
                        "number": 1,
                        "head": {"sha": self.head, "repo": {"full_name": "stranger/desk" if self.fork else "us/desk"}},
                    }
                    if self.name == "pull_request"
                    else None,
                },
            },
            "runner": {"temp": str(temp)},
            "secrets": {} if self.fork else dict(self.secrets),  # GitHub gives none to a fork
            "inputs": {"sha": self.head, "base": "main"} if self.name == "workflow_dispatch" else {},
            "steps": {},
        }


def run_workflow(text: str, origin: Path, folder: Path, event: Event) -> dict[str, Job]:
    """Run the jobs of a GitHub workflow that an event reaches."""
    done = {}
    for name, job in yaml.safe_load(text)["jobs"].items():
        head = Expression(event.context(folder)).holds(job.get("if", "'yes'"), failed=False)
        if head:
            done[name] = run_steps(job["steps"], job.get("env", {}), Machine(folder / name, origin, event.head), event)
    return done


def run_steps(
    steps: list[dict[str, Any]],
    env: Mapping[str, str],
    machine: Machine,
    event: Event,
    inputs: Mapping[str, str] | None = None,
    ambient: Mapping[str, str] | None = None,
) -> Job:
    """Run a job's steps; of the actions that they use only what matters here."""
    context = event.context(machine.temp)
    context["inputs"] = {**context["inputs"], **(inputs or {})}
    shown = Expression(context)
    outputs = machine.temp.parent / "outputs"
    outputs.touch()
    comments = machine.tools / "comments.json"
    comments.write_text(json.dumps(None if event.gh_down else event.comments))
    comments.with_name("labels.json").write_text(json.dumps(event.labels))
    for step in steps:
        failed = machine.job.code != 0
        if not shown.holds(step.get("if", "'yes'"), failed=failed):
            continue
        if "uses" in step:
            _used(step, shown, machine, event)
            continue
        own = {key: shown.text(value) for key, value in {**env, **step.get("env", {})}.items()}
        own |= {"RUNNER_TEMP": str(machine.temp), "GITHUB_REPOSITORY": "us/desk", "GITHUB_ACTIONS": "true"}
        own |= {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(machine.temp.parent / "summary.md")}
        where = step.get("working-directory")
        code = machine.shell(step["run"], {**(ambient or {}), **own}, cwd=Path(shown.text(where)) if where else None)
        machine.job.code = machine.job.code or code
        if "id" in step:
            lines = (line.partition("=") for line in outputs.read_text().splitlines())
            context["steps"][step["id"]] = {"outputs": {key: value for key, _, value in lines}}
    job = machine.close()
    event.comments[:] = json.loads(comments.read_text()) or event.comments
    junit = machine.temp / "evalh/junit.xml"
    job.junit = junit.read_text() if junit.exists() else None
    return job


def _used(step: Mapping[str, Any], shown: Expression, machine: Machine, event: Event) -> None:
    match step["uses"].partition("@")[0]:
        case "actions/checkout":
            assert step["with"]["persist-credentials"] is False
        case "actions/cache/restore":
            machine.job.restored = True
            if event.poisoned is not None:
                shutil.copytree(event.poisoned, shown.text(step["with"]["path"]), dirs_exist_ok=True)
        case "actions/upload-artifact":
            paths = (Path(line.strip()) for line in shown.text(step["with"]["path"]).splitlines())
            machine.job.artifacts = [one.name for one in paths if one.exists()]


# -- GitLab


def run_gitlab(
    text: str, origin: Path, folder: Path, *, variables: Mapping[str, str], head: str = "change", api: str = ""
) -> dict[str, Job]:
    """Run the jobs of a GitLab file; `variables` are scoped to the environment `evalh`; `api`: GitLab's address."""
    done = {}
    for name, described in yaml.safe_load(text).items():
        machine = Machine(folder / name, origin, head)
        address = "https://gitlab-ci-token:glcbt-job-token@gitlab.invalid/us/desk.git"
        subprocess.run(["git", "config", "http.extraheader", address], cwd=machine.checkout, check=True)
        scoped = variables if described.get("environment", {}).get("name") == "evalh" else {}
        sha = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=machine.checkout, check=True, capture_output=True, text=True
        )
        env = {
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
            "CI_COMMIT_SHA": sha.stdout.strip(),
            "CI_PROJECT_URL": "https://gitlab.invalid/us/desk",
            "CI_API_V4_URL": api,
            "CI_PROJECT_ID": "11",
            "CI_MERGE_REQUEST_IID": "3",
            "GITLAB_CI": "true",
            **{key: str(value) for key, value in described.get("variables", {}).items()},
            **scoped,
        }
        if "EVALH_STORE" in env:  # each job is in a container: its /tmp is its own
            assert Path(env["EVALH_STORE"]).parts[:2] == ("/", "tmp")
            env["EVALH_STORE"] = str(machine.temp / "log")
        machine.job.code = machine.shell("\n".join(described["script"]), env)
        artifacts = described.get("artifacts", {})
        named = [*artifacts.get("paths", ()), *artifacts.get("reports", {}).values()]
        for one in named:
            file = machine.checkout / one
            if file.is_file():
                machine.job.artifacts.append(one)
                text_of = file.read_text()
                machine.job.comment = text_of if one.endswith(".md") else machine.job.comment
                machine.job.junit = text_of if one.endswith(".xml") else machine.job.junit
        comment = machine.job.comment
        done[name] = machine.close()
        done[name].comment = comment
    return done


def clean_environment() -> dict[str, str]:
    """Return what a job may know of this machine: nothing but how git is quiet."""
    return {name: value for name, value in os.environ.items() if name.startswith("GIT_")}
