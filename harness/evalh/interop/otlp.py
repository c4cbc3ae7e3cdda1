"""Sending spans and log records: in batches, packed, again where the collector is busy.

There is never more than a batch of each in memory.
"""

import gzip
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from evalh.core.attempt import CallError
from evalh.core.errors import CannotMeasure, EvalhError, UsageError
from evalh.core.ports import Clock
from evalh.interop.otel_values import JsonEncoding, LogRecord, Origin, OtlpSignal, Rejected, Span
from evalh.interop.otlp_collector import Collector, Protocol
from evalh.providers.http.errors import Redactor, describe, redirected, retry_after_s, shown
from evalh.providers.http.transport import Response, Transport

if TYPE_CHECKING:
    from evalh.interop.otlp_protobuf import ProtobufEncoding

BATCH_ITEMS = 512
BATCH_BYTES = 1 << 20  # unpacked; collectors refuse bodies of some megabytes
TIMEOUT_S = 10.0
ATTEMPTS = 6
LONGEST_WAIT_S = 60.0
"""A collector that asks for more than this is not waited for."""

_BUSY = frozenset({429, 502, 503, 504})  # those that OTLP says to send again after
_REDIRECTS, _CLIENT_ERRORS = range(300, 400), range(400, 500)


Item: TypeAlias = Span | LogRecord

Watch: TypeAlias = Callable[[int], None]
"""Sees how many spans were taken so far."""


class Sent(Struct):
    """The result of sending what one run has of a signal."""

    taken: int = 0
    batches: int = 0
    retries: int = 0
    rejected: int = 0  # sent, and not taken
    message: str = ""  # the collector's, where it said something; else why it could not be reached


class Exporter:
    """Sends one signal to one collector over evalh's own HTTP."""

    def __init__(
        self, collector: Collector, encoding: "JsonEncoding | ProtobufEncoding", transport: Transport, clock: Clock
    ) -> None:
        self.collector, self.encoding, self.transport, self.clock = collector, encoding, transport, clock
        self.sent = Sent()
        self._batch: list[bytes] = []
        self._size = 0

    async def add(self, item: Item) -> None:
        """Take one item; a full batch is sent. Raises CannotMeasure if the collector cannot be reached or refuses."""
        encoded = self.encoding.item(item)
        if self._batch and (len(self._batch) == BATCH_ITEMS or self._size + len(encoded) > BATCH_BYTES):
            await self.flush()
        self._batch.append(encoded)
        self._size += len(encoded)

    async def flush(self) -> None:
        """Send what waits. Raises CannotMeasure."""
        if not self._batch:
            return
        batch, self._batch, self._size = self._batch, [], 0
        sent = self.sent
        body = self.encoding.request(batch)
        packed = gzip.compress(body, 6, mtime=0) if self.collector.packed else body
        rejected = await self._deliver(packed, sent)
        sent.batches += 1
        sent.rejected += rejected.count
        sent.taken += len(batch) - rejected.count
        sent.message = sent.message or rejected.message

    async def _deliver(self, body: bytes, sent: Sent) -> Rejected:
        rng = Random(f"{sent.batches}")  # noqa: S311 (jitter, not a secret)
        attempt = 1
        while True:
            failure: Response | CallError
            try:
                failure = await self._post(body)
            except CallError as error:
                failure = error
            if isinstance(failure, Response) and failure.status in range(200, 300):
                return self._read(failure)
            wait_s = self._wait_s(failure, attempt, sent, rng)
            if wait_s is None:
                raise self._refusal(failure, attempt, sent)
            sent.retries += 1
            await self.clock.sleep(wait_s)
            attempt += 1

    async def _post(self, body: bytes) -> Response:
        headers = {"Content-Type": self.encoding.content_type, **self.collector.headers}
        if self.collector.packed:
            headers["Content-Encoding"] = "gzip"
        return await self.transport.post(self.collector.url, headers, body, timeout_s=TIMEOUT_S)

    def _wait_s(self, failure: Response | CallError, attempt: int, sent: Sent, rng: Random) -> float | None:
        """Return how long to wait before the batch is sent again; None: it is not."""
        if attempt == ATTEMPTS:
            return None
        backoff_s = rng.uniform(0.5, 1.0) * 2.0 ** (attempt - 1)
        if isinstance(failure, CallError):
            return backoff_s if sent.batches else None  # one that was never there is not waited for
        if failure.status not in _BUSY:
            return None
        asked_s = retry_after_s(failure.headers, self.clock.now())
        if asked_s is None:
            return backoff_s
        return asked_s if asked_s <= LONGEST_WAIT_S else None

    def _read(self, response: Response) -> Rejected:
        try:
            rejected = self.encoding.rejected(response.body)
        except (ValueError, TypeError, AttributeError):
            return Rejected(0, f"the answer is not OTLP's: {self._told(response.body)}")
        return Rejected(rejected.count, shown(self._redact.text(rejected.message)))

    # -- what goes wrong

    @property
    def _redact(self) -> Redactor:
        return Redactor(self.collector.secrets)

    def _told(self, body: bytes) -> str:
        return describe(self._redact.body(body))

    def _refusal(self, failure: Response | CallError, attempt: int, sent: Sent) -> EvalhError:
        place = self.collector.shown
        again = f"{sent.taken} records were taken before; the same command sends all again, with the same ids"
        if isinstance(failure, CallError):
            what = f"no collector answers: {self._redact.text(failure.message)}"
            hint = "start an OpenTelemetry collector, or name yours: --endpoint URL or OTEL_EXPORTER_OTLP_ENDPOINT"
        else:
            tries = f" {attempt} times" if attempt > 1 else ""
            what = f"the collector answered HTTP {failure.status}{tries}: {self._told(failure.body)}"
            hint = self._advice(failure)
        return CannotMeasure(what, where=place, hint=f"{hint}\n{again}" if sent.taken else hint)

    def _advice(self, response: Response) -> str:
        match response.status:
            case 401 | 403:
                return "its key goes into OTEL_EXPORTER_OTLP_HEADERS: key=value,key2=value2"
            case 404 | 405:
                return (
                    "is this the base address of an OTLP/HTTP receiver? /v1/traces and /v1/logs are added to it;"
                    " port 4318, not 4317"
                )
            case 415:
                return "it may want the other encoding: --protocol http/protobuf, or http/json"
            case status if status in _REDIRECTS:
                return redirected(response.headers.get("location"), "--endpoint")
            case status if status in _CLIENT_ERRORS and status not in _BUSY:
                return "the collector's log says why"
            case _:
                return "run the same command again when it works again"


