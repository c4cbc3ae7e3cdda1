"""`evalh import langfuse`: its API, page by page, and its exports."""

import gzip
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bringing.trace_services import HTML, PUBLIC, SECRET, LangfuseServer, service
from command_line import Done, command_line
from evalh.api.workspace import Workspace

NOW = datetime.now(UTC).replace(microsecond=0)
TRACE = "0af7651916cd43dd8448eb211c80319c"
ASKED = [{"role": "system", "content": "Sort."}, {"role": "user", "content": "It broke."}]


def at(seconds: float) -> str:
    """Return an instant of an hour ago, and `seconds`."""
    return (NOW - timedelta(hours=1) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def observation(name: str, parent: str | None, seconds: float, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "traceId": TRACE,
        "startTime": at(seconds),
        "endTime": at(seconds + 1),
        "projectId": "p",
        "parentObservationId": parent,
        "type": "SPAN",
        "isRootObservation": parent is None,
        "name": name,
        "level": "DEFAULT",
        "statusMessage": None,
        "userId": "ada",
        "sessionId": "s-1",
        "usageDetails": {},
        "costDetails": {},
        "totalCost": None,
        "traceName": "refund",
        "tags": ["shop"],
        **more,
    }


SPANS = [
    observation("root", None, 0, input='{"message": "It broke."}', output='"bug"', endTime=at(9)),
    observation("look up", "root", 1, type="TOOL", input='{"number": 1}', output='{"found": true}'),
    observation(
        "ask",
        "root",
        3,
        type="GENERATION",
        input=json.dumps(ASKED),
        output=json.dumps({"role": "assistant", "content": "bug"}),
        providedModelName="gpt-5-mini",
        modelParameters='{"temperature": 0, "max_tokens": "50"}',
        usageDetails={"input": 10, "input_cached_tokens": 2, "output": 3, "output_reasoning_tokens": 1, "total": 16},
        costDetails={"input": 0.001, "output": 0.002, "total": 0.003},
        totalCost=0.003,
        promptName="triage",
        promptVersion=3,
        timeToFirstToken=0.25,
    ),
]
SCORES = [
    {
        "id": "v-1",
        "projectId": "p",
        "name": "user-feedback",
        "source": "API",
        "timestamp": at(20),
        "dataType": "BOOLEAN",
        "value": False,
        "comment": "not a bug",
        "authorUserId": None,
        "subject": {"kind": "trace", "id": TRACE},
    },
    {
        "id": "s-1",
        "projectId": "p",
        "name": "groundedness",
        "source": "EVAL",
        "timestamp": at(21),
        "dataType": "NUMERIC",
        "value": 0.25,
        "comment": "no source",
        "subject": {"kind": "observation", "id": "look up", "traceId": TRACE},
    },
    {
        "id": "s-2",
        "projectId": "p",
        "name": "mood",
        "source": "ANNOTATION",
        "timestamp": at(21),
        "dataType": "CATEGORICAL",
        "value": "calm",
        "comment": None,
        "subject": {"kind": "session", "id": "s-1"},
    },
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evalh.toml").write_text("[trace]\ncontent = true\n")
    return tmp_path


@pytest.fixture
def server() -> LangfuseServer:
    server = LangfuseServer()
    server.observations, server.scores = [dict(one) for one in SPANS], [dict(one) for one in SCORES]
    return server


@pytest.fixture
def address(server: LangfuseServer) -> Iterator[str]:
    with service(server) as address:
        yield address


def bring(folder: Path, address: str, *arguments: str, **env: str) -> Done:
    known = {
        **os.environ,
        "LANGFUSE_HOST": address,
        "LANGFUSE_PUBLIC_KEY": PUBLIC,
        "LANGFUSE_SECRET_KEY": SECRET,
        **env,
    }
    return command_line().run(["import", "langfuse", *(arguments or ("--since", "24h"))], cwd=str(folder), env=known)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in Workspace.open(folder).production.query(sql)[1]]


# -- the API


def test_a_trace_comes_with_its_steps_calls_tokens_costs_votes_and_scores(
    folder: Path, server: LangfuseServer, address: str
) -> None:
    done = bring(folder, address)

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "langfuse: 1 workflow, 1 step, 1 call, 12 tokens in, 4 out, 1 vote, 1 score\n"
        "cost $0.003\n"
        "left out: scores of sessions or experiments (1)\n"
        "next: evalh show last\n"
    )
    said = "select id, name, door, dialect, status, inputs, output, session, user, tags, probability from workflows"
    assert rows(folder, said) == [
        (
            *(TRACE, "refund", "langfuse", "langfuse", "ok"),
            *('{"message":"It broke."}', '"bug"', "s-1", "ada", '["shop"]', None),
        )
    ]
    assert rows(folder, "select name, kind, inputs, output from workflow_steps") == [
        ("look up", "tool", '{"number":1}', '{"found":true}')
    ]
    attempt = """select model, text, input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_usd, ttft_ms,
    latency_ms, number from attempts"""
    assert rows(folder, attempt) == [("gpt-5-mini", "bug", 12, 4, 2, 1, 0.003, 250.0, 1000.0, None)]
    [(messages, settings, prompt)] = rows(folder, "select messages, settings, prompt from calls")
    assert json.loads(messages) == [{"role": "system", "parts": ["Sort."]}, {"role": "user", "parts": ["It broke."]}]
    assert json.loads(settings)["params"] == {"max_tokens": 50, "temperature": 0}
    assert prompt == "triage@3"
    assert rows(folder, "select workflow_id, good, kind, note from feedback") == [(TRACE, 0, "vote", "not a bug")]
    [(step,)] = rows(folder, "select id from workflow_steps")
    scored = "select name, step_id, score, outcome, text, source from scores"
    assert rows(folder, scored) == [("groundedness", step, 0.25, None, "no source", "langfuse")]


