"""A config may be a stranger's: whatever it holds, it is read with bounds, or refused with its place."""

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from command_line import Done, command_line
from evalh.api.check import check_workspace
from evalh.api.foreign import SuiteImportOptions, import_suite
from evalh.api.workspace import Workspace
from evalh.core.errors import EvalhError
from evalh.workspace.yaml import parse_yaml

CORPUS = sorted(path for path in (Path(__file__).parents[1] / "recorded/promptfoo/corpus").iterdir() if path.is_dir())
EACH = 4  # changed configs of each kind
ODD: tuple[Any, ...] = (
    *(None, True, -1, 1.5, 1e300, 10**30, "", " ", "x", "{{x}}", "{% if %}", "{{", "a" * 5000, "\0", "\ud800", "not-"),
    *(
        "file://",
        "file://nope.yaml",
        "file://../../../../etc/passwd",
        "=cmd|'/c calc'!A1",
        [],
        [[]],
        [None],
        {},
        {"a": None},
    ),
    *({"$ref": "#/tests"}, {"$ref": "#"}, {"type": "equals"}, {"type": "not-assert-set"}, {"id": 5}, {"path": 5}),
    *(["file://promptfooconfig.json"], ["huggingface://datasets/x"]),
)
KEYS = (
    *("vars", "assert", "type", "value", "metric", "weight", "threshold", "options", "transform", "provider", "config"),
    *("providers", "prompts", "tests", "defaultTest", "scenarios", "body", "url", "headers", "id", "label", "metadata"),
    *("description", "env", "repeat", "prefix", "$ref", "evaluateOptions", "tools", "response_format", "raw", "path"),
)


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place] * bool(place) + [found for key, child in children for found in places(child, (*place, key))]


def changed(value: Any, chance: random.Random) -> Any:
    """Put up to three odd values into a config, under its keys or others of promptfoo's."""
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        *above, last = chance.choice(places(value))
        parent = value
        for key in above:
            parent = parent[key]
        odd = copy.deepcopy(chance.choice(ODD))
        if chance.random() < 0.6:
            parent[last] = odd
        elif isinstance(parent, dict):
            parent[chance.choice(KEYS)] = odd if chance.random() < 0.5 else parent.pop(last)
        else:
            parent.insert(0, odd)
    return value


@pytest.mark.parametrize("source", CORPUS, ids=lambda path: path.name)
def test_a_changed_config_is_refused_or_becomes_files_that_are_accepted(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    shutil.copytree(source, folder)
    config = folder / "promptfooconfig.yaml"
    value = parse_yaml(config.read_text(), "f", foreign=True).value
    config.unlink()
    for seed in range(EACH):
        (folder / "promptfooconfig.json").write_text(json.dumps(changed(value, random.Random(f"{source.name}{seed}"))))
        into = tmp_path / str(seed)
        try:
            import_suite("promptfoo", folder, SuiteImportOptions(into=into, allow_code=True))
        except EvalhError:
            continue
        assert check_workspace(Workspace.open(str(into))).problems == [], seed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("outside of it")
    (folder / ".env").write_text("TOKEN=hidden")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


def bring(project: Path, config: str, *more: str) -> Done:
    (project / "promptfooconfig.yaml").write_text(config)
    return command_line()(project, "import", "promptfoo", str(project), "--into", str(project / "out"), "--json", *more)


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/hostname", ".env", "link.txt", "x/../../secret.txt", "a\\0b", "y" * 5000]
)
def test_no_file_outside_and_no_hidden_file_is_read(project: Path, name: str) -> None:
    text = f'prompts: ["file://{name}", "hi {{{{x}}}}"]\nproviders: [echo]\ntests: [{{vars: {{x: "file://{name}"}}}}]\n'

    done = bring(project, text)

    assert done.code == 1, done.err
    lost = [item["what"] for item in done.document["items"] if item["status"] == "not"]
    assert any(what.startswith("prompt") for what in lost)
    assert "variable x" in lost
    assert "outside of it" not in done.out
    assert "hidden" not in (project / "out/datasets/project.jsonl").read_text()


