"""Which family a model is of, by its name on the wire: judges prefer the answers of their own kind."""

import re

_FAMILIES = (
    ("GPT", r"gpt|chatgpt|o[1-9](?:-|$)|davinci"),
    ("Claude", r"claude"),
    ("Gemini", r"gemini|gemma|palm|bison"),
    ("Llama", r"llama|vicuna|alpaca"),
    ("Mistral", r"mistral|mixtral|ministral|codestral|magistral"),
    ("Qwen", r"qwen|qwq"),
    ("DeepSeek", r"deepseek"),
    ("Grok", r"grok"),
    ("Phi", r"phi-?[0-9]"),
    ("Command", r"command-"),
    ("SmolLM", r"smollm"),
    ("Granite", r"granite"),
    ("Kimi", r"kimi|moonshot"),
    ("GLM", r"glm|chatglm"),
)
_PATTERNS = tuple((name, re.compile(rf"(?:^|[^a-z])(?:{pattern})")) for name, pattern in _FAMILIES)


def family(model: str) -> str | None:
    """Return the family; None where the name does not tell. The first that stands in the name counts."""
    lowered = model.lower()
    found = [(match.start(), name) for name, pattern in _PATTERNS if (match := pattern.search(lowered))]
    return min(found)[1] if found else None
