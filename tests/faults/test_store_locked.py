"""The log is locked by another program: nothing is lost, nothing is bought twice, and the run goes on by itself."""

import json
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from evalh.store import StoreError, open_reader, open_store
from faults.running import start, until
from gating import Repo
from unit.store.playing import FixedClock, Play
from workspaces import ChatServer, chat_server, document, evalh, write_workspace

CASES = 400


@contextmanager
def locked(folder: Path) -> Iterator[sqlite3.Connection]:
    """Hold the log's write lock, as a person's SQLite shell does."""
    with closing(sqlite3.connect(folder / ".evalh/evalh.db", isolation_level=None, timeout=10)) as other:
        other.execute("begin exclusive")
        yield other


@contextmanager
def under_way(tmp_path: Path) -> Iterator[tuple[ChatServer, Path, subprocess.Popen[str]]]:
    """A run that has had its first answers."""
    with chat_server(delay_s=0.02) as (server, model):
        folder = write_workspace(tmp_path, cases=CASES, model=model)
        process = start(folder, "run", "--concurrency", "4", "--json")
        until(lambda: len(server.asked) > 20)
        yield server, folder, process


def until_quiet(asked: list[str], for_s: float = 2.0) -> int:
    """Wait until no request has come for a while; return how many have come."""
    count, since = len(asked), time.monotonic()
    while time.monotonic() - since < for_s:
        time.sleep(0.05)
        if len(asked) != count:
            count, since = len(asked), time.monotonic()
    return count


