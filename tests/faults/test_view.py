"""`evalh view` as a process: its address, its end, and unused connections."""

import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from faults.running import start
from hanging import comes_back
from viewing import viewing
from workspaces import write_workspace


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start the verb; yield its process and the document that it printed."""
    process = start(folder, "view", "--json", *arguments)
    assert process.stdout is not None
    try:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            text += line
        yield process, json.loads(text)
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_at_the_address_that_it_prints_until_it_is_interrupted(tmp_path: Path, sign: signal.Signals) -> None:
    folder = write_workspace(tmp_path)
    with started(folder) as (process, told):
        assert told["schema"] == "evalh.view/1"
        assert told["url"].startswith(f"http://127.0.0.1:{told['port']}/")
        with urllib.request.urlopen(told["url"], timeout=10) as answer:
            assert b"No runs in" in answer.read()
        process.send_signal(sign)

        said = process.communicate(timeout=10)[1]
        assert process.returncode == 130
        assert said.endswith("stopped\n")
        assert "error" not in said


@pytest.mark.slow
def test_connections_that_nobody_uses_keep_nobody_out(tmp_path: Path) -> None:
    with viewing(write_workspace(tmp_path), most=40) as viewer, ExitStack() as held:
        for number in range(100):
            connection = held.enter_context(socket.create_connection((viewer.door.host, viewer.door.port)))
            if number % 2:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: ")

        with comes_back():
            assert viewer.get().status == 200
