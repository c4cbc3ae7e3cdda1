"""The APIs of models: pure functions that turn the bodies of requests and answers into fields of records.

`find` says which API a body belongs to. Everything takes hostile JSON: what cannot be read is None.
"""

from evalh_trace.records import Json
from evalh_trace.wires import chat, embeddings, generate, messages, responses
from evalh_trace.wires.errors import RETRIED, error_fields, kind_of_status
from evalh_trace.wires.reading import Fields, Wire, at

__all__ = [
    "ANTHROPIC_MESSAGES",
    "EMBEDDINGS",
    "GEMINI_GENERATE",
    "OPENAI_CHAT",
    "OPENAI_COMPLETION",
    "OPENAI_RESPONSES",
    "RETRIED",
    "Fields",
    "Wire",
    "error_fields",
    "find",
    "kind_of_status",
    "provider_of",
]

OPENAI_CHAT = Wire(
    name="openai chat",
    provider="openai",
    operation="chat",
    request_fields=chat.request_fields,
    answer_fields=chat.answer_fields,
    fold=chat.fold,
    speaks=chat.speaks,
)
OPENAI_COMPLETION = Wire(
    name="openai completion",
    provider="openai",
    operation="completion",
    request_fields=chat.request_fields,
    answer_fields=chat.answer_fields,
    fold=chat.fold,
    speaks=chat.speaks,
)
OPENAI_RESPONSES = Wire(
    name="openai responses",
    provider="openai",
    operation="chat",
    request_fields=responses.request_fields,
    answer_fields=responses.answer_fields,
    fold=responses.fold,
    speaks=responses.speaks,
)
ANTHROPIC_MESSAGES = Wire(
    name="anthropic messages",
    provider="anthropic",
    operation="chat",
    request_fields=messages.request_fields,
    answer_fields=messages.answer_fields,
    fold=messages.fold,
    speaks=messages.speaks,
)
GEMINI_GENERATE = Wire(
    name="gemini generate",
    provider="gemini",
    operation="chat",
    request_fields=generate.request_fields,
    answer_fields=generate.answer_fields,
    fold=generate.fold,
    speaks=generate.speaks,
)
EMBEDDINGS = Wire(
    name="openai embeddings",
    provider="openai",
    operation="embedding",
    request_fields=embeddings.request_fields,
    answer_fields=embeddings.answer_fields,
    fold=embeddings.fold,
    speaks=embeddings.speaks,
)

_BY_END = (  # the first that fits
    ("/chat/completions", OPENAI_CHAT),
    ("/completions", OPENAI_COMPLETION),
    ("/responses", OPENAI_RESPONSES),
    ("/messages", ANTHROPIC_MESSAGES),
    ("/embeddings", EMBEDDINGS),
    (":generateContent", GEMINI_GENERATE),
    (":streamGenerateContent", GEMINI_GENERATE),
)
_BY_KEY = (  # the first that is there
    ("contents", GEMINI_GENERATE),
    ("candidates", GEMINI_GENERATE),
    ("messages", OPENAI_CHAT),
    ("choices", OPENAI_CHAT),
    ("input", OPENAI_RESPONSES),
    ("output", OPENAI_RESPONSES),
    ("prompt", OPENAI_COMPLETION),
)
_HOSTS = (
    ("anthropic.com", "anthropic"),
    ("aiplatform.googleapis.com", "vertex"),
    ("googleapis.com", "gemini"),
    ("openai.azure.com", "azure"),
    ("openrouter.ai", "openrouter"),
    ("groq.com", "groq"),
    ("mistral.ai", "mistral"),
    ("deepseek.com", "deepseek"),
    ("together.xyz", "together"),
    ("fireworks.ai", "fireworks"),
    ("x.ai", "x-ai"),
)
_HOMES = (("openai.com", "openai"),)


def find(url_path: str | None, body: Json = None) -> Wire | None:
    """Return the API of a request: by the path of its URL, otherwise (None) by the shape of its body; None: no model's.

    `body` is a request's or, where that says nothing, an answer's.
    """
    if url_path is None:
        return _by_shape(body) if isinstance(body, dict) else None
    path = url_path.rstrip("/")
    if "/models/" in path and path.endswith((":rawPredict", ":streamRawPredict")):
        return ANTHROPIC_MESSAGES if "/anthropic/" in path else None
    return next((wire for end, wire in _BY_END if path.endswith(end)), None)


def _by_shape(body: Fields) -> Wire | None:
    tool = at(body, "tools", 0)
    anthropic = body.get("type") == "message" or "stop_reason" in body or "anthropic_version" in body
    if anthropic or ("messages" in body and ("system" in body or at(tool, "input_schema") is not None)):
        return ANTHROPIC_MESSAGES
    if isinstance(at(body, "data", 0, "embedding"), list | str):
        return EMBEDDINGS
    return next((wire for key, wire in _BY_KEY if key in body), None)


def provider_of(host: str, wire: Wire) -> tuple[str, bool]:
    """Return the provider that a host belongs to, and whether it is known: otherwise its API's own provider.

    A server that nobody knows may cost anything, whatever API it speaks.
    """
    known = next((name for end, name in (*_HOSTS, *_HOMES) if host == end or host.endswith("." + end)), None)
    return known or wire.provider, known is not None
