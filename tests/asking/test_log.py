"""Production's file: what is in it, and what happens where it cannot be written."""

import asyncio
from collections import Counter
from pathlib import Path

import evalh
from asking.written import written
from evalh.api.asking.ask import _asking
from evalh.api.asking.background import background
from evalh.api.asking.service import WorkspaceService, service_of
from evalh.api.parts import Parts
from evalh.store.production_file import ProductionFile
from evalh_trace.records import AnyRecord, Attempt, Call, Loss, Workflow, decode
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked
from faults.running import served

TICKET = {"ticket": "order 3"}
QUICK = 'model = "small"\nretry = {attempts = 3, base_s = 0.001, cap_s = 0.002}'


def records(folder: Path) -> list[AnyRecord | None]:
    return [one for file in (folder / "production").glob("*.jsonl") for one in decode(file.read_bytes())]


def test_content_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, QUICK, cases=1) as (_, folder):
        with (folder / "evalh.toml").open("a") as config:
            config.write("\n[trace]\ncontent = true\n")
        service = WorkspaceService(Parts.open(folder))
        asks = service.load(("triage", None, None, False))
        background().submit(_asking(service, asks, TICKET, {})).result(20)
        service.flush()

    workflow, attempt, call, ended = records(folder / ".evalh")
    assert isinstance(workflow, Workflow)
    assert isinstance(attempt, Attempt)
    assert isinstance(call, Call)
    assert isinstance(ended, Workflow)
    assert (ended.inputs, ended.output, attempt.text) == (TICKET, {"label": "billing"}, '{"label": "billing"}')
    assert call.messages[-1] == {"role": "user", "parts": ["order 3"]}
    assert call.settings == {"model": "test-1", "params": {"temperature": 0, "max_tokens": 24}, "stream": False}


def test_every_attempt_of_a_retried_ask_is_a_record(tmp_path: Path) -> None:
    def shaky(asked: Asked) -> Act:
        return OPENAI.error("overload") if asked.nth < 3 else OPENAI.right(asked)

    with served(tmp_path, shaky, QUICK, cases=1) as (_, folder):
        evalh.ask("triage", TICKET, model="careful", workspace=folder)

    attempts, (call,), (workflow,) = (written(folder, kind) for kind in (Attempt, Call, Workflow))
    assert [(one.number, one.status, one.reason, one.error_kind) for one in attempts] == [
        (1, "error", "first", "overload"),
        (2, "error", "retry", "overload"),
        (3, "ok", "retry", None),
    ]
    assert (call.attempts, call.answered_by, call.route) == (3, attempts[2].id, "careful")
    assert call.started_at == attempts[0].started_at
    assert Counter(one["kind"] for one in workflow.attributes["decisions"])["retry"] == 2


def test_where_nothing_can_be_written_the_program_goes_on_and_the_loss_is_told_later(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        blocked = folder / ".evalh"
        blocked.write_text("a file where a folder should be")
        answers = [evalh.ask("triage", TICKET, workspace=folder) for _ in range(3)]
        service_of(folder).flush()
        blocked.unlink()
        answers.append(evalh.ask("triage", TICKET, workspace=folder))
        service_of(folder).flush()

    assert answers == [{"label": "billing"}] * 4
    found = records(folder / ".evalh")
    lost = [one for one in found if isinstance(one, Loss)]
    assert [(one.count, one.why) for one in lost] == [(12, "disk")]  # two of the workflow, a call, an attempt: thrice
    assert len(found) == 5


def test_what_cannot_be_json_is_counted_and_costs_no_other_record(tmp_path: Path) -> None:
    file = ProductionFile(tmp_path, lambda record: record)
    for number, name in enumerate(("triage", "half \ud800 a letter", "triage")):
        file.write(Workflow(id=str(number), name=name, door="ask", started_at=1.0))
    file.close()

    found = records(tmp_path)
    assert [one.id for one in found if isinstance(one, Workflow)] == ["0", "2"]
    assert [(one.count, one.why) for one in found if isinstance(one, Loss)] == [(1, "unreadable")]


def test_what_the_queue_does_not_hold_is_counted(tmp_path: Path) -> None:
    file = ProductionFile(tmp_path, lambda record: record)
    handed = 50_000
    for number in range(handed):
        file.write(Workflow(id=str(number), name="triage", door="ask", started_at=1.0))
    file.close(20)

    found = records(tmp_path)
    kept = sum(isinstance(one, Workflow) for one in found)
    assert kept + sum(one.count for one in found if isinstance(one, Loss)) == handed
    assert None not in found


async def test_text_that_is_half_a_letter_ends_no_ask(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        asks = [evalh.ask_async("triage", {"ticket": text}, workspace=folder) for text in ("\ud800", "order 3")]
        strange, plain = await asyncio.gather(*asks, return_exceptions=True)

    assert not isinstance(strange, Exception)
    assert plain == {"label": "billing"}
    assert [one.status for one in written(folder, Workflow)] == ["ok", "ok"]
