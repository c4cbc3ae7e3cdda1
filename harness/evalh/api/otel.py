"""Sending a run of the log to an OpenTelemetry collector."""

from collections.abc import Callable

from evalh.api.event_loop import SystemClock
from evalh.api.options import OtelOptions
from evalh.api.parts import Parts
from evalh.core.errors import UsageError
from evalh.core.run import RunStatus
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.version import __version__
from evalh.interop.otel_spans import Spans
from evalh.interop.otel_values import SERVICE_NAME, SERVICE_VERSION, Origin
from evalh.interop.otlp import Exporter, Sent, encoding
from evalh.interop.otlp_collector import Collector, pairs
from evalh.providers.http.egress import Egress
from evalh.providers.http.httpx_transport import HttpxTransport, client_for


class Exported(Value, kw_only=True):
    """The run that was sent, its address, and the result."""

    run: str
    endpoint: str  # without what may be secret
    sent: Sent


async def export(parts: Parts, name: str, options: OtelOptions, watch: Callable[[int], None]) -> Exported:
    """Send a run's spans. Raises NotFound, UsageError, CannotMeasure."""
    collector = Collector.of(parts.env, options.endpoint, options.protocol)
    origin = Origin(_resource(parts, __version__), __version__)
    encoder = encoding(collector, origin)
    log = parts.log
    run = log.run(name)
    if run.status is RunStatus.RUNNING:
        raise UsageError(f"run {run.record.id} is still running", hint="send it when it has ended")
    spans = Spans(run=run, content=options.content, planned_of=log.planned)
    async with client_for(collector.url, Egress.of(parts.env)) as client:
        transport = HttpxTransport(client)
        exporter = Exporter(collector=collector, encoding=encoder, transport=transport, clock=SystemClock())
        sent = await exporter.send(spans.of(log.traced(run.record.id)), watch)
    return Exported(run=run.record.id, endpoint=collector.shown, sent=sent)


def _resource(parts: Parts, version: str) -> dict[str, JsonValue]:
    env = parts.env
    stated = pairs("OTEL_RESOURCE_ATTRIBUTES", env.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name = env.get("OTEL_SERVICE_NAME") or stated.get(SERVICE_NAME) or "evalh"
    return {**stated, SERVICE_NAME: name, SERVICE_VERSION: version}
