"""The only HTTP of evalh: POST a body, get a body, within a time and a size.

A transport never retries, never follows a redirect, never reads a netrc and keeps no cookies.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.values import Value

CONNECT_TIMEOUT_S = 10.0
"""A server that does not finish the handshake within this is not there."""

OWN_HEADERS = {
    # Answers are small: inflating them costs more CPU than reading them as they are.
    "Accept-Encoding": "identity",
    "User-Agent": "evalh",
}
"""Sent with every request, whichever adapter carries it."""

OK = 200


def answers(status: int) -> bool:
    """Whether an HTTP status says that the body is the answer."""
    return OK <= status < 300  # noqa: PLR2004 (HTTP's own class)


class Response(Value):
    """What came back, whatever its status. Headers are found whatever their case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Watch: TypeAlias = Callable[[bytes], None]
"""Sees content as it arrives, decompressed."""


class Transport(Protocol):
    """How requests leave this machine. Three adapters keep one contract: direct, aiohttp, and an httpx client."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, on_chunk: Watch | None = None
    ) -> Response:
        """Send and read to the end. `on_chunk` sees a 2xx's content.

        Raises CallError: `network` (no connection), `timeout` (nothing whole within `timeout_s`), `bad_response`
        (not HTTP, cut off, or above the cap); and whatever `on_chunk` raises. `reached` is False
        where no byte left.
        """

    async def close(self) -> None:
        """Let go of every connection of its own; safe to call twice."""


def unreached(message: str, kind: ErrorKind = ErrorKind.NETWORK) -> CallError:
    """Return the failure of a request of which no byte left."""
    error = CallError(kind, message)
    error.reached = False
    return error


def reason_of(exc: Exception) -> str:
    """Say why a connection failed, without what may quote a URL."""
    return (exc.strerror if isinstance(exc, OSError) else None) or type(exc).__name__


def verdict_of(exc: Exception) -> str:
    """Say what was wrong with a certificate, and what to do about it."""
    cause = getattr(exc, "certificate_error", exc)
    reason = getattr(cause, "verify_message", "") or type(cause).__name__
    return f"{reason}; SSL_CERT_FILE may name your own authority"
