"""A model's server on loopback, and the records that a traced program left. Not a test itself."""

import gzip
import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import loopback
from evalh_trace.records import (
    AnyRecord,
    Attempt,
    Call,
    Feedback,
    Loss,
    Score,
    Step,
    Workflow,
    decode,
)

KEY = "sk-thisIsTheSecretKey1234567890"


def completion(text: str = "four", **more: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "small-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22},
        **more,
    }


def message(text: str = "four") -> dict[str, Any]:
    return {
        "id": "x",
        "type": "message",
        "role": "assistant",
        "model": "claude-1",
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": text}],
        "usage": {"input_tokens": 16, "cache_read_input_tokens": 4, "output_tokens": 2},
    }


def chunks(*texts: str) -> list[Any]:
    pieces = [
        {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "small-1",
            "choices": [{"index": 0, "delta": {"content": text}}],
        }
        for text in texts
    ]
    last = {**pieces[0], "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {**pieces[0], "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}}
    return [*pieces, last, usage, "[DONE]"]


class Reply(NamedTuple):
    """One answer. A list is a stream of events; one that `breaks` ends without its end."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})
    gzipped: bool = False
    breaks: bool = False
    hold: threading.Event | None = None  # between the first event and the others


class ModelServer:
    """Gives the replies that were planned, then the usual answer, and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.planned: deque[Reply] = deque()
        self.asked: list[Any] = []

    def plan(self, *replies: Reply) -> None:
        self.planned.extend(replies)


@contextmanager
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()

    class Answering(_Handler):
        model = server

    with loopback.http_server(Answering) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server


class _Handler(loopback.Handler):
    model: ModelServer

    def answer(self) -> None:
        self.model.asked.append(json.loads(self.body()))
        usual = message() if self.path.endswith("/messages") else completion()
        reply = self.model.planned.popleft() if self.model.planned else Reply(body=usual)
        headers = {"x-request-id": "req_7", **reply.headers}
        if isinstance(reply.body, list):
            self._stream(reply, headers)
        elif reply.gzipped:
            body = gzip.compress(json.dumps(reply.body).encode())
            self.reply(reply.status, body, {**headers, "Content-Encoding": "gzip"})
        else:
            self.reply(reply.status, reply.body, headers)

    def _stream(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Type": "text/event-stream", **headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(reply.body):
            data = event if isinstance(event, str) else json.dumps(event)
            name = f"event: {event['type']}\n" if isinstance(event, dict) and "type" in event else ""
            raw = f"{name}data: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
            if number == 0 and reply.hold is not None:
                self.wfile.flush()
                reply.hold.wait(20)
        if reply.breaks:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


class Recorded:
    """What is on disk under a store: the last record of each id."""

    def __init__(self, store: Path) -> None:
        self.files = sorted((store / "production").glob("*.jsonl"))
        self.raw = b"".join(file.read_bytes() for file in self.files)
        self.all = [one for file in self.files for one in decode(file.read_bytes())]
        self.unreadable = sum(one is None for one in self.all)
        latest: dict[tuple[str, str], AnyRecord] = {}
        for record in self.all:
            if record is not None:
                latest[type(record).__name__, record.id] = record
        self._latest = list(latest.values())

    def _of(self, kind: type) -> list[Any]:
        return [record for record in self._latest if isinstance(record, kind)]

    @property
    def workflows(self) -> list[Workflow]:
        return self._of(Workflow)

    @property
    def steps(self) -> list[Step]:
        return self._of(Step)

    @property
    def calls(self) -> list[Call]:
        return self._of(Call)

    @property
    def attempts(self) -> list[Attempt]:
        return sorted(self._of(Attempt), key=lambda one: (one.call_id, one.number or 0))

    @property
    def feedback(self) -> list[Feedback]:
        return self._of(Feedback)

    @property
    def scores(self) -> list[Score]:
        return self._of(Score)

    @property
    def losses(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for one in self._of(Loss):
            counts[one.why] = counts.get(one.why, 0) + one.count
        return counts
