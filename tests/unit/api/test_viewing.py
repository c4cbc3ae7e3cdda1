"""A matrix in the viewer is read from the log once, and its page is still the one that the log gives now."""

from pathlib import Path

from evalh.api.viewing import LiveLog
from evalh.api.workspace import Workspace
from workspaces import evalh, write_workspace


def two_versions(folder: Path) -> Path:
    folder = write_workspace(folder, cases=6)
    first = (folder / "prompts/triage/v1.prompt").read_text()
    (folder / "prompts/triage/v2.prompt").write_text(first.replace("Sort the ticket.", "Sort this ticket."))
    assert evalh(folder, "run", "-p", "v1", "-p", "v2").returncode == 0
    return folder


def pages(folder: Path, viewing: LiveLog) -> tuple[bytes, bytes]:
    """The page of a viewer that has looked before, and of one that has not."""
    fresh = LiveLog(Workspace.open(folder))
    try:
        return viewing.matrix("triage", ()), fresh.matrix("triage", ())
    finally:
        fresh.close()


def test_a_run_that_is_no_column_costs_no_second_reading_and_is_in_the_page(tmp_path: Path) -> None:
    folder = two_versions(tmp_path)
    viewing = LiveLog(Workspace.open(folder))
    before, _ = pages(folder, viewing)
    read = viewing._cells._last
    assert evalh(folder, "run", "-p", "v1", "--limit", "3", "--fresh").returncode == 0

    after, fresh = pages(folder, viewing)

    assert viewing._cells._last is read
    assert after == fresh
    assert before.count(b"triage@v1") > 0
    viewing.close()


def test_a_newer_run_of_a_column_is_read(tmp_path: Path) -> None:
    folder = two_versions(tmp_path)
    viewing = LiveLog(Workspace.open(folder))
    before, _ = pages(folder, viewing)
    answers = folder / "evals/answers.py"
    answers.write_text(answers.read_text().replace('"billing"', '"bug"'))
    assert evalh(folder, "run", "-p", "v2", "--fresh").returncode == 0

    after, fresh = pages(folder, viewing)

    assert after == fresh != before
    viewing.close()
