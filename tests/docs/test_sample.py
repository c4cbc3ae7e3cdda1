"""The sample in `reports/` is what evalh writes today."""

import subprocess
from pathlib import Path

from sample import ROOT, SAMPLE, make, structure
from workspaces import document, evalh, write_workspace


def test_the_sample_is_current(tmp_path: Path) -> None:
    make(tmp_path / "page.html")
    found, wanted = (structure(page.read_text(encoding="utf-8")) for page in (SAMPLE, tmp_path / "page.html"))

    assert len(wanted) > 5
    assert found == wanted, "make sample"


def test_a_page_goes_into_the_workspaces_reports_and_git_leaves_it_alone(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=3)
    compared = document(evalh(folder, "compare", "v1", "v1", "--json"))["id"]
    ran = document(evalh(folder, "run", "--json"))["results"][0]["run"]

    for arguments, name in (((), ran), (("last",), ran), ((compared,), compared)):
        done = evalh(folder, "report", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        (page,) = (folder / "reports").iterdir()
        assert page.name == f"{name}.html"
        page.unlink()
    (folder / "reports").rmdir()
    (folder / "reports").write_text("a file")
    refused = evalh(folder, "report")
    assert refused.returncode == 2
    assert "evalh report --output FILE.html" in refused.stderr

    kept = subprocess.run(
        ["git", "check-ignore", f"reports/{ran}.html", "reports/sample.html", "reports/baselines/a.jsonl"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert kept.stdout.split() == [f"reports/{ran}.html"]
