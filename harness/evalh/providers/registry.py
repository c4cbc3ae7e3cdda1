"""Providers by their word in evalh.toml, what a provider is given when it is built, and what wraps it."""

import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from msgspec.structs import replace

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.model import ADDRESS, ModelSpec, Traits
from evalh.core.ports import Provider, Tree
from evalh.core.reasoning import KEEP, KEPT, apart
from evalh.core.request import Request
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.providers.live_text import WithoutReasoning

if TYPE_CHECKING:
    from evalh.core.declared import FileModel

M = TypeVar("M", bound="FileModel")


class ProviderContext(Value, kw_only=True):
    """What a provider is given when it is built. `prompt` and `version` are those under test."""

    prompt: str | None
    version: str | None
    tree: Tree  # the workspace's files at the revision in force
    root: Path  # the workspace's folder on disk
    env: Mapping[str, str]  # os.environ, as an argument
    cache_dir: Path  # the user's cache: model weights
    load_function: Callable[[str], Callable[..., object]]  # "evals/answers.py:answer" or "package.module:function"


Factory: TypeAlias = Callable[[ModelSpec, ProviderContext], Provider]
"""Builds a provider from `[models.<name>]`. Opens nothing yet. Raises WorkspaceError."""

_BUILT_IN: Mapping[str, str] = {
    "anthropic": "evalh.providers.anthropic.messages",
    "command": "evalh.providers.applications.command",
    "gemini": "evalh.providers.gemini.generate",
    "http": "evalh.providers.applications.http",
    "local": "evalh.providers.local",
    "openai": "evalh.providers.openai.chat",
    "python": "evalh.providers.applications.python",
    "replay": "evalh.providers.recording",
    "scripted": "evalh.providers.scripted",
}
"""The home of each: its `TRAITS`, `Options` and `build`, and `health` where it needs more than a key."""


class _Home(Value, kw_only=True):
    """What is known of a kind. If a plugin declares no options, every key is passed on unchecked."""

    factory: Factory
    traits: Traits
    options: "type[FileModel] | None"
    health: "Callable[[ModelSpec, Path, Path], Health] | None" = None
    plugin: bool = True


_PLUGINS: dict[str, _Home] = {}


class Health(Value):
    """What a provider finds on this machine. `lacking` stops a run; a run downloads what is `missing`."""

    state: Literal["ok", "lacking", "missing"]
    what: str
    hint: str | None = None


def provider(
    kind: str, *, per_version: bool = False, traits: Traits | None = None, options: "type[FileModel] | None" = None
) -> Callable[[Factory], Factory]:
    """Register a factory under the word that `provider = "…"` names in evalh.toml.

    A later registration of the same word replaces the earlier one: one process may open several workspaces.
    Raises WorkspaceError for the word of a built-in provider.
    """
    if kind in _BUILT_IN:
        raise WorkspaceError(
            f"a plugin registers provider {kind!r}, which is built in", hint="give the plugin's provider another name"
        )

    def register(factory: Factory) -> Factory:
        stated = traits or Traits(per_version=per_version)
        _PLUGINS[kind] = _Home(factory=factory, traits=stated, options=options)
        return factory

    return register


def kinds() -> list[str]:
    """Return every word that `provider = "…"` may name, sorted."""
    return sorted({*_BUILT_IN, *_PLUGINS})


def build(spec: ModelSpec, context: ProviderContext) -> Provider:
    """Build the provider that a model names; its module is imported only now. Raises WorkspaceError."""
    home = _home(spec.provider)
    if home is None:
        raise spec.wrong(f"no provider {spec.provider!r}", did_you_mean(spec.provider, kinds()))
    if home.plugin and home.options is not None:
        read_options(spec, home.options)
    built = home.factory(spec, context)
    return Reasoned(Guarded(built, home.traits) if home.plugin else built, keep=spec.reasoning == KEEP)


