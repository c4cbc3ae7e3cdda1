"""Langfuse: its observations, traces and scores, as its API has them and as its exports do.

Three forms of observation mean the same: the API of version 4 (`/v2/observations`), the one before it, and exported
rows, whose keys have underscores.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from typing import Any

from evalh.core.errors import UsageError
from evalh.core.strict_json import JsonValue
from evalh.interop.recorded_calls.pairs import instant
from evalh.interop.services.judgements import PEOPLE, Judgement, comment_of, label_of
from evalh.interop.services.pages import Pages, Params, Row, Service, checked
from evalh.interop.services.readings import OfTrace, fitting, plain_id, without_none
from evalh.interop.spans import langfuse as words
from evalh.interop.spans.received import ReceivedSpan, short
from evalh.interop.spans.told import number

_CLOUD = "https://cloud.langfuse.com"
_FIELDS = "core,basic,time,model,usage,prompt,metrics,trace_context"
_OBSERVATIONS, _CURSOR = "/api/public/v2/observations", ("meta", "cursor")
_PAGE, _PAGE_WITH_CONTENT, _PAGE_OF_SCORES, _PAGE_OF_OLD = "500", "50", "100", "50"
_WHOLE = "0"  # the id of the span that stands for a trace
_KEYS = "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"
_SOURCES = {"ANNOTATION": PEOPLE, "EVAL": "langfuse", "API": "api"}


def service(env: Mapping[str, str]) -> Service:
    """Return where Langfuse is, from its own variables. Raises UsageError."""
    public, secret = env.get("LANGFUSE_PUBLIC_KEY", "").strip(), env.get("LANGFUSE_SECRET_KEY", "").strip()
    if not public or not secret:
        missing = "LANGFUSE_SECRET_KEY" if public else "LANGFUSE_PUBLIC_KEY"
        hint = f"set {_KEYS} from the project's settings; and LANGFUSE_HOST, if it is not {_CLOUD}"
        raise UsageError(f"{missing} is not in the environment", hint=hint)
    variable = "LANGFUSE_BASE_URL" if env.get("LANGFUSE_BASE_URL") else "LANGFUSE_HOST"
    shown = b64encode(f"{public}:{secret}".encode()).decode("ascii")
    return Service(
        name="Langfuse",
        base=checked(env.get(variable) or _CLOUD, variable, with_key=True),
        address_variable=variable,
        key_hint=f"are {_KEYS} keys of this project, and is {variable} the address of its region?",
        headers={"Authorization": f"Basic {shown}"},
        secrets=(secret, public, shown),
    )


# -- what is asked


class Langfuse:
    """Langfuse over its API: of version 4, or where there is none, of the versions before."""

    def __init__(self, pages: Pages, since: str, until: str, *, content: bool) -> None:
        self._pages, self._since, self._until, self._content = pages, since, until, content
        self._size = _PAGE_WITH_CONTENT if content else _PAGE
        self._fields = f"{_FIELDS},io" if content else _FIELDS

    async def rows(self) -> AsyncIterator[list[Row]]:
        """Yield the observations that began in the time, and their traces where Langfuse has such.

        Raises CannotMeasure.
        """
        window = [("fromStartTime", self._since), ("toStartTime", self._until), ("limit", self._size)]
        found = True
        async for page in self._pages.by_cursor(_OBSERVATIONS, [*window, ("fields", self._fields)], _CURSOR):
            found = page is not None
            yield page or []
        if found:
            return
        traces = [("fromTimestamp", self._since), ("toTimestamp", self._until), ("limit", _PAGE_OF_OLD)]
        shown = "core,io,metrics" if self._content else "core,metrics"
        for path, params in (
            ("traces", [*traces, ("fields", shown)]),
            ("observations", [*window[:2], ("limit", _PAGE_OF_OLD)]),
        ):
            async for page in self._pages.by_number(f"/api/public/{path}", params):
                if page is None:
                    hint = f"is {self._pages.service.address_variable} the address of Langfuse?"
                    raise self._pages.trouble(f"there is no /api/public/{path} (HTTP 404)", hint)
                yield page

    async def whole(self, trace: str) -> list[Row]:
        """Return what there is of one trace."""
        params: Params = [("traceId", trace), ("fields", self._fields), ("limit", self._size)]
        found: list[Row] = []
        async for page in self._pages.by_cursor(_OBSERVATIONS, params, _CURSOR):
            if page is None:
                whole = await self._pages.get(f"/api/public/traces/{trace}")
                return [] if whole is None else [whole]
            found += page
        return found

    async def judgements(self) -> AsyncIterator[list[Row]]:
        """Yield the scores that were given in the time."""
        window = [("fromTimestamp", self._since), ("toTimestamp", self._until), ("limit", _PAGE_OF_SCORES)]
        newer = [*window, ("fields", "details,subject,annotation")]
        found = True
        async for page in self._pages.by_cursor("/api/public/v3/scores", newer, _CURSOR):
            found = page is not None
            yield page or []
        if not found:
            async for page in self._pages.by_number("/api/public/v2/scores", window):
                yield page or []


# -- what is answered


def read(row: Row) -> OfTrace:
    """Read a row: an observation, a trace, also one with all that belongs to it, or a score."""
    row = {_camel(key): value for key, value in row.items()}
    if "dataType" in row or ("value" in row and "source" in row):
        return _score(row)
    if "startTime" in row:
        span = _observation(row)
        return OfTrace(unreadable=1) if span is None else OfTrace(spans=(fitting(span),))
    return _trace(row)


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(one[:1].upper() + one[1:] for one in rest) if first else key


def _observation(row: Row) -> ReceivedSpan | None:
    trace, span = plain_id(row.get("traceId")), plain_id(row.get("id"))
    if trace is None or span is None:
        return None
    kind, began = short(row.get("type"), "SPAN"), instant(row.get("startTime"))
    ended = began if kind == "EVENT" else instant(row.get("endTime"))
    parent = plain_id(row.get("parentObservationId"))
    root = row.get("isRootObservation") is True
    return ReceivedSpan(
        trace=trace,
        span=span,
        parent=None if root or parent == span else parent,
        name=short(row.get("name"), kind.lower()),
        started_at=began,
        ended_at=ended,
        failed=row.get("level") == "ERROR",
        message=short(row.get("statusMessage")) or None,
        attributes=without_none(_attributes(row, kind)),
    )


def _attributes(row: Row, kind: str) -> dict[str, JsonValue]:
    total = next((one for key in ("totalCost", "calculatedTotalCost") if (one := number(row.get(key)))), None)
    tags = row.get("tags")
    return {
        words.TYPE: kind,
        words.INPUT: row.get("input"),
        words.OUTPUT: row.get("output"),
        words.MODEL: row.get("providedModelName") or row.get("model"),
        words.PARAMETERS: row.get("modelParameters"),
        words.USAGE: row.get("usageDetails") or _usage(row.get("usage")),
        words.COST: row.get("costDetails") or (None if total is None else {"all": total, "total": total}),
        words.PROMPT: row.get("promptName"),
        words.PROMPT_VERSION: row.get("promptVersion"),
        words.FIRST_TOKEN: number(row.get("timeToFirstToken")),
        words.TRACE_NAME: row.get("traceName"),
        "session.id": row.get("sessionId"),
        "user.id": row.get("userId"),
        "tag.tags": tags if isinstance(tags, list) and tags else None,
    }


def _usage(usage: Any) -> JsonValue:
    """Return the counts of the older form, if they are tokens."""
    if not isinstance(usage, Mapping) or usage.get("unit") not in (None, "TOKENS"):
        return None
    return {key: usage[key] for key in ("input", "output") if usage.get(key)} or None


def _trace(row: Row) -> OfTrace:
    trace, began = plain_id(row.get("id")), instant(row.get("timestamp"))
    if trace is None or began is None:
        return OfTrace(unreadable=1)
    inner = [one for one in _dicts(row.get("observations")) if one]
    parts = [read({"traceId": row["id"], **one}) for one in inner]
    given = [read({"traceId": row["id"], **one}) for one in _dicts(row.get("scores"))]
    lasted = number(row.get("latency"))
    span = ReceivedSpan(
        trace=trace,
        span=_WHOLE,
        name=short(row.get("name"), "trace"),
        started_at=began,
        ended_at=began + lasted if lasted is not None and lasted >= 0 else None,
        attributes=without_none({**_attributes(row, words.TRACE), words.TRACE_NAME: row.get("name"), words.COST: None}),
        whole=True,
    )
    return OfTrace(
        spans=(fitting(span), *(one for part in parts for one in part.spans)),
        judgements=tuple(one for part in given for one in part.judgements),
        unreadable=sum(part.unreadable for part in (*parts, *given)),
    )


def _dicts(value: Any) -> list[Row]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _score(row: Row) -> OfTrace:
    subject = row.get("subject")
    subject = subject if isinstance(subject, dict) else {}
    kind = subject.get("kind")
    native = row.get("traceId") or (subject.get("id") if kind == "trace" else subject.get("traceId"))
    trace, name = plain_id(native), short(row.get("id"))
    if trace is None and (kind in {"session", "experiment"} or row.get("sessionId") or row.get("datasetRunId")):
        return OfTrace(left_out="scores of sessions or experiments")
    if trace is None or not name:
        return OfTrace(unreadable=1)
    if row.get("dataType") == "CORRECTION":
        return OfTrace(left_out="corrections")
    value, text = row.get("value"), row.get("stringValue")
    span = row.get("observationId") or (subject.get("id") if kind == "observation" else None)
    if isinstance(value, str):
        value, text = None, value
    free = row.get("dataType") == "TEXT"
    return OfTrace(
        judgements=(
            Judgement(
                id=name,
                trace=trace,
                span=plain_id(span),
                name=short(row.get("name"), "score"),
                value=float(value) if isinstance(value, bool) else _finite(value),
                label=None if free or isinstance(value, bool) or row.get("dataType") == "BOOLEAN" else label_of(text),
                comment=comment_of(text) if free else comment_of(row.get("comment")),
                source=_SOURCES.get(str(row.get("source")).upper(), "langfuse"),
                at=instant(row.get("timestamp")),
                user=short(row.get("authorUserId")) or None,
            ),
        )
    )


def _finite(value: Any) -> float | None:
    found = number(value)
    return None if found is None else float(found)
