"""Building a workspace's providers: whose code they run, and from where they may read."""

from pathlib import Path
from typing import TYPE_CHECKING

from evalh.core.errors import NotFound, WorkspaceError, did_you_mean
from evalh.core.model import ModelSpec, same_model
from evalh.core.ports import Provider
from evalh.core.prompt import PromptVersion
from evalh.plugins import load_provider
from evalh.providers.registry import ProviderContext, build, kinds, traits_of

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


def provider_of(workspace: "Workspace", model: str, version: PromptVersion | None) -> Provider:
    """Build the provider behind a model's name, once. Raises NotFound, WorkspaceError."""
    spec = workspace.config.models.get(model)
    if spec is None:
        raise NotFound(f"no model {model!r} in evalh.toml", hint=did_you_mean(model, workspace.config.models))
    refuse_unknown_provider(workspace, spec)
    twin, traits = workspace.twin, traits_of(spec.provider)
    if twin and not traits.reads_files and same_model(spec, twin.config.models.get(model)):
        return twin.provider(model, version)  # one model's weights are not loaded twice
    versioned = (version.name, version.version) if version and traits.per_version else ()
    key = (model, *versioned)
    built = workspace.providers
    if key not in built:
        built[key] = build(
            spec,
            ProviderContext(
                prompt=version.name if version else None,
                version=version.version if version else None,
                tree=workspace.tree,
                root=_root(workspace, spec),
                env=workspace.env,
                cache_dir=workspace.cache_dir,
                load_function=workspace.load_function,
            ),
        )
    return built[key]


def refuse_unknown_provider(workspace: "Workspace", spec: ModelSpec) -> None:
    """Raise WorkspaceError where neither evalh, a plugin file nor a package offers a model's provider."""
    _ = workspace.kinds  # plugin files register providers too
    if spec.provider not in kinds() and not load_provider(spec.provider):
        what = f"model {spec.name!r}: no provider {spec.provider!r}"
        raise WorkspaceError(what, where=spec.where or None, hint=did_you_mean(spec.provider, kinds()))


def _root(workspace: "Workspace", spec: ModelSpec) -> Path:
    """Return the folder in which a provider finds files: of the revision that runs, weights beside it apart.

    Weights are too big for most repositories. Those that git does not hold lie in the checkout, put there by a person
    or by the job itself. Raises WorkspaceError for weights that a stranger brings.
    """
    candidate, traits = workspace.files.candidate, traits_of(spec.provider)
    if traits.function_in:
        return workspace.files.code()
    if candidate is None:
        return workspace.root
    path = spec.options.get(traits.weights_in or "")
    if not isinstance(path, str):
        return workspace.files.code()
    place = workspace.root / path
    if not place.is_relative_to(workspace.root) or ".." in place.parts:
        return workspace.root
    if workspace.tree.exists(place.relative_to(workspace.root).as_posix()):
        return workspace.files.code()
    if candidate.holds(place) or candidate.holds(place.resolve()):
        what = f"model {spec.name!r}: {path} comes from head, and would answer"
        raise WorkspaceError(what, where=spec.where or None, hint="--trust base takes weights from base alone")
    return workspace.root
