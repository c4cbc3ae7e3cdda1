"""A service's pages: asked one after the other, again where it is busy, and never without end. Keys are never shown."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

import orjson

from evalh.core.attempt import CallError
from evalh.core.errors import CannotMeasure, UsageError
from evalh.core.ports import Clock
from evalh.core.strict_json import JsonValue
from evalh.providers.http.egress import is_loopback
from evalh.providers.http.errors import Redactor, describe, redirected, retry_after_s
from evalh.providers.http.httpx_transport import HttpxTransport
from evalh.providers.http.transport import OK, Response

Row: TypeAlias = dict[str, Any]
Params: TypeAlias = Sequence[tuple[str, str]]

ATTEMPTS = 5
LONGEST_WAIT_S = 90.0
"""A service that asks for more than this is not waited for."""

MOST_PAGES = 5_000
_TIMEOUT_S = 60.0
_MOST_BYTES = 64 << 20  # of one page
_NOT_FOUND = (404, 405)
_BUSY = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where a service is, and what it is shown."""

    name: str
    base: str
    address_variable: str
    key_hint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def checked(address: str, variable: str, *, with_key: bool) -> str:
    """Return a base address without its last slash. Raises UsageError for what a key may not go to."""
    try:
        parts = urlsplit(address.strip())
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not address.strip().isprintable():
        raise UsageError(f"{variable} is not an http or https address", hint=f"such as {variable}=https://host")
    if parts.username is not None or parts.query:
        raise UsageError(f"{variable} holds more than an address", hint="keys have variables of their own")
    if with_key and parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UsageError(f"the key would be sent to {parts.hostname} unencrypted", hint=f"{variable}=https://…")
    return parts.geturl().rstrip("/")


class Pages:
    """Asks one service."""

    def __init__(self, service: Service, transport: HttpxTransport, clock: Clock) -> None:
        self.service = service
        self._transport, self._clock = transport, clock
        self._redactor = Redactor(service.secrets)

    async def get(self, path: str, params: Params = ()) -> Row | None:
        """Return the object at a path; None: there is nothing (404). Raises CannotMeasure."""
        url = f"{self.service.base}{path}" + (f"?{urlencode(params)}" if params else "")
        attempt = 1
        while True:
            failure: Response | CallError
            try:
                failure = await self._transport.get(url, self.service.headers, timeout_s=_TIMEOUT_S, cap=_MOST_BYTES)
            except CallError as error:
                failure = error
            if isinstance(failure, Response) and failure.status == OK:
                return self._object(failure.body, path)
            if isinstance(failure, Response) and failure.status in _NOT_FOUND:
                return None
            wait_s = self._wait_s(failure, attempt)
            if wait_s is None:
                raise self._refusal(failure, attempt, path)
            await self._clock.sleep(wait_s)
            attempt += 1

    async def by_cursor(self, path: str, params: Params, place: Sequence[str]) -> AsyncIterator[list[Row] | None]:
        """Yield the rows of each page; None where there is no such path.

        `place`: where a page names the next one's cursor. Raises CannotMeasure.
        """
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            page = await self.get(path, [*params, *([("cursor", cursor)] if cursor else [])])
            if page is None:
                yield None
                return
            yield self._rows(page, path)
            found: JsonValue = page
            for key in place:
                found = found.get(key) if isinstance(found, dict) else None
            if not isinstance(found, str) or not found:
                return
            if found in seen:
                raise self.trouble(f"{path} names the same next page twice", "try again, or import an export")
            seen.add(found)
            cursor = found
        raise self._endless(path)

    async def by_number(self, path: str, params: Params) -> AsyncIterator[list[Row] | None]:
        """Yield the rows of each page; None where there is no such path. Raises CannotMeasure."""
        for number in range(1, MOST_PAGES + 1):
            page = await self.get(path, [*params, ("page", str(number))])
            if page is None:
                yield None
                return
            rows = self._rows(page, path)
            yield rows
            meta = page.get("meta")
            last = meta.get("totalPages") if isinstance(meta, dict) else None
            if not rows or (isinstance(last, int) and number >= last):
                return
        raise self._endless(path)

    def trouble(self, what: str, hint: str) -> CannotMeasure:
        """Return an error about this service, without its keys."""
        return CannotMeasure(self._redactor.text(what), where=self.service.base, hint=hint)

    def _endless(self, path: str) -> CannotMeasure:
        hint = "ask for less: a later --since; what came so far is kept"
        return self.trouble(f"{path} has more than {MOST_PAGES:,} pages", hint)

    def _object(self, body: bytes, path: str) -> Row:
        said = f"is not JSON but {describe(self._redactor.body(body))}"
        try:
            page = orjson.loads(body)
        except orjson.JSONDecodeError as exc:
            page = None
            if body.lstrip().startswith(b"{"):
                said = f"is not JSON that can be read: {exc}"
        if isinstance(page, dict):
            return page
        hint = f"is {self.service.address_variable} the address of {self.service.name}?"
        raise self.trouble(f"{path} {said}", hint)

    def _rows(self, page: Row, path: str) -> list[Row]:
        rows = page.get("data")
        if not isinstance(rows, list):
            hint = f"is {self.service.address_variable} the address of {self.service.name}?"
            raise self.trouble(f"{path} has no list 'data'", hint)
        return [row if isinstance(row, dict) else {} for row in rows]

    def _wait_s(self, failure: Response | CallError, attempt: int) -> float | None:
        """Return how long to wait before asking again; None: it is not asked again."""
        if attempt == ATTEMPTS:
            return None
        if isinstance(failure, CallError):
            return float(attempt) if failure.reached else None
        if failure.status not in _BUSY:
            return None
        asked_s = retry_after_s(failure.headers, self._clock.now())
        if asked_s is None:
            return float(2 ** (attempt - 1))
        return asked_s if asked_s <= LONGEST_WAIT_S else None

    def _refusal(self, failure: Response | CallError, attempt: int, path: str) -> CannotMeasure:
        service = self.service
        if isinstance(failure, CallError):
            return self.trouble(f"{service.name} cannot be asked: {failure.message}", f"{service.address_variable}=…")
        tries = f" {attempt} times" if attempt > 1 else ""
        said = describe(self._redactor.body(failure.body))
        match failure.status:
            case 401 | 403:
                hint = service.key_hint
            case 429:
                hint = "it gets too many requests: run the same command again later; what came so far is kept"
            case status if status in _REDIRECTS:
                hint = redirected(failure.headers.get("location"), service.address_variable)
            case _:
                hint = "run the same command again when it works again"
        return self.trouble(f"{service.name} answered HTTP {failure.status}{tries} at {path}: {said}", hint)


def chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield the items in pieces."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
