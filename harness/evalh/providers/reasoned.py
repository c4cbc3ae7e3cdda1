"""A model whose answers are parted from the reasoning before them, for every provider."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from evalh.core.attempt import Call, Completion
from evalh.core.digest import JsonValue
from evalh.core.ports import Provider
from evalh.core.reasoning import KEPT, apart
from evalh.core.request import Request


class Reasoned:
    """Lets everything through but an answer's reasoning. `keep`: that too, and what is addressed says so.

    Graders, checks, judges, repairs and the log see what this returns.
    """

    def __init__(self, inner: Provider, *, keep: bool) -> None:
        self._inner = inner
        self._keep = keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """What is addressed. With `keep` the same model gives other answers, so none of the others is reused."""
        return {**self._inner.identity, **KEPT} if self._keep else self._inner.identity

    async def send(self, request: Request, call: Call) -> Completion:
        """Send. Raises CallError."""
        completion = await self._inner.send(request, call)
        if self._keep:
            return replace(completion, reasoning=completion.reasoning or "")
        return apart(completion)
