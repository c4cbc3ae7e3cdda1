"""What an HTTP error means, and what of it may be shown: never a key. The providers know their own bodies."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from urllib.parse import urlsplit

import orjson

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

MESSAGE_CAP = 500
_READ_CAP = 64 * 1024  # of an error's body, in bytes: an explanation, not an answer
_DURATION = re.compile(
    r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?) ?s(?:ec(?:ond)?s?)?)?(?:(\d+(?:\.\d+)?)ms)?", re.ASCII
)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,200})", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d\d-\d\dT", re.ASCII)
_BLANKS = re.compile(r"\s+")
_EPOCH_S, _EPOCH_MS, _MOMENTS = 1e9, 1e12, 100.0  # a moment is less than so many times its least

_BY_STATUS: Mapping[int, ErrorKind] = {
    401: ErrorKind.AUTH,
    402: ErrorKind.QUOTA,
    403: ErrorKind.AUTH,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.OVERLOAD,  # the providers' own clients retry it as a lock that is held
    425: ErrorKind.OVERLOAD,
    429: ErrorKind.RATE_LIMIT,
    504: ErrorKind.TIMEOUT,
    524: ErrorKind.TIMEOUT,  # Cloudflare: the origin did not answer
}


class WireError(Value):
    """What a provider's error says. `retry_after_s` is what its body asks for; headers are read by everyone alike."""

    kind: ErrorKind
    message: str
    retry_after_s: float | None = None


def kind_of_status(status: int) -> ErrorKind:
    """Classify by status alone: what holds where a body says no more."""
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if 300 <= status < 500:  # noqa: PLR2004 (HTTP's own classes)
        return ErrorKind.BAD_REQUEST
    return ErrorKind.OVERLOAD if 500 <= status < 600 else ErrorKind.BAD_RESPONSE  # noqa: PLR2004


def json_of(body: bytes) -> JsonValue:
    """Read an error's body; None where it is not JSON."""
    if len(body) > _READ_CAP:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def at(document: JsonValue, *path: str | int) -> JsonValue:
    """Return what stands at a path of a JSON value; None where nothing does."""
    for step in path:
        match document, step:
            case dict(), str():
                document = document.get(step)
            case list(), int() if -len(document) <= step < len(document):
                document = document[step]
            case _:
                return None
    return document


def text_at(document: JsonValue, *path: str | int) -> str:
    """Return the text at a path of a JSON value; empty where there is none."""
    value = at(document, *path)
    return value if isinstance(value, str) else ""


def shown(text: str) -> str:
    """Make foreign text fit for a message: one line, no control characters, at most 500 characters."""
    if len(text) <= MESSAGE_CAP and text.isalnum():
        return text  # most of what is shown are ids, on the way of every call
    line = _BLANKS.sub(" ", text[: 8 * MESSAGE_CAP])
    line = "".join(char for char in line if char.isprintable()).strip()
    return line if len(line) <= MESSAGE_CAP else f"{line[: MESSAGE_CAP - 1]}…"


def describe(body: bytes) -> str:
    """Say what an error's body is where it is not the provider's JSON: the page's title, or its first words."""
    text = body[:4096].decode("utf-8", "replace").strip()
    if not text:
        return "an empty body"
    if text.startswith("<"):
        title = _TITLE.search(text)
        return f"an HTML page, {shown(title[1])!r}" if title else "an HTML page"
    return shown(text[:200])


