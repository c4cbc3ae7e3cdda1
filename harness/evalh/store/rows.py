"""How values become rows: one statement and one function for each kind of row.

Binding None costs CPython 0.4 to 0.8 µs a column (it looks for an adapter; so for bool and enums), an exact int or str
0.05. A row of the log is mostly NULL, so NULL travels as an integer that no column can hold, and SQL turns it back.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, TypeAlias

from msgspec.structs import asdict

from evalh.core.attempt import (
    AttemptEnd,
    AttemptStart,
    Call,
    CallError,
    Completion,
    Decision,
    ErrorKind,
    Latency,
)
from evalh.core.case import ABSENT, Case
from evalh.core.digest import digest_bytes
from evalh.core.log import ComparisonRow, GateRow
from evalh.core.run import RunRecord, RunStatus
from evalh.core.sample import Graded, Sample
from evalh.store.columns import Instants, dollars, json_text, stored, whole_number

Row: TypeAlias = tuple[Any, ...]

NULL = -(2**63)

_SENT = (
    "id call_id number run_id case_id trial step? draw purpose model provider request_digest started_at reason"
    " messages? waited_ms"
)
_OK = (
    "status latency_ms? ttft_ms? request_id? model_answered? finish input_tokens? output_tokens? cached_tokens?"
    " reasoning_tokens? cost_usd? estimated text tool_calls? raw?"
    " mean_logprob? min_logprob? logprob_tokens? reasoning?"
)
_ERROR = "status latency_ms? error_kind error? http_status? retry_after_s? request_id? cost_usd? estimated"


_VALUES = " values "


def insert(table: str, columns: str, verb: str = "insert") -> str:
    """Build a statement for one row. A column that may be NULL ends in "?"."""
    slots = ", ".join(map(_slot, columns.split()))
    return f"{verb} into {table} ({', '.join(columns.replace('?', '').split())}){_VALUES}({slots})"


def _update(table: str, columns: str) -> str:
    changes = ", ".join(f"{column.rstrip('?')} = {_slot(column)}" for column in columns.split())
    return f"update {table} set {changes} where id = ?"  # noqa: S608 (names are ours)


def _slot(column: str) -> str:
    return f"nullif(?, {NULL})" if column.endswith("?") else "?"


INSERT_SENT = insert("attempts", f"{_SENT} status")
INSERT_OK = insert("attempts", f"{_SENT} {_OK}")
INSERT_ERROR = insert("attempts", f"{_SENT} {_ERROR}")
UPDATE_OK = _update("attempts", _OK)
UPDATE_ERROR = _update("attempts", _ERROR)
INSERT_CALL = insert(
    "calls",
    "id run_id case_id trial step? draw purpose request_digest cache_hit answered_by? attempts cost_usd?"
    " cached_cost_usd? reasons settings? messages? route? latency_ms? waited_ms? checks_ms?",
    "insert or replace",
)
INSERT_CASE = insert("cases", "id digest inputs expected? tags cluster? given? graders?", "insert or ignore")
SAMPLE = (
    "id run_id case_id case_digest case_index trial standing call_id answered_by? cache_hit cost_usd? cached_cost_usd?"
    " judge_cost_usd? attempts latency_ms? waited_ms? checks_ms? finish? error_kind? error? output_digest?"
)
INSERT_SAMPLE = insert("samples", SAMPLE)
INSERT_VERDICT = insert("verdicts", "sample_id position grader required outcome score? reason detail?")
INSERT_DECISION = insert("decisions", "id run_id call_id? kind reason at detail")
INSERT_COMPARISON = insert(
    "comparisons",
    "id at suite base head base_model head_model base_run? head_run? verdict comparable n wins losses difference? low?"
    " high? p_value? content",
)
INSERT_GATE = insert("gates", "id at base head merge_base? decision exit reasons content")
INSERT_RUN = insert(
    "runs",
    "id suite prompt prompt_digest model model_sent status started_at planned trials owner? git_commit? git_dirty?"
    " evalh_version max_ungraded fingerprint_prompt fingerprint_dataset fingerprint_graders fingerprint_model"
    " fingerprint_route selection settings graders? kind",
)
INSERT_VERSION = insert("versions", "prompt digest content first_seen_at", "insert or ignore")
FINISH_RUN = _update("runs", "status reason? finished_at summary?")
GIVE_UP = "update attempts set status = 'interrupted', error_kind = 'interrupted' where id = ? and status = 'sent'"


_TOGETHER = 16


def together(sql: str, rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Write many rows by statements of 16.

    Python releases its lock for every statement that SQLite executes, and must win it back from the event loop.
    """
    head, values, slots = sql.partition(_VALUES)
    whole = len(rows) // _TOGETHER * _TOGETHER if values else 0
    if whole:
        groups = [tuple(chain.from_iterable(rows[at : at + _TOGETHER])) for at in range(0, whole, _TOGETHER)]
        yield f"{head}{values}{', '.join((slots,) * _TOGETHER)}", groups
        rows = rows[whole:]
    if rows:
        yield sql, rows