def test_the_same_time_twice_counts_once(folder: Path, address: str) -> None:
    bring(folder, address)
    before = rows(folder, "select * from workflow_costs")
    counts = "select (select count(*) from {0}), (select count(*) from calls), (select count(*) from scores)"
    once = rows(folder, counts.format("feedback"))

    assert bring(folder, address).code == 0

    assert rows(folder, counts.format("feedback")) == once == [(1, 1, 1)]
    assert rows(folder, "select * from workflow_costs") == before


def test_every_page_is_asked_for_and_nothing_outside_the_time(
    folder: Path, server: LangfuseServer, address: str
) -> None:
    server.observations += [
        observation("root", None, place, traceId=f"{place:032x}", id=f"r{place}") for place in range(1, 12)
    ]
    server.observations.append(
        observation("root", None, 0, traceId="f" * 32, id="old", startTime="2020-01-01T00:00:00Z")
    )

    assert bring(folder, address).code == 0

    assert rows(folder, "select count(*) from workflows") == [(12,)]
    cursors = [query.get("cursor") for path, query in server.asked if path.endswith("observations")]
    assert cursors == [None, *([str(place)] for place in range(2, 14, 2))]


def test_a_trace_of_which_only_the_end_lies_in_the_time_is_fetched_whole(
    folder: Path, server: LangfuseServer, address: str
) -> None:
    server.observations[0]["startTime"] = (NOW - timedelta(hours=30)).isoformat()

    bring(folder, address)

    assert rows(folder, "select name, inputs from workflows") == [("refund", '{"message":"It broke."}')]
    assert [query["traceId"] for path, query in server.asked if "traceId" in query][:1] == [[TRACE]]


def test_content_that_is_not_kept_is_not_asked_for(folder: Path, server: LangfuseServer, address: str) -> None:
    (folder / "evalh.toml").write_text("")

    done = bring(folder, address)

    assert "content was left out" in done.out
    assert all("io" not in query["fields"][0].split(",") for path, query in server.asked if "observations" in path)
    assert rows(folder, "select inputs, output from workflows") == [(None, None)]
    assert rows(folder, "select note from feedback") == [(None,)]
    assert rows(folder, "select input_tokens, text from attempts") == [(12, None)]


def test_versions_before_4_are_asked_for_traces_and_numbered_pages(folder: Path) -> None:
    server = LangfuseServer(old=True)
    server.traces = [
        {"id": TRACE, "timestamp": at(0), "name": "refund", "input": {"message": "It broke."}, "output": "bug",
         "userId": "ada", "sessionId": "s-1", "tags": ["shop"], "latency": 9.0, "totalCost": 0.003,
         "observations": ["look up"], "scores": ["v-1"]}
    ]  # fmt: skip
    server.observations = [
        {**one, "parentObservationId": None, "model": one.get("providedModelName"), "level": "ERROR"}
        for one in SPANS[1:]
    ]
    server.scores = [
        {**SCORES[0], "traceId": TRACE, "value": 0.0, "stringValue": "False", "subject": None},
        {**SCORES[1], "traceId": TRACE, "observationId": "look up", "subject": None},
    ]

    with service(server) as address:
        done = bring(folder, address)

    assert done.out.startswith("langfuse: 1 workflow, 1 step, 1 call, 12 tokens in, 4 out, 1 vote, 1 score\n")
    said = "select name, status, inputs, output, round((julianday(ended_at) - julianday(started_at)) * 86400) from workflows"
    assert rows(folder, said) == [("refund", "error", '{"message":"It broke."}', '"bug"', 9.0)]


