"""Decisions that evalh takes on the user's behalf between the calls, as rows."""

from collections.abc import Mapping
from dataclasses import field

from evalh.core.digest import JsonValue
from evalh.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
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
