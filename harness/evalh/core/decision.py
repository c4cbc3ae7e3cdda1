"""Decisions that evalh takes on the user's behalf between the calls, as rows."""

from collections.abc import Mapping

from msgspec import field

from evalh.core.digest import JsonValue
from evalh.core.values import Value


class Decision(Value, kw_only=True):
    """One decision: what was done, why, and what it was about.

    `kind` is a word of the route: retry, give_up, fits, repair, unrepaired, fallback, keep, escalate, open, probe,
    close, shrink.
    """

    run_id: str
    kind: str
    reason: str
    at: float  # seconds since the epoch, UTC
    call_id: str | None = None
    detail: Mapping[str, JsonValue] = field(default_factory=dict)
