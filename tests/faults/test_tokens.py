"""A token that a program prints, over a whole run: it runs out in the middle, and is nowhere but on the wire."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from faults.dialects import DIALECTS, Dialect, act
from faults.fault_server import Act, Asked, fault_server
from faults.running import decisions, here, rows, run, workspace

CASES = 30
TAKEN = 12  # requests that the first token is good for
each_service = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)

PROGRAM = """
import os, sys
runs = len(open("runs").read()) + 1 if os.path.exists("runs") else 1
open("runs", "a").write(".")
if runs > int(sys.argv[1]):
    sys.exit("your login has run out: log in again")
print(f"tok-secret-{runs:04d}")
"""


def write(folder: Path, dialect: Dialect, port: int, *, logins: int) -> Path:
    """Write a workspace whose model gets its token from a program that works so many times."""
    command = json.dumps([sys.executable, "token.py", str(logins)])
    workspace(folder, {"small": dialect.config(port, more=f"auth = {{command = {command}}}\n")}, {}, cases=CASES)
    (folder / "token.py").write_text(PROGRAM, encoding="utf-8")
    return folder


class Taking:
    """Takes one token at a time; the first for so many requests. Repeats what it was sent, wherever it can."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.brought: Counter[str] = Counter()

    def __call__(self, asked: Asked) -> Act:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        self.brought[token] += 1
        if token == "tok-secret-0001" and self.brought[token] > TAKEN:
            return act({"error": {"message": f"{token} has run out"}}, status=401, headers={"x-request-id": token})
        right = self._dialect.right(asked)
        return Act(body=right.body, headers={"x-request-id": f"req-{token}", "Set-Cookie": token})


def nothing_of_it_is_kept(folder: Path, *printed: str) -> None:
    for path in (folder / ".evalh").rglob("*"):
        assert not path.is_file() or b"tok-secret" not in path.read_bytes(), path
    assert "tok-secret" not in "".join(printed)


@each_service
def test_a_token_that_runs_out_in_the_middle_is_renewed_once_and_no_case_is_lost(
    tmp_path: Path, dialect: Dialect
) -> None:
    taking = Taking(dialect)
    with fault_server(taking) as server:
        folder = write(tmp_path, dialect, server.port, logins=2)
        done = run(folder, "--concurrency", "6", model="small")
        shown = here(folder, "show", "last", "t-0020")

    assert (done.exit, done.result["errors"], done.result["ungraded"]) == (0, {}, 0), done.err
    assert (folder / "runs").read_text(encoding="utf-8") == ".."
    failed = rows(folder, "select error_kind as kind, status, cost_usd as usd from attempts where status = 'error'")
    assert 1 <= len(failed) <= 6  # those in flight together
    assert {(row["kind"], row["usd"]) for row in failed} == {("auth", 0.0)}
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]
    assert len(server.asked) == CASES + len(failed)
    assert [one["reason"] for one in decisions(folder, "retry")] == ["auth"] * len(failed)
    nothing_of_it_is_kept(folder, done.out, done.err, shown.out, shown.err)


def test_a_program_that_fails_in_the_middle_stops_the_run_with_its_words_and_what_was_answered_is_kept(
    tmp_path: Path,
) -> None:
    dialect = DIALECTS[0]
    with fault_server(Taking(dialect)) as server:
        folder = write(tmp_path, dialect, server.port, logins=1)
        done = run(folder, "--concurrency", "2", model="small")
        before = len(server.asked)
        (folder / "token.py").write_text("print('tok-secret-9999')", encoding="utf-8")  # the user has logged in
        again = run(folder, model="small")

    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert "your login has run out: log in again" in done.result["stopped_because"]
    assert done.result["good"] >= TAKEN - TAKEN // 7 - 1
    assert (again.exit, again.result["samples"], again.result["errors"]) == (0, CASES, {})
    assert len(server.asked) - before == CASES - TAKEN  # what was answered is not asked again
    nothing_of_it_is_kept(folder, done.out, done.err, again.out, again.err)
