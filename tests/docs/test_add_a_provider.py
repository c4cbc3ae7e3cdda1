"""The example in CONTRIBUTING.md is the one file that a new provider takes."""

import json
import re
from pathlib import Path

import pytest

from faults.running import here, rows
from workspaces import write_workspace

SECTION = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a provider")[2]
PLUGIN, CONFIG = (
    re.search(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)[1]  # type: ignore[index]
    for language in ("python", "toml")
)


def made(folder: Path, config: str = CONFIG) -> Path:
    write_workspace(folder, cases=2)
    (folder / "evalh.toml").write_text(config)
    (folder / "evals/loud.py").write_text(PLUGIN)
    return folder


def test_the_provider_answers(tmp_path: Path) -> None:
    done = here(made(tmp_path), "run", "triage", "--json")

    assert done.exit == 0
    assert json.loads(done.out)["results"][0]["samples"] == 2
    assert [row["text"][-2:] for row in rows(tmp_path, "select text from attempts")] == ["!!", "!!"]


@pytest.mark.parametrize(
    ("line", "says"), [("marks = 10", "'marks' must be a whole number from 0 to 9"), ("mark = 1", "unknown key 'mark'")]
)
def test_its_keys_are_checked_by_its_model(tmp_path: Path, line: str, says: str) -> None:
    done = here(made(tmp_path, CONFIG.replace("marks = 2", line)), "run", "triage")

    assert done.exit == 2
    assert says in done.err
    assert "error: evalh.toml:" in done.err
