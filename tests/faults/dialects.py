"""What each hosted service says, in its own words: its answers, and its ways of giving none."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from faults.fault_server import Act, Asked, Script
from workspaces import label_of

INPUT_TOKENS, OUTPUT_TOKENS = 20, 8
USD_PER_TOKEN = (0.25e-6, 2.0e-6)
ANSWER_USD = INPUT_TOKENS * USD_PER_TOKEN[0] + OUTPUT_TOKENS * USD_PER_TOKEN[1]
"""What one answer of any service here costs."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One service's words."""

    kind: str
    model: str
    base: str  # the path of its base URL
    said: Callable[[str, str], Any]  # text, why it stopped → the answer's document
    refusal: Any  # an answer that declines; None: the service has no such answer
    filtered: Any  # a filtered answer: a document, or (status, document)
    errors: Mapping[str, tuple[int, Any]]  # kind → status, document
    api: str | None = None  # where a kind has several

    @property
    def name(self) -> str:
        """The kind, or its API."""
        return self.api or self.kind

    def answer(self, text: str) -> Act:
        """Answer with this text."""
        return act(self.said(text, "stop"))

    def right(self, asked: Asked) -> Act:
        """Answer as `label_of` does."""
        return self.answer(label_of(asked.case))

    def unless(self, model: str, told: Act) -> Script:
        """Answer as `right` does, but for one model."""
        return lambda asked: told if asked.model == model else self.right(asked)

    def always(self, kind: str, **more: Any) -> Script:
        """Answer nothing but this error."""
        return lambda _: self.error(kind, **more)

    def error(self, kind: str, *, after: str | None = None, **more: Any) -> Act:
        """Refuse in the service's own words; `after` is the wait that it names."""
        if after is not None:
            more["headers"] = {"Retry-After": after}
        status, document = self.errors[kind]
        return act(document, status=status, **more)

    def config(self, port: int, *, model: str | None = None, more: str = "") -> str:
        """Write the body of `[models.<name>]`."""
        api = f'api = "{self.api}"\n' if self.api else ""
        return (
            f'provider = "{self.kind}"\nmodel = "{model or self.model}"\nbase_url = "http://127.0.0.1:{port}{self.base}"\n'
            f"price = {{input = 0.25, output = 2.0}}\n{api}{more}"
        )


def slow(script: Script, delay_s: float) -> Script:
    """Answer by a script, later."""
    return lambda asked: replace(script(asked), delay_s=delay_s)


def act(document: Any, **more: Any) -> Act:
    """Send a document as JSON."""
    return Act(body=json.dumps(document).encode(), **more)


def _chat(text: str | None, finish: str, **message: Any) -> Any:
    said = {"role": "assistant", "content": text, **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "test-1",
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": 28},
    }


def _chat_error(message: str, kind: str, code: str | None = None) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


OPENAI = Dialect(
    kind="openai",
    model="test-1",
    base="/v1",
    said=_chat,
    refusal=_chat(None, "stop", refusal="I can't help with that."),
    filtered=(400, _chat_error("The response was filtered", "invalid_request_error", "content_filter")),
    errors={
        "rate_limit": (429, _chat_error("Rate limit reached", "requests", "rate_limit_exceeded")),
        "quota": (429, _chat_error("You exceeded your current quota", "insufficient_quota", "insufficient_quota")),
        "overload": (503, _chat_error("The engine is overloaded", "server_error")),
        "timeout": (504, _chat_error("upstream timed out", "server_error")),
        "bad_request": (400, _chat_error("Invalid value: 'x'", "invalid_request_error")),
        "auth": (401, _chat_error("Incorrect API key provided", "invalid_request_error", "invalid_api_key")),
        "context_length": (
            400,
            _chat_error("maximum context length is 8192", "invalid_request_error", "context_length_exceeded"),
        ),
    },
)


def _message(text: str, finish: str) -> Any:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-1",
        "content": [{"type": "text", "text": text}],
        "stop_reason": {"stop": "end_turn"}.get(finish, finish),
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    }


def _message_error(kind: str, message: str) -> Any:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


ANTHROPIC = Dialect(
    kind="anthropic",
    model="claude-test-1",
    base="",
    said=_message,
    refusal=_message("", "refusal"),
    filtered=(400, _message_error("invalid_request_error", "Output blocked by content filtering policy")),
    errors={
        "rate_limit": (429, _message_error("rate_limit_error", "This request would exceed your rate limit")),
        "quota": (400, _message_error("invalid_request_error", "Your credit balance is too low")),
        "overload": (529, _message_error("overloaded_error", "Overloaded")),
        "timeout": (504, _message_error("timeout_error", "Request timed out")),
        "bad_request": (400, _message_error("invalid_request_error", "messages: field required")),
        "auth": (401, _message_error("authentication_error", "invalid x-api-key")),
        "context_length": (400, _message_error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum")),
    },
)


def _content(text: str, finish: str) -> Any:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish.upper(), "index": 0}
    return {"candidates": [candidate], "usageMetadata": _COUNTED, "modelVersion": "gemini-test-1", "responseId": "r-1"}


_COUNTED = {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS, "totalTokenCount": 28}


def _content_error(code: int, status: str, message: str, *details: Any) -> tuple[int, Any]:
    return code, {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


_DAILY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}],
}
_BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}

GEMINI = Dialect(
    kind="gemini",
    model="gemini-test-1",
    base="/v1beta",
    said=_content,
    refusal=None,
    filtered={"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": _COUNTED},
    errors={
        "rate_limit": _content_error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted"),
        "quota": _content_error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", _DAILY),
        "overload": _content_error(503, "UNAVAILABLE", "The model is overloaded"),
        "timeout": _content_error(504, "DEADLINE_EXCEEDED", "The deadline expired"),
        "bad_request": _content_error(400, "INVALID_ARGUMENT", "Invalid JSON payload received"),
        "auth": _content_error(400, "INVALID_ARGUMENT", "API key not valid", _BAD_KEY),
        "context_length": _content_error(
            400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
        ),
    },
)


def _response(*content: Any, **top: Any) -> Any:
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": list(content)}
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "error": None,
        "model": "test-1",
        "output": [message],
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": 28},
        **top,
    }


def _response_text(text: str, finish: str) -> Any:
    return _response({"type": "output_text", "text": text, "annotations": []})


RESPONSES = Dialect(
    kind="openai",
    api="responses",
    model="test-1",
    base="/v1",
    said=_response_text,
    refusal=_response({"type": "refusal", "refusal": "I can't help with that."}),
    filtered=_response(status="incomplete", incomplete_details={"reason": "content_filter"}),
    errors=OPENAI.errors,
)

DIALECTS = (OPENAI, ANTHROPIC, GEMINI, RESPONSES)
