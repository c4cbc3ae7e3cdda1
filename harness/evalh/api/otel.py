"""Sending a run of the log to an OpenTelemetry collector."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from evalh.api.event_loop import SystemClock
from evalh.api.options import OtelOptions
from evalh.api.parts import Parts
from evalh.core.errors import UsageError
from evalh.core.run import RunStatus
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.version import __version__
from evalh.interop.otel_spans import Spans, VerdictForm
from evalh.interop.otel_values import SERVICE_NAME, SERVICE_VERSION, Origin, OtlpSignal
from evalh.interop.otlp import Exporter, Sent, encoding, send
from evalh.interop.otlp_collector import Collector, pairs
from evalh.providers.http.egress import Egress
from evalh.providers.http.httpx_transport import HttpxTransport, client_for


class Exported(Value, kw_only=True):
    """The run that was sent, the address of its spans, and the results."""

    run: str
    endpoint: str  # without what may be secret
    spans: Sent
    logs: Sent | None  # of verdicts as log records; None: not wanted
    spare: bool  # the spans hold what the records say

    @property
    def whole(self) -> bool:
        """Whether all that was wanted was taken."""
        return not self.spans.rejected and (self.spare or self.logs is None or not self.logs.rejected)


async def export(parts: Parts, name: str, options: OtelOptions, watch: Callable[[int], None]) -> Exported:
    """Send a run's spans and its verdicts' log records. Raises NotFound, UsageError, CannotMeasure."""
    form = VerdictForm(options.verdicts)
    signals = [OtlpSignal.TRACES] if form is VerdictForm.SPANS else list(OtlpSignal)
    collectors = {one: Collector.of(parts.env, options.endpoint, options.protocol, one) for one in signals}
    origin = Origin(_resource(parts, __version__), __version__)
    encoders = {one: encoding(collector, origin, one) for one, collector in collectors.items()}
    log = parts.log
    run = log.run(name)
    if run.status is RunStatus.RUNNING:
        raise UsageError(f"run {run.record.id} is still running", hint="send it when it ends")
    spans = Spans(run=run, content=options.content, verdicts=form, planned_of=log.planned)
    async with AsyncExitStack() as stack:
        exporters = {}
        for one, collector in collectors.items():
            client = await stack.enter_async_context(client_for(collector.url, Egress.of(parts.env)))
            exporters[one] = Exporter(collector, encoders[one], HttpxTransport(client), SystemClock())
        spare = form is VerdictForm.BOTH
        await send(spans.of(log.traced(run.record.id)), exporters, watch, spare=spare)
    logs = exporters.get(OtlpSignal.LOGS)
    return Exported(
        run=run.record.id,
        endpoint=collectors[OtlpSignal.TRACES].shown,
        spans=exporters[OtlpSignal.TRACES].sent,
        logs=None if logs is None else logs.sent,
        spare=spare,
    )


def _resource(parts: Parts, version: str) -> dict[str, JsonValue]:
    env = parts.env
    stated = pairs("OTEL_RESOURCE_ATTRIBUTES", env.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name = env.get("OTEL_SERVICE_NAME") or stated.get(SERVICE_NAME) or "evalh"
    return {**stated, SERVICE_NAME: name, SERVICE_VERSION: version}