# -- what goes wrong


def test_a_wrong_key_is_said_and_never_shown(folder: Path, address: str) -> None:
    done = bring(folder, address, LANGFUSE_SECRET_KEY="sk-lf-wrong-wrong")

    assert done.code == 4
    assert "Langfuse answered HTTP 401 at /api/public/v2/observations: " in done.err
    assert "are LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY keys of this project" in done.err
    assert "sk-lf" not in done.err + done.out
    assert "pk-lf" not in done.err + done.out


def test_a_server_that_repeats_the_key_does_not_make_it_shown(
    folder: Path, server: LangfuseServer, address: str
) -> None:
    server.failing = [(400, {"message": f"bad key {SECRET}"}, {})]

    done = bring(folder, address)

    assert done.code == 4
    assert SECRET not in done.err
    assert "HTTP 400" in done.err


@pytest.mark.parametrize("missing", ["LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"])
def test_a_key_that_is_not_there_is_named(folder: Path, address: str, missing: str) -> None:
    done = bring(folder, address, **{missing: ""})

    assert done.code == 2
    assert f"{missing} is not in the environment" in done.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, HTML, {}), "is not JSON but an HTML page, 'Sign in'"),
        ((200, {"data": {}}, {}), "has no list 'data'"),
        ((302, b"", {"Location": "https://login.example/x?token=1"}), "redirects to https://login.example,"),
        ((429, b"", {"Retry-After": "4000"}), "answered HTTP 429 at"),
    ],
)
def test_what_is_no_answer_of_langfuse_is_said(
    folder: Path, server: LangfuseServer, address: str, answer: Any, said: str
) -> None:
    server.failing = [answer]

    done = bring(folder, address)

    assert done.code == 4
    assert said in done.err
    assert "LANGFUSE_HOST" in done.err or answer[0] == 429
    assert "Traceback" not in done.err


def test_no_langfuse_at_the_address_is_said(folder: Path) -> None:
    with service(LangfuseServer(old=True)) as address:
        done = bring(folder, f"{address}/elsewhere")

    assert done.code == 4
    assert "there is no /api/public/traces (HTTP 404)" in done.err


def test_a_rate_limit_is_waited_for(folder: Path, server: LangfuseServer, address: str) -> None:
    server.failing = [(429, {"message": "slow down"}, {"Retry-After": "0"})]

    assert bring(folder, address).code == 0
    assert rows(folder, "select count(*) from workflows") == [(1,)]


def test_a_server_that_names_the_same_page_again_and_again_is_left(
    folder: Path, server: LangfuseServer, address: str
) -> None:
    page = (200, {"data": [SPANS[0]], "meta": {"cursor": "x"}}, {})
    server.failing = [page] * 5

    done = bring(folder, address)

    assert done.code == 4
    assert "names the same next page twice" in done.err
    assert rows(folder, "select count(*) from workflows") == [(1,)], "what came before is kept"


def test_a_key_does_not_travel_unencrypted(folder: Path) -> None:
    done = bring(folder, "http://langfuse.example")

    assert done.code == 2
    assert "the key would be sent to langfuse.example unencrypted" in done.err


def test_rows_that_are_not_ones_are_counted(folder: Path, server: LangfuseServer, address: str) -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    server.failing = [
        (
            200,
            {"data": [7, {}, {"id": 3, "startTime": "never", "traceId": []}, {**SPANS[0], "input": deep}], "meta": []},
            {},
        )
    ]

    done = bring(folder, address)

    assert done.code == 0
    assert "3 spans or records could not be read" in done.out
    assert rows(folder, "select name from workflows") == [("refund",)]


