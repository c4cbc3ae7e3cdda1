"""promptfoo's words for model services: how each is reached from evalh."""

from evalh.core.strict_json import JsonValue

COMPATIBLE: dict[str, tuple[str, str | None]] = {
    "ollama": ("http://localhost:11434/v1", None),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "togetherai": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    "github": ("https://models.github.ai/inference", "GITHUB_TOKEN"),
    "huggingface": ("https://router.huggingface.co/v1", "HF_TOKEN"),
    "localai": ("http://localhost:8080/v1", None),
    "llamafile": ("http://localhost:8080/v1", None),
    "llama": ("http://localhost:8080/v1", None),
    "vllm": ("http://localhost:8000/v1", None),
    "litellm": ("http://localhost:4000", "LITELLM_API_KEY"),
    "portkey": ("https://api.portkey.ai/v1", "PORTKEY_API_KEY"),
    "nscale": ("https://inference.api.nscale.com/v1", "NSCALE_SERVICE_TOKEN"),
    "hyperbolic": ("https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"),
}
"""Services with OpenAI's API: their address, and the variable of their key."""

KINDS_OF_CALL = frozenset({"chat", "completion", "messages", "responses", "text-generation", "embedding", "embeddings"})
"""Words between a service and a model."""

PARAMS: dict[str, str] = {
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "maxTokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "num_predict": "max_tokens",
    "top_p": "top_p",
    "topP": "top_p",
    "top_k": "top_k",
    "topK": "top_k",
    "stop": "stop",
    "stopSequences": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "reasoning_effort": "reasoning_effort",
    "reasoning": "reasoning",
    "thinking": "thinking",
    "verbosity": "verbosity",
    "service_tier": "service_tier",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "logit_bias": "logit_bias",
    "user": "user",
    "tool_choice": "tool_choice",
}
"""Settings that are sent with a request, and their names here."""

QUIET = frozenset({"apiKey", "apiKeyEnvar", "apiKeyRequired", "showThinking", "basePath", "organization", "cwd"})
"""Settings that decide nothing here, or are told elsewhere."""

LOST: dict[str, str] = {
    "promptfoo": "asks promptfoo's own service",
    "browser": "drives a browser",
    "websocket": "uses a WebSocket",
    "ws": "uses a WebSocket",
    "wss": "uses a WebSocket",
    "sequence": "is a list of prompts for one conversation",
    "webhook": "is a webhook",
    "mcp": "is a tool server",
    "slack": "asks people in Slack",
    "manual-input": "asks a person",
    "package": "is an npm package",
    "golang": "is a program in Go",
    "bedrock-agent": "is a Bedrock agent",
    "f5": "has an API of its own",
    "replicate": "has an API of its own",
    "cohere": "has an API of its own",
    "cloudflare-ai": "has an API of its own",
    "watsonx": "has an API of its own",
    "sagemaker": "has an API of its own",
}
"""Providers that have no counterpart."""


_OWN: dict[str, dict[str, JsonValue]] = {
    "openai": {"provider": "openai", "api_key_env": "OPENAI_API_KEY"},
    "anthropic": {"provider": "anthropic", "api_key_env": "ANTHROPIC_API_KEY"},
    "google": {"provider": "gemini"},
    "azure": {
        "provider": "openai",
        "api_key_env": "AZURE_API_KEY",
        "base_url": "https://RESOURCE.openai.azure.com/openai/v1",
    },
    "bedrock": {
        "provider": "openai",
        "api_key_env": "AWS_BEARER_TOKEN_BEDROCK",
        "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1",
    },
    "vertex": {
        "provider": "gemini",
        "auth": {"command": ["gcloud", "auth", "print-access-token"]},
        "base_url": "https://us-central1-aiplatform.googleapis.com/v1/projects/PROJECT/locations/us-central1"
        "/publishers/google",
    },
}
_ALIASES = {"palm": "google", "gemini": "google", "azureopenai": "azure"}


def base_table(service: str, model: str) -> dict[str, JsonValue] | None:
    """Return the beginning of a model's table; None for a service that is not one of these."""
    own = _OWN.get(_ALIASES.get(service, service))
    if own is not None:
        return {"provider": own["provider"], "model": model, **own}
    if service not in COMPATIBLE:
        return None
    address, key = COMPATIBLE[service]
    table = {"provider": "openai", "model": model, "base_url": address}
    return {**table, "api_key_env": key} if key else table


FILLED: dict[str, tuple[str, ...]] = {
    "apiHost": ("RESOURCE.openai.azure.com",),
    "region": ("us-east-1", "us-central1"),
    "projectId": ("PROJECT",),
}
"""Settings that name a part of an address, and what stands for it in ours."""

BY_HAND = {
    "RESOURCE": "the address names your resource: put it into base_url, and see auth in docs/reference/providers.md",
    "PROJECT": "the address names your project: correct base_url, and see auth in docs/reference/providers.md",
    "bedrock-runtime.us-east-1.": "the address names a region: correct base_url if yours is another",
}
"""What a person must fill in, by what stands for it in an address."""
