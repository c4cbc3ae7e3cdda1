"""What all wrappers share: they are the provider that they wrap, but for how a request is sent.

One model of a route is sent its own request: the call's messages under its settings.

A model that refused its key, or has no credit, is not asked again in this run.

What the log knows is not bought again, inside a route too.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from msgspec import Struct

from evalh.core.attempt import FATAL_KINDS, Answer, Call, CallError, CallKey, Completion
from evalh.core.digest import digest
from evalh.core.model import Traits
from evalh.core.money import plus
from evalh.core.ports import Provider
from evalh.core.reasoning import reread
from evalh.core.request import Request, Settings
from evalh.core.strict_json import JsonValue


class Wrapper:
    """`core.ports.Provider` around another."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        """The wrapped provider's."""
        return self.inner.name

    @property
    def kind(self) -> str:
        """The wrapped provider's."""
        return self.inner.kind

    @property
    def model(self) -> str:
        """The wrapped provider's."""
        return self.inner.model

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """The wrapped provider's."""
        return self.inner.identity

    @property
    def params(self) -> Mapping[str, JsonValue]:
        """The wrapped provider's."""
        return self.inner.params

    @property
    def traits(self) -> Traits:
        """The wrapped provider's."""
        return self.inner.traits

    @property
    def max_in_flight(self) -> int | None:
        """The wrapped provider's."""
        return self.inner.max_in_flight

    async def open(self) -> None:
        """Open the wrapped provider."""
        await self.inner.open()

    async def close(self) -> None:
        """Close the wrapped provider."""
        await self.inner.close()

    async def send(self, request: Request, call: Call) -> Completion:
        """Send by the wrapped provider. Raises CallError, NotSent."""
        return await self.inner.send(request, call)


class Targeted(Wrapper):
    """Lays one model's settings over whatever it is handed."""

    def __init__(self, inner: Provider, settings: Settings) -> None:
        super().__init__(inner)
        self._settings = settings
        self._settings_digest = digest(settings.document())

    async def send(self, request: Request, call: Call) -> Completion:
        """Send the messages under this model's settings. Raises CallError, NotSent."""
        if request.settings is self._settings:
            return await self.inner.send(request, call)
        return await self.inner.send(Request(request.messages, self._settings, self._settings_digest), call)


class KeyRefused(Struct):
    """What a model said; shared by all that lead to it. None: it takes our requests."""

    error: CallError | None = None


class Refusable(Wrapper):
    """Remembers a refusal: with a fallback behind it, every further call would ask in vain first."""

    def __init__(self, inner: Provider, refusal: KeyRefused) -> None:
        super().__init__(inner)
        self._refusal = refusal

    async def send(self, request: Request, call: Call) -> Completion:
        """Send, unless the model has refused already. Raises CallError, NotSent."""
        known = self._refusal.error
        if known is not None:
            raise CallError(known.kind, f"{known.message} (not asked again in this run)", status=known.status)
        try:
            return await self.inner.send(request, call)
        except CallError as error:
            if error.kind in FATAL_KINDS:
                self._refusal.error = error
            raise


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
