"""`evalh collect`: the program that it starts, signals, other machines, votes, sending on."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from evalh.api.workspace import Workspace
from faults.running import until
from spans.collecting import (
    TRACE,
    Running,
    chat,
    collect,
    collecting,
    environment,
    log,
    logs,
    request,
    span,
    workspace_in,
)
from wire.otlp_receiver import otlp_receiver

SHOWS = (
    "import os, json; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(('OTEL_', 'TRACELOOP_'))}))"
)


@pytest.mark.parametrize(("program", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_exit_code_is_the_programs(tmp_path: Path, program: str, code: int) -> None:
    workspace_in(tmp_path)

    done = collect(tmp_path, "--", sys.executable, "-c", program)

    assert (done.returncode, done.stdout) == (code, "")
    assert "no model calls arrived: is the program instrumented?" in done.stderr


def test_what_a_program_traces_by_itself_comes_to_the_same_workspace(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    program = "from evalh import trace\nwith trace.workflow('refund'):\n    pass\n"

    done = collect(tmp_path, "--", sys.executable, "-c", program)  # in another folder than the workspace's

    assert done.returncode == 0, done.stderr
    assert "what evalh.trace records is written without spans: evalh trace list" in done.stderr
    assert [one.name for one in workspace.production.workflows()] == ["refund"]


@pytest.mark.parametrize("variable", ["EVALH_TRACE_STORE", "EVALH_STORE"])
def test_a_folder_that_the_environment_names_is_written_and_read(tmp_path: Path, variable: str) -> None:
    workspace_in(tmp_path, '[trace]\nstore = "elsewhere"\n')
    folder = {variable: str(tmp_path / "named")}
    program = "from evalh import trace\nwith trace.workflow('refund'):\n    pass\n"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment(**folder), check=True, timeout=60)

    found = Workspace.open(tmp_path, env=folder).production.workflows()

    assert [one.name for one in found] == ["refund"]
    assert (tmp_path / "named/production.db").is_file()


def test_only_the_program_is_told_where_to_send(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    mine = {
        "OTEL_EXPORTER_OTLP_HEADERS": "key=s3cret",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://elsewhere/v1/traces",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_TRACES_EXPORTER": "none",
    }

    done = collect(tmp_path, "--token", "t 0k", "--", sys.executable, "-c", SHOWS, **mine)

    told = json.loads(done.stdout)
    url = told.pop("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert url.startswith("http://127.0.0.1:")
    assert told == {
        "TRACELOOP_BASE_URL": url,
        "TRACELOOP_HEADERS": "authorization=Bearer%20t%200k",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20t%200k",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
    }


def test_with_json_stdout_is_one_document_whatever_the_program_prints(tmp_path: Path) -> None:
    workspace_in(tmp_path)

    done = collect(tmp_path, "--json", "--", sys.executable, "-c", "print('hello')")

    assert (json.loads(done.stdout)["schema"], json.loads(done.stdout)["exit"]) == ("evalh.collected/1", 0)
    assert "hello" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--", "no-such-program-7"), "there is no command 'no-such-program-7'"),
        (("--", "/etc/passwd"), "'/etc/passwd' is not executable"),
        (("--host", "0.0.0.0"), "other machines can reach 0.0.0.0: that needs a token"),
        (("--host", "example.org"), "'example.org' is not an address of this machine"),
        (("--host", "203.0.113.7", "--token", "t"), "this machine has no address 203.0.113.7"),
        (("--token", ""), "a token must be ASCII"),
        (("--forward", "ftp://x", "--", "true"), "--forward is not an http or https URL"),
        (("--forward", "http://u:p@x", "--", "true"), "--forward holds a login"),
    ],
)
def test_what_cannot_be_done_is_said_plainly(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    workspace_in(tmp_path)

    done = collect(tmp_path, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = collect(tmp_path, "--port", str(port))

    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 is in use" in done.stderr
    assert "--port 0 uses a free port" in done.stderr


PATIENT = """
import signal, sys, time
def end(sign, frame):
    print("got", sign, flush=True)
    sys.exit(5)
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True: time.sleep(60)
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_the_program_ends_in_its_own_way(tmp_path: Path, sign: int) -> None:
    workspace_in(tmp_path)
    line = [sys.executable, "-m", "evalh", "-C", str(tmp_path), "collect", "--", sys.executable, "-c", PATIENT]
    with subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(sign)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (5, f"got {int(sign)}\n")
    assert "collected" in err
    assert "Traceback" not in err


