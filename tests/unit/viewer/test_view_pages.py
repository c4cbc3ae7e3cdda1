"""What the viewer shows, over a real socket: the list, reports, a log that changes under it."""

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from evalh.analysis.summary import so_far
from evalh.api.workspace import Workspace
from evalh.core.run import RunStatus
from evalh.store.liveness import RunLock, lock_path
from faults.running import here
from viewing import keep_gate, viewing
from workspaces import PROMPT, write_workspace

HOSTILE = "<img src=x onerror=alert(1)>\"'\x1b[2J\u202e"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_workspace(tmp_path_factory.mktemp("view"), cases=30)
    (folder / "prompts/triage/v2.prompt").write_text(PROMPT.replace("Sort the", "Sort this"))
    (folder / "evalh.toml").write_text((folder / "evalh.toml").read_text() + "price = {per_hour = 1.0}\n")
    assert here(folder, "compare", "v1", "v2").exit == 0
    return folder


@pytest.fixture
def workspace(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "copy")


def _change(folder: Path, sql: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db, db:
        db.execute(sql, values)


def without_way_back(page: str) -> str:
    """Take out what the viewer alone adds to a report: the link to the list of runs."""
    back = '<a href="../">All runs</a>'
    assert page.count(back) == 1
    return page.replace(back, "")


def test_the_list_leads_to_the_report_that_evalh_report_writes(workspace: Path) -> None:
    with viewing(workspace) as viewer:
        page = viewer.get().text
        links = re.findall(r'href="((?:run|comparison)/[^"]*)"', page)

        assert "2 runs of 1 suite." in page
        assert "triage@v1 → triage@v2" in page
        assert "86.7 %" in page
        assert "[70.3, 94.7]" in page
        assert len(links) == 3
        for link in links:
            name = link.partition("/")[2]
            assert here(workspace, "report", name, "-o", str(workspace / "report.html")).exit == 0
            assert without_way_back(viewer.get(link).text) == (workspace / "report.html").read_text()


def test_runs_side_by_side_are_shown_without_writing(workspace: Path) -> None:
    before = hashlib.sha256((workspace / ".evalh/evalh.db").read_bytes()).digest()
    with viewing(workspace) as viewer:
        runs = re.findall(r'data-run="([^"]*)"', viewer.get().text)
        compared = viewer.get(f"compare/{','.join(runs)}")
        matrix = viewer.get(f"matrix/{','.join(runs)}")
        suite = viewer.get("suite/triage")

    assert (compared.status, matrix.status, suite.status) == (200, 200, 200)
    assert "triage@v2 → triage@v1" in compared.text
    assert "triage: 2 versions and models over 30 cases" in matrix.text
    assert 'href="../run/' in matrix.text
    assert "script-src &#x27;sha256-" in matrix.text
    assert hashlib.sha256((workspace / ".evalh/evalh.db").read_bytes()).digest() == before


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("matrix/gone", "no run"),
        ("compare/gone,gone", "no run"),
        ("suite/gone", "has no run"),
        ("matrix/a,,b", "no such page"),
        ("compare/a", "no such page"),
        ("compare/a,b,c", "no such page"),
        ("suite/..%2fsecret", "no such page"),
        (f"matrix/{','.join(['r'] * 40)}", "no such page"),
    ],
)
def test_runs_that_are_not_there_are_not_found(workspace: Path, path: str, what: str) -> None:
    with viewing(workspace) as viewer:
        got = viewer.get(path)

    assert got.status == 404
    assert what in got.text


def test_a_log_that_is_only_just_being_made_has_no_runs_yet(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=3)
    (folder / ".evalh").mkdir()
    (folder / ".evalh/evalh.db").touch()
    with viewing(folder) as viewer:
        pages = [viewer.get(path) for path in ("", "live", "live/")]

    assert [page.status for page in pages] == [200, 200, 200]
    assert "No runs in" in pages[0].text


def test_equal_runs_are_one_row_and_others_are_folded_under_it(workspace: Path) -> None:
    for _ in range(3):
        assert here(workspace, "run", "-p", "v1").exit == 0
    with viewing(workspace) as viewer:
        page = viewer.get().text

    assert "5 runs of 1 suite. Runs with equal answers share a row." in page
    assert len(re.findall(r'class="tick"', page)) == 2
    assert "<summary>3 equal runs</summary>" in page
    assert len(re.findall(r'href="run/', page)) == 5


def test_a_report_is_kept_until_its_suite_has_another_run(workspace: Path) -> None:
    with viewing(workspace) as viewer:
        link = re.findall(r'href="(run/[^"]*)"', viewer.get().text)[0]
        first = viewer.get(link).text
        assert here(workspace, "run", "--prompt", "v1", "--fresh").exit == 0

        second = viewer.get(link).text

        assert second != first
        assert here(workspace, "report", link.partition("/")[2], "-o", str(workspace / "report.html")).exit == 0
        assert without_way_back(second) == (workspace / "report.html").read_text()


def test_a_run_whose_process_dies_while_it_is_shown_is_told_as_interrupted(workspace: Path) -> None:
    (run_id,) = sqlite3.connect(workspace / ".evalh/evalh.db").execute("select max(id) from runs").fetchone()
    lock = RunLock(lock_path(workspace / ".evalh/live", run_id))
    with viewing(workspace) as viewer:
        _change(workspace, "update runs set status = 'running', summary = null where id = ?", run_id)
        before = viewer.get(f"run/{run_id}").text
        lock.release()
        after = viewer.get(f"run/{run_id}").text

    assert "is running: it has no numbers yet" in before
    assert "is interrupted: it has no numbers yet" in after


