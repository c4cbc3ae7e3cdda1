"""`evalh import phoenix`: its API, page by page, and files of the same form."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bringing.trace_services import HTML, PHOENIX_KEY, PhoenixServer, service
from command_line import Done, command_line
from evalh.api.workspace import Workspace

NOW = datetime.now(UTC).replace(microsecond=0)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def at(seconds: float) -> str:
    """Return an instant of an hour ago, and `seconds`."""
    return (NOW - timedelta(hours=1) + timedelta(seconds=seconds)).isoformat()


def span(name: str, number: int, parent: int | None, kind: str, **attributes: Any) -> dict[str, Any]:
    return {
        "id": f"U3Bhbjo{number}",
        "name": name,
        "context": {"trace_id": TRACE, "span_id": f"{number:016x}"},
        "span_kind": kind,
        "parent_id": None if parent is None else f"{parent:016x}",
        "start_time": at(number),
        "end_time": at(number + 1),
        "status_code": "OK",
        "status_message": "",
        "attributes": {key.replace("__", "."): value for key, value in attributes.items()},
        "events": [],
    }


SPANS = [
    span("refund", 1, None, "CHAIN", input__value='{"message": "It broke."}', input__mime_type="application/json",
         output__value="bug", session__id="s-1", user__id="ada"),
    span("look up", 2, 1, "TOOL", input__value="1", output__value="found"),
    span("ChatCompletion", 3, 1, "LLM", llm__model_name="gpt-5-mini", llm__provider="openai",
         llm__token_count__prompt=12, llm__token_count__completion=4, llm__cost__total=0.003,
         llm__input_messages=[{"message": {"role": "user", "content": "It broke."}}],
         llm__output_messages=[{"message": {"role": "assistant", "content": "bug"}}]),
]  # fmt: skip


def annotation(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"QW5u{name}",
        "created_at": at(30),
        "updated_at": at(30),
        "source": "API",
        "user_id": None,
        "name": name,
        "annotator_kind": kind,
        "metadata": {},
        "identifier": "",
        **more,
    }


ANNOTATIONS = [
    annotation(
        "user feedback",
        "HUMAN",
        span_id=f"{3:016x}",
        result={"label": "thumbs-down", "score": 0, "explanation": "not a bug"},
    ),
    annotation("correct", "LLM", span_id=f"{2:016x}", result={"label": "fail", "score": 0.1, "explanation": None}),
    annotation("note", "HUMAN", trace_id=TRACE, result={"label": None, "score": None, "explanation": "look at this"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evalh.toml").write_text("[trace]\ncontent = true\n")
    return tmp_path


@pytest.fixture
def server() -> PhoenixServer:
    server = PhoenixServer()
    server.spans, server.annotations = [dict(one) for one in SPANS], [dict(one) for one in ANNOTATIONS]
    return server


@pytest.fixture
def address(server: PhoenixServer) -> Iterator[str]:
    with service(server) as address:
        yield address


def bring(folder: Path, address: str, *arguments: str, **env: str) -> Done:
    known = {**os.environ, "PHOENIX_COLLECTOR_ENDPOINT": address, "PHOENIX_API_KEY": PHOENIX_KEY, **env}
    return command_line().run(["import", "phoenix", *(arguments or ("--since", "24h"))], cwd=str(folder), env=known)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in Workspace.open(folder).production.query(sql)[1]]


def test_a_trace_comes_with_its_steps_calls_tokens_costs_votes_and_scores(folder: Path, address: str) -> None:
    done = bring(folder, f"{address}/v1/traces")

    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "phoenix: 1 workflow, 1 step, 1 call, 12 tokens in, 4 out, 1 vote, 2 scores\n"
        "cost $0.003\n"
        "next: evalh show last\n"
    )
    said = "select id, name, door, dialect, status, inputs, output, session, user from workflows"
    assert rows(folder, said) == [
        (TRACE, "refund", "phoenix", "openinference", "ok", '{"message":"It broke."}', '"bug"', "s-1", "ada")
    ]
    assert rows(folder, "select name, kind, output from workflow_steps") == [("look up", "tool", '"found"')]
    assert rows(folder, "select model, text, input_tokens, output_tokens, cost_usd from attempts") == [
        ("gpt-5-mini", "bug", 12, 4, 0.003)
    ]
    [(messages,)] = rows(folder, "select messages from calls")
    assert json.loads(messages) == [{"role": "user", "parts": ["It broke."]}]
    assert rows(folder, "select workflow_id, good, note from feedback") == [(TRACE, 0, "not a bug")]
    scored = """select o.name, s.name, o.outcome, o.score, o.text, o.source from scores o
    left join workflow_steps s on s.id = o.step_id order by o.name"""
    assert rows(folder, scored) == [
        ("correct", "look up", "fail", 0.1, None, "llm"),
        ("note", None, None, None, "look at this", "people"),
    ]


def test_the_same_time_twice_counts_once(folder: Path, address: str) -> None:
    counts = (
        "select (select count(*) from workflow_steps), (select count(*) from scores), (select count(*) from feedback)"
    )
    bring(folder, address)
    once = rows(folder, counts)
    cost = rows(folder, "select * from workflow_costs")

    bring(folder, address)

    assert rows(folder, counts) == once == [(1, 2, 1)]
    assert rows(folder, "select * from workflow_costs") == cost


def test_the_same_spans_over_otlp_and_from_phoenix_are_one_workflow(folder: Path, address: str) -> None:
    root = {"traceId": TRACE, "spanId": f"{1:016x}", "name": "refund", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    kind = {"key": "openinference.span.kind", "value": {"stringValue": "CHAIN"}}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{**root, "attributes": [kind]}]}]}]}
    (folder / "otlp.json").write_text(json.dumps(document))
    command_line().run(["import", "otel", "otlp.json"], cwd=str(folder))

    bring(folder, address)

    assert rows(folder, "select count(*), max(name) from workflows") == [(1, "refund")]


def test_a_trace_of_which_only_the_end_lies_in_the_time_is_fetched_whole(
    folder: Path, server: PhoenixServer, address: str
) -> None:
    server.spans[0]["start_time"] = (NOW - timedelta(hours=30)).isoformat()

    bring(folder, address)

    assert rows(folder, "select name, session from workflows") == [("refund", "s-1")]


def test_a_version_that_cannot_ask_for_one_trace_adds_nothing_of_others(
    folder: Path, server: PhoenixServer, address: str
) -> None:
    other = {**SPANS[0], "context": {"trace_id": "e" * 32, "span_id": "9" * 16}, "start_time": "2020-01-01T00:00:00Z"}
    server.spans = [other, *SPANS[1:]]
    answer = server.page
    server.page = lambda path, query: answer(path, {key: one for key, one in query.items() if key != "trace_id"})  # type: ignore[method-assign]

    assert bring(folder, address).code == 0

    assert rows(folder, "select id from workflows") == [(TRACE,)]


def test_a_phoenix_without_keys_is_asked_without(folder: Path) -> None:
    server = PhoenixServer(key=None)
    server.spans = [*SPANS]
    with service(server) as address:
        done = bring(folder, address, PHOENIX_API_KEY="")

    assert done.code == 0
    assert rows(folder, "select count(*) from workflows") == [(1,)]


def test_a_wrong_key_is_said_and_never_shown(folder: Path, address: str) -> None:
    done = bring(folder, address, PHOENIX_API_KEY="phx-wrong-wrong")

    assert done.code == 4
    assert "Phoenix answered HTTP 401" in done.err
    assert "export PHOENIX_API_KEY=…, a key from" in done.err
    assert "phx-wrong" not in done.err


def test_a_project_that_is_not_there_is_said(folder: Path, address: str) -> None:
    done = bring(folder, address, "--since", "1d", "--project", "shop")

    assert done.code == 4
    assert "there is no project 'shop'" in done.err


def test_a_project_name_that_no_path_can_hold_is_refused(folder: Path, address: str) -> None:
    done = bring(folder, address, "--since", "1d", "--project", "a/b")

    assert done.code == 2
    assert "--project 'a/b'" in done.err


def test_a_page_of_html_is_said(folder: Path, server: PhoenixServer, address: str) -> None:
    server.failing = [(200, HTML, {})]

    done = bring(folder, address)

    assert done.code == 4
    assert "is not JSON but an HTML page, 'Sign in'" in done.err
    assert "is PHOENIX_COLLECTOR_ENDPOINT the address of Phoenix?" in done.err


def test_hostile_spans_are_counted_and_the_others_kept(folder: Path, server: PhoenixServer, address: str) -> None:
    deep: Any = {"a": 1}
    for _ in range(300):
        deep = {"a": deep}
    bad = [
        {},
        {"context": 3},
        {**SPANS[0], "context": {"trace_id": "x", "span_id": None}},
        {**SPANS[1], "attributes": deep, "events": [3, {"name": None}], "start_time": 1e300, "status_code": []},
    ]
    server.failing = [(200, {"data": [*bad, SPANS[0], SPANS[2]], "next_cursor": 7}, {})]

    done = bring(folder, address)

    assert done.code == 0
    assert "3 spans or records could not be read" in done.out
    assert rows(folder, "select count(*) from calls") == [(1,)]


def test_json_that_cannot_be_read_is_said(folder: Path, server: PhoenixServer, address: str) -> None:
    server.failing = [(200, b'{"data": [{"name": "\\ud800"}]}', {})]

    done = bring(folder, address)

    assert done.code == 4
    assert "is not JSON that can be read: " in done.err


@pytest.mark.parametrize("form", ["lines", "list", "page", "traces", "table"])
def test_files_say_the_same_as_the_api(folder: Path, form: str) -> None:
    trace = {"traceId": TRACE, "spans": [{**SPANS[2], "annotations": ANNOTATIONS[:1]}, *SPANS[:2]]}
    columns = [
        {
            "name": one["name"],
            "span_kind": one["span_kind"],
            "parent_id": one["parent_id"],
            "start_time": one["start_time"],
            "end_time": one["end_time"],
            "status_code": one["status_code"],
            "context.trace_id": TRACE,
            "context.span_id": one["context"]["span_id"],
            **{f"attributes.{key}": value for key, value in one["attributes"].items()},
        }
        for one in SPANS
    ]
    content = {
        "lines": "\n".join(map(json.dumps, [*SPANS, *ANNOTATIONS])),
        "list": json.dumps(SPANS),
        "page": json.dumps({"data": SPANS, "next_cursor": None}),
        "traces": json.dumps([trace]),
        "table": "\n".join(map(json.dumps, columns)),
    }[form]
    (folder / "in.json").write_text(content)

    done = bring(folder, "http://127.0.0.1:9", "in.json")

    assert (done.code, done.err) == (0, "")
    assert rows(folder, "select name, session from workflows") == [("refund", "s-1")]
    assert rows(folder, "select input_tokens, text, cost_usd from attempts") == [(12, "bug", 0.003)]
    votes = 1 if form in {"lines", "traces"} else 0
    assert rows(folder, "select count(*) from feedback") == [(votes,)]
