"""`evalh.toml`: where things are, which version is live, which models and routes there are.

The models are the file's keys. They name a key's variable, never a key.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from msgspec import field
from pydantic import BaseModel, Field, ValidationInfo, create_model, field_validator, model_validator

from evalh.core.declared import FileModel, Refused, Text, Texts, Words, keys_of, read
from evalh.core.errors import WorkspaceError, nearest
from evalh.core.located import Located, json_of
from evalh.core.model import ADDRESS, ModelSpec
from evalh.core.ports import Tree
from evalh.core.prompt import version_number
from evalh.core.route import Route
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.credentials import refuse_keys
from evalh.workspace.files import label, read_text
from evalh.workspace.prices import PriceTable
from evalh.workspace.toml import parse_toml
from evalh.workspace.tracing import TraceSettings, TraceTable

M = TypeVar("M", bound=BaseModel)
OptionsOf: TypeAlias = Callable[[str], type[BaseModel]]
"""Returns the model of a provider's own keys, which takes every key where nobody declares them."""

CONFIG_NAME = "evalh.toml"
REMOVED = "null"
"""What stands in `params` for a parameter that is not to be sent: TOML has no null."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


_ModelName: TypeAlias = Annotated[Text, Words(hint='model = "gpt-5-mini"')]


class WorkspaceTable(FileModel):
    """`[workspace]`: where things are."""

    default_suite: Text | None = Field(None, description="The suite of `evalh run` without a target.")
    plugins: Texts = Field((), description="Python files that are loaded with the workspace.")
    base: Text | None = Field(None, description="The revision that work is merged into. Default: the remote's HEAD.")
    prompts: Text = Field("prompts", description="The folder of the prompts.")
    evals: Text = Field("evals", description="The folder of the suites.")
    datasets: Text = Field("datasets", description="The folder of the datasets.")

    @field_validator("prompts", "evals", "datasets")
    @classmethod
    def _lies_inside(cls, folder: str, info: ValidationInfo) -> str:
        names = [name for name in folder.split("/") if name not in ("", ".")]
        if folder.startswith("/") or ".." in names or "\\" in folder or "\0" in folder or not names:
            key = info.field_name
            raise Refused(f"{key!r} must be a folder inside the workspace, with /", f'{key} = "{key}"')
        return "/".join(names)


class PromptTable(FileModel):
    """`[prompts.<name>]`."""

    live: Text | None = Field(None, description="The version in use, such as v3. Default: the newest frozen version.")

    @field_validator("live")
    @classmethod
    def _is_frozen(cls, live: str) -> str:
        if version_number(live) is None:
            raise Refused(f"'live' names a frozen version, not {live!r}", 'live = "v3"')
        return live


class ModelTable(FileModel):
    """`[models.<name>]`: what every provider takes. Its own keys are declared by the provider."""

    provider: Annotated[Text, Words(hint='provider = "openai"')] = Field(description="The provider, or a plugin's.")
    model: _ModelName | None = Field(None, description="The provider's name of the model. Default: the table's name.")
    timeout_s: float = Field(120.0, gt=0, description="Seconds that one attempt may take.")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description=f'Parameters that replace those of the version\'s `config`. The text "{REMOVED}" removes one.',
    )
    price: PriceTable | None = Field(None, description="What the model costs.")
    reasoning: Annotated[
        Literal["strip", "keep"], Words(hint='reasoning = "keep" leaves <think>…</think> in the output')
    ] = Field("strip", description="What happens to reasoning before an answer.")

    @model_validator(mode="before")
    @classmethod
    def _names_a_provider(cls, stated: Any) -> Any:
        """Refuse a misspelt `provider` where nobody knows the other keys."""
        misspelt = [key for key in stated if "provider" not in stated and nearest(key, ["provider"])]
        if misspelt:
            raise Refused(f"unknown key {misspelt[0]!r}", "did you mean 'provider'?", (misspelt[0],))
        return stated


class ConfigFile(FileModel):
    """`evalh.toml`: where things are, which version is live, which models and routes there are."""

    workspace: WorkspaceTable = Field(default_factory=WorkspaceTable.model_construct)
    prompts: dict[str, PromptTable] = Field(default_factory=dict)
    models: dict[str, dict[str, object]] = Field(default_factory=dict, description="Models by name.")
    routes: dict[str, dict[str, object]] = Field(default_factory=dict, description="Routes by name.")
    trace: TraceTable = Field(default_factory=TraceTable.model_construct)


class Config(Value, kw_only=True):
    """The content of evalh.toml."""

    default_suite: str | None = None
    plugins: tuple[str, ...] = ()
    base: str | None = None  # the revision that work is merged into; None: the remote's HEAD
    prompts_dir: str = "prompts"
    evals_dir: str = "evals"
    datasets_dir: str = "datasets"
    live: Mapping[str, str] = field(default_factory=dict)  # prompt → version
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    trace: TraceSettings = TraceSettings()
    where: str = CONFIG_NAME
    source: Located | None = None

    def where_of(self, *path: str) -> str:
        """Return `file:line` of a table or key, such as `("routes", "careful")`."""
        return self.where if self.source is None else self.source.where(*path)


def find_root(start: Path) -> Path:
    """Return the nearest folder upwards from `start` that holds an evalh.toml. Raises WorkspaceError."""
    try:
        start = start.resolve()
        there = start.exists()
    except OSError as exc:  # the current folder was deleted under us
        raise WorkspaceError(f"cannot be read: {exc.strerror}", where=str(start), hint="cd to a folder") from None
    if not there:
        # A misspelt folder must not lead to the workspace of a folder above it.
        raise WorkspaceError("no such folder", where=str(start))
    for folder in (start, *start.parents):
        try:
            if (folder / CONFIG_NAME).is_file():
                return folder
        except OSError:  # a folder that may not be looked into
            continue
    raise WorkspaceError(f"no {CONFIG_NAME} here or in a folder above", where=str(start), hint="evalh init")


@cache
def model_table(options: type[BaseModel]) -> type[BaseModel]:
    """Return the keys of `[models.<name>]` with a provider's own; what has an address needs the model's name there."""
    named = "base_url" in options.model_fields and options.model_config.get("extra") != "allow"
    own: dict[str, Any] = (
        {"model": (_ModelName, Field(description="The provider's name of the model."))} if named else {}
    )
    return create_model("ModelTable", __base__=(ModelTable, options), __doc__=options.__doc__, **own)


def load_config(tree: Tree, options_of: OptionsOf) -> Config:
    """Read evalh.toml at the tree's root. Raises WorkspaceError with all that is wrong in it."""
    name = label(tree, CONFIG_NAME)
    located = parse_toml(read_text(tree, CONFIG_NAME), name)
    refuse_keys(located)
    errors: list[WorkspaceError] = []
    file = _tried(errors, ConfigFile, located.value, located.where)
    models = _models(located, options_of, errors)
    routes = _routes(located, errors)
    WorkspaceError.raise_all(errors)
    assert file is not None
    WorkspaceError.raise_all(_clashes(routes, models))
    return Config(
        default_suite=file.workspace.default_suite,
        plugins=file.workspace.plugins,
        base=file.workspace.base,
        prompts_dir=file.workspace.prompts,
        evals_dir=file.workspace.evals,
        datasets_dir=file.workspace.datasets,
        live={name: table.live for name, table in file.prompts.items() if table.live is not None},
        models=models,
        routes=routes,
        trace=file.trace.settings(),
        where=name,
        source=located,
    )


