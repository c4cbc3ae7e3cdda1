"""Which provider answers to which word in evalh.toml, and what one may be handed when it is built."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TypeAlias, cast

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.model import ModelSpec
from evalh.core.ports import Provider, Tree
from evalh.core.reasoning import KEEP
from evalh.core.values import Value


class ProviderContext(Value, kw_only=True):
    """What a provider may be handed when it is built. `prompt` and `version` are those under test."""

    prompt: str | None
    version: str | None
    tree: Tree  # the workspace's files at the revision in force
    root: Path  # the workspace's folder on disk
    env: Mapping[str, str]  # os.environ, handed in
    cache_dir: Path  # the user's cache: model weights
    load_function: Callable[[str], Callable[..., object]]  # "evals/answers.py:answer" or "package.module:function"


Factory: TypeAlias = Callable[[ModelSpec, ProviderContext], Provider]
"""Builds a provider from `[models.<name>]`. Opens nothing yet. Raises WorkspaceError."""

_BUILT_IN: Mapping[str, str] = {
    "anthropic": "evalh.providers.anthropic",
    "gemini": "evalh.providers.gemini",
    "local": "evalh.providers.local",
    "openai": "evalh.providers.openai",
    "replay": "evalh.providers.replay",
    "scripted": "evalh.providers.scripted",
}
_FACTORIES: dict[str, Factory] = {}

PER_VERSION: set[str] = {"replay"}
"""Kinds that read `ProviderContext.prompt` or `.version`: one provider per prompt version, not one per model."""


def provider(kind: str, *, per_version: bool = False) -> Callable[[Factory], Factory]:
    """Register a factory under the word that `provider = "…"` names in evalh.toml.

    A later registration of the same word replaces the earlier one: one process may open several workspaces.
    Raises WorkspaceError for the word of a built-in provider.
    """
    if kind in _BUILT_IN:
        raise WorkspaceError(
            f"a plugin registers provider {kind!r}, which is built in", hint="give the plugin's provider another name"
        )

    def register(factory: Factory) -> Factory:
        _FACTORIES[kind] = factory
        if per_version:
            PER_VERSION.add(kind)
        else:
            PER_VERSION.discard(kind)
        return factory

    return register


def kinds() -> list[str]:
    """Return every word that `provider = "…"` may name, sorted."""
    return sorted({*_BUILT_IN, *_FACTORIES})


def build(spec: ModelSpec, context: ProviderContext) -> Provider:
    """Build the provider that a model names; its module is imported only now. Raises WorkspaceError."""
    from evalh.providers.reasoned import Reasoned

    return Reasoned(_build(spec, context), keep=spec.reasoning == KEEP)


def _build(spec: ModelSpec, context: ProviderContext) -> Provider:
    plugin, home = _FACTORIES.get(spec.provider), _BUILT_IN.get(spec.provider)
    if plugin is not None:
        from evalh.providers.guarded import Guarded

        return Guarded(plugin(spec, context))
    if home is None:
        raise WorkspaceError(
            f"model {spec.name!r}: no provider {spec.provider!r}",
            where=spec.where or None,
            hint=did_you_mean(spec.provider, kinds()),
        )
    factory = cast("Factory", import_module(home).build)
    return factory(spec, context)
