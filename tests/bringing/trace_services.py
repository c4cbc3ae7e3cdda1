"""Langfuse and Phoenix as their public APIs are: keys, pages, filters by time, errors. Not tests themselves."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from loopback import Handler, http_server

PUBLIC, SECRET = "pk-lf-0123456789", "sk-lf-9876543210"
PHOENIX_KEY = "phx-0123456789abcdef"
HTML = b"<!doctype html><html><head><title>Sign in</title></head></html>"

Row = dict[str, Any]
Query = Mapping[str, list[str]]


class Server:
    """What a service holds, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Query]] = []
        self.failing: list[tuple[int, Any, dict[str, str]]] = []  # answers that come before the true ones

    def answer(self, path: str, query: Query, headers: Mapping[str, str]) -> tuple[int, Any, dict[str, str]]:
        """Answer a request: status, document or bytes, headers."""
        self.asked.append((path, query))
        if self.failing:
            return self.failing.pop(0)
        if not self.knows(headers):
            return 401, {"error": "UnauthorizedError", "message": "Invalid credentials."}, {}
        found = self.page(path, query)
        return (404, {"message": "Not found"}, {}) if found is None else (200, found, {})

    def knows(self, headers: Mapping[str, str]) -> bool:
        raise NotImplementedError

    def page(self, path: str, query: Query) -> Row | None:
        raise NotImplementedError


class LangfuseServer(Server):
    """Version 4 has observations and scores behind cursors; `old` has traces and numbered pages."""

    def __init__(self, *, old: bool = False) -> None:
        super().__init__()
        self.old = old
        self.traces: list[Row] = []
        self.observations: list[Row] = []
        self.scores: list[Row] = []
        self.most = 2  # rows of a page, whatever is asked for

    def knows(self, headers: Mapping[str, str]) -> bool:
        shown = base64.b64encode(f"{PUBLIC}:{SECRET}".encode()).decode()
        return headers.get("Authorization") == f"Basic {shown}"

    def page(self, path: str, query: Query) -> Row | None:
        scores = _within(self.scores, query, ("fromTimestamp", "toTimestamp"), "timestamp")
        observations = _within(self.observations, query, ("fromStartTime", "toStartTime"), "startTime")
        found: Row | None = None
        match self.old, path.removeprefix("/api/public/"):
            case False, "v2/observations":
                found = self._by_cursor(self._selected(observations, query), query)
            case False, "v3/scores":
                found = self._by_cursor(scores, query)
            case True, "traces":
                traces = _within(self.traces, query, ("fromTimestamp", "toTimestamp"), "timestamp")
                found = self._by_number(traces, query)
            case True, "observations":
                found = self._by_number(observations, query)
            case True, "v2/scores":
                found = self._by_number(scores, query)
            case True, name if name.startswith("traces/"):
                trace = next((row for row in self.traces if row["id"] == name.removeprefix("traces/")), None)
                inner = [row for row in self.observations if trace and row["traceId"] == trace["id"]]
                found = None if trace is None else {**trace, "observations": inner, "scores": []}
        return found

    def _selected(self, found: list[Row], query: Query) -> list[Row]:
        found = [row for row in found if query.get("traceId", [row["traceId"]]) == [row["traceId"]]]
        found.sort(key=lambda row: row["startTime"], reverse=True)
        left_out = set() if "io" in query["fields"][0].split(",") else {"input", "output"}
        return [{key: one for key, one in row.items() if key not in left_out} for row in found]

    def _by_cursor(self, found: list[Row], query: Query) -> Row:
        start = int(query.get("cursor", ["0"])[0])
        size = min(self.most, int(query["limit"][0]))
        more = {"cursor": str(start + size)} if start + size < len(found) else {}
        return {"data": found[start : start + size], "meta": more}

    def _by_number(self, found: list[Row], query: Query) -> Row:
        number, size = int(query["page"][0]), min(self.most, int(query["limit"][0]))
        data = found[(number - 1) * size : number * size]
        pages = -(-len(found) // size)
        return {"data": data, "meta": {"page": number, "limit": size, "totalItems": len(found), "totalPages": pages}}


class PhoenixServer(Server):
    """A project `default` with spans, and annotations by their ids."""

    def __init__(self, *, key: str | None = PHOENIX_KEY) -> None:
        super().__init__()
        self.key = key
        self.spans: list[Row] = []
        self.annotations: list[Row] = []
        self.most = 2

    def knows(self, headers: Mapping[str, str]) -> bool:
        return self.key is None or headers.get("Authorization") == f"Bearer {self.key}"

    def page(self, path: str, query: Query) -> Row | None:
        match [unquote(part) for part in path.split("/")[1:]]:
            case ["v1", "projects", "default", "spans"]:
                found = _within(self.spans, query, ("start_time", "end_time"), "start_time")
                wanted = query.get("trace_id")
                found = [row for row in found if wanted is None or row["context"]["trace_id"] in wanted]
                return self._by_cursor(found[::-1], query)
            case ["v1", "projects", "default", "span_annotations"]:
                ids = query["span_ids"]
                return self._by_cursor([row for row in self.annotations if row.get("span_id") in ids], query)
            case ["v1", "projects", "default", "trace_annotations"]:
                ids = query["trace_ids"]
                return self._by_cursor([row for row in self.annotations if row.get("trace_id") in ids], query)
        return None

    def _by_cursor(self, found: list[Row], query: Query) -> Row:
        start = int(query.get("cursor", ["U3Bhbjow"])[0].removeprefix("U3Bhbjow") or 0)
        size = min(self.most, int(query["limit"][0]))
        more = f"U3Bhbjow{start + size}" if start + size < len(found) else None
        return {"data": found[start : start + size], "next_cursor": more}


def _within(rows: list[Row], query: Query, names: tuple[str, str], key: str) -> list[Row]:
    begin, end = (_time(query[name][0]) if name in query else None for name in names)
    return [
        row for row in rows if (begin is None or _time(row[key]) >= begin) and (end is None or _time(row[key]) < end)
    ]


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@contextmanager
def service(server: Server) -> Iterator[str]:
    """Serve; yields the address."""

    class Answering(Handler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            headers = dict(self.headers.items())
            status, content, more = server.answer(parts.path, parse_qs(parts.query), headers)
            self.reply(status, content, more)

    with http_server(Answering) as port:
        yield f"http://127.0.0.1:{port}"
