"""A program as one is written first. Its arguments: the model's server, the door, and where its retries are.

`above`: a loop of its own sends a failed request again at once. `inside`: the client does. What the first answer says is
handed on to the second request unchecked.
"""

import sys
from contextlib import AbstractContextManager
from typing import Any

from openai import OpenAI, RateLimitError
from opentelemetry.sdk.trace import TracerProvider

TRIES = 5


def asked(client: OpenAI, model: str, said: str) -> str:
    for _ in range(TRIES):
        try:
            answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": said}])
            return answer.choices[0].message.content or ""
        except RateLimitError:
            continue
    raise SystemExit("busy")


def refund(client: OpenAI, mail: str) -> str:
    found = asked(client, "gpt-5-mini", f"Which order is it? Answer with JSON. {mail}")
    return asked(client, "gpt-5", f"Write a reply about {found}")


def traced(client: OpenAI) -> tuple[OpenAI, AbstractContextManager[Any], Any]:
    from evalh import trace

    return trace.client(client), trace.workflow("refund"), None


def spanned(client: OpenAI) -> tuple[OpenAI, AbstractContextManager[Any], TracerProvider]:
    from openinference.instrumentation.openai import OpenAIInstrumentor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    return client, provider.get_tracer("shop").start_as_current_span("refund"), provider


def main(server: str, door: str, place: str) -> None:
    retries = 0 if place == "above" else TRIES
    client = OpenAI(base_url=server, api_key="sk-test", max_retries=retries)
    client, workflow, provider = (traced if door == "trace" else spanned)(client)
    with workflow:
        sys.stdout.write(refund(client, "Where is my order number 7?") + "\n")
    if provider is not None:
        provider.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