async def send(items: Iterable[Item], exporters: Mapping[OtlpSignal, Exporter], watch: Watch, *, spare: bool) -> None:
    """Send spans and log records, each to its collector. `spare`: the records say nothing that spans do not.

    Raises CannotMeasure if a collector cannot be reached or refuses; for spare records the message is kept instead.
    """
    lost: set[OtlpSignal] = set()

    async def attempt(signal: OtlpSignal, item: Item | None) -> None:
        exporter = exporters[signal]
        try:
            await (exporter.flush() if item is None else exporter.add(item))
        except CannotMeasure as exc:
            if signal is OtlpSignal.TRACES or not spare:
                raise
            lost.add(signal)
            exporter.sent.message = exc.what

    for item in items:
        signal = OtlpSignal.TRACES if isinstance(item, Span) else OtlpSignal.LOGS
        if signal not in lost:
            await attempt(signal, item)
        watch(exporters[OtlpSignal.TRACES].sent.taken)
    for signal in exporters.keys() - lost:
        await attempt(signal, None)
    watch(exporters[OtlpSignal.TRACES].sent.taken)


def encoding(collector: Collector, origin: Origin, signal: OtlpSignal) -> "JsonEncoding | ProtobufEncoding":
    """Return the collector's encoding. Raises UsageError if its library is not installed."""
    if collector.protocol is Protocol.JSON:
        return JsonEncoding(origin, signal)
    try:
        from evalh.interop.otlp_protobuf import ProtobufEncoding
    except ImportError:
        hint = "pip install 'evalh[otel]', or --protocol http/json, which needs nothing"
        raise UsageError("http/protobuf needs OpenTelemetry's own messages", hint=hint) from None
    return ProtobufEncoding(origin, signal)
