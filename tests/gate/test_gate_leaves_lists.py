"""A gate, an accepted baseline and drift keep runs of their own; what people ran is printed as before."""

from collections.abc import Iterator
from pathlib import Path

from gating import Repo
from workspaces import evalh

ASKED = (
    ("show",),
    ("show", "t-0001"),
    ("report", "last", "--format", "markdown"),
    ("sql", "select count(*) from runs where kind = 'run'"),
)


def _printed(folder: Path) -> Iterator[str]:
    for arguments in ASKED:
        done = evalh(folder, *arguments)
        assert done.returncode == 0, done.stderr
        yield done.stdout
    page = folder / "page.html"
    assert evalh(folder, "report", "last", "-o", str(page)).returncode == 0
    yield page.read_text(encoding="utf-8")
    page.unlink()


def test_after_gates_baselines_and_drift_people_see_what_they_saw(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=40)
    evalh(repo.folder, "run", "triage")
    before = list(_printed(repo.folder))

    evalh(repo.folder, "baseline", "accept", "triage")
    evalh(repo.folder, "drift", "triage")
    repo.prompt(4)
    repo.commit()
    evalh(repo.folder, "gate", "--base", "main")

    kinds = evalh(repo.folder, "sql", "select distinct kind from runs order by kind", "--json").stdout
    for kind in ("baseline", "drift", "gate", "run"):
        assert f'"{kind}"' in kinds
    repo.git("checkout", "-q", "main")
    assert list(_printed(repo.folder)) == before
