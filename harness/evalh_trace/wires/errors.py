"""What an HTTP error means: its kind, in the words of evalh's log, and its text."""

from evalh_trace.records import Json
from evalh_trace.wires.reading import Fields, at, text_at

_BY_STATUS = {
    401: "auth",
    402: "quota",
    403: "auth",
    408: "timeout",
    409: "overload",  # the providers' own clients retry it as a lock that is held
    425: "overload",
    429: "rate_limit",
    504: "timeout",
    524: "timeout",  # Cloudflare: the origin did not answer
}
_BY_WORD = {
    # OpenAI's codes
    **dict.fromkeys(("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"), "quota"),
    **dict.fromkeys(("organization_spend_limit_exceeded", "organization_usage_limit_exceeded"), "quota"),
    **dict.fromkeys(("project_spend_limit_exceeded", "billing_not_active"), "quota"),
    **dict.fromkeys(("context_length_exceeded", "exceed_context_size_error"), "context_length"),
    **dict.fromkeys(("content_filter", "content_policy_violation", "invalid_prompt"), "content_filter"),
    **dict.fromkeys(("server_is_overloaded", "slow_down"), "overload"),
    # Anthropic's types
    **dict.fromkeys(("authentication_error", "permission_error"), "auth"),
    "billing_error": "quota",
    "rate_limit_error": "rate_limit",
    **dict.fromkeys(("overloaded_error", "api_error"), "overload"),
    "timeout_error": "timeout",
    # Google's statuses
    **dict.fromkeys(("UNAUTHENTICATED", "PERMISSION_DENIED"), "auth"),
    "RESOURCE_EXHAUSTED": "rate_limit",
    **dict.fromkeys(("INTERNAL", "UNKNOWN", "UNAVAILABLE", "ABORTED"), "overload"),
    "DEADLINE_EXCEEDED": "timeout",
    # of streams
    **dict.fromkeys(("server_error", "internal_server_error", "service_unavailable_error"), "overload"),
    "rate_limit_exceeded": "rate_limit",
}
_BY_WORDS = (
    ("quota", ("credit balance is too low", "api usage limits", "enable billing", "credits are depleted")),
    ("context_length", ("maximum context length", "context length", "context size", "context window")),
    ("context_length", ("prompt is too long", "exceed context limit", "exceeds the maximum number of tokens")),
    ("content_filter", ("content filtering policy",)),
)
RETRIED = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600))
"""Statuses after which clients send the same request again."""


def kind_of_status(status: int) -> str:
    """Classify by status alone."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 500:  # noqa: PLR2004 (HTTP's own classes)
        return "bad_request"
    return "overload" if 500 <= status < 600 else "bad_response"  # noqa: PLR2004


def error_fields(status: int | None, body: Json) -> Fields:
    """Return `error_kind` and `error` of an Attempt from an error's status and body (None: it is not JSON)."""
    document = at(body, 0) if isinstance(body, list) else body
    error = at(document, "error")
    if isinstance(error, str):
        error = {"message": error}
    elif not isinstance(error, dict):
        error = document if isinstance(document, dict) else {}
    message = text_at(error, "message")
    words = [text_at(error, name) for name in ("code", "type", "status")]
    known = next((_BY_WORD[word] for word in words if word in _BY_WORD), None)
    kind = known or ("bad_response" if status is None else kind_of_status(status))
    if kind in {"bad_request", "rate_limit"} and message:
        lower = message[:4096].lower()
        kind = next((other for other, signs in _BY_WORDS if any(sign in lower for sign in signs)), kind)
    return {"error_kind": kind, "error": message or next((word for word in words if word), None)}
