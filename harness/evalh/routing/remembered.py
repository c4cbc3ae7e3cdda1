"""What the log knows is not bought again, inside a route too."""

from collections.abc import Callable
from decimal import Decimal

from evalh.core.attempt import Answer, Call, CallKey, Completion
from evalh.core.money import plus
from evalh.core.ports import Provider
from evalh.core.reasoning import reread
from evalh.core.request import Request
from evalh.routing.wrapper import Wrapper

Find = Callable[[str, CallKey], Answer | None]
"""Looks an answer up by request digest and key."""


class Remembered(Wrapper):
    """Takes a request's answer from the log where it holds one.

    A route that was cut off between its first answer and the second model's goes on where it was, and what was bought
    for the first model alone serves the route too.
    """

    def __init__(self, inner: Provider, find: Find) -> None:
        super().__init__(inner)
        self._find = find

    async def send(self, request: Request, call: Call) -> Completion:
        """Answer from the log, or ask. Raises CallError, NotSent."""
        answer = self._find(request.digest(), call.key)
        if answer is None:
            return await self.inner.send(request, call)
        answer = reread(answer, request.settings.sent_to)
        call.answered_by, call.answered_model = answer.attempt_id, answer.model
        call.cached_cost_usd = plus(call.cached_cost_usd, answer.cost_usd)
        call.latency = call.latency.plus(answer.latency)
        return answer.completion


def spent(call: Call) -> Decimal | None:
    """Return what a call cost in all: bought now, and when the log's answers were bought. None: unknown."""
    return plus(call.cost_usd, call.cached_cost_usd)
