"""A viewer that really serves, in a thread of the test's process; and requests to it, byte by byte."""

import asyncio
import contextlib
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from evalh.api.event_loop import in_loop
from evalh.api.viewing import LiveLog
from evalh.api.workspace import Workspace
from evalh.viewer.access import Door
from evalh.viewer.desk import Desk
from evalh.viewer.routes import Routes
from evalh.viewer.server import Server, listen


@dataclass(frozen=True, slots=True)
class Got:
    """One answer."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Viewer:
    """A running viewer."""

    door: Door

    def get(self, path: str = "", *headers: str, method: str = "GET", host: str | None = None) -> Got:
        """Ask for a path behind the token."""
        return self.ask(
            f"{method} /{self.door.token}/{path} HTTP/1.1", f"Host: {host or self.door.authority}", *headers
        )

    def post(self, path: str, form: Mapping[str, str], *headers: str, origin: str | None = "own") -> Got:
        """Send a form, as a page of this server does."""
        body = urlencode(form).encode()
        own = [] if origin is None else [f"Origin: {f'http://{self.door.authority}' if origin == 'own' else origin}"]
        head = [f"POST /{self.door.token}/{path} HTTP/1.1", f"Host: {self.door.authority}", *own, *headers]
        if not any(line.lower().startswith("content-type") for line in headers):
            head.append("Content-Type: application/x-www-form-urlencoded")
        lines = [*head, f"Content-Length: {len(body)}", "Connection: close", "", ""]
        return parsed(self.raw("\r\n".join(lines).encode() + body))

    def ask(self, *lines: str) -> Got:
        """Send a request's head as it is; return what is answered until the server hangs up."""
        return parsed(self.raw("\r\n".join([*lines, "Connection: close", "", ""]).encode()))

    def raw(self, data: bytes) -> bytes:
        """Send bytes; return what comes back."""
        with socket.create_connection((self.door.host, self.door.port), timeout=20) as connection:
            connection.sendall(data)
            chunks = []
            with suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    chunks.append(chunk)
        return b"".join(chunks)


def parsed(data: bytes) -> Got:
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Got(int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


def keep_gate(folder: Path, gate_id: str, text: str) -> None:
    """Put a decision that says nothing but this text into a workspace's log."""
    finding = {"rule": text, "decision": "refuse", "exit": 1, "reason": text, "cases": [text]}
    suite = {
        "suite": text,
        "decision": "refuse",
        "exit": 1,
        "base": None,
        "head": text,
        "model": text,
        "changed": [text],
        "reasons": [text],
        "require": text,
    }
    suite |= {
        "stopped_at": 9,
        "of": 9,
        "saved": 0,
        "asked": 9,
        "cases_needed": None,
        "margin": 0.05,
        "detectable_drop": None,
        "comparison": None,
    }
    suite |= {"findings": [finding], "broken": [text], "notices": [text]}
    gate = {"base": text, "head": text, "merge_base": None, "decision": "refuse", "exit": 1, "reasons": [text] * 2}
    gate |= {"suites": [suite], "unchanged": [text], "notices": [text]}
    row = (gate_id, "2026-01-01T00:00:00.000Z", text, text, None, "refuse", 1, text, json.dumps(gate))
    with contextlib.closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db, db:
        db.execute("insert into gates values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


@contextmanager
def viewing(folder: Path, most: int | None = None, author: str | None = None) -> Iterator[Viewer]:
    """Serve a workspace, to so many connections at once; with an author its pages write."""
    listening = listen("127.0.0.1", 0)
    door = Door(*listening.getsockname()[:2], writes=author is not None)
    log = LiveLog(Workspace.open(folder))
    server = Server(listening, door, Routes(log, None if author is None else Desk(log, author)), most)
    ready = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        with suppress(asyncio.CancelledError):
            await server.run(ready.set)

    thread = threading.Thread(target=lambda: in_loop(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield Viewer(door)
    finally:
        loop, task = running[0]
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        assert not thread.is_alive()
