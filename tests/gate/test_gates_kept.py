"""What older versions of evalh kept of a gate is read, shown and reported today."""

import gzip
import json
from pathlib import Path

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from evalh.api.workspace import Workspace
from evalh.core.errors import WorkspaceError
from evalh.core.log import GateRow
from evalh.report.documents.gate import kept_gate
from filled import filled
from gating import Repo
from workspaces import evalh

KEPT = Path(__file__).parents[1] / "recorded/gates"


def lost(old: object, new: object, path: str = "") -> list[str]:
    """Name the keys and values of an old document that a new one does not have."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            one
            for key, value in old.items()
            for one in (lost(value, new[key], f"{path}.{key}") if key in new else [f"{path}.{key}"])
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [one for before, after in zip(old, new, strict=True) for one in lost(before, after, f"{path}[]")]
    return [] if old == new else [path]


def test_a_log_that_an_older_evalh_wrote_shows_its_gate_in_every_form(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=16)
    log = repo.folder / ".evalh/evalh.db"
    log.parent.mkdir()
    log.write_bytes(gzip.decompress((KEPT / "log-46fac74.db.gz").read_bytes()))
    row = Workspace.open(repo.folder).log.overview(1).gates[0]

    shown = evalh(repo.folder, "show", row.id)
    forms = {form: evalh(repo.folder, "report", row.id, "--format", form) for form in ("markdown", "junit")}

    document = json.loads(evalh(repo.folder, "show", row.id, "--json").stdout)
    assert lost(json.loads(row.content), document) == []
    assert f"kept in the log: evalh show {row.id}" in shown.stdout
    assert "refuse" in shown.stdout
    assert "net cost per good output: " in shown.stdout
    assert "asked again  good fresh trials on both sides" in shown.stdout
    assert "❌ evalh gate: refuse" in forms["markdown"].stdout
    assert '<failure message="' in forms["junit"].stdout
    assert evalh(repo.folder, "report", row.id, "-o", f"{tmp_path}/page.html").returncode == 0
    assert "Net cost per good output of triage" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_oldest_kept_decision_loses_nothing() -> None:
    content = (KEPT / "decision-b4e9e04.json").read_text(encoding="utf-8")
    row = replace(filled(GateRow), content=content)

    document = json.loads(json.dumps(to_builtins(kept_gate(row))))

    assert lost({**json.loads(content), "gate": row.id}, document) == []


def test_a_damaged_decision_is_named_with_what_to_do() -> None:
    for content in ("{", '{"schema": "evalh.gate/1"}', '{"schema": "evalh.run/1", "results": []}'):
        with pytest.raises(WorkspaceError, match="the log holds no decision under text"):
            kept_gate(replace(filled(GateRow), content=content))
