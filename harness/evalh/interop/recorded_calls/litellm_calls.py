"""LiteLLM's standard logging payloads: one object for each call, as its callbacks hand it on.

Calls of one `trace_id` are one workflow. What its privacy settings have taken out is unknown here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from evalh.core.digest import digest
from evalh.interop.recorded_calls.lines import NotRead, RecordedFile, Row, number_at, object_at, text_at
from evalh.interop.recorded_calls.pairs import RecordedPair, instant
from evalh_trace.records import AnyRecord, Attempt, Workflow

_WRAPPED = "standard_logging_object"
_REDACTED = "redacted-by-litellm"
_PATHS = {
    "embedding": "/embeddings",
    "text_completion": "/completions",
    "completion": "/chat/completions",
    "responses": "/responses",
    "anthropic_messages": "/messages",
}
_MOST_TOKENS = 10**9


def fits(row: Row) -> bool:
    """Whether a line is a payload."""
    payload = row.get(_WRAPPED, row)
    return isinstance(payload, dict) and "call_type" in payload and ("startTime" in payload or "trace_id" in payload)


class _PairTrace(Struct):
    """What is known of a workflow so far."""

    workflow: Workflow
    last_at: float


class LiteLlmCalls:
    """Reads the payloads of a file."""

    def __init__(self, source: RecordedFile) -> None:
        self._source = source
        self._traces: dict[str, _PairTrace] = {}

    def records(self, row: Row) -> Iterator[AnyRecord]:
        """Yield the workflow as far as it is known, and the call. Raises NotRead."""
        payload = object_at(row, _WRAPPED) or row
        if not fits(payload):
            raise NotRead("is not a LiteLLM payload: call_type, or startTime and trace_id, are missing")
        pair = _pair(payload)
        native = text_at(payload, "trace_id") or text_at(payload, "id")
        name = digest(native if native is not None else payload).removeprefix("sha256:")[:24]
        call_id = f"call-{digest(payload).removeprefix('sha256:')[:24]}"
        call, attempt = pair.records(call_id, f"workflow-{name}")
        if attempt is not None and attempt.text == _REDACTED:
            attempt = replace(attempt, text=None, reasoning=None)
        workflow = self._known(self._workflow(payload, pair, f"workflow-{name}", attempt))
        yield workflow
        yield replace(call, route=text_at(payload, "model_group"))
        if attempt is not None:
            yield attempt

    def _workflow(self, payload: Row, pair: RecordedPair, workflow_id: str, attempt: Attempt | None) -> Workflow:
        metadata = object_at(payload, "metadata") or {}
        stated = object_at(metadata, "requester_metadata") or {}
        tags = payload.get("request_tags")
        native = {"id": payload.get("id"), "trace_id": payload.get("trace_id"), "metadata": stated or None}
        return Workflow(
            id=workflow_id,
            name=text_at(stated, "workflow") or self._source.default_name,
            door="calls",
            started_at=self._source.at if pair.started_at is None else pair.started_at,
            ended_at=pair.ended_at,
            status=None if attempt is None else attempt.status,
            error=None if attempt is None else attempt.error,
            output=None if attempt is None else attempt.text,
            session=text_at(stated, "session_id"),
            user=text_at(payload, "end_user") or None,
            tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
            attributes={key: value for key, value in native.items() if value is not None},
            kept="all",
        )

    def _known(self, told: Workflow) -> Workflow:
        """Put a call's view of its workflow to that of the calls before: the last one to end says how it ended."""
        last_at = told.started_at if told.ended_at is None else told.ended_at
        before = self._traces.get(told.id)
        if before is None:
            self._traces[told.id] = _PairTrace(told, last_at)
            return told
        newest = told if last_at >= before.last_at else before.workflow
        workflow = replace(
            newest,
            started_at=min(told.started_at, before.workflow.started_at),
            ended_at=max((one for one in (told.ended_at, before.workflow.ended_at) if one is not None), default=None),
            tags=tuple(dict.fromkeys((*before.workflow.tags, *told.tags))),
        )
        self._traces[told.id] = _PairTrace(workflow, max(last_at, before.last_at))
        return workflow


def _pair(payload: Row) -> RecordedPair:
    failed = payload.get("status") == "failure" or bool(payload.get("error_str"))
    error = object_at(payload, "error_information") or {}
    code = error.get("error_code")
    status = int(code) if isinstance(code, str) and code.isascii() and code.isdecimal() and len(code) == 3 else None  # noqa: PLR2004
    answer = payload.get("response")
    if failed:
        said = error.get("error_message") or payload.get("error_str") or error.get("error_class")
        answer = {"error": {"message": said, "type": error.get("error_class")}}
    elif isinstance(answer, str):
        answer = None if answer == _REDACTED else {"choices": [{"message": {"content": answer}}]}
    begun = instant(payload.get("startTime"))
    return RecordedPair(
        request=_request(payload),
        answer=answer if isinstance(answer, dict) else {"choices": []},
        path=_path(text_at(payload, "call_type") or ""),
        provider=text_at(payload, "custom_llm_provider") or text_at(error, "llm_provider") or None,
        started_at=begun,
        ended_at=instant(payload.get("endTime")),
        http_status=status,
        request_id=text_at(payload, "id"),
        failed=failed,
        fields=_fields(payload, answer, begun, failed=failed),
    )


def _path(kind: str) -> str:
    """Return the path of the API behind a call's type; the asynchronous ones are called by an `a` before it."""
    return _PATHS.get(kind) or _PATHS.get(kind.removeprefix("a")) or _PATHS["completion"]


def _request(payload: Row) -> Row:
    params = object_at(payload, "model_parameters") or {}
    said = payload.get("messages")
    kind = text_at(payload, "call_type") or ""
    key = "input" if "embedding" in kind or "responses" in kind else "messages"
    key = "prompt" if "text_completion" in kind else key
    if isinstance(said, str) and key == "messages":
        said = [{"role": "user", "content": said}]
    request = {**params, "model": payload.get("model")}
    return request if _is_redacted(said) else {**request, key: said}


def _is_redacted(said: Any) -> bool:
    first = said[0] if isinstance(said, list) and said else said
    return (first.get("content") if isinstance(first, Mapping) else first) in (_REDACTED, None)


def _fields(payload: Row, answer: Any, begun: float | None, *, failed: bool) -> dict[str, Any]:
    """Return what the payload itself says of the attempt. For a failed call its zeros are not counts."""
    if failed:
        return {}
    fields: dict[str, Any] = {}
    unpriced = payload.get("response_cost_failure_debug_info")
    cost = None if unpriced else number_at(payload, "response_cost")
    if cost is not None and cost >= 0:
        fields["cost_usd"] = cost
    if not (isinstance(answer, Mapping) and isinstance(answer.get("usage"), Mapping)):
        for name, key in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
            count = number_at(payload, key)
            fields[name] = int(count) if count is not None and 0 <= count <= _MOST_TOKENS else None
    first = instant(payload.get("completionStartTime"))
    if payload.get("stream") is True and begun is not None and first is not None and first >= begun:
        fields["ttft_ms"] = (first - begun) * 1000
    return fields
