"""What other processes of this workspace were answered, for asks that take an earlier answer.

Nothing here raises into an ask: where the file cannot be read, there is no earlier answer.
"""

import asyncio
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

from evalh.api.content import KeptContent
from evalh.api.parts import Parts
from evalh.api.production import folder_of, is_there, production_writer
from evalh.core.attempt import Answer, Completion, FinishReason, Latency, Usage
from evalh.core.errors import EvalhError
from evalh.core.ports import Clock
from evalh.core.request import ToolCall
from evalh.store.database import REFUSALS

if TYPE_CHECKING:
    from evalh.store.production import ProductionReader
    from evalh_trace.records import Attempt

LOOK_S = 10.0
"""The lines of other processes are taken over at most this often."""

_MOST_WAIT_S = 2.0


class EarlierAnswers:
    """Finds answers in `production.db`, where content is kept as it was: a redacted answer is another one."""

    def __init__(self, parts: Parts, kept: KeptContent, clock: Clock) -> None:
        """Read nothing yet."""
        self._parts, self._clock = parts, clock
        self.on = kept.on and kept.idle
        self._looked_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._patient_until = 0.0
        self._reader: ProductionReader | None = None

    async def look(self) -> None:
        """Take over what other processes wrote meanwhile, if it was not done just now.

        Asks wait for the first look, two seconds at most, and for no later one.
        """
        if not self.on:
            return
        now = self._clock.now()
        if self._looking is None:
            self._patient_until = now + _MOST_WAIT_S
        if self._looking is None or (now - self._looked_at >= LOOK_S and self._looking.done()):
            self._looked_at = now
            self._looking = asyncio.create_task(asyncio.to_thread(self._merge))
        if now < self._patient_until and not self._looking.done():
            await asyncio.wait({self._looking}, timeout=self._patient_until - now)

    def _merge(self) -> None:
        with suppress(EvalhError, OSError, *REFUSALS):
            if is_there(self._parts):
                with production_writer(self._parts) as writer:
                    writer.merge()

    def find(self, digest: str) -> Answer | None:
        """Return the newest whole answer to a request that came to a good end and is not too old."""
        if not self.on:
            return None
        keep_s = self._parts.config.trace.keep_s
        since = None if keep_s is None else self._clock.now() - keep_s
        try:
            if self._reader is None:
                from evalh.store.production import ProductionReader

                self._reader = ProductionReader.open(folder_of(self._parts))
            found = self._reader.answered(digest, since)
        except (EvalhError, OSError, ValueError, *REFUSALS):
            self.close()
            return None
        return None if found is None else _answer(found)

    def close(self) -> None:
        """Let go of the file."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(*REFUSALS):
                reader.close()


def _answer(attempt: "Attempt") -> Answer | None:
    calls = attempt.tool_calls if isinstance(attempt.tool_calls, list) else []
    try:
        tool_calls = tuple(ToolCall(str(one["id"]), str(one["name"]), str(one["arguments"])) for one in calls)
    except (KeyError, TypeError):
        return None
    completion = Completion(
        text=attempt.text or "",
        finish=FinishReason(attempt.finish or FinishReason.STOP),
        tool_calls=tool_calls,
        usage=Usage(
            input_tokens=attempt.input_tokens,
            output_tokens=attempt.output_tokens,
            cached_tokens=attempt.cached_tokens,
            reasoning_tokens=attempt.reasoning_tokens,
        ),
        latency_ms=attempt.latency_ms,
        ttft_ms=attempt.ttft_ms,
        model=attempt.model_answered,
        reasoning=attempt.reasoning,
    )
    cost = None if attempt.cost_usd is None else Decimal(repr(attempt.cost_usd))
    return Answer(attempt.id, completion, cost, latency=Latency(attempt.latency_ms, None, None))
