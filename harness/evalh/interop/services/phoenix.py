"""Phoenix: its spans, which are OpenInference's, and their annotations; over its API, and from files."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from evalh.core.errors import UsageError
from evalh.core.strict_json import JsonValue
from evalh.interop.recorded_calls.pairs import instant
from evalh.interop.services.judgements import PEOPLE, Judgement, comment_of, label_of
from evalh.interop.services.pages import Pages, Row, Service, checked, chunks
from evalh.interop.services.readings import OfTrace, fitting
from evalh.interop.spans import openinference
from evalh.interop.spans.received import SPAN_DIGITS, TRACE_DIGITS, ReceivedEvent, ReceivedSpan, hex_id, short
from evalh.interop.spans.told import number

_HOME = "http://localhost:6006"
_ADDRESSES = ("PHOENIX_ENDPOINT", "PHOENIX_COLLECTOR_ENDPOINT", "PHOENIX_HOST")
_OTLP = "/v1/traces"
_PAGE, _MOST_IDS, _CURSOR = "500", 100, ("next_cursor",)
_PREFIX, _CONTEXT = "attributes.", "context."
_MOST_EVENTS = 1_000
_NOT_IN_A_PATH = frozenset("/?#")


def service(env: Mapping[str, str]) -> Service:
    """Return where Phoenix is, from its own variables. Raises UsageError."""
    key = env.get("PHOENIX_API_KEY", "").strip()
    variable = next((name for name in _ADDRESSES if env.get(name, "").strip()), "PHOENIX_COLLECTOR_ENDPOINT")
    address = env.get(variable, "").strip() or _HOME
    if variable == "PHOENIX_HOST" and "://" not in address:
        address = f"http://{address}:{env.get('PHOENIX_PORT') or 6006}"
    headers, secrets = _client_headers(env.get("PHOENIX_CLIENT_HEADERS", "")), [key]
    secrets += headers.values()
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return Service(
        name="Phoenix",
        base=checked(address, variable, with_key=bool(headers)).removesuffix(_OTLP).rstrip("/"),
        address_variable=variable,
        key_hint="export PHOENIX_API_KEY=…, a key from Phoenix's settings",
        headers=headers,
        secrets=tuple(one for one in secrets if one),
    )


def _client_headers(text: str) -> dict[str, str]:
    """Read `name=value,name=value`. Raises UsageError that never quotes a value."""
    found: dict[str, str] = {}
    for entry in text.split(","):
        name, equals, value = entry.partition("=")
        if not entry.strip():
            continue
        value = unquote(value.strip())
        if not equals or not name.strip().replace("-", "").replace("_", "").isalnum() or not value.isprintable():
            raise UsageError("PHOENIX_CLIENT_HEADERS is not name=value,name=value")
        found[name.strip()] = value
    return found


class PhoenixRows:
    """Reads rows. An annotation names its span alone: the spans before it say of which trace."""

    def __init__(self) -> None:
        self.traces: dict[str, str] = {}  # by span

    def read(self, row: Row) -> OfTrace:
        """Read a row: a span, also with its annotations, a trace with its spans, or an annotation."""
        if "annotator_kind" in row and "trace_id" not in row:
            span = row.get("span_id")
            return read({**row, "trace_id": self.traces.get(span) if isinstance(span, str) else None})
        found = read(row)
        self.traces.update((span.span, span.trace) for span in found.spans)
        return found


# -- what is asked


class Phoenix:
    """A project of Phoenix over its API."""

    def __init__(self, pages: Pages, project: str, since: str, until: str, known: PhoenixRows) -> None:
        """Take what was read: annotations are asked for by the ids of spans and traces. Raises UsageError."""
        if not project or _NOT_IN_A_PATH & set(project):
            raise UsageError(f"--project {project!r}: a name has no /, ? or #")
        self._pages, self._project, self._known = pages, project, known
        self._path = f"/v1/projects/{quote(project, safe='')}"
        self._window = [("start_time", since), ("end_time", until), ("limit", _PAGE)]

    async def rows(self) -> AsyncIterator[list[Row]]:
        """Yield the spans that began in the time, the newest first. Raises CannotMeasure."""
        async for page in self._pages.by_cursor(f"{self._path}/spans", self._window, _CURSOR):
            if page is None:
                variable = self._pages.service.address_variable
                hint = f"--project NAME, as Phoenix lists it; is {variable} the address of Phoenix?"
                what = f"there is no project {self._project!r}, or no {self._path} at all (HTTP 404)"
                raise self._pages.trouble(what, hint)
            yield page

    async def whole(self, trace: str) -> list[Row]:
        """Return the spans of one trace; none from a version of Phoenix that cannot ask for one."""
        found: list[Row] = []
        params = [("trace_id", trace), ("limit", _PAGE)]
        async for page in self._pages.by_cursor(f"{self._path}/spans", params, _CURSOR):
            if any(_ids(row)[0] != trace for row in page or ()):
                return []
            found += page or []
        return found

    async def judgements(self) -> AsyncIterator[list[Row]]:
        """Yield the annotations of spans and traces. Older versions have none of traces."""
        spans, traces = sorted(self._known.traces), sorted(set(self._known.traces.values()))
        for kind, ids in (("span", spans), ("trace", traces)):
            for some in chunks(ids, _MOST_IDS):
                params = [*((f"{kind}_ids", one) for one in some), ("limit", "1000")]
                async for page in self._pages.by_cursor(f"{self._path}/{kind}_annotations", params, _CURSOR):
                    yield page or []


# -- what is answered


def read(row: Row) -> OfTrace:
    """Read a row: a span, also with its annotations, a trace with its spans, or an annotation."""
    if "annotator_kind" in row:
        return _annotation(row)
    if isinstance(row.get("spans"), list):
        parts = [read(one) if isinstance(one, dict) else OfTrace(unreadable=1) for one in row["spans"]]
        return _together(parts, [{"trace_id": row.get("traceId"), **one} for one in _dicts(row.get("annotations"))])
    trace, name = _ids(row)
    if trace is None or name is None:
        return OfTrace(unreadable=1)
    span = OfTrace(spans=(fitting(_span(row, trace, name)),))
    return _together([span], [{"trace_id": trace, **one} for one in _dicts(row.get("annotations"))])


def _together(parts: Sequence[OfTrace], annotations: Sequence[Row]) -> OfTrace:
    every = [*parts, *map(_annotation, annotations)]
    return OfTrace(
        spans=tuple(span for part in every for span in part.spans),
        judgements=tuple(one for part in every for one in part.judgements),
        unreadable=sum(part.unreadable for part in every),
    )


def _ids(row: Row) -> tuple[str | None, str | None]:
    context = row.get("context")
    context = context if isinstance(context, dict) else {}
    trace = context.get("trace_id", row.get(f"{_CONTEXT}trace_id"))
    span = context.get("span_id", row.get(f"{_CONTEXT}span_id"))
    return hex_id(trace, TRACE_DIGITS), hex_id(span, SPAN_DIGITS)


def _span(row: Row, trace: str, span: str) -> ReceivedSpan:
    parent = hex_id(row.get("parent_id"), SPAN_DIGITS)
    return ReceivedSpan(
        trace=trace,
        span=span,
        parent=None if parent == span else parent,
        name=short(row.get("name"), "span"),
        started_at=instant(row.get("start_time")),
        ended_at=instant(row.get("end_time")),
        failed=row.get("status_code") == "ERROR",
        message=short(row.get("status_message")) or None,
        attributes=_attributes(row),
        events=tuple(_event(one) for one in _dicts(row.get("events"))[:_MOST_EVENTS]),
    )


def _attributes(row: Row) -> dict[str, JsonValue]:
    """Return the attributes under flat keys; an export of a table has each in a column of its own."""
    stated = row.get("attributes")
    flat = _flat(stated) if isinstance(stated, dict) else {}
    columns = {
        key[len(_PREFIX) :]: value for key, value in row.items() if key.startswith(_PREFIX) and value is not None
    }
    kind = row.get("span_kind")
    named = {openinference.KIND: kind} if isinstance(kind, str) and kind.upper() != "UNKNOWN" else {}
    return {**flat, **_flat(columns), **named}


def _flat(attributes: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return nested attributes under keys with dots, as they were sent; lists of plain values stay lists."""
    flat: dict[str, JsonValue] = {}
    waiting: list[tuple[str, Any]] = list(attributes.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{key}.{name}", one) for name, one in value.items()]
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            waiting += [(f"{key}.{place}", one) for place, one in enumerate(value)]
        elif value is not None:
            flat[key] = value
    return flat


def _event(row: Row) -> ReceivedEvent:
    attributes = row.get("attributes")
    return ReceivedEvent(
        name=short(row.get("name"), "event"),
        at=instant(row.get("timestamp")),
        attributes=_flat(attributes) if isinstance(attributes, dict) else {},
    )


def _dicts(value: Any) -> list[Row]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _annotation(row: Row) -> OfTrace:
    trace, name = hex_id(row.get("trace_id"), TRACE_DIGITS), short(row.get("id"))
    if trace is None or not name:
        return OfTrace(left_out="annotations of spans that are not here")
    result = row.get("result")
    result = result if isinstance(result, dict) else {}
    value, kind = number(result.get("score")), short(row.get("annotator_kind"), "code")
    span = hex_id(row.get("span_id"), SPAN_DIGITS)
    return OfTrace(
        judgements=(
            Judgement(
                id=f"{'trace' if span is None else 'span'} {name}",
                trace=trace,
                span=span,
                name=short(row.get("name"), "annotation"),
                value=None if value is None else float(value),
                label=label_of(result.get("label")),
                comment=comment_of(result.get("explanation")),
                source=PEOPLE if kind == "HUMAN" else kind.lower(),
                at=instant(row.get("updated_at")) or instant(row.get("created_at")),
                user=short(row.get("user_id")) or None,
            ),
        )
    )
