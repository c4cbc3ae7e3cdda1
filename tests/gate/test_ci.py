"""The files that `evalh ci init` writes."""

from pathlib import Path

import pytest

from evalh.api.ci import PLACES, write_ci
from evalh.api.workspace import Workspace
from evalh.core.errors import UsageError
from evalh.workspace.yaml import parse_yaml
from gating import Repo


@pytest.mark.parametrize("service", PLACES)
def test_a_file_is_yaml_at_the_repositorys_root_and_is_not_written_over(tmp_path: Path, service: str) -> None:
    repo = Repo(tmp_path / "repo", cases=2)
    (repo.folder / "apps").mkdir()
    for part in ("evalh.toml", "evals", "prompts", "datasets"):
        (repo.folder / part).rename(repo.folder / "apps" / part)
    workspace = Workspace.open(repo.folder / "apps")

    place = write_ci(workspace, service)

    text = place.read_text()
    assert place == repo.folder / PLACES[service][0]
    assert parse_yaml(text, place.name).value
    assert "apps" in text
    assert "{prefix}" not in text
    with pytest.raises(UsageError, match="is there already"):
        write_ci(workspace, service)
