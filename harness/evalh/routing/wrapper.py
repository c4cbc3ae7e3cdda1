"""What all wrappers share: they are the provider that they wrap, but for how a request is sent."""

from collections.abc import Mapping

from evalh.core.attempt import Call, Completion
from evalh.core.digest import JsonValue
from evalh.core.ports import Provider
from evalh.core.request import Request


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
