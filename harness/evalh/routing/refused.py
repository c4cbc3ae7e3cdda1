"""A model that refused its key, or has no credit, is not asked again in this run."""

from msgspec import Struct

from evalh.core.attempt import FATAL_KINDS, Call, CallError, Completion
from evalh.core.ports import Provider
from evalh.core.request import Request
from evalh.routing.wrapper import Wrapper


class Refusal(Struct):
    """What a model said; shared by all that lead to it. None: it takes our requests."""

    error: CallError | None = None


class Refusable(Wrapper):
    """Remembers a refusal: with a fallback behind it, every further call would ask in vain first."""

    def __init__(self, inner: Provider, refusal: Refusal) -> None:
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
