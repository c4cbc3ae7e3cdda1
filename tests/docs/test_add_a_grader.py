"""The worked example in CONTRIBUTING: a grader is one file."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import evalh

ROOT = Path(__file__).parents[2]
SECTION = (
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## Add a grader\n")[2].partition("\n## ")[0]
)
FILE = re.search(r"^```python\n# (?P<name>\S+)\n(?P<source>.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
ENTRY = re.search(r"^```yaml\n- (?P<entry>.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
ROWS = re.findall(r"^\| `(.+?)` \| (\w+): (.+?) \|$", SECTION, re.MULTILINE)
PROGRAM = """
import json, sys
from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.errors import WorkspaceError
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext
from evalh.graders.kinds import GraderEnvironment
from evalh.graders.registry import build

((kind, value), texts) = json.loads(sys.argv[1])
spec = lambda params: GraderSpec(kind=kind, name=kind, params=params, where="evals/a.yaml:4")
environment = GraderEnvironment(load_function=None, models=None, texts=None, kinds={})
grader = build(spec({"value": value}), environment)
verdicts = [grader.judge(GradeContext(case=Case("c", {}), completion=Completion(text=text))) for text in texts]
try:
    build(spec({"texts": []}), environment)
except WorkspaceError as error:
    print(json.dumps([[[one.outcome.value, one.reason] for one in verdicts], str(error)]))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of the package, with the example's file in it."""
    assert FILE is not None
    shutil.copytree(Path(evalh.__file__).parent, tmp_path / "evalh", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "evalh/graders" / FILE["name"]).write_text(FILE["source"], encoding="utf-8")
    return tmp_path


def test_the_file_alone_makes_a_grader(package: Path) -> None:
    assert ENTRY is not None
    ((kind, value),) = yaml.safe_load(ENTRY["entry"]).items()
    asked = json.dumps([[kind, value], [output for output, _, _ in ROWS]])

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, asked],
        cwd=package,
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    verdicts, error = json.loads(done.stdout)
    assert len(ROWS) == 2
    assert verdicts == [[outcome, reason] for _, outcome, reason in ROWS]
    assert "evals/a.yaml:4: grader 'opening': 'texts' must be a list of texts that is not empty" in error
