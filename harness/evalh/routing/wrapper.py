"""Wrappers of a provider: each behaves like the provider that it wraps, except for `send`."""

import asyncio
import time
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
        return await self.inner.send(self._own(request), call)

    def _own(self, request: Request) -> Request:
        return Request(request.messages, self._settings, self._settings_digest, request.inputs)


class Refusals:
    """Who refuses everything, and why: a key that is not accepted, an empty account.

    It holds for the whole run. In a service it holds for `for_s`: then one call tries, while the others are refused.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, for_s: float | None = None) -> None:
        self._now = now
        self._for_s = for_s
        self._known: dict[str, tuple[float, CallError]] = {}  # when it was last tried, by name

    def of(self, name: str) -> CallError | None:
        """Return why nothing is to be sent; None: send."""
        found = self._known.get(name)
        if found is None:
            return None
        tried_at, error = found
        if self._for_s is not None and self._now() - tried_at >= self._for_s:
            self._known[name] = (self._now(), error)  # the others go without until this one is back
            return None
        return error

    def add(self, name: str, error: CallError) -> None:
        if error.kind in FATAL_KINDS:
            self._known[name] = (self._now(), error)

    def answered(self, name: str) -> None:
        """Forget: it answers again."""
        if self._known:
            self._known.pop(name, None)

    def not_tried(self, name: str) -> None:
        """Say that a call was cancelled before it could tell: the next one tries."""
        if name in self._known:
            self._known[name] = (float("-inf"), self._known[name][1])

    def told(self, error: CallError) -> CallError:
        """Return the failure of a call that is not sent."""
        when = "in this run" if self._for_s is None else f"for {self._for_s:g} s"
        return CallError(error.kind, f"{error.message} (not asked again {when})", status=error.status)


class Refusable(Wrapper):
    """Does not ask a model again that refused its key or has no credit; a fallback may follow."""

    def __init__(self, inner: Provider, refusals: Refusals) -> None:
        super().__init__(inner)
        self._refusals = refusals

    async def send(self, request: Request, call: Call) -> Completion:
        """Send, unless the model has refused before. Raises CallError, NotSent."""
        known = self._refusals.of(self.name)
        if known is not None:
            raise self._refusals.told(known)
        try:
            completion = await self.inner.send(request, call)
        except CallError as error:
            self._refusals.add(self.name, error)
            raise
        except asyncio.CancelledError:
            self._refusals.not_tried(self.name)
            raise
        self._refusals.answered(self.name)
        return completion


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
