"""`evalh import otel`: files that a collector, or anybody, wrote."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from spans.collecting import TRACE, chat, environment, log, logs, request, span, workspace_in
from wire.otlp_receiver import decode

RECORDED = Path(__file__).with_name("recorded")


def imported(folder: Path, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "evalh", "-C", str(folder), "import", "otel", str(file), *options]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=environment(), check=False)


BATCHES = (request(chat(2, 1), chat(3, 1)), logs(log("gen_ai.user.message", {"content": "Hi"}, number=2)))
ROOT = request(span(1, name="refund"))


def written(folder: Path, form: str) -> Path:
    file = folder / "spans"
    lines = [json.dumps(one) for one in (*BATCHES, ROOT)]
    match form:
        case "lines":
            file.write_text("\n\n".join(lines) + "\n")
        case "packed lines":
            file.write_bytes(gzip.compress("\n".join(lines).encode()))
        case "windows lines":
            file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
        case "a document":
            document = {**BATCHES[0], **BATCHES[1]}
            document["resourceSpans"] = [*BATCHES[0]["resourceSpans"], *ROOT["resourceSpans"]]
            file.write_text(json.dumps(document, indent=2))
        case "protobuf":
            both = request(chat(2, 1), chat(3, 1))
            both["resourceSpans"] += ROOT["resourceSpans"]
            file.write_bytes(
                decode(json.dumps(both).encode(), {"content-type": "application/json"}).SerializeToString()
            )
    return file


@pytest.mark.parametrize("form", ["lines", "packed lines", "windows lines", "a document", "protobuf"])
def test_a_file_is_read_in_each_form_and_counts_once(tmp_path: Path, form: str) -> None:
    workspace = workspace_in(tmp_path)
    file = written(tmp_path, form)

    first, again = imported(tmp_path, file, "--content"), imported(tmp_path, file, "--content", "--json")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert "collected 1 workflow, 0 steps, 2 calls, 20 tokens in, 2 out" in first.stdout
    assert json.loads(again.stdout)["calls"] == 2
    found = workspace.production.detail(TRACE)
    assert (found.workflow.name, len(found.calls), len(found.attempts)) == ("refund", 2, 2)
    asked = None if form == "protobuf" else [{"role": "user", "parts": ["Hi"]}]
    assert found.calls[0].messages == asked


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"resourceSpans": [}\n', "spans:1: not JSON"),
        (json.dumps(ROOT).encode() + b"\nnonsense\n", "spans:2: not JSON"),
        (b'{"id": 1}\n', "spans:1: neither 'resourceSpans' nor 'resourceLogs'"),
        (b"[1, 2]", "spans:1: not an object"),
        (b"\x1f\x8b\x08nonsense", "spans: not gzip"),
        (gzip.compress(json.dumps(ROOT).encode())[:-9], "spans: not gzip"),
        (b"plain words that are not spans", "spans: not OTLP's protobuf"),
        (b"\x00" * 100, "spans: not OTLP's protobuf"),
    ],
    ids=["broken", "second line", "other JSON", "a list", "not gzip", "cut gzip", "words", "zeros"],
)
def test_a_file_that_is_not_otlp_is_told_with_its_line(tmp_path: Path, content: bytes, words: str) -> None:
    workspace_in(tmp_path)
    file = tmp_path / "spans"
    file.write_bytes(content)

    done = imported(tmp_path, file)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_what_stands_before_a_line_that_cannot_be_read_is_kept(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    file = tmp_path / "spans"
    file.write_text(json.dumps(request(span(1, name="refund"), chat(2, 1))) + "\n{\n")

    assert imported(tmp_path, file).returncode == 2
    assert workspace.production.detail(TRACE).workflow.name == "refund"


def test_what_openllmetry_sends_today_is_read(tmp_path: Path) -> None:
    """Recorded of version 0.62.4, which says messages as the conventions do; the older one runs in another test."""
    workspace = workspace_in(tmp_path)

    done = imported(tmp_path, RECORDED / "openllmetry-0.62.4.jsonl", "--content")

    assert done.returncode == 0, done.stderr
    (workflow,) = workspace.production.workflows()
    found = workspace.production.detail(workflow.id)
    assert (workflow.name, workflow.dialect, len(found.calls)) == ("refund", "openllmetry", 4)
    attempts = {one.call_id: one for one in found.attempts}
    assert [attempts[call.id].text for call in found.calls] == [None, "Hello", "Hello", None]
    assert [attempts[call.id].cached_tokens for call in found.calls] == [12, 12, 12, None]
    assert found.calls[0].settings["tools"][0]["name"] == "order"
    assert found.calls[1].messages[2]["parts"][0]["tool_call"]["arguments"] == '{"id":7}'
    assert [call.settings.get("stream") for call in found.calls] == [False, False, True, False]
