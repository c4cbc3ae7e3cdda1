"""Answers that broke on their way, whole and streamed: nothing came that could count, so each is asked for again."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faults.dialects import DIALECTS, GEMINI, INPUT_TOKENS, OPENAI, OUTPUT_TOKENS, RESPONSES, Dialect, act
from faults.fault_server import Act, Asked, How, fault_server
from faults.running import rows, run, workspace
from workspaces import label_of

CASES = 9  # twice as many requests are too few for a breaker
Fault = Callable[[str], Act]


def sse(events: Sequence[Any]) -> Act:
    """Send events as a stream; text goes out as it is."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return Act(body="".join(f"data: {line}\n\n" for line in lines).encode(), content_type="text/event-stream")


def chunk(text: str | None, finish: str | None = None, **more: Any) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish, **more}]}


CHAT_USAGE = {"choices": [], "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS}}
START = {
    "type": "message_start",
    "message": {"type": "message", "content": [], "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1}},
}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
STOP = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": OUTPUT_TOKENS}}
COUNTED = {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS}


def said(text: str) -> Any:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def piece(text: str, finish: str | None = None) -> Any:
    return {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": finish}], "usageMetadata": COUNTED}


def right(kind: str, text: str) -> list[Any]:
    """Stream an answer as the service does."""
    half = len(text) // 2
    streams: dict[str, list[Any]] = {
        "openai": [chunk(text[:half]), chunk(text[half:]), chunk(None, "stop"), CHAT_USAGE, "[DONE]"],
        "anthropic": [START, BLOCK, said(text[:half]), said(text[half:]), STOP, {"type": "message_stop"}],
        "gemini": [piece(text[:half]), piece(text[half:], "STOP")],
        "responses": [
            *(
                {"type": "response.output_text.delta", "output_index": 0, "delta": one}
                for one in (text[:half], text[half:])
            ),
            {"type": "response.completed", "response": RESPONSES.said(text, "stop")},
        ],
    }
    return streams[kind]


def begun(kind: str) -> list[Any]:
    """Stream the first words of an answer."""
    return right(kind, "half")[: 3 if kind == "anthropic" else 1]


ERRORS: dict[str, Any] = {
    "openai": {"error": {"message": "upstream failed", "type": "server_error", "code": 502}},
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    "gemini": {"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded"}},
    "responses": {"type": "error", "code": "server_error", "message": "upstream failed", "param": None},
}
BROKEN_OFF = [
    {"index": 0, "message": {"content": "half"}, "finish_reason": "error"},
    {
        "index": 0,
        "message": {"content": None},
        "finish_reason": "error",
        "error": {"code": 502, "message": "bad gateway"},
    },
    {"index": 0, "message": {"content": "half"}, "error": {"code": "503", "message": "no provider"}},
]
WHOLE: dict[str, Callable[[Dialect], Act]] = {
    "cut off": lambda d: replace(d.answer(label_of("t-0001")), how=How.CUT),
    "half a document": lambda d: replace(d.answer("x"), body=d.answer("x").body[:-20]),
    "an empty body": lambda _: Act(),
    "a page": lambda _: Act(body=b"<html><title>502</title></html>", content_type="text/html"),
    "an error with 200": lambda d: act(ERRORS[d.name]),
}
CHAT: dict[str, Callable[[], Act]] = {
    **{
        f"a choice that broke off, {n}": lambda choice=choice: act({"choices": [choice]})
        for n, choice in enumerate(BROKEN_OFF)
    },
    "no choices": lambda: act({"choices": []}),
}
STREAMED: dict[str, Callable[[str], Act]] = {
    "an error first": lambda kind: sse([ERRORS[kind]]),
    "an error in the middle": lambda kind: sse([*begun(kind), ERRORS[kind]]),
    "words in the middle": lambda kind: sse([*begun(kind), "upstream connect error"]),
    "only [DONE]": lambda _: sse(["[DONE]"]),
    "only comments": lambda _: Act(body=b": ping\n\n: ping\n\n", content_type="text/event-stream"),
    "the end is missing": lambda kind: sse(begun(kind)),
    "cut off": lambda kind: replace(sse(right(kind, "half")), how=How.CUT),
}
AFTER: tuple[str, ...] = ('{"error": {"message": "late", "code": 500}}', "not JSON", '{"choices": 7}', "[DONE]", "[]")


def answered(folder: Path, broken: Act, good: Callable[[Asked], Act], dialect: Dialect, *, stream: bool) -> list[str]:
    """Break each case's first answer; return the kinds of the failures, one for each case."""
    with fault_server(lambda asked: broken if asked.nth == 1 else good(asked)) as server:
        more = "params = {stream = true}\n" if stream else ""
        folder = workspace(folder, {"small": dialect.config(server.port, more=more)}, {}, cases=CASES)
        done = run(folder, "--concurrency", "4", model="small")

    assert (done.exit, done.result["errors"], done.result["ungraded"]) == (0, {}, 0)
    assert done.result["good"] == CASES - CASES // 7
    failed = rows(folder, "select error_kind as kind from attempts where status = 'error'")
    assert set(server.cases().values()) == {2}
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]
    assert len(failed) == CASES
    return sorted({row["kind"] for row in failed})


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("fault", WHOLE)
def test_a_broken_answer_is_asked_for_again_with_the_defaults(tmp_path: Path, dialect: Dialect, fault: str) -> None:
    kinds = answered(tmp_path, WHOLE[fault](dialect), dialect.right, dialect, stream=False)

    assert kinds == (["overload"] if fault == "an error with 200" else ["bad_response"])


@pytest.mark.parametrize("fault", CHAT)
def test_a_choice_that_broke_off_is_asked_for_again(tmp_path: Path, fault: str) -> None:
    kinds = answered(tmp_path, CHAT[fault](), OPENAI.right, OPENAI, stream=False)

    assert kinds == (["overload"] if fault[-1] in "12" else ["bad_response"])


def streamed(dialect: Dialect) -> Callable[[Asked], Act]:
    return lambda asked: sse(right(dialect.name, label_of(asked.case)))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("fault", STREAMED)
def test_a_broken_stream_is_asked_for_again_with_the_defaults(tmp_path: Path, dialect: Dialect, fault: str) -> None:
    kinds = answered(tmp_path, STREAMED[fault](dialect.name), streamed(dialect), dialect, stream=True)

    assert kinds == (["overload"] if fault.startswith("an error") else ["bad_response"])


@pytest.mark.parametrize("choice", [chunk("half", "error"), chunk(None, "error", error={"code": 502, "message": "x"})])
def test_a_streamed_choice_that_broke_off_is_asked_for_again(tmp_path: Path, choice: Any) -> None:
    kinds = answered(tmp_path, sse([chunk("a"), choice, "[DONE]"]), streamed(OPENAI), OPENAI, stream=True)

    assert kinds == (["overload"] if "error" in choice["choices"][0] else ["bad_response"])


def late(dialect: Dialect) -> Iterator[list[Any]]:
    """What comes after the end: after the closing event, and after the answer's last word but before it."""
    whole = right(dialect.name, label_of("t-0001"))
    for event in AFTER:
        yield [*whole, event]
        if dialect not in (GEMINI, RESPONSES) and event != "[DONE]":
            yield [*whole[:-1], event, whole[-1]]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_comes_after_the_end_is_ignored(tmp_path: Path, dialect: Dialect) -> None:
    streams = list(late(dialect))
    with fault_server(lambda asked: sse(streams[int(asked.case[2:]) - 1])) as server:
        more = "params = {stream = true}\n"
        folder = workspace(tmp_path, {"small": dialect.config(server.port, more=more)}, {}, cases=len(streams))
        done = run(folder, model="small")

    assert (done.exit, done.result["errors"], done.result["good"]) == (0, {}, len(streams))
    assert len(server.asked) == len(streams)
    assert rows(folder, "select count(distinct output_digest) as texts from samples") == [{"texts": 1}]
