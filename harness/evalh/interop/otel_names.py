"""The names that OpenTelemetry gives to what a span says; the only place where they are written.

Revision: GenAI semantic conventions 1.42.0 (status: development), `open-telemetry/semantic-conventions-genai` as of
commit 002c8a6e; general conventions 1.44.0. What the conventions have no name for is called `evalh.*`.
"""

from collections.abc import Mapping
from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"

# -- general conventions

ERROR_TYPE: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"

# -- GenAI: an inference

OPERATION: Final = "gen_ai.operation.name"
CHAT: Final = "chat"
EMBEDDINGS: Final = "embeddings"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
OUTPUT_TYPE: Final = "gen_ai.output.type"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # seconds
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"

PROVIDERS: Final[Mapping[str, str]] = {"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini"}
"""What the conventions call the providers of evalh.toml; another keeps its own word, as they allow."""

DOUBLES: Final[Mapping[str, str]] = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}
"""Sampling parameters that are doubles there, by their names here."""

INTEGERS: Final[Mapping[str, str]] = {"max_tokens": "gen_ai.request.max_tokens", "seed": "gen_ai.request.seed"}
"""Sampling parameters that are integers."""

STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"

# -- GenAI: content, opt-in

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
FINISH_IN_MESSAGES: Final[Mapping[str, str]] = {
    "tool_calls": "tool_call",
    "refusal": "content_filter",
    "other": "error",
}
"""How the messages' schema spells a finish reason; `stop`, `length` and `content_filter` are the same."""

# -- GenAI: a verdict is an event

EVALUATION: Final = "gen_ai.evaluation.result"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"
