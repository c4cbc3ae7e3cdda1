"""`baseline:` of a suite: every key, and every way to get one wrong."""

from pathlib import Path

import jsonschema_rs
import pytest

from evalh.api.schemas import suite_schema
from evalh.core.errors import WorkspaceError
from evalh.core.suite import BaselinePolicy
from evalh.workspace.config import Config
from evalh.workspace.files import WorkTree
from evalh.workspace.suites import load_suite
from evalh.workspace.yaml import parse_yaml

SUITE = "prompt: p\ndataset: d\ngraders: [schema]\n"


def policy(folder: Path, baseline: str) -> BaselinePolicy:
    (folder / "evals").mkdir(exist_ok=True)
    (folder / "evals/s.yaml").write_text(SUITE + baseline)
    return load_suite(WorkTree(folder), Config(), "s").baseline


@pytest.mark.parametrize(
    ("text", "days"), [("30d", 30), ("1 day", 1), ("4w", 28), ("2 weeks", 14), ("10 days", 10), ("99999d", 99999)]
)
def test_an_age_is_days_or_weeks(tmp_path: Path, text: str, days: int) -> None:
    written = f"baseline: {{max_age: {text}, outputs: false}}\n"

    assert policy(tmp_path, written) == BaselinePolicy(max_age_days=days, outputs=False)
    assert jsonschema_rs.is_valid(suite_schema(), parse_yaml(SUITE + written, "s.yaml").value)


def test_without_it_any_age_is_believed_and_outputs_are_kept(tmp_path: Path) -> None:
    assert policy(tmp_path, "") == BaselinePolicy(max_age_days=None, outputs=True)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{max_age: 30}", "days or weeks"),
        ("{max_age: 0d}", "days or weeks"),
        ("{max_age: a month}", "days or weeks"),
        ("{max_age: -3d}", "days or weeks"),
        ("{max_age: null}", "days or weeks"),
        ('{outputs: "no"}', "true or false, not text"),
        ("{output: false}", "unknown key 'output'"),
        ("[30d]", "must be a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(WorkspaceError, match=says) as caught:
        policy(tmp_path, f"baseline: {line}\n")

    assert caught.value.where is not None
    assert caught.value.where.endswith("s.yaml:4")
    assert not jsonschema_rs.is_valid(suite_schema(), parse_yaml(f"{SUITE}baseline: {line}\n", "s.yaml").value)
