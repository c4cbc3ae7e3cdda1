"""Answers of other processes, for asks that take an earlier one."""

import subprocess
import sys
from pathlib import Path

import pytest

import evalh
from asking.written import written
from evalh.api.asking.service import WorkspaceService, service_of
from evalh.api.workspace import Workspace
from evalh_trace.records import Call, Workflow
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked
from faults.running import served

TICKET = {"ticket": "order 3"}
CONTENT = "\n[trace]\ncontent = true\n"
ASKS = """
import sys
import evalh
try:
    evalh.ask("triage", {"ticket": "order 3"}, workspace=sys.argv[1])
except evalh.AskError as exc:
    print(type(exc).__name__)
"""


def elsewhere(folder: Path, program: str = ASKS) -> str:
    """Ask in a process of its own, which ends."""
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def keeping(folder: Path, trace: str = CONTENT) -> None:
    with (folder / "evalh.toml").open("a") as config:
        config.write(trace)


def test_the_answer_of_another_process_is_taken_and_costs_nothing(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        keeping(folder)
        elsewhere(folder)
        reply = evalh.ask("triage", TICKET, reuse=True, whole=True, workspace=folder)

    assert server.count() == 1
    assert (reply.value, reply.cost_usd) == ({"label": "billing"}, 0)
    (call,) = written(folder, Call)
    assert call.attempts == 0


def test_an_ask_that_does_not_say_so_is_asked(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        keeping(folder)
        elsewhere(folder)
        evalh.ask("triage", TICKET, workspace=folder)
        evalh.ask("triage", {"ticket": "order 4"}, reuse=True, workspace=folder)

    assert server.count() == 3


@pytest.mark.parametrize("trace", ["", '\n[trace]\nredact = ["email"]\n'])
def test_what_was_not_kept_as_it_was_is_not_taken(tmp_path: Path, trace: str) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        keeping(folder, trace)
        elsewhere(folder)
        evalh.ask("triage", TICKET, reuse=True, workspace=folder)

    assert server.count() == 2


def test_an_answer_that_the_ask_refused_is_not_taken(tmp_path: Path) -> None:
    def first_wrong(asked: Asked) -> Act:
        return OPENAI.answer("no JSON") if asked.nth == 1 else OPENAI.right(asked)

    with served(tmp_path, first_wrong, cases=1) as (server, folder):
        keeping(folder)
        assert elsewhere(folder) == "AnswerRefused"
        answer = evalh.ask("triage", TICKET, reuse=True, workspace=folder)

    assert (server.count(), answer) == (2, {"label": "billing"})


def test_an_answer_that_is_too_old_is_not_taken(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        keeping(folder, CONTENT + 'keep = "1d"\n')
        elsewhere(folder)
        workspace = Workspace.open(folder)
        found = next(workspace.production.workflows())
        with workspace.production_writer() as production:
            production.write(
                [Workflow(id=found.id, name=found.name, door="ask", started_at=found.started_at - 2 * 86400)]
            )
        evalh.ask("triage", TICKET, reuse=True, workspace=folder)

    assert server.count() == 2


def test_a_damaged_file_stops_no_ask(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        keeping(folder)
        (folder / ".evalh").mkdir(exist_ok=True)
        (folder / ".evalh/production.db").write_bytes(b"not a database" * 1000)
        answer = evalh.ask("triage", TICKET, reuse=True, workspace=folder)

    assert (server.count(), answer) == (1, {"label": "billing"})


def test_a_service_that_runs_finds_what_came_after_it_began(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        keeping(folder)
        evalh.ask("triage", {"ticket": "order 4"}, reuse=True, workspace=folder)
        elsewhere(folder)
        _ = Workspace.open(folder).production  # reading takes the lines over
        evalh.ask("triage", TICKET, reuse=True, workspace=folder)

    assert isinstance(service_of(folder), WorkspaceService)
    assert server.count() == 2
