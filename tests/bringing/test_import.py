"""`evalh import`: recorded calls in the forms that programs write, and files that lie."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from command_line import Done, command_line
from evalh.api.workspace import Workspace
from evalh.core.errors import WorkspaceError
from evalh.interop.recorded_calls.lines import rows as rows_of_lines

REQUEST = {
    "model": "gpt-5-mini",
    "messages": [{"role": "system", "content": "Sort."}, {"role": "user", "content": "It broke."}],
    "temperature": 0,
}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_785_233_700,
    "model": "gpt-5-mini-2026",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "bug"}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}
SAID = [{"role": "system", "parts": ["Sort."]}, {"role": "user", "parts": ["It broke."]}]
PAYLOAD = {
    "id": "chatcmpl-9",
    "trace_id": "t-1",
    "call_type": "acompletion",
    "stream": False,
    "response_cost": 0.0021,
    "response_cost_failure_debug_info": None,
    "status": "success",
    "custom_llm_provider": "openai",
    "total_tokens": 15,
    "prompt_tokens": 12,
    "completion_tokens": 3,
    "startTime": 1_785_233_700.0,
    "endTime": 1_785_233_701.5,
    "completionStartTime": 1_785_233_701.5,
    "model": "gpt-5-mini",
    "model_group": "small",
    "metadata": {"requester_metadata": {"session_id": "s-1"}},
    "cache_hit": False,
    "request_tags": ["refunds"],
    "end_user": "u-1",
    "messages": REQUEST["messages"],
    "response": ANSWER,
    "error_str": None,
    "error_information": None,
    "model_parameters": {"temperature": 0},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evalh.toml").write_text("[trace]\ncontent = true\n")
    return tmp_path


def bring(folder: Path, *lines: Any, form: str = "calls", options: tuple[str, ...] = ()) -> Done:
    data = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    (folder / "in.jsonl").write_bytes(data)
    return command_line().run(["import", form, "in.jsonl", *options], cwd=str(folder))


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in Workspace.open(folder).production.query(sql)[1]]


# -- OpenAI


@pytest.mark.parametrize(
    "line",
    [
        {"request": REQUEST, "response": ANSWER},
        {"messages": REQUEST["messages"], "temperature": 0, **ANSWER, "model": "gpt-5-mini-2026"},
        {"messages": REQUEST["messages"], "model": "gpt-5-mini", "temperature": 0, "response": ANSWER},
        {"custom_id": "c-1", "method": "POST", "url": "/v1/chat/completions", "body": REQUEST, "response": ANSWER},
    ],
    ids=["pair", "stored completion", "request beside its response", "line of a batch with its answer"],
)
def test_a_request_and_its_answer_are_one_call_in_one_workflow(folder: Path, line: dict[str, Any]) -> None:
    done = bring(folder, line, options=("--as", "triage"))

    assert done.code == 0, done.err
    assert done.out.startswith("in.jsonl: OpenAI requests and answers: 1 call, 1 workflow")
    assert rows(folder, "select name, door, status, output from workflows") == [("triage", "calls", "ok", '"bug"')]
    ((messages, settings, provider, attempts),) = rows(
        folder, "select messages, settings, provider, attempts from calls"
    )
    assert json.loads(messages) == SAID
    assert json.loads(settings)["params"] == {"temperature": 0}
    assert (provider, attempts) == ("openai", None)  # how often a client sent it, nobody wrote down
    columns = "text, finish, input_tokens, output_tokens, model_answered, number, latency_ms"
    assert rows(folder, f"select {columns} from attempts") == [("bug", "stop", 12, 3, "gpt-5-mini-2026", None, None)]


def batch_line(name: str, **more: Any) -> dict[str, Any]:
    response = {"status_code": 200, "request_id": f"req-{name}", "body": {**ANSWER, "id": f"chatcmpl-{name}"}}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None, **more}


def test_a_batchs_output_finds_its_requests_in_the_batchs_input(folder: Path) -> None:
    asked = [
        {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": {**REQUEST, "seed": seed}}
        for seed, name in enumerate(("a", "b"))
    ]
    (folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in asked))
    refused = {"status_code": 400, "request_id": "req-b", "body": {"error": {"message": "bad", "type": "x"}}}

    done = bring(folder, batch_line("a"), batch_line("b", response=refused), options=("--requests", "requests.jsonl"))

    assert done.code == 0, done.err
    seeds = "select json_extract(settings, '$.params.seed') from calls order by 1"
    assert rows(folder, seeds) == [(0,), (1,)]
    assert rows(folder, "select status, error_kind, http_status, request_id from attempts order by request_id") == [
        ("ok", None, 200, "req-a"),
        ("error", "bad_request", 400, "req-b"),
    ]


def test_a_batchs_output_alone_comes_in_without_what_was_asked(folder: Path) -> None:
    expired = {"response": None, "error": {"code": "batch_expired", "message": "This request could not be executed."}}

    assert bring(folder, batch_line("a"), batch_line("b", **expired)).code == 0

    assert rows(folder, "select count(*), count(messages), count(settings) from calls") == [(2, 0, 0)]
    assert rows(folder, "select status, text, error from attempts order by status") == [
        ("error", None, "This request could not be executed."),
        ("ok", "bug", None),
    ]


def test_the_bodies_of_another_api_are_read_in_the_same_places(folder: Path) -> None:
    request = {"model": "claude-x", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
    answer = {
        "id": "msg_1",
        "type": "message",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 2},
    }

    assert bring(folder, {"request": request, "response": answer}).code == 0

    assert rows(folder, "select provider, text, finish, input_tokens from attempts") == [
        ("anthropic", "Hello", "stop", 5)
    ]


def test_the_same_line_is_one_call_if_its_answer_has_an_id_and_two_if_not(folder: Path) -> None:
    nameless = {"request": REQUEST, "response": {key: value for key, value in ANSWER.items() if key != "id"}}

    done = bring(folder, {"request": REQUEST, "response": ANSWER}, {"request": REQUEST, "response": ANSWER})
    assert "1 call, 1 workflow\n1 repeated line: each counts once" in done.out
    bring(folder, nameless, nameless)
    again = bring(folder, nameless, nameless)

    assert again.code == 0
    assert rows(folder, "select count(*) from calls") == [(3,)]


def test_two_answers_with_one_id_are_both_kept(folder: Path) -> None:
    other = {**ANSWER, "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "billing"}}]}

    bring(folder, {"request": REQUEST, "response": ANSWER}, {"request": REQUEST, "response": other})

    assert rows(folder, "select text from attempts order by text") == [("billing",), ("bug",)]


# -- LiteLLM


def test_a_litellm_payload_is_a_call_with_its_cost_and_times(folder: Path) -> None:
    done = bring(folder, PAYLOAD)

    assert done.code == 0, done.err
    assert done.out.startswith("in.jsonl: LiteLLM logging payloads: 1 call, 1 workflow")
    assert rows(folder, "select session, user, tags, output, status from workflows") == [
        ("s-1", "u-1", '["refunds"]', '"bug"', "ok")
    ]
    assert rows(folder, "select route, latency_ms, cost_usd, attempts from calls") == [("small", 1500.0, 0.0021, None)]
    assert rows(folder, "select cost_usd, cost_from, input_tokens, ttft_ms from attempts") == [
        (0.0021, "door", 12, None)
    ]


def test_a_failed_litellm_call_has_an_error_and_no_zeros(folder: Path) -> None:
    failed = {
        **PAYLOAD,
        "status": "failure",
        "response": None,
        "response_cost": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "error_str": "litellm.RateLimitError: slow down",
        "error_information": {"error_code": "429", "error_class": "RateLimitError", "llm_provider": "openai"},
    }

    assert bring(folder, failed).code == 0

    columns = "status, error_kind, http_status, cost_usd, input_tokens, output_tokens, text"
    assert rows(folder, f"select {columns} from attempts") == [("error", "rate_limit", 429, None, None, None, None)]
    assert rows(folder, "select status, error from workflows") == [("error", "litellm.RateLimitError: slow down")]


def test_litellm_calls_of_one_trace_are_one_workflow_from_its_first_to_its_last(folder: Path) -> None:
    first = {**PAYLOAD, "id": "1", "status": "failure", "response": None, "error_str": "no"}
    second = {**PAYLOAD, "id": "2", "startTime": 1_785_233_702.0, "endTime": 1_785_233_703.0}

    assert bring(folder, second, first, {**PAYLOAD, "id": "3", "trace_id": "t-2"}).code == 0

    assert rows(
        folder,
        """select count(c.id), w.status, w.started_at, w.ended_at from workflows w join calls c on c.workflow_id = w.id
        group by w.id order by 1 desc limit 1""",
    ) == [(2, "ok", "2026-07-28T10:15:00.000Z", "2026-07-28T10:15:03.000Z")]


def test_what_litellm_took_out_is_unknown_and_no_text(folder: Path) -> None:
    gone = "redacted-by-litellm"
    answer = {**ANSWER, "choices": [{"message": {"role": "assistant", "content": gone}, "finish_reason": "stop"}]}
    bring(folder, {**PAYLOAD, "messages": [{"role": "user", "content": gone}], "response": answer})

    ((text, tokens),) = rows(folder, "select text, input_tokens from attempts")
    ((output,),) = rows(folder, "select output from workflows")
    assert (text, tokens, output) == (None, 12, None)
    assert gone not in str(rows(folder, "select messages from calls"))


# -- files that lie


def test_a_bad_line_is_told_with_its_place_and_the_good_ones_are_kept(folder: Path) -> None:
    good = json.dumps({"request": REQUEST, "response": ANSWER}).encode()
    bad = [
        b'{"request": {',
        b"[1, 2]",
        b'{"request": {"model": "a"}, "request": {"model": "b"}}',
        b'{"request": NaN}',
        b'{"request": {"model": "a", "messages": [], "t": 1e999}}',
        b'{"request": "' + b"\xff" + b'"}',
        b'{"request": "\x00"}',
        b'{"request": ' + b"[" * 100_000 + b"}",
        b'{"request": {"messages": ' + b"[" * 300 + b"]" * 300 + b"}}",
        b'{"request": "\\ud800"}',
        b'{"request": {"model": 3}}',
        b'{"request": 3, "response": 4}',
        b"{}",
    ]

    done = bring(folder, good, *bad, b"", b"   ", good.replace(b"chatcmpl-1", b"chatcmpl-2"))

    assert done.code == 1
    assert "2 calls, 2 workflows" in done.out
    told = [line for line in done.out.splitlines() if line.startswith("in.jsonl:") and "OpenAI" not in line]
    assert [line.split(":")[1] for line in told] == [str(number) for number in range(2, 2 + len(bad))]
    assert f"{len(bad)} lines could not be read; the others are kept" in done.out
    assert "Traceback" not in done.err
    assert rows(folder, "select count(*) from calls") == [(2,)]


def test_a_line_of_many_megabytes_is_skipped_and_the_next_one_is_read(folder: Path) -> None:
    huge = b'{"request": "' + b"x" * (17 * 2**20) + b'"}'

    done = bring(folder, huge, {"request": REQUEST, "response": ANSWER})

    assert done.code == 1
    assert "in.jsonl:1: is longer than 16 MB" in done.out
    assert rows(folder, "select count(*) from calls") == [(1,)]


def test_a_byte_order_mark_is_dropped_and_utf_16_refused(folder: Path) -> None:
    text = json.dumps({"request": REQUEST, "response": ANSWER})

    assert bring(folder, b"\xef\xbb\xbf" + text.encode()).code == 0
    refused = bring(folder, text.encode("utf-16"))

    assert refused.code == 2
    assert refused.err == "error: in.jsonl: is UTF-16, not UTF-8\n  save it as UTF-8\n"


def test_control_characters_in_an_answer_are_kept_and_never_reach_the_terminal(folder: Path) -> None:
    answer = {**ANSWER, "choices": [{"message": {"content": "\x1b[2J\x07ok"}, "finish_reason": "stop"}]}

    done = bring(folder, {"request": REQUEST, "response": answer, "name": "\x1b]0;x\x07"}, {"\x1b[2J": "\x1b[2J"})

    assert done.code == 1
    assert "\x1b" not in done.out + done.err
    assert rows(folder, "select text from attempts") == [("\x1b[2J\x07ok",)]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([], "error: in.jsonl: has no lines"),
        ([{"a": 1}], "error: in.jsonl:1: is none of these: its keys are a"),
        ([b"{"], "error: in.jsonl:1: is not JSON"),
    ],
)
def test_a_file_of_no_known_form_says_what_is_read(folder: Path, lines: list[Any], what: str) -> None:
    done = bring(folder, *lines)

    assert done.code == 2
    assert done.err.startswith(what)
    assert not (folder / ".evalh/production.db").exists()


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    done = command_line().run(["import", "calls", "nowhere.jsonl"], cwd=str(folder))

    assert done.code == 2
    assert done.err.startswith("error: nowhere.jsonl: no such file")


# -- votes


def test_votes_are_stored_beside_their_workflows_and_strangers_are_told(folder: Path) -> None:
    bring(folder, PAYLOAD)
    ((workflow,),) = rows(folder, "select id from workflows")

    done = bring(
        folder,
        {"workflow": workflow, "good": False, "note": "wrong label", "at": "2026-07-28T10:20:00Z", "user": "u-1"},
        {"workflow": workflow, "kind": "copied", "at": 1_785_234_000},
        {"workflow": "nobody", "good": True},
        {"workflow": workflow, "good": "yes"},
        {"workflow": workflow},
        {"workflow": workflow, "good": True, "stars": 5},
        {"workflow": workflow, "good": True, "at": "soon"},
        form="feedback",
    )

    assert done.code == 1
    assert "in.jsonl: votes: 3 votes" in done.out
    assert "1 vote of workflows that are not here: nobody" in done.out
    assert "in.jsonl:4: 'good' must be true or false, not text" in done.out
    assert "4 lines could not be read" in done.out
    found = rows(
        folder, f"select good, kind, note, user, at from feedback where workflow_id = '{workflow}' order by at"
    )
    assert found == [
        (0, "vote", "wrong label", "u-1", "2026-07-28T10:20:00.000Z"),
        (None, "copied", None, None, "2026-07-28T10:20:00.000Z"),
    ]
    assert rows(folder, "select thumbs_down from failed_workflows") == [(1,)]


@pytest.mark.parametrize("content", ["true", "false"])
def test_a_vote_may_name_the_id_that_the_service_gave_the_answer(folder: Path, content: str) -> None:
    (folder / "evalh.toml").write_text(f"[trace]\ncontent = {content}\n")
    twice = {**ANSWER, "choices": [{"message": {"content": "other"}, "finish_reason": "stop"}], "id": "chatcmpl-2"}
    bring(folder, *({"request": REQUEST, "response": one} for one in (ANSWER, twice, {**twice, "model": "b"})))
    bring(folder, PAYLOAD)
    votes = [{"workflow": name, "good": False} for name in ("chatcmpl-1", "t-1", "chatcmpl-2")]

    done = bring(folder, *votes, form="feedback")

    assert "1 vote of workflows that are not here: chatcmpl-2" in done.out  # two have it
    assert rows(folder, "select count(*) from failed_workflows") == [(2,)]


def test_the_same_votes_twice_count_once(folder: Path) -> None:
    votes = [{"workflow": "w", "good": False, "at": 1}, {"workflow": "w", "good": False, "at": 2}]

    bring(folder, *votes, form="feedback")
    done = bring(folder, *votes, votes[0], form="feedback")

    assert done.code == 0
    assert rows(folder, "select count(*) from feedback") == [(2,)]


def test_the_document_says_what_came_in(folder: Path) -> None:
    done = bring(folder, PAYLOAD, b"{", options=("--json",))

    document = done.document
    assert document["schema"] == "evalh.import/1"
    assert (document["form"], document["counts"]) == (
        "LiteLLM logging payloads",
        {"attempt": 1, "call": 1, "workflow": 1},
    )
    assert document["bad_lines"] == 1
    assert document["mistakes"][0]["where"] == "in.jsonl:2"


# -- what may be kept


def test_a_rule_of_redact_applies_to_everything_that_is_imported(folder: Path) -> None:
    (folder / "evalh.toml").write_text('[trace]\nredact = ["email", {field = "ticket"}]\n')
    request = {**REQUEST, "messages": [{"role": "user", "content": "I am ada@x.org"}], "user": "u-1"}
    answer = {**ANSWER, "choices": [{"message": {"content": "Hello ada@x.org"}, "finish_reason": "stop"}]}
    line = {"request": request, "response": answer, "inputs": {"ticket": "secret"}, "metadata": {"of": "ada@x.org"}}

    done = bring(folder, line)
    bring(folder, {**PAYLOAD, "status": "failure", "error_str": "no ada@x.org"})

    assert done.code == 0, done.err
    assert "content is off" not in done.out
    assert rows(folder, "select inputs, output from workflows where status = 'ok'") == [
        ('{"ticket":"[field]"}', '"Hello [email]"')
    ]
    stored = b"".join(path.read_bytes() for path in (folder / ".evalh").glob("production.db*"))
    assert b"ada@x.org" not in stored
    assert b"secret" not in stored


def test_without_a_word_about_content_no_text_is_kept_and_it_is_said(folder: Path) -> None:
    (folder / "evalh.toml").write_text("")
    request = {
        **REQUEST,
        "stop": ["SECRET"],
        "tools": [{"type": "function", "function": {"name": "f", "description": "SECRET"}}],
    }

    done = bring(
        folder, {"request": {**request, "metadata": {"a": "SECRET"}}, "response": ANSWER, "inputs": {"a": "SECRET"}}
    )

    assert done.code == 0
    assert "content is off: messages, inputs and outputs were left out" in done.out
    assert rows(folder, "select text, input_tokens from attempts") == [(None, 12)]
    stored = b"".join(path.read_bytes() for path in (folder / ".evalh").glob("production.db*"))
    assert b"SECRET" not in stored
    assert b"It broke" not in stored


# -- what is not a file


@pytest.mark.parametrize("form", ["calls", "feedback", "otel", "langfuse", "phoenix"])
@pytest.mark.parametrize(("path", "said"), [("/dev/zero", "is a device, not a file"), (".", "is a folder, not a file")])
def test_what_has_no_end_is_not_read(folder: Path, form: str, path: str, said: str) -> None:
    done = command_line().run(["import", form, path], cwd=str(folder))

    assert done.code == 2
    assert said in done.err
    assert f"evalh import {form} FILE" in done.err


def test_a_pipe_is_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    line = json.dumps({"request": REQUEST, "response": ANSWER})
    writer = threading.Thread(target=lambda: (folder / "pipe").write_text(line + "\n"))
    writer.start()
    done = command_line().run(["import", "calls", "pipe"], cwd=str(folder))
    writer.join()

    assert done.code == 0
    assert "1 call" in done.out


def test_a_file_of_votes_that_is_not_there_is_asked_for_by_its_own_verb(folder: Path) -> None:
    done = command_line().run(["import", "feedback", "nowhere.jsonl"], cwd=str(folder))

    assert done.code == 2
    assert "evalh import feedback FILE.jsonl" in done.err


class Endless:
    """Bytes without a line end, and without an end."""

    def __init__(self) -> None:
        self.given = 0

    def readline(self, size: int = -1) -> bytes:
        self.given += size
        return b"x" * size


def test_a_line_without_end_ends() -> None:
    endless = Endless()

    with pytest.raises(WorkspaceError, match="has a line without end"):
        list(rows_of_lines(endless, "in"))  # type: ignore[arg-type]
    assert endless.given < 2**31