def redirected(location: str | None, key: str = "base_url") -> str:
    """Say where a redirect points, by scheme and host only: a path or query may hold what is secret."""
    try:
        parts = urlsplit(location or "")
        target = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        place = target if parts.hostname else "another path of the same host"
    except ValueError:
        place = "something that is not a URL"
    return (
        f"the server redirects to {shown(place)}, and evalh does not send the key there: set {key} to the new address"
    )


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return how long the server asks to wait, in seconds from `now` (seconds since the epoch); None: it does not say.

    Read in this order: `retry-after-ms`, `retry-after` (seconds, `2s`, `2 seconds`, seconds since the epoch, or an HTTP
    date by the server's own clock; of several the first), `x-ratelimit-reset-*`.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000.0
    after = headers.get("retry-after")
    if after is not None:
        seconds = _reset(after, now)
        if seconds is None:
            when = _date(after)
            seconds = None if when is None else max(0.0, when - (_date(headers.get("date")) or now))
        return _reset(after.partition(",")[0], now) if seconds is None else seconds
    return _rate_limit_reset(headers, now)


def _rate_limit_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Wait for what is used up; where nothing says so, for whatever resets last."""
    waits: list[float] = []
    spent: list[float] = []
    for what in ("-requests", "-tokens", ""):
        wait = _reset(headers.get(f"x-ratelimit-reset{what}"), now)
        if wait is None:
            continue
        waits.append(wait)
        if headers.get(f"x-ratelimit-remaining{what}", "").strip() == "0":
            spent.append(wait)
    return max(spent or waits, default=None)


def _reset(text: str | None, now: float) -> float | None:
    """Read `1m3.5s`, `20ms`, seconds, or seconds or milliseconds since the epoch."""
    if not text:
        return None
    number = _number(text)
    if number is not None:
        if _EPOCH_MS <= number < _EPOCH_MS * _MOMENTS:
            number /= 1000.0
        return max(0.0, number - now) if _EPOCH_S <= number < _EPOCH_S * _MOMENTS else number
    return duration_s(text)


def retry_info_s(error: JsonValue) -> float | None:
    """Return the wait that Google's `RetryInfo` names, on whichever of its wires; None where there is none."""
    details = at(error, "details")
    for detail in details if isinstance(details, list) else ():
        if text_at(detail, "@type").endswith("google.rpc.RetryInfo"):
            return duration_s(text_at(detail, "retryDelay"))
    return None


def duration_s(text: str) -> float | None:
    """Read a duration such as `1h2m3.5s`, `20ms` or `34.07s`; None where it is none."""
    match = _DURATION.fullmatch(text.strip()) if 0 < len(text.strip()) <= 40 else None  # noqa: PLR2004 (longer is not a duration)
    if match is None:
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds + milliseconds / 1000.0


def _date(text: str | None) -> float | None:
    """Read an HTTP date, in seconds since the epoch; None where it is none."""
    try:
        text = text or ""
        when = datetime.fromisoformat(text) if _ISO.match(text) else parsedate_to_datetime(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text if text and text.isascii() and "_" not in text else "")
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0.0 else None


MASK = "[key]"
_ESCAPED = re.compile(rb"\\u00([2-7][0-9a-fA-F])")  # the characters that a header may hold
_TOO_SHORT = 6
"""A shorter secret would be found in ordinary words, and masking it would say more than it hides."""


class Redactor:
    """Takes a set of secrets out of whatever came from outside."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(
            sorted({secret for secret in secrets if len(secret) >= _TOO_SHORT}, key=len, reverse=True)
        )
        spellings: dict[str, None] = {}
        for secret in self._secrets:
            quoted = json.dumps(secret)[1:-1]
            spellings |= dict.fromkeys((secret, quoted, quoted.replace("/", "\\/")))  # some servers escape the slash
        self._encoded = tuple((spelling.encode(), MASK.encode()) for spelling in spellings)

    def body(self, body: bytes) -> bytes:
        """Return the bytes without any secret, as it stands or as JSON writes it."""
        for secret, mask in self._encoded:
            if secret in body:
                body = body.replace(secret, mask)
        return body

    def hides(self, body: bytes) -> bool:
        """Whether the body spells a secret in JSON's escapes, from which `body` cannot remove it."""
        if b"\\u00" not in body:
            return False
        plain = _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), body)
        return any(secret in plain for secret, _ in self._encoded)

    def text(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def begun(self, text: str) -> int:
        """Return how many characters at the end of a text may be the beginning of a secret."""
        most = max((len(secret) for secret in self._secrets), default=1) - 1
        for size in range(min(most, len(text)), 0, -1):
            if any(secret.startswith(text[-size:]) for secret in self._secrets):
                return size
        return 0

    def holds(self, text: str) -> bool:
        return any(secret in text for secret in self._secrets)

    def error(self, error: CallError) -> CallError:
        error.message = self.text(error.message)
        error.request_id = error.request_id and self.text(error.request_id)
        error.args = (f"{error.kind.value}: {error.message}",)
        return error
