"""A shop's service, as its people wrote it, and the three doors through which it is seen.

It reads the order out of a mail, looks it up, and replies. Its arguments: the model's server, the door, and for pairs a
file. A door only watches: what the service does is the same behind each.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
from fastapi import FastAPI
from openai import OpenAI

ORDERS = {7: {"item": "kettle", "state": "sent"}}
MAIL = "Where is my order number 7?"


class Noted(Protocol):
    """What came out of a workflow or step."""

    output: Any


class Door(Protocol):
    """How a program is watched."""

    def workflow(self, name: str, inputs: Any) -> AbstractContextManager[Noted]: ...
    def step(self, name: str, kind: str, inputs: Any) -> AbstractContextManager[Noted]: ...
    def client(self, client: OpenAI) -> OpenAI: ...
    def close(self) -> None: ...


class Output:
    """An output that nobody reads, or that a door reads at the end."""

    def __init__(self) -> None:
        self.output: Any = None


class Traced:
    """Door one: evalh.trace."""

    def workflow(self, name: str, inputs: Any) -> AbstractContextManager[Noted]:
        from evalh import trace

        return trace.workflow(name, inputs=inputs)

    def step(self, name: str, kind: str, inputs: Any) -> AbstractContextManager[Noted]:
        from evalh import trace

        return trace.step(name, kind=kind, inputs=inputs)

    def client(self, client: OpenAI) -> OpenAI:
        from evalh import trace

        return trace.client(client)

    def close(self) -> None:
        """Nothing to do: what is open is written at exit."""


class Spanned:
    """Door two: spans. Of each dialect the packages that its own people wrote, for model calls and for steps."""

    def __init__(self, dialect: str) -> None:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._spans, self._logs = TracerProvider(), LoggerProvider()
        self._spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        self._open = {"genai": self._genai, "openllmetry": self._openllmetry, "openinference": self._openinference}
        self._opened = self._open[dialect]()

    def workflow(self, name: str, inputs: Any) -> AbstractContextManager[Noted]:
        return self._opened("workflow", name, inputs)

    def step(self, name: str, kind: str, inputs: Any) -> AbstractContextManager[Noted]:
        return self._opened(kind, name, inputs)

    def client(self, client: OpenAI) -> OpenAI:
        return client

    def close(self) -> None:
        self._spans.shutdown()
        self._logs.shutdown()

    def _genai(self) -> Any:
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
        from opentelemetry.util.genai.handler import TelemetryHandler

        OpenAIInstrumentor().instrument(tracer_provider=self._spans, logger_provider=self._logs)
        handler = TelemetryHandler(tracer_provider=self._spans, logger_provider=self._logs)
        tracer = self._spans.get_tracer("shop")

        @contextmanager
        def opened(kind: str, name: str, inputs: Any) -> Iterator[Noted]:
            noted = Output()
            if kind == "workflow":
                with handler.workflow(name):
                    yield noted
            elif kind == "tool":
                with handler.tool(name, arguments=inputs) as invocation:
                    yield noted
                    invocation.tool_result = noted.output
            else:  # the conventions have no name for it
                with tracer.start_as_current_span(name):
                    yield noted

        return opened

    def _openllmetry(self) -> Any:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
        from opentelemetry.semconv_ai import SpanAttributes, TraceloopSpanKindValues

        OpenAIInstrumentor().instrument(tracer_provider=self._spans, logger_provider=self._logs)
        tracer = self._spans.get_tracer("shop")

        @contextmanager
        def opened(kind: str, name: str, inputs: Any) -> Iterator[Noted]:
            named = TraceloopSpanKindValues("task" if kind == "step" else kind)
            noted = Output()
            with tracer.start_as_current_span(f"{name}.{named.value}") as span:
                span.set_attribute(SpanAttributes.TRACELOOP_SPAN_KIND, named.value)
                span.set_attribute(SpanAttributes.TRACELOOP_ENTITY_NAME, name)
                span.set_attribute(SpanAttributes.TRACELOOP_ENTITY_INPUT, json.dumps(inputs))
                yield noted
                span.set_attribute(SpanAttributes.TRACELOOP_ENTITY_OUTPUT, json.dumps(noted.output))

        return opened

    def _openinference(self) -> Any:
        from openinference.instrumentation import OITracer, TraceConfig
        from openinference.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(tracer_provider=self._spans)
        tracer = OITracer(self._spans.get_tracer("shop"), TraceConfig())

        @contextmanager
        def opened(kind: str, name: str, inputs: Any) -> Iterator[Noted]:
            named: Any = "tool" if kind == "tool" else "chain"
            noted = Output()
            with tracer.start_as_current_span(name, openinference_span_kind=named) as span:
                span.set_input(inputs)
                yield noted
                span.set_output(noted.output)

        return opened


class Written:
    """Door three: a file with each request and its answer, which the program writes itself."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._name = ""

    @contextmanager
    def workflow(self, name: str, inputs: Any) -> Iterator[Noted]:
        self._name = name
        yield Output()

    @contextmanager
    def step(self, name: str, kind: str, inputs: Any) -> Iterator[Noted]:
        yield Output()

    def client(self, client: OpenAI) -> OpenAI:
        create: Any = client.chat.completions.create

        def creating(**request: Any) -> Any:
            answer = create(**request)
            pair = {"workflow": self._name, "session": MAIL, "request": request, "response": answer.model_dump()}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(pair) + "\n")
            return answer

        client.chat.completions.create = creating  # type: ignore[method-assign]
        return client

    def close(self) -> None:
        """Nothing to do: a line is whole when it is written."""


def opened_door(name: str, rest: list[str]) -> Door:
    if name == "trace":
        return Traced()
    return Written(Path(rest[0])) if name == "pairs" else Spanned(name)


def service(client: OpenAI, door: Door) -> FastAPI:
    """Return the application: an endpoint that runs on a thread of its pool."""
    app = FastAPI()

    def asked(model: str, system: str, user: str) -> str:
        messages: Any = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        answer = client.chat.completions.create(model=model, messages=messages, temperature=0)
        return answer.choices[0].message.content or ""

    @app.post("/mails")
    def reply(mail: str) -> dict[str, str]:
        with door.workflow("refund", {"mail": mail}) as whole:
            with door.step("extract", "step", {"mail": mail}) as step:
                step.output = found = json.loads(asked("gpt-5-mini", "Which order? JSON.", mail))
            with door.step("look up", "tool", found) as step:
                step.output = order = ORDERS[found["order"]]
            with door.step("reply", "step", order) as step:
                step.output = whole.output = text = asked("gpt-5", "Reply.", json.dumps(order))
        return {"reply": text}

    return app


async def answered(app: FastAPI) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as browser:
        response = await browser.post("/mails", params={"mail": MAIL})
    return f"{response.status_code} {response.text}"


def main(server: str, name: str, rest: list[str]) -> None:
    with ExitStack() as stack:
        door = opened_door(name, rest)
        stack.callback(door.close)
        client = door.client(OpenAI(base_url=server, api_key="sk-test"))
        sys.stdout.write(asyncio.run(answered(service(client, door))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