@pytest.mark.parametrize(
    "config",
    [
        "prompts: [hi]\ntests: file://promptfooconfig.yaml\n",
        "prompts: [hi]\ntests: [{$ref: '#/tests/0'}]\n",
        "prompts: [hi]\ndefaultTest: file://a.yaml\n",
        "prompts: [hi]\nproviders: file://b.yaml\n",
    ],
    ids=["tests", "$ref", "defaultTest", "providers"],
)
def test_a_circle_of_files_or_references_ends(project: Path, config: str) -> None:
    (project / "a.yaml").write_text("assert: file://c.yaml\n")
    (project / "c.yaml").write_text("- file://c.yaml\n")
    (project / "b.yaml").write_text("- file://b.yaml\n")

    done = bring(project, config)

    assert done.code in (1, 2)
    assert "Traceback" not in done.err


def test_lists_that_multiply_without_end_are_told(project: Path) -> None:
    many = ", ".join(f"v{n}: [{', '.join(f'a{k}' for k in range(20))}]" for n in range(10))

    done = bring(project, f"prompts: [hi]\nproviders: [echo]\ntests: [{{vars: {{{many}}}}}]\n")

    assert done.code == 1
    assert any("more than 100,000 tests" in item["why"] for item in done.document["items"] if item["why"])


def test_variables_that_hold_each_other_stay_small(project: Path) -> None:
    many = ", ".join(f'v{n}: "{{{{v{n + 1}}}}}{{{{v{n + 1}}}}}"' for n in range(40))

    done = bring(project, f"prompts: ['{{{{v0}}}}']\nproviders: [echo]\ntests: [{{vars: {{{many}, v40: x}}}}]\n")

    assert done.code == 0, done.err
    assert (project / "out/datasets/project.jsonl").stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ("file://cases.xlsx#one", "is a spreadsheet"),
        ("https://docs.google.com/spreadsheets/d/1", "is kept at a web address"),
        ("huggingface://datasets/x/y", "is kept at Hugging Face"),
        ("file://make.py:build", "are made by a program, which is not run"),
        ("file://make.ts", "are made by a program, which is not run"),
    ],
)
def test_tests_that_are_not_read_are_told_with_what_to_do(project: Path, tests: str, why: str) -> None:
    done = bring(project, f"prompts: [hi]\nproviders: [echo]\ntests: '{tests}'\n")

    assert done.code == 1
    (item,) = [item for item in done.document["items"] if item["what"] == f"tests {tests}"]
    assert item["why"] == why
    assert item["do"]


def test_formulas_in_cells_stay_text(project: Path) -> None:
    (project / "t.csv").write_text("q,__expected\n=1+1,=SUM(A1)\n@x,+1\n-2,contains: =\n")

    done = bring(project, "prompts: ['{{q}}']\nproviders: [echo]\ntests: t.csv\n")

    rows = [json.loads(line) for line in (project / "out/datasets/project.jsonl").read_text().splitlines()]
    assert [row["inputs"]["q"] for row in rows] == ["=1+1", "@x", "-2"]
    assert rows[0]["graders"] == [{"equals": {"value": "=SUM(A1)", "normalize": "none"}}]
    assert done.code == 0


@pytest.mark.parametrize(
    "row", ["a,b\n1\n", "a,b\n1,2,3\n", 'a,__expected\n1,contains-any:"x\n', "a,__config:__expected0:threshold\n1,2\n"]
)
def test_a_wrong_csv_file_is_refused_with_its_line(project: Path, row: str) -> None:
    (project / "t.csv").write_text(row)

    done = bring(project, "prompts: ['{{a}}']\nproviders: [echo]\ntests: t.csv\n")

    assert done.code == 2
    assert "t.csv:2" in done.document["error"]["where"]


@pytest.mark.parametrize(
    "code",
    [
        "(() => { for (;;) {} })()",
        "(() => { let x; while (true) x = [x]; })()",
        "'x'.repeat(1e9)",
        "/^(a+)+$/.test('a'.repeat(40)+'!')",
    ],
)
def test_javascript_is_not_run_by_an_import(project: Path, code: str) -> None:
    done = bring(
        project,
        f"prompts: [hi]\nproviders: [echo]\ntests: [{{assert: [{{type: javascript, value: {json.dumps(code)}}}]}}]\n",
    )

    assert done.code == 0, done.err
    assert done.document["graders"] == {"same": 1, "near": 0, "not": 0}


@pytest.mark.parametrize("name", ["promptfooconfig.js", "config.toml", "nothing.yaml"])
def test_what_is_no_config_in_yaml_or_json_is_refused(project: Path, name: str) -> None:
    (project / "promptfooconfig.js").write_text("module.exports = {};")
    (project / "config.toml").write_text("a = 1\n")

    done = command_line()(project, "import", "promptfoo", str(project / name), "--into", str(project / "out"))

    assert done.code == 2
    assert name in done.err
