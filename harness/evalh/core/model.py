"""A model as the workspace names it: `[models.<name>]` in evalh.toml."""

from collections.abc import Mapping

from msgspec import field
from msgspec.structs import replace

from evalh.core.money import Price
from evalh.core.reasoning import STRIP
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

EMBEDDINGS = "embeddings"
"""What `api` says of a model that gives vectors for texts instead of answers."""


_HOLD_SCHEMAS = frozenset({"openai", "anthropic", "gemini", "local"})


class ModelSpec(Value, kw_only=True):
    """Which provider answers under this name, and how it is reached. Holds a key's variable name, never a key."""

    name: str
    provider: str  # openai, anthropic, gemini, local, replay, scripted, or a plugin's
    model: str
    api_key_env: str | None = None
    base_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    params: Mapping[str, JsonValue] = field(default_factory=dict)  # overrides; null removes one
    price: Price | None = None
    reasoning: str = STRIP  # or "keep": what becomes of the reasoning before an answer
    cost_from: str | None = None  # where an answer says what it costs: `usage.cost`, `header:x-cost`
    options: Mapping[str, JsonValue] = field(default_factory=dict)  # the provider's own keys: path, slots, function, …
    where: str = ""  # file:line

    @property
    def embeds(self) -> bool:
        """Tell whether it gives embeddings, and no answers."""
        return self.options.get("api") == EMBEDDINGS

    @property
    def holds_schema(self) -> bool:
        """Whether its provider holds it to a schema that is asked for, so that it writes that JSON and nothing else."""
        return self.provider in _HOLD_SCHEMAS and self.options.get("schema") != "none"


def same_model(one: ModelSpec, other: ModelSpec | None) -> bool:
    """Tell whether two entries say the same, wherever they stand."""
    return other is not None and replace(one, where="") == replace(other, where="")
