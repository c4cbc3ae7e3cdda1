"""Streams: pieces as they arrive, and only where nothing reads the whole answer first."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import evalh
from asking.written import ask_of, written
from evalh.api.asking.background import background
from evalh_trace.records import Attempt, Workflow
from faults.dialects import OPENAI
from faults.running import served
from loopback import Handler, http_server
from stepping import step_server, write_pipeline
from workspaces import MODEL, PROMPT, write_workspace

TICKET = {"ticket": "order 3"}
TEXT = PROMPT.replace("output:\n  format: json\n  schema: {label(enum): [billing, bug]}\n", "")


@contextmanager
def streaming(folder: Path, *pieces: str, more: str = "", ends: str = "stop") -> Iterator[tuple[Path, list[Event]]]:
    """Serve pieces, each when its event is set (the first at once); `ends` other than stop breaks the stream off."""
    gates = [Event() for _ in pieces]
    gates[0].set()

    class Chat(Handler):
        protocol_version = "HTTP/1.0"  # the end of the connection ends the body

        def answer(self) -> None:
            self.body()
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for piece, gate in zip(pieces, gates, strict=True):
                gate.wait(20)
                self._send({"choices": [{"index": 0, "delta": {"content": piece}}]})
            if ends != "stop":
                return
            self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self._send({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28}})
            self.wfile.write(b"data: [DONE]\n\n")

        def _send(self, event: dict[str, Any]) -> None:
            self.wfile.write(b"data: " + json.dumps({"id": "c", "model": "test-1", **event}).encode() + b"\n\n")
            self.wfile.flush()

    with http_server(Chat) as port:
        write_workspace(folder, model=MODEL.format(port=port) + more)
        (folder / "prompts/triage/v1.prompt").write_text(TEXT)
        yield folder, gates


async def test_a_piece_is_handed_on_before_the_next_one_is_written(tmp_path: Path) -> None:
    with streaming(tmp_path, "Dear ", "Ada, ", "bye") as (folder, gates):
        came = []
        async for piece in evalh.stream("triage", TICKET, workspace=folder):
            came.append(piece)
            if len(came) < 3:
                gates[len(came)].set()

    assert came == ["Dear ", "Ada, ", "bye"]
    (attempt,) = written(folder, Attempt)
    assert (attempt.status, attempt.output_tokens) == ("ok", 8)
    assert attempt.ttft_ms is not None


async def test_the_whole_reply_comes_last_where_it_is_wanted(tmp_path: Path) -> None:
    with streaming(tmp_path, "Dear ", "Ada") as (folder, gates):
        gates[1].set()
        *pieces, reply = [one async for one in evalh.stream("triage", TICKET, whole=True, workspace=folder)]

    assert "".join(pieces) == reply.value == reply.text == "Dear Ada"
    assert ask_of(folder, reply.id)["status"] == "ok"


async def test_reasoning_before_the_answer_is_never_handed_on(tmp_path: Path) -> None:
    with streaming(tmp_path, "<thi", "nk>It is Ada</th", "ink>Dear", " Ada") as (folder, gates):
        for gate in gates:
            gate.set()
        pieces = [one async for one in evalh.stream("triage", TICKET, workspace=folder)]

    assert "".join(pieces) == "Dear Ada"


async def test_a_key_that_comes_in_pieces_is_never_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKED_KEY", "key-1234567")
    with streaming(tmp_path, "It is key-1", "234", "567.", more='api_key_env = "ASKED_KEY"\n') as (folder, gates):
        for gate in gates:
            gate.set()
        pieces = [one async for one in evalh.stream("triage", TICKET, workspace=folder)]

    assert "".join(pieces) == "It is [key]."


async def test_a_stream_that_breaks_off_is_not_begun_again_under_the_reader(tmp_path: Path) -> None:
    with streaming(tmp_path, "Dear ", "Ada", ends="broken") as (folder, gates):
        gates[1].set()
        stream = evalh.stream("triage", TICKET, workspace=folder)
        assert [await anext(stream), await anext(stream)] == ["Dear ", "Ada"]
        with pytest.raises(evalh.NoAnswer) as lost:
            await anext(stream)

    assert lost.value.kind == "bad_response"
    assert len(written(folder, Attempt)) == 1


async def test_a_reader_that_leaves_stops_what_is_in_flight(tmp_path: Path) -> None:
    with streaming(tmp_path, "Dear ", "Ada") as (folder, gates):
        stream = evalh.stream("triage", TICKET, workspace=folder)
        assert await anext(stream) == "Dear "
        await stream.aclose()
        await asyncio.wrap_future(background().submit(_others_end()))
        gates[1].set()

    (ask,) = written(folder, Workflow)
    assert (ask.status, ask.error) == ("error", "cancelled")


async def _others_end() -> None:
    own = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not own]
    await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize(
    ("route", "reads"),
    [
        ('repair = {checks = ["schema"]}', r"the repair of route 'careful' reads the output \(schema\)"),
        (
            'cascade = {checks = ["schema", {self_consistency = {k = 3}}], escalate_to = "strong"}',
            r"the cascade of route 'careful' reads the output \(schema, self_consistency\)",
        ),
        ('fallback = ["strong"]\nfallback_on = ["overload", "refusal"]', "route 'careful' falls back on refusal"),
    ],
)
def test_what_reads_the_whole_answer_first_is_named_at_once(tmp_path: Path, route: str, reads: str) -> None:
    models = {"small": None, "strong": None}
    with (
        served(tmp_path, OPENAI.right, f'model = "small"\n{route}', cases=1, models=models) as (server, folder),
        pytest.raises(evalh.EvalhError, match=reads),
    ):
        evalh.stream("triage", TICKET, model="careful", workspace=folder)

    assert server.count() == 0


def test_a_pipeline_is_not_streamed(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port)
        with pytest.raises(evalh.EvalhError, match="cannot be streamed: it is a pipeline"):
            evalh.stream("refund", {"email": "order 3"}, version="draft", workspace=folder)


async def test_a_provider_that_does_not_stream_gives_one_piece(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        pieces = [one async for one in evalh.stream("triage", TICKET, workspace=folder)]

    assert pieces == ['{"label": "billing"}']
