"""The page of a plain suite has nothing of the pipelines' page."""

from pathlib import Path

from evalh.report.html.page import asset
from workspaces import evalh, write_workspace


def test_a_plain_page_is_page_js_without_the_lines_for_steps(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=8)
    assert evalh(folder, "run").returncode == 0
    assert evalh(folder, "report", "-o", str(folder / "report.html")).returncode == 0

    page = (folder / "report.html").read_text()
    lines = asset("page.js").splitlines(keepends=True)
    stepped = [line for line in lines if line.endswith("// steps\n")]

    assert "".join(line for line in lines if line not in stepped) in page
    assert len(stepped) > 5
    assert "evalhSteps" not in page
    assert asset("steps.css") not in page
    assert '"flows"' not in page
    assert 'id="kind"' not in page