def test_neither_a_time_nor_a_file_and_both_are_refused(folder: Path, address: str) -> None:
    known = {**os.environ, "LANGFUSE_PUBLIC_KEY": PUBLIC, "LANGFUSE_SECRET_KEY": SECRET}
    neither = command_line().run(["import", "langfuse"], cwd=str(folder), env=known)
    both = bring(folder, address, "x.jsonl", "--since", "1d")

    assert (neither.code, both.code) == (2, 2)
    assert "evalh import langfuse --since 24h, or evalh import langfuse FILE…" in neither.err
    assert "--since and a file exclude each other" in both.err


# -- exports


def exported(folder: Path) -> list[str]:
    """Write what the blob storage has: three files of lines, keys with underscores."""
    snake = [{_snake(key): value for key, value in one.items()} for one in SPANS]
    trace = {
        "id": TRACE,
        "timestamp": at(0).replace("T", " ").replace("+00:00", ""),
        "name": "refund",
        "user_id": "ada",
    }
    scores = [
        {"id": "v-1", "timestamp": at(20), "trace_id": TRACE, "observation_id": None, "session_id": None,
         "name": "user-feedback", "value": 0, "source": "API", "comment": None, "data_type": "BOOLEAN",
         "string_value": "False"},
    ]  # fmt: skip
    files = {"observations.jsonl": snake, "traces.jsonl": [trace], "scores.jsonl": scores}
    for name, lines in files.items():
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return list(files)


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def test_exported_files_say_the_same_as_the_api(folder: Path, address: str, tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "evalh.toml").write_text("[trace]\ncontent = true\n")
    bring(other, address)
    names = exported(folder)

    done = bring(folder, "http://127.0.0.1:9", *names)

    assert (done.code, done.err) == (0, "")
    for sql in (
        "select id, name, session, user from workflows",
        "select name, kind, inputs, output from workflow_steps where name = 'look up'",
        "select messages, prompt, cost_usd from calls",
        "select input_tokens, text, cost_usd from attempts",
        "select good, kind from feedback",
    ):
        assert rows(folder, sql) == rows(other, sql), sql


def test_a_json_list_a_saved_page_and_gzip_are_read(folder: Path) -> None:
    (folder / "list.json").write_text(json.dumps(SPANS, indent=2))
    (folder / "page.json").write_text(json.dumps({"data": SCORES, "meta": {}}, indent=2))
    with gzip.open(folder / "again.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(one) + "\n" for one in SPANS)

    done = bring(folder, "http://127.0.0.1:9", "list.json", "page.json", "again.jsonl.gz")

    assert done.code == 0
    assert done.out.startswith("langfuse: 1 workflow, 1 step, 1 call, 12 tokens in, 4 out, 1 vote, 1 score\n")


def test_a_vote_of_a_workflow_that_is_not_here_is_kept_and_told(folder: Path) -> None:
    (folder / "scores.jsonl").write_text(json.dumps(SCORES[0]) + "\n")

    done = bring(folder, "http://127.0.0.1:9", "scores.jsonl")

    assert "1 vote or score of workflows that are not here" in done.out
    assert rows(folder, "select count(*) from feedback") == [(1,)]


def test_a_score_that_comes_after_its_trace_finds_its_step(folder: Path) -> None:
    (folder / "spans.json").write_text(json.dumps(SPANS))
    (folder / "scores.json").write_text(json.dumps(SCORES))
    bring(folder, "http://127.0.0.1:9", "spans.json", "scores.json")
    once = rows(folder, "select * from scores")

    bring(folder, "http://127.0.0.1:9", "scores.json")

    assert rows(folder, "select * from scores") == once
    assert rows(folder, "select s.name from scores o join workflow_steps s on s.id = o.step_id") == [("look up",)]


def test_a_bad_line_is_told_and_the_others_are_kept(folder: Path) -> None:
    lines = [json.dumps(one) for one in SPANS]
    (folder / "in.jsonl").write_text("\n".join([lines[0], "{", *lines[1:]]))

    done = bring(folder, "http://127.0.0.1:9", "in.jsonl")

    assert done.code == 1
    assert "in.jsonl:2: is not JSON" in done.out
    assert rows(folder, "select count(*) from calls") == [(1,)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no rows"),
        (b"id,name\n1,x\n", "is not JSON"),
        (b"\x1f\x8b\x08broken", "not gzip"),
        ("é".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_that_is_not_an_export_is_said(folder: Path, content: bytes, said: str) -> None:
    (folder / "in.jsonl").write_bytes(content)

    done = bring(folder, "http://127.0.0.1:9", "in.jsonl")

    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