def _home(kind: str) -> _Home | None:
    if kind in _PLUGINS or kind not in _BUILT_IN:
        return _PLUGINS.get(kind)
    module = import_module(_BUILT_IN[kind])
    health = getattr(module, "health", None)
    return _Home(factory=module.build, traits=module.TRAITS, options=module.Options, health=health, plugin=False)


def traits_of(kind: str) -> Traits:
    """Return the traits of a kind of provider. A kind that is not registered has the defaults of a plugin."""
    home = _home(kind)
    return Traits() if home is None else home.traits


def options_of(kind: str) -> "type[FileModel]":
    """Return the model of a provider's own keys. It accepts every key if the provider declares none."""
    from evalh.providers.endpoint import UndeclaredOptions

    home = _home(kind)
    return UndeclaredOptions if home is None else home.options or UndeclaredOptions


def read_options(spec: ModelSpec, model: "type[M]") -> "M":
    """Read a model's own keys. Raises WorkspaceError."""
    from evalh.core.declared import read

    addressed = {key: stated for key in ADDRESS if (stated := getattr(spec, key))}
    return read(model, {**spec.options, **addressed}, lambda *_: spec.where, f"model {spec.name!r}")


def function_of(spec: ModelSpec) -> str | None:
    """Return the workspace's function that answers for a model; None if no function does."""
    function = spec.options.get(traits_of(spec.provider).function_in or "")
    return function if isinstance(function, str) else None


def holds_schema(spec: ModelSpec) -> bool:
    """Whether a model can write only JSON that fits the schema."""
    return traits_of(spec.provider).holds_schema and spec.options.get("schema") != "none"


def health_of(spec: ModelSpec, root: Path, cache_dir: Path) -> Health | None:
    """Look for what a model needs in addition to a key; None if nothing. Downloads and loads nothing."""
    home = _home(spec.provider)
    return None if home is None or home.health is None else home.health(spec, root, cache_dir)


class SpecifiedProvider:
    """A provider that needs only its entry in evalh.toml; there is nothing to open."""

    max_in_flight: int | None = None  # as many calls at once as its own rate limits allow

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.name, self.kind, self.model, self.params = spec.name, spec.provider, spec.model, spec.params
        self.traits = traits_of(spec.provider)

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Guarded:
    """Passes everything to the plugin. An unexpected exception of its `send` becomes a failed attempt."""

    def __init__(self, inner: Provider, traits: Traits) -> None:
        self._inner = inner
        self.traits = traits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, request: Request, call: Call) -> Completion:
        """Send. Raises CallError; a `bad_response` names the plugin's line if it raised anything else."""
        try:
            completion: object = await self._inner.send(request, call)
        except CallError:
            raise
        except Exception as exc:
            last = traceback.extract_tb(exc.__traceback__)[-1]
            place = f"{last.filename}:{last.lineno}"
            raise CallError(ErrorKind.BAD_RESPONSE, f"{place}: {type(exc).__name__}: {exc}") from exc
        if not isinstance(completion, Completion):
            kind = type(completion).__name__
            raise CallError(ErrorKind.BAD_RESPONSE, f"provider {self._inner.kind!r} gave a {kind}, not a Completion")
        return completion


class Reasoned:
    """Passes everything except an answer's reasoning. `keep`: the reasoning too, and `identity` says so.

    Graders, checks, judges, repairs and the log see what this returns.
    """

    def __init__(self, inner: Provider, *, keep: bool) -> None:
        self._inner = inner
        self._keep = keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """The inner provider's identity. With `keep` the answers differ, so those without it are never reused."""
        return {**self._inner.identity, **KEPT} if self._keep else self._inner.identity

    async def send(self, request: Request, call: Call) -> Completion:
        if self._keep:
            completion = await self._inner.send(request, call)
            return replace(completion, reasoning=completion.reasoning or "")
        if call.on_text is None:
            return apart(await self._inner.send(request, call))
        tell, call.on_text = call.on_text, WithoutReasoning(call.on_text)
        try:
            return apart(await self._inner.send(request, call))
        finally:
            call.on_text = tell