def nullable(value: Any) -> Any:
    """Return the placeholder of a value that may be NULL."""
    return NULL if value is None else value


def text_or_null(text: str | None) -> str | int:
    """Make a text storable that may be NULL."""
    return NULL if text is None else stored(text)


def sent_row(start: AttemptStart, instants: Instants) -> Row:
    call = start.call
    key = call.key
    return (
        start.id,
        call.id,
        start.number,
        call.run_id,
        stored(key.case_id),
        key.trial,
        text_or_null(key.step),
        key.draw,
        str(call.purpose),
        start.model,
        start.provider,
        start.request.digest(),
        instants.text(start.started_at),
        stored(start.reason),
        NULL if start.request.messages is call.request.messages else stored(start.request.messages_json()),
        start.waited_ms,
    )


def ok_row(end: AttemptEnd, completion: Completion) -> Row:
    usage, told = completion.usage, completion.logprobs
    return (
        "ok",
        nullable(completion.latency_ms),
        nullable(completion.ttft_ms),
        text_or_null(completion.request_id),
        text_or_null(completion.model),
        str(completion.finish),
        nullable(whole_number(usage.input_tokens)),
        nullable(whole_number(usage.output_tokens)),
        nullable(whole_number(usage.cached_tokens)),
        nullable(whole_number(usage.reasoning_tokens)),
        nullable(dollars(end.cost_usd)),
        int(end.estimated),
        stored(completion.text),
        json_text([asdict(call) for call in completion.tool_calls]) if completion.tool_calls else NULL,
        text_or_null(completion.raw),
        *((NULL,) * 3 if told is None else (told.mean, nullable(told.least), nullable(whole_number(told.count)))),
        text_or_null(completion.reasoning),
    )


def error_row(end: AttemptEnd, error: CallError) -> Row:
    return (
        "interrupted" if error.kind is ErrorKind.INTERRUPTED else "error",
        nullable(end.latency_ms),
        str(error.kind),
        stored(error.message),
        nullable(whole_number(error.status)),
        nullable(error.retry_after_s),
        text_or_null(error.request_id),
        nullable(dollars(end.cost_usd)),
        int(end.estimated),
    )


def latency_row(latency: Latency) -> Row:
    """Build `latency_ms`, `waited_ms`, `checks_ms`."""
    return (nullable(latency.total_ms), nullable(latency.waited_ms), nullable(latency.checks_ms))


def call_row(call: Call, answered_by: str | None, settings: str | None, *, cache_hit: bool) -> Row:
    """Build a call. Its messages are stored with the call that sent them, not again with an answer from the store."""
    key = call.key
    return (
        call.id,
        call.run_id,
        stored(key.case_id),
        key.trial,
        text_or_null(key.step),
        key.draw,
        str(call.purpose),
        call.request.digest(),
        int(cache_hit),
        nullable(answered_by),
        call.attempts,
        nullable(dollars(call.cost_usd)),
        nullable(dollars(call.cached_cost_usd)),
        json_text(call.reasons) if call.reasons else "[]",
        nullable(settings),
        NULL if cache_hit else stored(call.request.messages_json()),
        text_or_null(call.route),
        *latency_row(call.latency),
    )


