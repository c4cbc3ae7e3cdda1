"""When a model gives no answer, the next one is asked."""

from collections.abc import Sequence

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, FinishReason
from evalh.core.ports import Provider
from evalh.core.request import Request
from evalh.routing.run_context import Decisions
from evalh.routing.wrapper import Wrapper

_FINISHES = {ErrorKind.REFUSAL: FinishReason.REFUSAL, ErrorKind.CONTENT_FILTER: FinishReason.CONTENT_FILTER}
"""Answers that refuse: a route may declare that the next model is asked then."""


class FallingBack(Wrapper):
    """Asks in order, on the kinds of failure that the route declares. Each hop is a decision in the log."""

    def __init__(self, chain: Sequence[Provider], on: frozenset[ErrorKind], decisions: Decisions) -> None:
        super().__init__(chain[0])
        self._chain = chain
        self._on = on
        self._finishes = {finish: kind for kind, finish in _FINISHES.items() if kind in on}
        self._decisions = decisions

    async def open(self) -> None:
        for provider in self._chain:
            await provider.open()

    async def close(self) -> None:
        for provider in self._chain:
            await provider.close()

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first answer. Raises the last model's CallError, or one that is not declared; NotSent."""
        *firsts, last = self._chain
        hopeless = True  # whether the models before the last are refused, or left alone, for the whole run
        for position, provider in enumerate(firsts):
            try:
                completion = await provider.send(request, call)
            except CallError as error:
                if error.kind not in self._on:
                    raise
                kind = error.kind
                hopeless = hopeless and (error.ends_run or kind is ErrorKind.BREAKER_OPEN)
            else:
                declined = self._finishes.get(completion.finish)
                if declined is None:
                    return completion
                kind, hopeless = declined, False
            hop = {"from": provider.name, "to": self._chain[position + 1].name}
            self._decisions.tell(call, "fallback", kind.value, hop)
            call.reasons.append("fallback")
        try:
            return await last.send(request, call)
        except CallError as error:
            error.ends_run = error.ends_run and hopeless  # the next call may be answered by another model
            raise
