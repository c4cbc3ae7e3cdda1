import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

CHILD = Path(__file__).with_name("store_child.py")
ANSWERS = 150


def test_two_processes_write_one_store_and_read_each_others_answers(tmp_path: Path) -> None:
    folder = tmp_path / ".evalh"
    children = {run_id: _start(folder, run_id) for run_id in ("r1", "r2")}

    for run_id, child in children.items():
        assert child.stdout is not None
        while (line := child.stdout.readline()) != "finished\n":
            assert line, f"{run_id} ended early: {child.communicate()[1]}"
    for run_id, other in (("r1", "r2"), ("r2", "r1")):
        said, problem = children[run_id].communicate(f"{other}-0\n{other}-{ANSWERS - 1}\nnobody\n", timeout=30)
        assert (said.split(), problem, children[run_id].returncode) == (["found", "found", "missing"], "", 0)

    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        found = connection.execute(
            "select r.id, r.status, (select count(*) from samples s where s.run_id = r.id),"
            " (select count(*) from attempts a where a.run_id = r.id and a.status = 'ok') from runs r order by r.id"
        ).fetchall()
    assert found == [(run_id, "complete", ANSWERS, ANSWERS) for run_id in ("r1", "r2")]
    assert not list((folder / "live").iterdir())


def _start(folder: Path, run_id: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, CHILD, folder, run_id, str(ANSWERS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
