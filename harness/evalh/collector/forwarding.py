"""Sends what arrives on to another collector, as it came. It never waits for that one, and only counts what it lost."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from evalh.core.attempt import CallError
from evalh.interop.otlp_collector import Collector
from evalh.providers.http.egress import Egress
from evalh.providers.http.httpx_transport import HttpxTransport, client_for
from evalh.providers.http.transport import answers

_MOST_WAITING = 256  # batches
_TIMEOUT_S = 10.0
_TRACES = "/v1/traces"


class Forwarder:
    """Sends batches on, one after the other."""

    def __init__(self, env: Mapping[str, str], url: str) -> None:
        """Take the base address; headers come from OTEL_EXPORTER_OTLP_HEADERS. Raises UsageError."""
        self._collector = Collector.of(env, url, option="--forward")
        self._egress = Egress.of(env)
        self._waiting: asyncio.Queue[tuple[str, bytes, Mapping[str, str]]] = asyncio.Queue(_MOST_WAITING)
        self._task: asyncio.Task[None] | None = None
        self.sent = 0
        self.failed = 0
        self.why: str | None = None  # the last failure

    def __call__(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Take a batch; it is counted as failed where too many wait."""
        try:
            self._waiting.put_nowait((path, body, headers))
        except asyncio.QueueFull:
            self._fail("too many batches wait")

    async def open(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._send_all())

    async def close(self, within_s: float) -> None:
        """Send what waits, for at most so long."""
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._waiting.join(), within_s)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.failed += self._waiting.qsize()

    async def _send_all(self) -> None:
        async with client_for(self._collector.url, self._egress) as client:
            transport = HttpxTransport(client)
            while True:
                path, body, headers = await self._waiting.get()
                try:
                    url = self._collector.url.replace(_TRACES, path)
                    response = await transport.post(
                        url, {**headers, **self._collector.headers}, body, timeout_s=_TIMEOUT_S
                    )
                except CallError as exc:
                    self._fail(exc.message)
                else:
                    if answers(response.status):
                        self.sent += 1
                    else:
                        self._fail(f"HTTP {response.status}")
                finally:
                    self._waiting.task_done()

    def _fail(self, why: str) -> None:
        self.failed += 1
        self.why = why