def test_what_arrived_is_there_though_the_collector_was_killed(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    line = [sys.executable, "-m", "evalh", "-C", str(tmp_path), "collect", "--port", "0"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stderr is not None
        url = process.stderr.readline().partition("/v1/")[0]
        Running(url, process).post("/v1/traces", request(span(1, name="refund"), chat(2, 1)))
        until(lambda: list(workspace.production.workflows()))
        process.kill()

    found = workspace.production.detail(TRACE)
    assert (found.workflow.name, len(found.calls)) == ("refund", 1)


def test_a_token_is_asked_of_everybody(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    with collecting(tmp_path, "--host", "0.0.0.0", "--token", "t0k") as running:
        statuses = [
            running.post("/v1/traces", request(chat(1)), **headers)[0]
            for headers in ({}, {"Authorization": "Bearer t0"}, {"Authorization": "Bearer t0k"})
        ]
        vote = running.post("/feedback", {"workflow": TRACE, "good": True})[0]

    assert (statuses, vote, running.told["calls"]) == ([401, 401, 200], 401, 1)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 403), ({"Host": "localhost:1"}, 200), ({"Host": "[::1]:4318"}, 200)],
)
def test_a_page_that_gives_this_machine_its_own_name_is_refused(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    workspace_in(tmp_path)
    with collecting(tmp_path) as running:
        told, _ = running.post("/v1/traces", request(chat(1)), **headers)
        paths = [running.post(path, {})[0] for path in ("/", "/v1/trace", "/v1/traces/")]
        metrics = running.post("/v1/metrics", {"resourceMetrics": []})[0]

    assert (told, paths, metrics) == (status, [404, 404, 404], 200)


def test_votes_are_kept_the_last_one_counts_and_notes_are_content(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    votes: list[tuple[Any, int]] = [
        ({"workflow": TRACE.upper(), "good": True, "note": "fine"}, 200),
        ({"workflow": TRACE, "good": False, "note": "s3cret"}, 200),
        ({"workflow": TRACE, "kind": "copied"}, 200),
        ({"workflow": TRACE}, 400),
        ({"workflow": "", "good": True}, 400),
        ({"workflow": TRACE, "good": "yes"}, 400),
        ({"workflow": TRACE, "good": True, "extra": 1}, 400),
        ({"workflow": "x" * 501, "good": True}, 400),
        ([], 400),
        (b"{", 400),
        (b"[" * 30_000, 400),
        (b" " * (65 << 10), 413),
    ]
    with collecting(tmp_path) as running:
        running.post("/v1/traces", request(chat(1)))
        told = [running.post("/feedback", body)[0] for body, _ in votes]
        as_a_form, _ = running.post("/feedback", b"{}", "text/plain")

    assert told == [status for _, status in votes]
    assert as_a_form == 415
    found = workspace.production.detail(TRACE).feedback
    assert [(one.kind, one.good, one.note) for one in found] == [("vote", False, None), ("copied", None, None)]
    assert b"s3cret" not in (tmp_path / ".evalh/production.db").read_bytes()


def test_bodies_that_do_not_come_keep_nobody_waiting(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    head = (
        b"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"
    )
    with collecting(tmp_path) as running, ExitStack() as slow:
        parts = urlsplit(running.url)
        for _ in range(200):
            connection = slow.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=60))
            connection.sendall(head)

        answers = [running.post("/v1/traces", request(chat(one)))[0] for one in range(1, 20)]

    assert answers == [200] * 19
    assert running.told["calls"] == 19


def test_what_arrives_is_sent_on_as_it_came(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    body = request(span(1), chat(2, 1))
    with otlp_receiver() as elsewhere, collecting(tmp_path, "--forward", elsewhere.url) as running:
        running.post("/v1/traces", body)
        until(lambda: elsewhere.requests)

    assert elsewhere.paths == ["/v1/traces"]
    assert [one.name for one in elsewhere.spans] == ["span 1", "span 2"]
    assert running.told["forwarding"] == {"sent": 1, "failed": 0, "why": None}
    assert running.told["calls"] == 1


def test_a_collector_elsewhere_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    with collecting(tmp_path, "--forward", "http://127.0.0.1:9") as running:
        assert [running.post("/v1/traces", request(chat(one)))[0] for one in range(1, 4)] == [200] * 3

    assert running.told["forwarding"]["failed"] == 3
    assert running.told["calls"] == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    (tmp_path / ".evalh").mkdir(mode=0o500)

    done = collect(tmp_path, "--", sys.executable, "-c", "print('started')")

    assert (done.returncode, done.stdout) == (4, "")


def test_a_full_disk_stops_nothing_and_is_told(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    with workspace.production_writer():
        pass  # its file is there before the disk is full
    long = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "x" * 3_000_000}
    with collecting(tmp_path, "--content", most_file_bytes=1 << 20) as running:
        statuses = [running.post("/v1/traces", request(span(1), chat(2, 1, attributes=long)))[0] for _ in range(2)]

    assert (statuses, running.code) == ([200, 200], 130)
    assert running.told["losses"] == {"disk": 2}
    assert running.told["trouble"]


def test_what_is_redacted_is_kept_without_personal_data(tmp_path: Path) -> None:
    pytest.importorskip("evalh_trace.redaction")
    workspace = workspace_in(tmp_path, '[trace]\nredact = ["email", {field = "secret"}]\n')
    root = {"traceloop.span.kind": "workflow", "traceloop.entity.input": '{"secret": "abc", "to": "ada@example.org"}'}
    told = {"gen_ai.prompt.0.content": "mail bob@example.org", "gen_ai.completion.0.content": "sent to bob@example.org"}
    stop = {"gen_ai.request.stop_sequences": ["eve@example.org"]}
    with collecting(tmp_path) as running:
        running.post("/v1/traces", request(span(1, attributes=root), chat(2, 1, attributes={**told, **stop})))
        running.post("/feedback", {"workflow": TRACE, "good": False, "note": "told ada@example.org"})

    found = workspace.production.detail(TRACE)
    assert found.workflow.inputs == {"secret": "[field]", "to": "[email]"}
    assert (found.calls[0].messages[0]["parts"], found.attempts[0].text) == (["mail [email]"], "sent to [email]")
    assert (found.feedback[0].note, running.told["content"]) == ("told [email]", "redacted")
    assert b"example.org" not in b"".join(
        file.read_bytes() for file in (tmp_path / ".evalh").iterdir() if file.is_file()
    )


def test_content_is_kept_where_the_workspace_says_so(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path, "[trace]\ncontent = true\n")
    told = {"traceloop.span.kind": "workflow", "traceloop.entity.input": '{"a": 1}'}
    with collecting(tmp_path) as running:
        running.post("/v1/traces", request(span(1, attributes=told), chat(2, 1)))
        running.post("/v1/logs", logs(log("gen_ai.choice", {"message": {"content": "Hi"}}, number=2)))
        running.post("/v1/logs", logs(log("app.event", {"x": 1}, number=2)))

    found = workspace.production.detail(TRACE)
    assert (found.workflow.inputs, found.attempts[0].text) == ({"a": 1}, "Hi")
    assert running.told["content"] == "on"
