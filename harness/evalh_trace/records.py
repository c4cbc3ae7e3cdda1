"""What is known of production: one record for each workflow, step, call, attempt, vote, score and loss.

Every door (the tracer, spans, imports) makes these records; `production.db` has a table for each. A field that a door
cannot see is None. Records of one id that come later replace what came before, so that a record may be sent twice.
Times are seconds since 1970, UTC.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any  # None, bool, int, float, str, list or dict of them


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record"):
    """The base of records."""

    id: str


class Workflow(Record, tag="workflow", frozen=True, kw_only=True):
    """One execution of a user's program. Written when it begins and again when it ends."""

    name: str
    door: str  # trace, otel, calls, langfuse, phoenix, whowhen
    started_at: float
    dialect: str | None = None  # of spans: genai, openllmetry, openinference, langfuse
    ended_at: float | None = None
    status: str | None = None  # ok or error; None: it has not ended
    error: str | None = None
    inputs: Json = None  # content
    output: Json = None  # content
    session: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    attributes: dict[str, Json] = {}
    process: str | None = None  # who wrote it: a workflow whose process is gone was interrupted
    probability: float = 1.0  # that it was kept: weights are 1 / probability
    kept: str | None = None  # why it was kept: all, rate, error, check, feedback, slow; stub: it was not


class Step(Record, tag="step", frozen=True, kw_only=True):
    """One step of a workflow: a function, a tool, an agent's turn."""

    workflow_id: str
    name: str
    started_at: float | None = None
    kind: str = "step"  # step, tool, agent, retrieval
    parent_id: str | None = None  # a step; None: the workflow itself
    position: int | None = None  # where the order is known and times are not
    ended_at: float | None = None
    status: str | None = None  # ok or error; None: it has not ended
    error: str | None = None
    inputs: Json = None  # content
    output: Json = None  # content
    attributes: dict[str, Json] = {}


class Call(Record, tag="call", frozen=True, kw_only=True):
    """One logical model request. `attempts` is None where a door sees only the whole."""

    workflow_id: str
    step_id: str | None = None  # None: the workflow's own
    operation: str = "chat"  # chat, completion, embedding
    provider: str | None = None  # openai, anthropic, gemini, …
    started_at: float | None = None
    latency_ms: float | None = None
    attempts: int | None = None
    answered_by: str | None = None  # the attempt
    route: str | None = None
    request_digest: str | None = None
    settings: dict[str, Json] | None = None  # {"model": …, "params": {…}, "tools": […], "stream": …}
    messages: Json = None  # content: [{"role": "user", "parts": ["text", {"tool_call": {…}}, {"tool_result": {…}}]}]
    prompt: str | None = None  # triage@v3, where the program said so


class Attempt(Record, tag="attempt", frozen=True, kw_only=True):
    """One physical request. `number` is None where a door sees only the whole of a call."""

    workflow_id: str
    call_id: str
    number: int | None = None  # from 1
    provider: str | None = None
    model: str | None = None  # the name that was sent
    started_at: float | None = None
    status: str | None = None  # ok, error; None: it has not ended
    reason: str | None = None  # first, retry
    latency_ms: float | None = None
    ttft_ms: float | None = None
    error_kind: str | None = None  # core.attempt.ErrorKind
    error: str | None = None
    http_status: int | None = None
    retry_after_s: float | None = None
    request_id: str | None = None
    model_answered: str | None = None
    finish: str | None = None  # stop, length, tool_calls, content_filter, refusal, other
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None  # as a door says it; None: it is computed from tokens and prices
    text: str | None = None  # content
    tool_calls: Json = None  # content: [{"id": …, "name": …, "arguments": "…"}]
    reasoning: str | None = None  # content


class Feedback(Record, tag="feedback", frozen=True, kw_only=True):
    """What a user did with an answer. It is never gold."""

    workflow_id: str
    at: float
    good: bool | None = None
    kind: str = "vote"  # vote, or by name: copied, retried, escalated
    note: str | None = None  # content
    user: str | None = None


class Score(Record, tag="score", frozen=True, kw_only=True):
    """What another program or a person said of a workflow or one of its steps."""

    workflow_id: str
    name: str
    step_id: str | None = None  # None: of the workflow
    outcome: str | None = None  # pass, fail
    score: float | None = None
    text: str | None = None
    source: str | None = None  # people, or the program that gave it
    at: float | None = None


class Loss(Record, tag="loss", frozen=True, kw_only=True):
    """What was not recorded: how many records, and why."""

    count: int
    why: str  # full, disk, too large, unreadable, redaction
    at: float
    process: str | None = None


AnyRecord: TypeAlias = Workflow | Step | Call | Attempt | Feedback | Score | Loss

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyRecord)


def encode(record: AnyRecord) -> bytes:
    """Return a record as one line of JSON. Raises TypeError, ValueError and OverflowError for what JSON cannot hold."""
    return _encoder.encode(record) + b"\n"


def decode(lines: bytes) -> Iterator[AnyRecord | None]:
    """Yield the record of each whole line; None for a line that is not one."""
    for line in lines.split(b"\n"):
        if not line.strip():
            continue
        try:
            yield _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            yield None
