"""A small program of a user's, instrumented by packages that others wrote. Its arguments: the server, then dialects."""

import sys

from openai import NotFoundError, OpenAI
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TOOL = {
    "type": "function",
    "function": {
        "name": "order",
        "description": "Look up an order.",
        "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}},
    },
}


def instrument(dialect: str, spans: TracerProvider, logs: LoggerProvider) -> None:
    if dialect == "genai":
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(tracer_provider=spans, logger_provider=logs)
    elif dialect == "openllmetry":
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetry

        OpenLLMetry().instrument(tracer_provider=spans, logger_provider=logs)
    else:
        from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference

        OpenInference().instrument(tracer_provider=spans)


def main(server: str, dialects: list[str]) -> None:
    spans, logs = TracerProvider(), LoggerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    for dialect in dialects:
        instrument(dialect, spans, logs)
    client = OpenAI(base_url=server, api_key="sk-test")
    tracer = spans.get_tracer("shop")
    with tracer.start_as_current_span("refund"):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is order 7?"}]
        with tracer.start_as_current_span("look up"):
            answer = client.chat.completions.create(
                model="gpt-5-mini", messages=messages, tools=[TOOL], temperature=0.5, max_tokens=50
            )
        with tracer.start_as_current_span("select"):  # a database's span: nothing of a model
            pass
        messages.append(answer.choices[0].message.model_dump(exclude_none=True))
        messages.append({"role": "tool", "tool_call_id": "call_1", "content": "shipped"})
        answer = client.chat.completions.create(model="gpt-5-mini", messages=messages, tools=[TOOL])
        options = {"include_usage": True}
        for _ in client.chat.completions.create(
            model="gpt-5-mini", messages=messages[:2], stream=True, stream_options=options
        ):
            pass
        client.chat.completions.create(model="flaky", messages=messages[:2])
        try:
            client.chat.completions.create(model="bad", messages=messages[:2])
        except NotFoundError:
            sys.stdout.write("no such model\n")
    spans.shutdown()
    logs.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split("+"))
