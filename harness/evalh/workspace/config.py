"""`evalh.toml`: where things are, which version is live, which models and routes there are.

The models are the file's keys. They name a key's variable, never a key.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, create_model, field_validator, model_validator

from evalh.core.declared import FileModel, Refused, Text, Texts, Words, keys_of, read
from evalh.core.errors import WorkspaceError, nearest
from evalh.core.located import Located, json_of
from evalh.core.model import ModelSpec
from evalh.core.ports import Tree
from evalh.core.prompt import version_number
from evalh.core.route import Route
from evalh.core.strict_json import JsonValue
from evalh.workspace.credentials import names_key, refuse_keys
from evalh.workspace.files import label, read_text
from evalh.workspace.pricing import PriceTable
from evalh.workspace.routes import RouteTable
from evalh.workspace.toml import parse_toml

M = TypeVar("M", bound=BaseModel)
OptionsOf: TypeAlias = Callable[[str], "type[BaseModel] | None"]
"""Returns the model of a provider's own keys; None for a word whose keys nobody declares."""

CONFIG_NAME = "evalh.toml"
REMOVED = "null"
"""What stands in `params` for a parameter that is not to be sent: TOML has no null."""

_ADDRESS = ("api_key_env", "base_url", "headers", "cost_from")  # of a provider's keys, what stands in ModelSpec itself
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_UNFILLED = re.compile(r"[${}<>]|%[A-Za-z_]{3,}%")
_URL = 'base_url = "http://localhost:8000/v1"'
_ENV_KEY = 'put it into an environment variable and name that: api_key_env = "OPENAI_API_KEY"'


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

    provider: Annotated[Text, Words(hint='provider = "openai"')] = Field(description="Who answers, or a plugin's word.")
    model: Annotated[Text, Words(hint='model = "gpt-5-mini"')] | None = Field(
        None, description="The model's name on the wire. Default: the table's name."
    )
    timeout_s: float = Field(120.0, gt=0, description="Seconds that one attempt may take.")
    params: dict[str, Any] = Field(
        default_factory=dict,
        description=f'Parameters that are laid over the version\'s `config`; the text "{REMOVED}" takes one out.',
    )
    price: PriceTable | None = Field(None, description="What the model costs.")
    reasoning: Annotated[
        Literal["strip", "keep"], Words(hint='reasoning = "keep" leaves <think>…</think> in the output')
    ] = Field("strip", description="What becomes of the reasoning before an answer.")


class HostedTable(FileModel):
    """The keys of any model behind HTTP."""

    ends_in: ClassVar[re.Pattern[str] | None] = None  # of a copied address, what the provider adds itself

    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        None, description="The environment variable that holds the key; never a key."
    )
    base_url: Text | None = Field(None, description="Where the API is. Default: the provider's own address.")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers that are sent with every request.")
    cost_from: (
        Annotated[
            str,
            Field(pattern=rf"^(header:{_HEADER.pattern}|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)$"),
            Words(
                "a path into the answer's body, or a header of the answer",
                'cost_from = "usage.cost", or cost_from = "header:x-litellm-response-cost"',
            ),
        ]
        | None
    ) = Field(None, description="Where an answer says its cost: a path, or `header:NAME`.")

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        from urllib.parse import parse_qsl, urlsplit

        if _UNFILLED.search(url):
            hint = f"write the address itself, such as {_URL}"
            raise Refused("'base_url' holds a variable, and evalh fills none in", hint)
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise Refused("'base_url' is not a URL", _URL) from None
        if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f\x7f]", url):
            raise Refused("'base_url' must be an http or https URL", _URL)
        secret = any(names_key(key) for key, _ in parse_qsl(parts.query))
        if parts.username is not None or parts.password is not None or secret:
            raise Refused("'base_url' looks like a key; keys do not belong into files", _ENV_KEY)
        path = parts.path.rstrip("/")
        base = path if cls.ends_in is None else cls.ends_in.sub("", path)
        if base != path:
            hint = f'base_url = "{parts._replace(path=base).geturl()}"'
            raise Refused(f"'base_url' ends in {path[len(base) :]!r}, which evalh adds itself", hint)
        return url

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for key, value in headers.items():
            if "${" in value:
                hint = "a key's variable is named in api_key_env; anything else is written as it is"
                raise Refused(f"header {key!r} holds a variable, and evalh fills none in", hint, (key,))
            if not _HEADER.fullmatch(key) or not _HEADER_VALUE.fullmatch(value):
                raise Refused(f"header {key!r} holds a character that no header may hold", at=(key,))
        return headers