def case_row(case: Case) -> Row:
    """Build a case; its digest, over the columns, distinguishes it from other contents with the same id."""
    case_id, inputs = stored(case.id), json_text(case.inputs)
    expected = NULL if case.expected is ABSENT else json_text(case.expected)
    tags = json_text(sorted(case.tags)) if case.tags else "[]"
    cluster = NULL if case.cluster is None else stored(case.cluster)
    given = json_text(case.given) if case.given else NULL
    content = f"{case_id}\0{inputs}\0{expected}\0{tags}" + ("" if case.cluster is None else f"\0{cluster}")
    if case.given:
        content += f"\0\0{given}"
    graders = json_text(list(case.graders)) if case.graders else NULL
    if case.graders:
        content += f"\0\0\0{graders}"
    return (case_id, digest_bytes(content.encode()), inputs, expected, tags, cluster, given, graders)


def sample_row(sample_id: str, run_id: str, sample: Sample, case: Row) -> Row:
    completion, error = sample.completion, sample.error
    return (
        sample_id,
        run_id,
        case[0],
        case[1],
        sample.case_index,
        sample.trial,
        str(sample.standing),
        sample.call_id,
        nullable(sample.attempt_id),
        int(sample.cache_hit),
        nullable(dollars(sample.cost_usd)),
        nullable(dollars(sample.cached_cost_usd)),
        nullable(dollars(sample.judge_cost_usd)),
        sample.attempts,
        *(latency_row(sample.latency) if completion is not None else (NULL, NULL, NULL)),
        NULL if completion is None else str(completion.finish),
        NULL if error is None else str(error.kind),
        NULL if error is None else stored(error.message),
        NULL if completion is None else completion.digest(),
    )


def verdict_row(sample_id: str, position: int, graded: Graded) -> Row:
    verdict = graded.verdict
    return (
        sample_id,
        position,
        stored(graded.grader),
        int(graded.required),
        str(verdict.outcome),
        nullable(verdict.score),
        stored(verdict.reason),
        NULL if verdict.detail is None else json_text(verdict.detail),
    )


def decision_row(number: int, decision: Decision, instants: Instants) -> Row:
    return (
        f"{decision.run_id}:d{number}",
        decision.run_id,
        nullable(decision.call_id),
        decision.kind,
        stored(decision.reason),
        instants.text(decision.at),
        json_text(decision.detail),
    )


def run_row(record: RunRecord, instants: Instants) -> Row:
    prints = record.fingerprint
    return (
        record.id,
        stored(record.suite),
        stored(record.prompt),
        record.prompt_digest,
        stored(record.model),
        stored(record.model_sent),
        str(RunStatus.RUNNING),
        instants.text(record.started_at),
        record.planned,
        record.trials,
        text_or_null(record.owner),
        nullable(record.commit),
        NULL if record.dirty is None else int(record.dirty),
        record.evalh_version,
        record.max_ungraded,
        prints.prompt,
        prints.dataset,
        prints.graders,
        prints.model,
        prints.route,
        json_text(record.selection),
        json_text(record.settings_document),
        json_text(record.graders_document) if record.graders_document else NULL,
        str(record.kind),
    )


def version_row(record: RunRecord, instants: Instants) -> Row:
    content = json_text(record.prompt_document)
    return (stored(record.prompt), record.prompt_digest, content, instants.text(record.started_at))


def comparison_row(row: ComparisonRow, instants: Instants) -> Row:
    return (
        row.id,
        instants.text(row.at),
        *(stored(text) for text in (row.suite, row.base, row.head, row.base_model, row.head_model)),
        nullable(row.base_run),
        nullable(row.head_run),
        row.verdict,
        int(row.comparable),
        row.n,
        row.wins,
        row.losses,
        *(nullable(number) for number in (row.difference, row.low, row.high, row.p_value)),
        stored(row.content),
    )


def finish_row(status: RunStatus, reason: str | None, finished_at: str, summary: str | None, run_id: str) -> Row:
    """Build what closes a run."""
    return (str(status), text_or_null(reason), finished_at, nullable(summary), run_id)


def gate_row(row: GateRow, instants: Instants) -> Row:
    sides = (stored(row.base), stored(row.head), nullable(row.merge_base))
    return (row.id, instants.text(row.at), *sides, row.decision, row.exit, stored(row.reasons), stored(row.content))
