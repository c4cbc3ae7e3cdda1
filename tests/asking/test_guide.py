"""The programs of the guide's page run as they stand there."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asking.written import written
from evalh.api.asking.service import service_of
from evalh_trace.records import Workflow
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked
from faults.running import served
from stepping import PIPELINE, mail, step_server, write_pipeline

PAGE = Path(__file__).parents[2] / "docs/guide/asking.md"
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
WELCOME = "---\nconfig: {max_tokens: 20}\nmodel: small\n---\nWelcome {{name}}.\n"


def names_of(program: str) -> dict[str, Any]:
    """Run a program; return what it defines."""
    namespace: dict[str, Any] = {"__name__": "guide"}
    exec(compile(PROGRAMS[program], program, "exec"), namespace)
    return namespace


def answers(asked: Asked) -> Act:
    return OPENAI.right(asked) if asked.case else OPENAI.answer("Welcome, Ada!")


def test_the_page_has_these_programs() -> None:
    assert set(PROGRAMS) == {"sort.py", "careful.py", "app.py", "desk.py", "own.py"}


def test_the_script_sorts_lines(tmp_path: Path) -> None:
    with served(tmp_path, answers, cases=1) as (_, folder):
        (folder / "sort.py").write_text(PROGRAMS["sort.py"])
        command = [sys.executable, "sort.py"]
        done = subprocess.run(
            command, cwd=folder, input="order 3\norder 7\n", capture_output=True, text=True, timeout=60, check=False
        )

    assert (done.stdout, done.stderr, done.returncode) == ("billing\nbug\n", "", 0)


@pytest.mark.parametrize(("said", "sorted_as"), [('{"label": "bug"}', "bug"), ("I do not know", "unsorted")])
def test_the_careful_script_tells_what_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str, sorted_as: str
) -> None:
    with served(tmp_path, lambda _: OPENAI.answer(said), cases=1) as (_, folder):
        monkeypatch.chdir(folder)
        found = names_of("careful.py")["sort"]("order 3")
        (workflow,) = written(folder, Workflow)

    assert found == sorted_as
    assert (workflow.id in capsys.readouterr().out) == (found == "unsorted")


def test_the_service_answers_and_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    import httpx

    async def asked(app: Any) -> tuple[httpx.Response, httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            sorted_as = await client.post("/tickets", params={"ticket": "order 3"})
            return sorted_as, await client.post("/welcome", params={"name": "Ada"})

    with served(tmp_path, answers, cases=1) as (_, folder):
        (folder / "prompts/welcome").mkdir()
        (folder / "prompts/welcome/v1.prompt").write_text(WELCOME)
        monkeypatch.chdir(folder)
        sorted_as, welcome = asyncio.run(asked(names_of("app.py")["app"]))
        asks = {one.id: one.name for one in written(folder, Workflow)}

    assert sorted_as.json()["label"] == "billing"
    assert asks[sorted_as.json()["id"]] == "triage"
    assert (welcome.status_code, welcome.text) == (200, "Welcome, Ada!")


def test_the_service_names_an_ask_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    import httpx

    async def asked(app: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            return await client.post("/tickets", params={"ticket": "order 3"})

    with served(tmp_path, OPENAI.always("auth"), cases=1) as (_, folder):
        monkeypatch.chdir(folder)
        answer = asyncio.run(asked(names_of("app.py")["app"]))
        (workflow,) = written(folder, Workflow)

    assert (answer.status_code, answer.json()) == (503, {"detail": {"id": workflow.id}})


def test_the_desk_keeps_what_a_person_must_see_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = "    on_bad: review\n    checks: [{contains: {value: order}}]\n"
    with step_server() as (server, port):
        server.wrong_replies = frozenset({3})
        folder = write_pipeline(tmp_path, port)
        (folder / "prompts/refund/draft.pipeline.yaml").unlink()
        (folder / "prompts/refund/v1.pipeline.yaml").write_text(PIPELINE + checked)
        monkeypatch.chdir(folder)
        desk = names_of("desk.py")
        fine, withheld = desk["answer"](mail(2)), desk["answer"](mail(3))
        (file,) = (folder / "desk").glob("*.json")
        before = len(server.asked)
        sent = desk["corrected"](file, "Your order 3 will come")

    assert (fine, withheld) == ("Your order 2 is sent", "A colleague will answer you.")
    assert (json.loads(file.read_text())["output"], sent) == ("nothing", "Your order 3 will come")
    assert len(server.asked) == before


def test_a_client_of_ones_own_is_handed_the_tested_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    client = SimpleNamespace(
        chat=SimpleNamespace(completions=SimpleNamespace(create=lambda **request: sent.append(request)))
    )
    with served(tmp_path, answers, cases=1) as (_, folder):
        monkeypatch.chdir(folder)
        names_of("own.py")["sort"](client, "order 3")

    assert sent[0]["messages"][-1] == {"role": "user", "content": "order 3"}
    assert (sent[0]["temperature"], sent[0]["max_tokens"]) == (0, 24)
    assert service_of(folder).parts.root == folder.resolve()
