"""A model as the workspace names it: `[models.<name>]` in evalh.toml."""

from collections.abc import Mapping

from msgspec import field
from msgspec.structs import replace

from evalh.core.errors import WorkspaceError
from evalh.core.money import Price
from evalh.core.reasoning import STRIP
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

EMBEDDINGS = "embeddings"
"""What `api` says of a model that gives vectors for texts instead of answers."""


class Traits(Value, kw_only=True):
    """What a kind of provider is, where other code must know it. A plugin's is what stands here unless it says so."""

    hosted: bool = True  # others run the model: it may change under its name, and a table may know its price
    recorded: bool = False  # its answers are kept word for word: it says the same for ever
    draws_by_seed: bool = False  # another answer takes another seed
    per_version: bool = False  # it is handed the prompt and version under test: one provider for each version
    reads_files: bool = True  # it reads files of the revision in force
    function_in: str | None = None  # the option that names a function of the workspace: it answers
    weights_in: str | None = None  # the option that names weights, which may lie beside what git holds
    holds_schema: bool = False  # it holds a model to a schema that is asked for, unless `schema = "none"`
    logprobs_by: tuple[str, ...] | None = None  # the params that ask for log-probabilities; None: unknown
    price_table: str | None = None  # what genai-prices calls it; None: it has no public prices
    otel_name: str | None = None  # what OpenTelemetry's conventions call it; None: as evalh.toml does


class ModelSpec(Value, kw_only=True):
    """Which provider answers under this name, and how it is reached. Holds a key's variable name, never a key."""

    name: str
    provider: str  # a word of providers/registry.py, or a plugin's
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
        """Whether it gives embeddings, and no answers."""
        return self.options.get("api") == EMBEDDINGS

    def wrong(self, what: str, hint: str | None = None) -> WorkspaceError:
        """Return the error that says what is wrong with this entry."""
        return WorkspaceError(f"model {self.name!r}: {what}", where=self.where or None, hint=hint)


def same_model(one: ModelSpec, other: ModelSpec | None) -> bool:
    """Return whether two entries say the same, wherever they stand."""
    return other is not None and replace(one, where="") == replace(other, where="")
