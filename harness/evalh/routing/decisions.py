"""Everything that a route does on the user's behalf is told to the log, with its reason."""

from collections.abc import Mapping

from evalh.core.attempt import Call
from evalh.core.decision import Decision
from evalh.core.digest import JsonValue
from evalh.core.ports import CallLog, Clock


class Decisions:
    """Writes decisions down.

    Kinds: retry, give_up, fits, repair, unrepaired, fallback, keep, escalate, open, probe, close, shrink.
    """

    def __init__(self, log: CallLog, clock: Clock) -> None:
        self.log = log
        self.clock = clock

    def tell(self, call: Call, kind: str, reason: str, detail: Mapping[str, JsonValue]) -> None:
        """Record one decision about a call."""
        self.log.decide(
            Decision(run_id=call.run_id, call_id=call.id, kind=kind, reason=reason, at=self.clock.now(), detail=detail)
        )
