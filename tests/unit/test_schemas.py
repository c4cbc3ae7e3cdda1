"""The published JSON Schemas: made from the models, true of every file here, and strict where the models are."""

import json
import os
import re
import subprocess
import sys
from itertools import repeat
from pathlib import Path

import jsonschema_rs
import pytest

from evalh.api.new_workspace import NewWorkspace, Task, write_workspace
from evalh.api.schemas import published
from evalh.core.declared import read
from evalh.core.errors import EvalhError
from evalh.providers.registry import options_of
from evalh.workspace.config import load_config
from evalh.workspace.files import WorkTree
from evalh.workspace.prompt.front import FrontMatter
from evalh.workspace.prompt.versions import cut
from evalh.workspace.suites import SuiteFile
from evalh.workspace.yaml import parse_yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "schemas"
PIPELINES = ROOT / "docs/reference/pipelines.md"
STARTERS = tuple(ROOT / "harness/evalh/api/starter" / task for task in Task)
WORKSPACES = (ROOT, *STARTERS)
PUBLISHED = published()

SUITE = "prompt: p\ndataset: d\n"
GOOD = f"{SUITE}graders: [schema]\n"
MODEL = '[models.m]\nprovider = "openai"\nmodel = "x"\n'
ROUTE = '[routes.r]\nmodel = "m"\n'
BAD = {
    "suite": [
        SUITE,
        "dataset: d\ngraders: [schema]\n",
        f"{SUITE}graders: []\n",
        f"{SUITE}graders: schema\n",
        f"{SUITE}graders: [3]\n",
        f"{SUITE}graders: [{{}}]\n",
        f"{SUITE}graders: [{{contains: a, regex: b}}]\n",
        f"{SUITE}graders: [{{schema: {{required: 1}}}}]\n",
        f"{GOOD}grader: [schema]\n",
        f"{GOOD}trials: 0\n",
        f"{GOOD}trials: 1001\n",
        f"{GOOD}trials: 1.5\n",
        f"{GOOD}model:\n",
        f"{GOOD}max_ungraded: 2\n",
        f"{GOOD}gate: strict\n",
        f"{GOOD}gate: {{margin: 0.6}}\n",
        f"{GOOD}gate: {{require: better}}\n",
        f"{GOOD}gate: {{must_pass: {{trials: 3}}}}\n",
        f"{GOOD}gate: {{good_rate: {{}}}}\n",
        f"{GOOD}gate: {{never: {{schema: 2}}}}\n",
        f"{GOOD}gate: {{cost_per_good: {{may_rise: -1}}}}\n",
        f"{GOOD}gate: {{canary: 10001}}\n",
        f"{GOOD}baseline: {{max_age: a month}}\n",
        f"{GOOD}value: {{bad_usd: -1}}\n",
    ],
    "evalh-toml": [
        "[workspce]\n",
        "[workspace]\nplugins = 'a.py'\n",
        "[models.m]\nmodel = 'x'\n",
        "[models.m]\nprovider = 'openai'\n",
        "[models.'a b']\nprovider = 'local'\n",
        f"{MODEL}timeout_s = 0\n",
        f"{MODEL}slots = 2\n",
        f"{MODEL}schema = 'xml'\n",
        f"{MODEL}price = {{input = 1}}\n",
        f"{MODEL}price = {{per_hour = 1, output = 1}}\n",
        f"{MODEL}price = {{input = 1, output = -1}}\n",
        "[models.m]\nprovider = 'local'\nbase_url = 'http://x'\n",
        "[models.m]\nprovider = 'local'\nslots = 0\n",
        "[models.m]\nprovider = 'replay'\n",
        f"{MODEL}[routes.r]\nfallback = ['m']\n",
        f"{MODEL}{ROUTE}breaker = true\n",
        f"{MODEL}{ROUTE}breaker = {{rate = 0}}\n",
        f"{MODEL}{ROUTE}retry = {{on = ['auth']}}\n",
        f"{MODEL}{ROUTE}repair = {{checks = []}}\n",
        f"{MODEL}{ROUTE}budget = {{usd_per_run = -1}}\n",
    ],
    "pipeline": [
        "output: a\n",
        "steps: {}\n",
        "steps: [a]\n",
        "steps: {a: }\n",
        "steps: {a: {input: {}}}\n",
        "steps: {a: {each: x}}\n",
        "steps: {a: {when: true}}\n",
        "steps: {a: {inputs: {b: {values: 1}}}}\n",
        "steps: {a: {on_bad: halt}}\n",
        "steps: {a: {python: x.py:f, timeout_s: 0}}\n",
        "steps: {a: {python: x.py:f, retry: 3}}\n",
        "steps: {a: {python: x.py:f, env: [A B]}}\n",
        "steps: {a: {checks: schema}}\n",
        "steps: {a: {}}\noutputs: a\n",
    ],
    "front-matter": [
        "descripton: x\n",
        "config: {temperature: -1}\n",
        "config: {topP: 1.5}\n",
        "output: {format: xml}\n",
        "tools: [{name: 'a b'}]\n",
        "evalh.template: mustache\n",
    ],
}
BAD_ROWS = [
    '{"inputs": {}}',
    '{"id": 1, "inputs": {}}',
    '{"id": "a", "inputs": []}',
    '{"id": "a", "inputs": {}, "tag": []}',
]
ENDING = {"suite": "yaml", "pipeline": "yaml", "evalh-toml": "toml", "front-matter": "yaml", "dataset-row": "json"}


