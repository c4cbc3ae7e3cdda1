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
"""The `api` of a model that returns vectors for texts instead of answers."""

ADDRESS = ("api_key_env", "auth", "base_url", "headers", "cost_from", "price_as")
"""Of a provider's keys in evalh.toml, those that stand in `ModelSpec` itself."""


class Traits(Value, kw_only=True):
    """The properties of a kind of provider that other code asks for. The defaults apply to plugins."""

    hosted: bool = True  # run by others: the model may change under its name, and the price table may list it
    recorded: bool = False  # a recording: its answers never change
    draws_by_seed: bool = False  # a second, different answer needs another seed
    per_version: bool = False  # it receives the version under test: one provider for each version
    reads_files: bool = True  # it reads files of the revision in force
    function_in: str | None = None  # the option that names the function of the workspace that answers
    weights_in: str | None = None  # the option that names weights, which may lie outside git
    holds_schema: bool = False  # it enforces a requested schema, unless `schema = "none"`
    logprobs_by: tuple[str, ...] | None = None  # the params that ask for log-probabilities; None if unknown
    price_table: str | None = None  # its name in genai-prices; None: no public prices
    runs_code: bool = False  # code answers that no request shows: its answers last while a stated `revision` does
    otel_name: str | None = None  # its name in OpenTelemetry's conventions; None: as in evalh.toml


class ModelSpec(Value, kw_only=True):
    """The provider behind this name, and how it is reached. Holds the name of a key's variable, never a key."""

    name: str
    provider: str  # a word of providers/registry.py, or a plugin's
    model: str
    api_key_env: str | None = None
    base_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    params: Mapping[str, JsonValue] = field(default_factory=dict)  # overrides; null removes one
    price: Price | None = None
    reasoning: str = STRIP  # or "keep": the reasoning before an answer
    cost_from: str | None = None  # where a response states its cost: `usage.cost`, `header:x-cost`
    auth: JsonValue = None  # how requests say who asks, as stated; None: by the key, as the provider's API takes it
    price_as: str | None = None  # `table/model` of the price table, for a model that it lists under another name
    options: Mapping[str, JsonValue] = field(default_factory=dict)  # the provider's own keys: path, slots, function, …
    where: str = ""  # file:line

    @property
    def embeds(self) -> bool:
        """Whether it gives only embeddings."""
        return self.options.get("api") == EMBEDDINGS

    def wrong(self, what: str, hint: str | None = None) -> WorkspaceError:
        """Return the error that says what is wrong with this entry."""
        return WorkspaceError(f"model {self.name!r}: {what}", where=self.where or None, hint=hint)


def same_model(one: ModelSpec, other: ModelSpec | None) -> bool:
    """Return whether two entries are equal apart from their place."""
    return other is not None and replace(one, where="") == replace(other, where="")
