"""How a call failed: from an error's class, which each instrumentor names in its own way, to the log's kinds.

A class that is not known stays unknown: a span's status says that something failed, not what.
"""

from evalh.core.attempt import ErrorKind
from evalh.core.strict_json import JsonValue
from evalh.interop.otel_values import ERROR_TYPE, HTTP_STATUS
from evalh.interop.spans.received import ReceivedSpan, short

_STATUSES = range(100, 600)
_BY_STATUS = {
    400: ErrorKind.BAD_REQUEST,
    401: ErrorKind.AUTH,
    403: ErrorKind.AUTH,
    404: ErrorKind.BAD_REQUEST,
    408: ErrorKind.TIMEOUT,
    422: ErrorKind.BAD_REQUEST,
    429: ErrorKind.RATE_LIMIT,
}
_FIRST_SERVER_ERROR = 500
_BY_WORD = (
    ("ratelimit", ErrorKind.RATE_LIMIT),
    ("rate_limit", ErrorKind.RATE_LIMIT),
    ("insufficient_quota", ErrorKind.QUOTA),
    ("timeout", ErrorKind.TIMEOUT),
    ("contentfilter", ErrorKind.CONTENT_FILTER),
    ("content_filter", ErrorKind.CONTENT_FILTER),
    ("authentication", ErrorKind.AUTH),
    ("permissiondenied", ErrorKind.AUTH),
    ("overloaded", ErrorKind.OVERLOAD),
    ("serviceunavailable", ErrorKind.OVERLOAD),
    ("internalserver", ErrorKind.OVERLOAD),
    ("badrequest", ErrorKind.BAD_REQUEST),
    ("notfounderror", ErrorKind.BAD_REQUEST),
    ("unprocessable", ErrorKind.BAD_REQUEST),
    ("connect", ErrorKind.NETWORK),
    ("cancelled", ErrorKind.INTERRUPTED),
    ("keyboardinterrupt", ErrorKind.INTERRUPTED),
)
"""Parts of the names that client libraries give to their errors; the first that is found counts."""


def class_of(span: ReceivedSpan) -> str | None:
    """Return the class of what failed; None: the span does not say."""
    stated = span.attributes.get(ERROR_TYPE)
    if isinstance(stated, int) and not isinstance(stated, bool):
        stated = str(stated)
    found = short(stated)
    if found:
        return found
    raised = [event for event in span.events if event.name == "exception"]
    return next((one for event in reversed(raised) if (one := short(event.attributes.get("exception.type")))), None)


def status_of(span: ReceivedSpan) -> int | None:
    """Return the HTTP status; None: the span does not say."""
    for told in (span.attributes.get(HTTP_STATUS), span.attributes.get("http.status_code"), class_of(span)):
        status = _status(told)
        if status is not None:
            return status
    return None


def _status(told: JsonValue) -> int | None:
    if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) == 3:  # noqa: PLR2004 (a status has three digits)
        told = int(told)
    return told if type(told) is int and told in _STATUSES else None


def kind_of_failure(span: ReceivedSpan) -> str | None:
    """Return the log's kind of a failure; None if unknown."""
    status = status_of(span)
    if status in _BY_STATUS:
        return str(_BY_STATUS[status])
    if status is not None and status >= _FIRST_SERVER_ERROR:
        return str(ErrorKind.OVERLOAD)
    name = (class_of(span) or "").lower().replace("-", "_")
    return next((str(kind) for word, kind in _BY_WORD if word in name), None)


def failure_of(span: ReceivedSpan) -> str | None:
    """Return what failed: the class, and what was said of it, which is content; None: nothing failed."""
    if not span.failed:
        return None
    name, said = class_of(span), span.message
    if said is None:
        return name or "error"
    if name is None:
        return f"error: {said}"
    return f"{name}: {said.removeprefix(f'{name}: ').removeprefix(name.rpartition('.')[2] + ': ')}"