def _tried(errors: list[WorkspaceError], model: type[M], value: JsonValue, where: Callable[..., str]) -> M | None:
    try:
        return read(model, value, where)
    except WorkspaceError as exc:
        errors.append(exc)
        return None


def _models(located: Located, options_of: OptionsOf, errors: list[WorkspaceError]) -> dict[str, ModelSpec]:
    tables = located.value.get("models", {})
    found = {}
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        where = partial(located.where, "models", name)
        if not _NAME.fullmatch(name):
            hint = "letters, digits, `.`, `_` and `-`"
            errors.append(WorkspaceError(f"{name!r} cannot name a model", where=where(), hint=hint))
        elif isinstance(table, Mapping):
            options = options_of(str(table.get("provider")))
            if (own := _tried(errors, model_table(options), table, where)) is not None:
                found[name] = _model(name, table, own, where())
    return found


def _model(name: str, table: Mapping[str, JsonValue], own: Any, where: str) -> ModelSpec:
    elsewhere = {*keys_of(ModelTable), *ADDRESS}
    return ModelSpec(
        name=name,
        provider=own.provider,
        model=own.model or name,
        timeout_s=own.timeout_s,
        params={key: None if value == REMOVED else value for key, value in own.params.items()},
        price=own.price and own.price.price(),
        reasoning=own.reasoning,
        options={key: json_of(value) for key, value in table.items() if key not in elsewhere},
        where=where,
        **{key: json_of(table[key]) for key in ADDRESS if key in table},
    )


def _routes(located: Located, errors: list[WorkspaceError]) -> dict[str, Route]:
    tables = located.value.get("routes", {})
    found = {}
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        if isinstance(table, Mapping):
            from evalh.workspace.routes import RouteTable  # eight models, for files that have routes

            where = partial(located.where, "routes", name)
            if (own := _tried(errors, RouteTable, table, where)) is not None:
                found[name] = own.route(name, where)
    return found


def _clashes(routes: Mapping[str, Route], models: Mapping[str, ModelSpec]) -> Iterator[WorkspaceError]:
    """Find what is wrong between routes and models."""
    for name, route in routes.items():
        if name in models:
            yield WorkspaceError(
                f"{name!r} is a model already; a route can be used like a model, so their names must differ",
                where=route.where,
                hint=f"the model is at {models[name].where}",
            )
        elif route.repair is not None and route.model in routes:
            yield WorkspaceError(
                f"route {name!r} would repair answers of {route.model!r}, a route that repairs them itself",
                where=route.where,
                hint=f"declare the repair in the inner route: [routes.{route.model}]",
            )