class UndeclaredTable(HostedTable):
    """The keys of a plugin's provider that declares none: they are handed through as they stand."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _names_a_provider(cls, stated: Any) -> Any:
        misspelt = [key for key in stated if "provider" not in stated and nearest(key, ["provider"])]
        if misspelt:
            raise Refused(f"unknown key {misspelt[0]!r}", "did you mean 'provider'?", (misspelt[0],))
        return stated


class ConfigFile(FileModel):
    """`evalh.toml`: where things are, which version is live, which models and routes there are."""

    workspace: WorkspaceTable = Field(default_factory=WorkspaceTable)
    prompts: dict[str, PromptTable] = Field(default_factory=dict)
    models: dict[str, dict[str, object]] = Field(default_factory=dict, description="Models by the name they go by.")
    routes: dict[str, RouteTable] = Field(default_factory=dict, description="Routes by the name they go by.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
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
    where: str = CONFIG_NAME
    source: Located | None = field(default=None, repr=False, compare=False)

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
    """Return the keys of `[models.<name>]` with a provider's own; who has an address needs the model's name there."""
    fields: dict[str, Any] = {}
    if "base_url" in options.model_fields and options is not UndeclaredTable:
        field = ModelTable.model_fields["model"]
        fields["model"] = (Annotated[Text, Words(hint='model = "gpt-5-mini"')], Field(description=field.description))
    return create_model("ModelTable", __base__=(ModelTable, options), __doc__=options.__doc__, **fields)


def load_config(tree: Tree, options_of: OptionsOf | None = None) -> Config:
    """Read evalh.toml at the tree's root. Raises WorkspaceError with all that is wrong in it."""
    from evalh.workspace.options import options_of as built_in

    name = label(tree, CONFIG_NAME)
    located = parse_toml(read_text(tree, CONFIG_NAME), name)
    refuse_keys(located)
    errors: list[WorkspaceError] = []
    file = _tried(errors, ConfigFile, located.value, located.where)
    models = _models(located, options_of or built_in, errors)
    WorkspaceError.raise_all(errors)
    assert file is not None
    routes = {name: table.route(name, partial(located.where, "routes", name)) for name, table in file.routes.items()}
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
        where=name,
        source=located,
    )


def _tried(errors: list[WorkspaceError], model: type[M], value: JsonValue, where: Callable[..., str]) -> M | None:
    try:
        return read(model, value, where)
    except WorkspaceError as exc:
        errors += (exc, *exc.others)  # type: ignore[arg-type]
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
            provider = table.get("provider")
            options = (options_of(provider) if isinstance(provider, str) else None) or UndeclaredTable
            if (own := _tried(errors, model_table(options), table, where)) is not None:
                found[name] = _model(name, table, own, where())
    return found


def _model(name: str, table: Mapping[str, JsonValue], own: Any, where: str) -> ModelSpec:
    elsewhere = {*keys_of(ModelTable), *_ADDRESS}
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
        **{key: value for key in _ADDRESS if (value := getattr(own, key, None)) is not None},
    )


def _clashes(routes: Mapping[str, Route], models: Mapping[str, ModelSpec]) -> Iterator[WorkspaceError]:
    """Find what is wrong between routes and models."""
    for name, route in routes.items():
        if name in models:
            yield WorkspaceError(
                f"{name!r} is a model already; a route may stand wherever a model may, so their names must differ",
                where=route.where,
                hint=f"the model is at {models[name].where}",
            )
        elif route.repair is not None and route.model in routes:
            yield WorkspaceError(
                f"route {name!r} would repair what {route.model!r} answers, which is a route with repairs of its own",
                where=route.where,
                hint=f"declare it where a model is asked: [routes.{route.model}]",
            )
