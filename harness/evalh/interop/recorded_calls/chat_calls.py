"""Requests with their answers, as programs write them down: one object a line.

`{"request": …, "response": …}`, the lines of OpenAI's batches, and stored chat completions, which say the messages
beside the answer. Bodies of other APIs in the same places are read as well.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from evalh.core.digest import digest
from evalh.interop.recorded_calls.lines import NotRead, RecordedFile, Row, object_at, text_at
from evalh.interop.recorded_calls.pairs import RecordedPair, instant
from evalh_trace.records import AnyRecord, Attempt, Workflow
from evalh_trace.wires import find

_BEGUN = ("started_at", "start_time", "startTime", "timestamp", "created_at", "time", "at")
_ENDED = ("ended_at", "end_time", "endTime", "completed_at")
_ANSWER_KEYS = frozenset({"choices", "usage", "id", "object", "created", "system_fingerprint", "service_tier"})
_OWN = frozenset({"name", "workflow", "metadata", "inputs", "session", "user", "tags", *_BEGUN, *_ENDED})
_BAD_STATUS = 400


def fits(row: Row) -> bool:
    """Whether a line is a request, an answer, or both."""
    return any(isinstance(row.get(key), dict) for key in ("request", "response", "body")) or isinstance(
        row.get("choices"), list
    )


class ChatCalls:
    """Reads the calls of a file. Each is a workflow of its own: nothing says what belongs together."""

    def __init__(self, source: RecordedFile) -> None:
        self._source = source
        self._met: Counter[str] = Counter()

    def records(self, row: Row) -> Iterator[AnyRecord]:
        """Yield a workflow with its one call. Raises NotRead."""
        pair = self._pair(row)
        name = digest(row).removeprefix("sha256:")[:24]
        if _id_of(pair) is None:  # nothing tells the same line twice from the same question twice
            self._met[name] += 1
            name = name if self._met[name] == 1 else f"{name}-{self._met[name]}"
        call, attempt = pair.records(f"call-{name}", f"workflow-{name}")
        yield self._workflow(row, pair, f"workflow-{name}", attempt)
        yield call
        if attempt is not None:
            yield attempt

    def _workflow(self, row: Row, pair: RecordedPair, workflow_id: str, attempt: Attempt | None) -> Workflow:
        said = object_at(row, "metadata") or {}
        tags = row.get("tags")
        native = {"id": _id_of(pair), "custom_id": row.get("custom_id"), "metadata": said or None}
        user = row.get("user") or (pair.request or {}).get("user")
        return Workflow(
            id=workflow_id,
            name=text_at(row, "workflow") or text_at(row, "name") or self._source.default_name,
            door="calls",
            started_at=self._source.at if pair.started_at is None else pair.started_at,
            ended_at=pair.ended_at,
            status=None if attempt is None else attempt.status,
            error=None if attempt is None else attempt.error,
            inputs=object_at(row, "inputs"),
            output=None if attempt is None else attempt.text,
            session=text_at(row, "session"),
            user=user if isinstance(user, str) else None,
            tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
            attributes={key: value for key, value in native.items() if value is not None},
            kept="all",
        )

    def _pair(self, row: Row) -> RecordedPair:
        answer, status = object_at(row, "response"), None
        request, path = object_at(row, "request") or object_at(row, "body"), row.get("url")
        if answer is not None and "status_code" in answer and "body" in answer:  # a line of a batch's output
            status, request_id = answer.get("status_code"), answer.get("request_id")
            answer = object_at(answer, "body")
        else:
            request_id = None
        if answer is None and isinstance(row.get("choices"), list):
            answer = {key: value for key, value in row.items() if key in _ANSWER_KEYS or key == "model"}
        if request is None and isinstance(row.get("custom_id"), str):
            request = self._source.requests.get(row["custom_id"])
        if request is None and any(key in row for key in ("messages", "input", "prompt", "contents")):
            request = _beside(row)
        if request is None and answer is None and not row.get("error"):
            raise NotRead("has neither a request nor an answer")
        return _told(row, request, answer, path, status, request_id)


def _told(row: Row, request: Row | None, answer: Row | None, path: Any, status: Any, request_id: Any) -> RecordedPair:
    status = status if isinstance(status, int) and not isinstance(status, bool) else None
    error = row.get("error") or (answer or {}).get("error")
    failed = bool(error) or (status is not None and status >= _BAD_STATUS)
    begun = next((at for key in _BEGUN if (at := instant(row.get(key))) is not None), None)
    ended = next((at for key in _ENDED if (at := instant(row.get(key))) is not None), None)
    created = instant((answer or {}).get("created") or (answer or {}).get("created_at"))
    return RecordedPair(
        request=request,
        answer={"error": error} if failed and error else answer,
        path=path if isinstance(path, str) else None,
        started_at=created if begun is None else begun,
        ended_at=ended,
        http_status=status,
        request_id=request_id if isinstance(request_id, str) else None,
        failed=failed,
    )


def _beside(row: Row) -> Row | None:
    """Return the request that a line says without a name around it."""
    rest = {key: value for key, value in row.items() if key not in _OWN and key not in (_ANSWER_KEYS | {"response"})}
    return rest if find(None, rest) is not None else None


def _id_of(pair: RecordedPair) -> str | None:
    """Return the id that the service gave the answer, or the batch the line."""
    answer: Mapping[str, Any] = pair.answer or {}
    found = answer.get("id") or answer.get("responseId") or pair.request_id
    return found if isinstance(found, str) else None
