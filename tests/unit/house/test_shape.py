"""The shape of the house, held by tests: sizes, light start, exported names."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import evalh

PACKAGE = Path(evalh.__file__).parent
HARNESS = PACKAGE.parent
MODULES = sorted([*PACKAGE.rglob("*.py"), *(HARNESS / "evalh_trace").rglob("*.py")])
HEAVY = (
    "scipy",
    "numpy",
    "pydantic",
    "aiohttp",
    "httptools",
    "httpx",
    "git",
    "sqlite_utils",
    "genai_prices",
    "xllamacpp",
    "rich",
)


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _is_click_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    # One parameter per option and the declaration above it are click's contract.
    return any("click" in ast.dump(decorator) for decorator in function.decorator_list)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_a_module_fits_a_readers_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HARNESS)))
def test_functions_are_short_and_take_few_parameters(path: Path) -> None:
    for function in _functions(path):
        if _is_click_command(function):
            continue
        lines = (function.end_lineno or 0) - function.lineno + 1
        arguments = function.args
        parameters = [*arguments.posonlyargs, *arguments.args]
        parameters = [one for one in parameters if one.arg not in {"self", "cls"}]
        assert lines <= 50, f"{function.name}: {lines} lines"
        assert len(parameters) <= 6, f"{function.name}: {len(parameters)} positional parameters"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["gate", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from evalh.cli.main import cli\n"
        f"try: cli.main({arguments!r}, standalone_mode=False)\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"


def test_completion_loads_nothing_heavy() -> None:
    program = (
        "import os, sys; from evalh.cli.main import cli\n"
        "os.environ.update(_EVALH_COMPLETE='bash_complete', COMP_WORDS='evalh ru', COMP_CWORD='1')\n"
        "try: cli.main(prog_name='evalh', complete_var='_EVALH_COMPLETE')\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert (done.stdout.strip(), done.stderr.strip()) == ("plain,run", "[]")


NOT_BEFORE_A_REQUEST = (
    "scipy",
    "numpy",
    "httpx",
    "git",
    "sqlite_utils",
    "rich",
    "evalh.workspace.routes",
    "evalh.graders.judges.panel",
    "evalh.graders.functions",
    "evalh.analysis.drift",
)


def test_a_run_waits_for_nothing_that_its_files_do_not_name(tmp_path: Path) -> None:
    """Before the first request: no library that only shows results, no judge, no table that no file has."""
    for folder in ("prompts/p", "evals", "datasets"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "evalh.toml").write_text('[models.m]\nprovider = "openai"\nmodel = "m"\n')
    (tmp_path / "prompts/p/v1.prompt").write_text("Hello\n")
    (tmp_path / "evals/s.yaml").write_text("prompt: p\ndataset: d\nmodel: m\ngraders: [equals]\n")
    (tmp_path / "datasets/d.jsonl").write_text('{"id": "1", "inputs": {}, "expected": "x"}\n')
    program = (
        "import sys; from evalh.api.options import RunOptions; from evalh.api.workspace import Workspace\n"
        "import evalh.cli.progress, evalh.workspace.suites as suites\n"
        "Workspace.open(sys.argv[1], env={'OPENAI_API_KEY': 'k'}).plans(RunOptions(target='s'))\n"
        f"print([name for name in {NOT_BEFORE_A_REQUEST!r} if name in sys.modules])\n"
        "print([name for name, one in vars(suites).items() if getattr(one, '__pydantic_complete__', False)])\n"
        "print('may_rise' in str(suites.SuiteFile.__pydantic_core_schema__))"
    )

    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:3] == ["[]", "['SuiteFile']", "False"]


def test_texts_reach_a_terminal_by_one_way() -> None:
    """rich's own text keeps a stranger's line breaks; ours, in `report.terminal.console`, does not."""
    package = Path(evalh.__file__).parent
    users = [str(file.relative_to(package)) for file in package.rglob("*.py") if "rich.text" in file.read_text()]

    assert users == ["report/terminal/console.py"]


def test_the_public_names_are_these() -> None:
    assert sorted(evalh.__all__) == sorted(PUBLIC)


PUBLIC = (
    "AnswerRefused",
    "AskError",
    "BudgetSpent",
    "Case",
    "Completion",
    "DeadlinePassed",
    "EvalhError",
    "GradeContext",
    "InvalidInputs",
    "NoAnswer",
    "Outcome",
    "Reply",
    "RunResult",
    "RunSummary",
    "Selection",
    "Verdict",
    "Withheld",
    "Workspace",
    "__version__",
    "ask",
    "ask_async",
    "grader",
    "load_prompt",
    "provider",
    "stream",
)


def test_the_top_level_has_the_files_that_belong_there() -> None:
    """A page that a command wrote was committed there twice."""
    listed = subprocess.run(["git", "ls-files"], cwd=HARNESS.parent, capture_output=True, text=True, check=True).stdout

    assert {line for line in listed.splitlines() if "/" not in line} == {
        ".gitignore",
        ".pre-commit-hooks.yaml",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "action.yml",
        "evalh.toml",
        "pyproject.toml",
    }
