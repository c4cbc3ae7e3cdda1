"""Wrappers of a provider: each behaves like the provider that it wraps, except for `send`."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from evalh.core.attempt import FATAL_KINDS, Answer, Call, CallError, CallKey, Completion
from evalh.core.digest import digest
from evalh.core.money import plus
from evalh.core.ports import Provider
from evalh.core.reasoning import reread
from evalh.core.request import Request, Settings


class Wrapper:
    """`core.ports.Provider` around another: what it does not say itself is the wrapped provider's."""

    def __init__(self, inner: Provider, *others: Provider) -> None:
        self.inner = inner
        self._wrapped = (inner, *others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def open(self) -> None:
        for provider in self._wrapped:
            await provider.open()

    async def close(self) -> None:
        for provider in self._wrapped:
            await provider.close()


class Targeted(Wrapper):
    """Sends one model of a route its own request: the call's messages with the model's settings."""

    def __init__(self, inner: Provider, settings: Settings) -> None:
        super().__init__(inner)
        self._settings = settings
        self._settings_digest = digest(settings.document())

    async def send(self, request: Request, call: Call) -> Completion:
        """Send the messages with this model's settings. Raises CallError, NotSent."""
        if request.settings is self._settings:
            return await self.inner.send(request, call)
        return await self.inner.send(Request(request.messages, self._settings, self._settings_digest), call)


class Refusable(Wrapper):
    """Does not ask a model again that refused its key or has no credit; a fallback may follow."""

    def __init__(self, inner: Provider, refusals: dict[str, CallError]) -> None:
        super().__init__(inner)
        self._refusals = refusals  # of all models that have refused, by name

    async def send(self, request: Request, call: Call) -> Completion:
        """Send, unless the model has refused before. Raises CallError, NotSent."""
        known = self._refusals.get(self.name)
        if known is not None:
            raise CallError(known.kind, f"{known.message} (not asked again in this run)", status=known.status)
        try:
            return await self.inner.send(request, call)
        except CallError as error:
            if error.kind in FATAL_KINDS:
                self._refusals[self.name] = error
            raise


Find = Callable[[str, CallKey], Answer | None]
"""Looks an answer up by request digest and key."""


class Remembered(Wrapper):
    """Takes a request's answer from the log if it is there, also inside a route.

    A route that was interrupted between two models continues there, and answers bought for the first model alone
    count for the route.
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
    """Return the whole cost of a call: spent now, and when the log's answers were bought. None if unknown."""
    return plus(call.cost_usd, call.cached_cost_usd)