def test_looking_writes_nothing(workspace: Path) -> None:
    _change(workspace, "update runs set status = 'running', summary = null, finished_at = null")
    before = hashlib.sha256((workspace / ".evalh/evalh.db").read_bytes()).hexdigest()

    with viewing(workspace) as viewer:
        page = viewer.get().text
        for link in re.findall(r'href="((?:run|comparison|live)[^"#]*)"', page):
            assert viewer.get(link).status == 200

    assert page.count("interrupted: the process ended before the run did") == 2
    assert hashlib.sha256((workspace / ".evalh/evalh.db").read_bytes()).hexdigest() == before
    assert not (workspace / ".evalh/evalh.db-wal").exists() or not (workspace / ".evalh/evalh.db-wal").stat().st_size


def test_a_workspace_without_runs_says_what_to_type(tmp_path: Path) -> None:
    with viewing(write_workspace(tmp_path)) as viewer:
        assert "<pre>evalh run</pre>" in viewer.get().text
        assert "No run is under way" in viewer.get("live").text
        assert viewer.get("run/r20261124-000000-000000").status == 404
        assert not (tmp_path / ".evalh").exists()


def test_a_log_that_goes_comes_and_changes_hands_is_told_page_by_page(workspace: Path) -> None:
    with viewing(workspace) as viewer:
        link = re.findall(r'href="(run/[^"]*)"', viewer.get().text)[0]
        _change(workspace, "PRAGMA user_version = 999")
        newer = viewer.get()
        _change(workspace, "PRAGMA user_version = 3")
        older = viewer.get(link)
        version = sqlite3.connect(workspace / ".evalh/evalh.db").execute("PRAGMA user_version").fetchone()
        (workspace / ".evalh/evalh.db").write_bytes(b"no database at all" * 100)
        damaged = viewer.get()
        shutil.rmtree(workspace / ".evalh")
        gone = viewer.get()
        assert here(workspace, "run").exit == 0
        again = viewer.get()

    assert (newer.status, older.status, damaged.status, gone.status, again.status) == (503, 503, 503, 200, 200)
    assert "written by a newer evalh" in newer.text
    assert "written by an older evalh" in older.text
    assert version == (3,)
    assert "not a database" in damaged.text
    assert "No runs in" in gone.text
    assert "1 run of 1 suite." in again.text


def test_a_run_that_is_deleted_is_no_longer_there(workspace: Path) -> None:
    with viewing(workspace) as viewer:
        link = re.findall(r'href="(run/[^"]*)"', viewer.get().text)[0]
        assert viewer.get(link).status == 200
        _change(workspace, "delete from runs where id = ?", link.partition("/")[2])

        assert viewer.get(link).status == 404
        assert "have: r" in viewer.get(link).text
        assert json.loads(viewer.get(f"live/{link.partition('/')[2]}").text) == {"runs": []}


def test_strangers_text_stays_text(workspace: Path) -> None:
    keep_gate(workspace, "g1", HOSTILE)
    _change(workspace, "update runs set suite = ?, model = ?, reason = ?, id = id || ?", *[HOSTILE] * 4)
    with viewing(workspace) as viewer:
        pages = [viewer.get(path).text for path in ("", "gate/g1")]

    assert here(workspace, "report", "g1", "-o", str(workspace / "report.html")).exit == 0
    assert without_way_back(pages[1]) == (workspace / "report.html").read_text()
    for page in pages:
        assert "<img" not in page
        assert "&lt;img" in page
        assert "\x1b" not in page
        assert "\u202e" not in page
    assert 'href="run/' not in pages[0]


@pytest.mark.parametrize("trials", [1, 3])
def test_the_numbers_so_far_are_those_of_the_summary(workspace: Path, trials: int) -> None:
    (workspace / "evals/answers.py").write_text(
        "def answer(request, case_id, trial):\n"
        "    return '{\"label\": \"billing\"}' if (int(case_id[2:]) + trial) % 4 else 'no'\n"
    )
    result = Workspace.open(workspace).run("triage", trials=trials, fresh=True)
    log = Workspace.open(workspace).log
    run = log.run(result.record.id)

    found = so_far(run, log.case_tallies(run.record.id))

    summary = result.summary
    assert run.status is RunStatus.COMPLETE
    assert (found.samples, found.good, found.bad) == (summary.samples, summary.good, summary.bad)
    assert found.good_rate == summary.good_rate
    assert found.cost_per_good_usd.value == pytest.approx(summary.cost_per_good_usd.value)
    assert found.cost_per_good_usd.high == pytest.approx(summary.cost_per_good_usd.high)
    assert found.spent_usd == pytest.approx(summary.cost_usd)


def test_other_addresses_and_taken_ports_are_refused_by_name(workspace: Path) -> None:
    with viewing(workspace) as viewer:
        taken = here(workspace, "view", "--port", str(viewer.door.port))
    wide = here(workspace, "view", "--host", "0.0.0.0")

    assert (taken.exit, wide.exit) == (2, 2)
    assert f"port {viewer.door.port} of 127.0.0.1 is in use" in taken.err
    assert "'0.0.0.0': evalh view serves this machine only" in wide.err


def test_contents_of_one_name_are_told_apart_by_their_digests(workspace: Path) -> None:
    draft = workspace / "prompts/triage/draft.prompt"
    for word in ("that", "every"):
        draft.write_text(PROMPT.replace("Sort the", f"Sort {word}"))
        assert here(workspace, "run", "-p", "draft").exit == 0
    with viewing(workspace) as viewer:
        page = viewer.get().text

    shown = re.findall(r'">(triage@\w+)</a>(?:<code class="dim"> (\w{6})</code>)?', page)
    digests = {digest for name, digest in shown if name == "triage@draft"}
    assert len(digests) == 2
    assert "" not in digests
    assert {digest for name, digest in shown if name != "triage@draft"} == {""}