def check(name: str, files: list[Path]) -> tuple[int, set[str]]:
    """Run check-jsonschema; return its exit code and the files that it refused."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "-o",
        "json",
        "--schemafile",
        str(FOLDER / f"{name}.schema.json"),
    ]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    said = json.loads(done.stdout)
    assert not said.get("parse_errors")
    return done.returncode, {Path(one["filename"]).name for one in said.get("errors", [])}


def written(folder: Path, name: str, texts: list[str]) -> list[Path]:
    files = [folder / f"{name}-{number}.{ENDING[name]}" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8")
    return files


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_schema_is_current(name: str) -> None:
    text = json.dumps(PUBLISHED[name], indent=2) + "\n"
    file = FOLDER / f"{name}.schema.json"
    if os.environ.get("EVALH_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")

    assert file.read_text(encoding="utf-8") == text
    jsonschema_rs.meta.validate(PUBLISHED[name])


def _begun(task: Task, folder: Path) -> Path:
    write_workspace(folder / task, NewWorkspace(task=task, model="openai"))
    return folder / task / "evalh.toml"


def test_every_file_of_this_repository_is_accepted(tmp_path: Path) -> None:
    prompts = [file for root in WORKSPACES for file in root.glob("prompts/*/*.prompt")]
    rows = [
        line for root in WORKSPACES for file in root.glob("datasets/*.jsonl") for line in file.read_text().splitlines()
    ]
    fronts = [cut(file.read_text(), file.name).front or "{}" for file in prompts]
    files = {
        "suite": [file for root in WORKSPACES for file in root.glob("evals/*.yaml")],
        "evalh-toml": [ROOT / "evalh.toml", *map(_begun, Task, repeat(tmp_path))],
        "front-matter": written(tmp_path, "front-matter", fronts),
        "pipeline": written(tmp_path, "pipeline", re.findall(r"```yaml\n(.*?)```", PIPELINES.read_text(), re.DOTALL)),
        "dataset-row": written(tmp_path, "dataset-row", [row for row in rows if row.strip()]),
    }

    for name, listed in files.items():
        assert listed
        assert check(name, listed) == (0, set())


@pytest.mark.parametrize("name", ENDING)
def test_each_bad_file_is_refused(tmp_path: Path, name: str) -> None:
    files = written(tmp_path, name, BAD_ROWS if name == "dataset-row" else BAD[name])

    assert check(name, files) == (1, {file.name for file in files})


def test_what_the_schemas_refuse_is_refused_by_the_reader_too(tmp_path: Path) -> None:
    for text in BAD["evalh-toml"]:
        (tmp_path / "evalh.toml").write_text(text)
        with pytest.raises(EvalhError):
            load_config(WorkTree(tmp_path), options_of)
    for name, model in (("suite", SuiteFile), ("front-matter", FrontMatter)):
        for text in BAD[name]:
            located = parse_yaml(text, "f")
            with pytest.raises(EvalhError):
                read(model, located.value, located.where)


def test_an_editor_completes_the_parameters_of_every_built_in_grader() -> None:
    from evalh.graders.registry import BUILT_IN, built_in_kind

    word, entry = PUBLISHED["suite"]["$defs"]["grader"]["oneOf"]

    assert word["anyOf"][0]["enum"] == sorted(BUILT_IN)
    for name, described in entry["properties"].items():
        stated = described["anyOf"][0] if "anyOf" in described else described
        assert {"required", "name"} < set(stated["properties"]) or not built_in_kind(name)
        assert stated["additionalProperties"] is False
