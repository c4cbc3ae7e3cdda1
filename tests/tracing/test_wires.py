"""A body in, the fields of a record out: for each API, whole and streamed, and for hostile JSON."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh_trace import wires
from evalh_trace.wires import (
    ANTHROPIC_MESSAGES,
    EMBEDDINGS,
    GEMINI_GENERATE,
    OPENAI_CHAT,
    OPENAI_COMPLETION,
    OPENAI_RESPONSES,
    error_fields,
    find,
)

ALL = (OPENAI_CHAT, OPENAI_COMPLETION, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GEMINI_GENERATE, EMBEDDINGS)
TOOL = {"name": "look", "description": "Look it up.", "parameters": {"type": "object"}}
CALL = {"tool_call": {"id": "c1", "name": "look", "arguments": '{"id":7}'}}
RESULT = {"tool_result": {"call_id": "c1", "name": "look", "content": "seven"}}
CONVERSATION = [
    {"role": "system", "parts": ["Be brief."]},
    {"role": "user", "parts": ["What is 7?"]},
    {"role": "assistant", "parts": ["Let me look.", CALL]},
    {"role": "tool", "parts": [RESULT]},
]

REQUESTS: dict[str, tuple[wires.Wire, str, dict[str, Any]]] = {
    "chat": (
        OPENAI_CHAT,
        "/v1/chat/completions",
        {
            "model": "m",
            "temperature": 0.5,
            "max_completion_tokens": 9,
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What is 7?"}]},
                {
                    "role": "assistant",
                    "content": "Let me look.",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"id":7}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "seven"},
            ],
            "tools": [{"type": "function", "function": TOOL}],
        },
    ),
    "anthropic": (
        ANTHROPIC_MESSAGES,
        "/v1/messages",
        {
            "model": "m",
            "temperature": 0.5,
            "max_tokens": 9,
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "What is 7?"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm"},
                        {"type": "text", "text": "Let me look."},
                        {"type": "tool_use", "id": "c1", "name": "look", "input": {"id": 7}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "seven"}]},
            ],
            "tools": [{"name": "look", "description": "Look it up.", "input_schema": {"type": "object"}}],
        },
    ),
    "gemini": (
        GEMINI_GENERATE,
        "/v1beta/models/m:generateContent",
        {
            "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9},
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "What is 7?"}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "Let me look."},
                        {"functionCall": {"id": "c1", "name": "look", "args": {"id": 7}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "c1", "name": "look", "response": [{"text": "seven"}]}}],
                },
            ],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "look", "description": "Look it up.", "parameters": {"type": "object"}}
                    ]
                }
            ],
        },
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_one_conversation_is_the_same_record_by_every_api(name: str) -> None:
    wire, path, body = REQUESTS[name]

    assert find(path) is wire
    assert find(None, body) is wire
    fields = wire.request_fields(body, path)

    assert fields["messages"] == CONVERSATION
    assert fields["settings"] == {
        "model": "m",
        "params": {"temperature": 0.5, "max_tokens": 9},
        "tools": [TOOL],
        "json_output": False,
        "output_schema": None,
        "stream": False,
    }


def test_the_responses_api_splits_calls_and_results_into_messages_of_their_own() -> None:
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "What is 7?"}]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"id":7}'},
            {"type": "function_call_output", "call_id": "c1", "output": "seven"},
        ],
        "max_output_tokens": 9,
        "text": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    }

    fields = OPENAI_RESPONSES.request_fields(body, "")

    assert fields["messages"] == [*CONVERSATION[:2], {"role": "assistant", "parts": [CALL]}, CONVERSATION[3]]
    assert fields["settings"]["params"] == {"max_tokens": 9}
    assert fields["settings"]["output_schema"] == {"type": "object"}
    assert fields["settings"]["json_output"] is True


ANSWER = {
    "model_answered": "m-1",
    "finish": "tool_calls",
    "text": "Let me look.",
    "tool_calls": [{"id": "c1", "name": "look", "arguments": '{"id":7}'}],
    "input_tokens": 20,
    "output_tokens": 9,
    "cached_tokens": 4,
    "reasoning_tokens": 3,
}
ANSWERS: dict[str, tuple[wires.Wire, dict[str, Any]]] = {
    "chat": (
        OPENAI_CHAT,
        {
            "model": "m-1",
            "choices": [
                {
                    "message": {
                        "content": "Let me look.",
                        "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": '{"id":7}'}}],
                    },
                    "finish_reason": "tool_calls",
                }
            ],
            "usage": {
                "prompt_tokens": 20,
                "completion_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
        },
    ),
    "responses": (
        OPENAI_RESPONSES,
        {
            "model": "m-1",
            "status": "completed",
            "output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "content": [{"type": "output_text", "text": "Let me look."}]},
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"id":7}'},
            ],
            "usage": {
                "input_tokens": 20,
                "output_tokens": 9,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 3},
            },
        },
    ),
    "anthropic": (
        ANTHROPIC_MESSAGES,
        {
            "model": "m-1",
            "type": "message",
            "stop_reason": "tool_use",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"id": 7}},
            ],
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 4,
                "cache_creation_input_tokens": 6,
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 3},
            },
        },
    ),
    "gemini": (
        GEMINI_GENERATE,
        {
            "modelVersion": "m-1",
            "candidates": [
                {
                    "content": {
                        "parts": [
                            {"text": "hm", "thought": True},
                            {"text": "Let me look."},
                            {"functionCall": {"id": "c1", "name": "look", "args": {"id": 7}}},
                        ]
                    },
                    "finishReason": "STOP",
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 20,
                "candidatesTokenCount": 6,
                "thoughtsTokenCount": 3,
                "cachedContentTokenCount": 4,
            },
        },
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_one_answer_is_the_same_record_by_every_api(name: str) -> None:
    wire, body = ANSWERS[name]

    fields = wire.answer_fields(body)

    assert {key: fields[key] for key in ANSWER} == ANSWER


STREAMS: dict[str, tuple[wires.Wire, list[Any], int]] = {  # the third: which event speaks first
    "chat": (
        OPENAI_CHAT,
        [
            {"model": "m-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
            {"model": "m-1", "choices": [{"index": 0, "delta": {"content": "Let me "}}]},
            {"choices": [{"index": 0, "delta": {"content": "look."}}]},
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {
                            "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": '{"id"'}}]
                        },
                    }
                ]
            },
            {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ":7}"}}]}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
            {"choices": [], "usage": ANSWERS["chat"][1]["usage"]},
        ],
        1,
    ),
    "responses": (
        OPENAI_RESPONSES,
        [
            {"type": "response.created", "response": {"model": "m-1", "status": "in_progress"}},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "Let me "},
            {"type": "response.completed", "response": ANSWERS["responses"][1]},
        ],
        1,
    ),
    "anthropic": (
        ANTHROPIC_MESSAGES,
        [
            {
                "type": "message_start",
                "message": {
                    "model": "m-1",
                    "content": [],
                    "usage": {**ANSWERS["anthropic"][1]["usage"], "output_tokens": 1},
                },
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me "}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "look."}},
            {
                "type": "content_block_start",
                "index": 1,
                "content_block": {"type": "tool_use", "id": "c1", "name": "look", "input": {}},
            },
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": '{"id":7}'},
            },
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
            {"type": "message_stop"},
        ],
        2,
    ),
    "gemini": (
        GEMINI_GENERATE,
        [
            {"modelVersion": "m-1", "candidates": [{"content": {"parts": [{"text": "Let me "}]}}]},
            {
                "candidates": [
                    {
                        "content": {
                            "parts": [
                                {"text": "look."},
                                {"functionCall": {"id": "c1", "name": "look", "args": {"id": 7}}},
                            ]
                        },
                        "finishReason": "STOP",
                    }
                ],
                "usageMetadata": ANSWERS["gemini"][1]["usageMetadata"],
            },
        ],
        0,
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_what_the_whole_answer_gives(name: str) -> None:
    wire, events, first = STREAMS[name]

    fields = wire.stream_fields(events)

    assert {key: fields[key] for key in ANSWER} == ANSWER
    assert [wire.speaks(event) for event in events].index(True) == first


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_broke_off_has_its_pieces_and_neither_finish_nor_tokens(name: str) -> None:
    wire, events, first = STREAMS[name]

    fields = wire.stream_fields(events[: first + 1])

    assert fields["text"] == "Let me "
    assert (fields["finish"], fields["output_tokens"]) == (None, None)


def test_an_image_is_kept_as_a_digest_and_a_signed_address_without_its_signature() -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
        {"type": "image_url", "image_url": {"url": "https://u:p@host/a.png?sig=SECRET#x"}},
    ]

    fields = OPENAI_CHAT.request_fields({"model": "m", "messages": [{"role": "user", "content": content}]}, "")

    sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert fields["messages"][0]["parts"] == [
        {"media": {"sha256": sha, "content_type": "image/png"}},
        {"media": {"url": "https://host/a.png", "content_type": None}},
    ]


def test_a_refusal_is_a_finish_of_its_own() -> None:
    body = {"choices": [{"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}]}

    fields = OPENAI_CHAT.answer_fields(body)

    assert (fields["text"], fields["finish"]) == ("I cannot.", "refusal")


def test_counts_that_contradict_each_other_are_unknown() -> None:
    counts = {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}

    fields = OPENAI_CHAT.answer_fields({"choices": [], "usage": counts})

    assert fields["input_tokens"] is fields["output_tokens"] is fields["cached_tokens"] is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, "rate_limit"),
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, "quota"),
        (400, {"error": {"message": "This model's maximum context length is 8 tokens"}}, "context_length"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overload"),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}}, "context_length"),
        (503, [{"error": {"status": "UNAVAILABLE", "message": "x"}}], "overload"),
        (401, None, "auth"),
        (200, {"error": {"type": "api_error"}}, "overload"),
        (None, None, "bad_response"),
    ],
)  # fmt: skip
def test_an_error_has_the_kind_that_evalhs_own_log_gives_it(status: int | None, body: Any, kind: str) -> None:
    assert error_fields(status, body)["error_kind"] == kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "messages",
                    "content",
                    "role",
                    "tool_calls",
                    "function",
                    "arguments",
                    "usage",
                    "delta",
                    "index",
                    "type",
                    "item",
                    "input",
                    "output",
                    "parts",
                    "candidates",
                    "system",
                    "model",
                    "tools",
                    "text",
                    "error",
                    "response",
                    "source",
                    "data",
                    "url",
                    "status",
                    "id",
                    "name",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(body=JSON, events=st.lists(JSON, max_size=4))
def test_no_json_makes_a_wire_raise(body: Any, events: list[Any]) -> None:
    find(None, body)
    error_fields(400, body)
    for wire in ALL:
        wire.request_fields(body, "/v1/models/m:generateContent")
        wire.answer_fields(body)
        wire.stream_fields(events)
        for event in events:
            wire.speaks(event)
