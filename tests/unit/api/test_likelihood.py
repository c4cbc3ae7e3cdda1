"""A grader that reads what no model is asked for is reported with its line, before anything is sent."""

from pathlib import Path

import pytest

from evalh.api.options import RunOptions
from evalh.api.workspace import Workspace
from evalh.core.errors import WorkspaceError
from workspaces import write_workspace

CONFIG = """[workspace]
default_suite = "triage"

[models.plain]
provider = "openai"
model = "m"

[models.telling]
provider = "openai"
model = "m"
params = {logprobs = true}

[models.silent]
provider = "anthropic"
model = "m"

[models.scripted]
provider = "scripted"
table = {t-0001 = "{}"}

[routes.sure]
model = "telling"
cascade = {checks = [{logprob = {mean_at_least = -0.2}}], escalate_to = "silent"}

[routes.unsure]
model = "plain"
cascade = {checks = [{not = {logprob = {mean_at_least = -0.2}}}], escalate_to = "telling"}

[routes.around]
model = "unsure"
fallback = ["telling"]

[routes.repaired]
model = "telling"
fallback = ["silent"]
repair = {checks = [{logprob = -0.2}]}
"""
SUITE = "prompt: triage\ndataset: triage\ngraders:\n  - schema\n"
GRADER = "  - logprob: -0.2\n"


def plan(folder: Path, model: str, graders: str = "") -> None:
    write_workspace(folder)
    (folder / "evalh.toml").write_text(CONFIG)
    (folder / "evals/triage.yaml").write_text(SUITE + graders)
    at = Workspace.open(folder, env={"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, cache_dir=folder / "cache")
    assert at.plans(RunOptions(models=(model,)))


def line_of(text: str) -> str:
    return f"evalh.toml:{1 + next(at for at, line in enumerate(CONFIG.splitlines()) if text in line)}"


@pytest.mark.parametrize("model", ["telling", "scripted"])
def test_a_model_that_tells_or_may_tell_is_taken(tmp_path: Path, model: str) -> None:
    plan(tmp_path, model, GRADER)


def test_who_a_cascade_escalates_to_is_not_checked(tmp_path: Path) -> None:
    plan(tmp_path, "sure")


@pytest.mark.parametrize(
    ("model", "where", "hint"),
    [
        ("plain", "evals/triage.yaml:5", "[models.plain] in evalh.toml: params = {logprobs = true}"),
        ("silent", "evals/triage.yaml:5", "anthropic gives none: ask another model, or leave this grader out"),
        ("sure", "evals/triage.yaml:5", "anthropic gives none: ask another model, or leave this grader out"),
    ],
)
def test_a_suite_is_refused_at_the_graders_line(tmp_path: Path, model: str, where: str, hint: str) -> None:
    with pytest.raises(WorkspaceError, match="token log-probabilities") as told:
        plan(tmp_path, model, GRADER)

    assert (told.value.where, told.value.hint) == (where, hint)


@pytest.mark.parametrize(
    ("route", "line", "model"),
    [("unsure", "{not =", "plain"), ("around", "{not =", "plain"), ("repaired", "repair =", "silent")],
)
def test_a_route_is_refused_at_its_checks_line(tmp_path: Path, route: str, line: str, model: str) -> None:
    with pytest.raises(WorkspaceError, match=f"model '{model}' does not return them") as told:
        plan(tmp_path, route)

    assert told.value.where == line_of(line)
