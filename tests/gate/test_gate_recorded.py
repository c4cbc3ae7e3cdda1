"""A recording that does not name its requests answers every prompt alike: a changed prompt is not measured by it."""

import json
from pathlib import Path

import pytest

from faults.running import here
from gating import CONFIG, Repo, row

RECORDED = '[models.recorded]\nprovider = "replay"\npath = "recorded/{}.jsonl"\n'


def recorded(folder: Path, path: str, *, names_requests: bool = False) -> Repo:
    """Make a repository whose suite is answered by a recording; head's draft says something else."""
    repo = Repo(folder / "repo", cases=40)
    rows = [{"id": row(number)["id"], "output": '{"label": "billing"}'} for number in range(1, 41)]
    files = {path.format(version=name) for name in ("v1", "draft")}
    with repo.on_main():
        repo.write("evalh.toml", CONFIG + RECORDED.format(path))
        for file in files:
            repo.write(f"recorded/{file}.jsonl", "".join(json.dumps(one) + "\n" for one in rows))
        if names_requests:
            here(repo.folder, "run", "-m", "small")
            out = repo.folder / f"recorded/{path}.jsonl"
            out.unlink()
            assert here(repo.folder, "export", "recorded", "last", "-o", str(out)).exit == 0
        suite = (repo.folder / "evals/triage.yaml").read_text()
        repo.write("evals/triage.yaml", suite.replace("model: small", "model: recorded"))
    repo.prompt(wrong=2)
    return repo


def test_a_gate_does_not_accept_a_prompt_that_no_model_saw(tmp_path: Path) -> None:
    repo = recorded(tmp_path, "all")
    told = here(repo.folder, "gate", "--base", "main", "--comment", f"{tmp_path}/c.md")

    assert told.exit == 4
    assert "recorded/all.jsonl answers both sides, whatever their prompts say" in " ".join(told.out.split())
    assert "--confirm" not in told.err
    comment = (tmp_path / "c.md").read_text()
    assert "evalh gate: could not be measured" in comment
    assert "✅" not in comment


def test_nor_does_a_comparison(tmp_path: Path) -> None:
    repo = recorded(tmp_path, "all")
    told = here(repo.folder, "compare", "main:triage@draft", "triage@draft")

    assert told.exit == 4
    assert "answers both sides, whatever their prompts say" in told.err
    assert here(repo.folder, "compare", "main:triage@draft", "triage@draft", "--model", "small").exit == 0


@pytest.mark.parametrize(("path", "names_requests"), [("{version}", False), ("all", True)])
def test_a_recording_of_each_version_or_request_measures_them(tmp_path: Path, path: str, names_requests: bool) -> None:
    repo = recorded(tmp_path, path, names_requests=names_requests)
    draft = repo.folder / "recorded/draft.jsonl"
    if draft.exists():  # recorded again for head's draft
        draft.write_text(draft.read_text().replace('"billing', '" billing', 1))
    told = here(repo.folder, "gate", "--base", "main")

    assert "answers both sides" not in " ".join(told.out.split())
    assert told.exit == (4 if names_requests else 0), told.out  # no row is about head's requests: they are ungraded


def test_a_recording_is_not_asked_to_confirm_nor_held_to_a_budget(tmp_path: Path) -> None:
    repo = recorded(tmp_path, "all")
    rows = (repo.folder / "recorded/all.jsonl").read_text()
    repo.write("recorded/other.jsonl", rows.replace("billing", "bug"))
    repo.write("evalh.toml", CONFIG + RECORDED.format("all") + RECORDED.format("other").replace("recorded]", "worse]"))
    told = here(repo.folder, "compare", "triage@draft@recorded", "triage@draft@worse")
    refused = here(repo.folder, "run", "--budget", "1")

    assert "40 cases" in told.out or "worse" in told.out
    assert "--confirm" not in told.err
    assert "a recording buys nothing: leave the budget out" in refused.err