def answered(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
        return Counter(case for (case,) in db.execute("select case_id from attempts where status = 'ok'"))


def waiting(folder: Path) -> list[Path]:
    return list((folder / ".evalh/waiting").glob("*"))


@pytest.mark.parametrize("seconds", [4.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_locked_in_the_middle_of_a_run_it_pauses_goes_on_and_loses_nothing(tmp_path: Path, seconds: float) -> None:
    with under_way(tmp_path) as (server, folder, process):
        with locked(folder):
            sent = until_quiet(server.asked)
            time.sleep(max(0.0, seconds - 3.0))
            assert len(server.asked) == sent < CASES
            assert waiting(folder), "what came meanwhile survives a kill"
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert "the log is locked by another process: no requests until the log can be written" in err
    assert "the run continues" in err
    (result,) = document(subprocess.CompletedProcess([], 0, out, err))["results"]
    assert (result["samples"], result["ungraded"], result["attempts"]) == (CASES, 0, CASES)
    assert len(server.asked) == CASES
    assert answered(folder) == Counter({f"t-{number:04d}": 1 for number in range(1, CASES + 1)})
    assert not waiting(folder)


def test_locked_from_the_very_start_nothing_is_sent_until_the_run_has_its_row(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        folder = write_workspace(tmp_path, cases=20, model=model)
        evalh(folder, "run", "--limit", "1", "--json")
        with locked(folder):
            process = start(folder, "run", "--json")
            assert process.stderr is not None
            assert "the log is locked by another process" in process.stderr.readline()
            assert len(server.asked) == 1
        process.communicate(timeout=60)

    assert process.returncode == 0
    assert len(server.asked) == 20


def test_killed_while_locked_nothing_is_asked_again(tmp_path: Path) -> None:
    with under_way(tmp_path) as (server, folder, process):
        with locked(folder):
            sent = until_quiet(server.asked)
            process.kill()
            process.communicate()

        assert len(answered(folder)) < sent
        shown = evalh(folder, "sql", "select count(*) from attempts where status = 'ok'")
        assert str(sent) in shown.stdout, "reading takes up what waits, too"
        result = document(evalh(folder, "run", "--json"))["results"][0]

    assert (result["samples"], result["cache_hits"]) == (CASES, sent)
    assert len(server.asked) == CASES
    assert set(answered(folder).values()) == {1}
    assert not waiting(folder)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_locked_it_ends_at_once_and_says_where_the_answers_are(
    tmp_path: Path, sign: signal.Signals
) -> None:
    with under_way(tmp_path) as (server, folder, process):
        with locked(folder):
            sent = until_quiet(server.asked)
            process.send_signal(sign)
            _, err = process.communicate(timeout=30)
            assert process.returncode == 130
            assert "and is stored at the next start" in err
            assert "Traceback" not in err
        result = document(evalh(folder, "run", "--json"))["results"][0]
        shown = document(evalh(folder, "sql", "--json", "select status from runs order by started_at"))

    assert result["cache_hits"] == sent
    assert len(server.asked) == CASES
    assert [row[0] for row in shown["rows"]] == ["interrupted", "complete"]


def test_locked_while_a_run_ends_its_end_waits_for_the_lock(tmp_path: Path) -> None:
    with chat_server(delay_s=0.5) as (server, model):
        folder = write_workspace(tmp_path, cases=8, model=model)
        process = start(folder, "run", "--concurrency", "8", "--json")
        until(lambda: len(server.asked) == 8)
        with locked(folder):
            assert process.stderr is not None
            assert "locked by another process" in process.stderr.readline()
            assert process.poll() is None
        process.communicate(timeout=30)

    assert process.returncode == 0
    assert len(answered(folder)) == 8


def test_past_its_patience_the_run_ends_and_the_answers_wait_for_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / ".evalh"
    with closing(open_store(folder, clock=FixedClock(), gather_s=0.001, patience_s=1.5)) as store:
        play = Play(store)
        play.start()
        with locked(tmp_path):
            for number in range(50):
                play.good(f"t-{number}")
            with pytest.raises(StoreError, match="keeps the database locked") as told:
                store.flush()
            store.close()
            assert not answered(tmp_path)
    kept = waiting(tmp_path)
    assert len(kept) == 1
    assert str(kept[0]) in (told.value.hint or "")

    open_store(folder, clock=FixedClock()).close()

    assert len(answered(tmp_path)) == 50
    assert not waiting(tmp_path)


def test_what_was_cut_off_by_a_kill_is_left_out_and_what_is_taken_up_twice_is_there_once(tmp_path: Path) -> None:
    folder = tmp_path / ".evalh"
    with closing(open_store(folder, clock=FixedClock(), gather_s=0.001)) as store:
        play = Play(store)
        play.start()
        with locked(tmp_path):
            play.good("t-1")
            until(lambda: waiting(tmp_path))
            (path,) = waiting(tmp_path)
            whole = path.read_bytes()
            play.good("t-2")
            until(lambda: len(path.read_bytes()) > len(whole))
            longer = path.read_bytes()
        store.flush()
        assert len(answered(tmp_path)) == 2
    path.write_bytes(longer + longer[: len(longer) // 3])

    for _ in range(2):
        open_reader(folder).close()

    assert answered(tmp_path) == Counter({"t-1": 1, "t-2": 1})
    assert not waiting(tmp_path)


def test_a_file_that_waits_and_is_not_ours_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ".evalh"
    open_store(folder, clock=FixedClock()).close()
    (folder / "waiting").mkdir()
    stranger = folder / "waiting/0.jsonl"
    stranger.write_text('[["delete from runs where 1 = ?", [[1]]]]\n')

    with pytest.raises(StoreError, match="cannot read") as told:
        open_store(folder, clock=FixedClock())

    assert told.value.where == f"{stranger}:1"
    assert stranger.exists()
    open_reader(folder).close()


def at_once(process: subprocess.Popen[str], *codes: int) -> str:
    """Hold that a verb ends while the log is locked, and says where the rest waits; return its answer."""
    out, err = process.communicate(timeout=60)  # it was 600 s, without a word
    assert process.returncode in codes, err
    assert err.count("the log is locked by another process: what was not written waits in ") == 1
    assert "is stored at the next start" in err
    return out


def test_a_comparison_of_what_is_stored_does_not_wait_for_the_lock(tmp_path: Path) -> None:
    folder, page = write_workspace(tmp_path, cases=20), tmp_path / "page.html"
    (folder / "prompts/triage/v2.prompt").write_text((folder / "prompts/triage/v1.prompt").read_text() + "Now.\n")
    evalh(folder, "run", "--prompt", "v1", "--prompt", "v2")
    runs = [row[0] for row in document(evalh(folder, "sql", "--json", "select id from runs order by id"))["rows"]]
    with locked(folder):
        told = json.loads(at_once(start(folder, "compare", *runs, "--json", "--report", str(page)), 0))
        assert len(waiting(folder)) == 1
        assert "triage@v2" in page.read_text()

    assert (told["n"], told["ties"]) == (20, 20)
    assert document(evalh(folder, "show", told["id"], "--json"))["id"] == told["id"]
    assert not waiting(folder)


def test_a_gate_that_is_decided_does_not_wait_for_the_lock(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with chat_server(delay_s=1.0) as (server, model):
        repo = Repo(tmp_path, cases=8)
        repo.write("evalh.toml", f'[workspace]\ndefault_suite = "triage"\n\n[models.small]\n{model}')
        repo.commit()
        repo.git("branch", "-f", "main")
        repo.prompt(wrong=11)
        process = start(tmp_path, "gate", "--base", "main", "--json", "--report", str(page))
        until(lambda: len(server.asked) == 16)
        with locked(tmp_path):
            told = json.loads(at_once(process, 0, 3))

    assert told["suites"][0]["stopped_at"] == 8
    assert page.exists()
    shown = document(evalh(tmp_path, "sql", "--json", "select id, decision from gates"))
    assert shown["rows"] == [[told["gate"], told["decision"]]]
    assert sum(answered(tmp_path).values()) == 16


def test_a_drift_that_is_decided_does_not_wait_for_the_lock(tmp_path: Path) -> None:
    with chat_server(delay_s=1.0) as (server, model):
        repo = Repo(tmp_path, cases=8)
        repo.write("evalh.toml", f'[workspace]\ndefault_suite = "triage"\n\n[models.small]\n{model}')
        assert evalh(tmp_path, "baseline", "accept", "draft").returncode == 0
        process = start(tmp_path, "drift", "--json")
        until(lambda: len(server.asked) == 16)
        with locked(tmp_path):
            told = json.loads(at_once(process, 0))

    assert told["verdict"] == "not_shown"
    shown = document(evalh(tmp_path, "sql", "--json", "select count(*) from runs where status = 'complete'"))
    assert shown["rows"] == [[2]]
