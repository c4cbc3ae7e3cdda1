"""`evalh.toml`: where things are, which version is live, which models there are.

`[models.<name>]` in evalh.toml. They name a key's variable, never a key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evalh.core.errors import WorkspaceError, nearest
from evalh.core.located import Located, Table, kind_of
from evalh.core.model import ModelSpec
from evalh.core.ports import Tree
from evalh.core.prompt import version_number
from evalh.core.reasoning import KEEP, STRIP
from evalh.core.route import Route
from evalh.core.strict_json import JsonValue
from evalh.workspace.credentials import key_found, names_key, refuse_keys
from evalh.workspace.files import label, read_text
from evalh.workspace.pricing import price_of
from evalh.workspace.routes import route
from evalh.workspace.toml import parse_toml

REMOVED = "null"
"""What stands in `params` for a parameter that is not to be sent: TOML has no null."""

_EVERYWHERE = ("provider", "model", "timeout_s", "params", "price", "reasoning")
_HOSTED = (*_EVERYWHERE, "api_key_env", "base_url", "headers", "cost_from")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "openai": (*_HOSTED, "schema", "max_tokens_name", "api"),
    "anthropic": (*_HOSTED, "schema"),
    "gemini": (*_HOSTED, "schema"),
    "local": (*_EVERYWHERE, "path", "slots", "context", "threads"),
    "replay": (*_EVERYWHERE, "path"),
    "scripted": (*_EVERYWHERE, "function", "table", "default", "latency_ms"),
}
_MODEL_NEEDED = ("openai", "anthropic", "gemini")

_OPERATION: Mapping[str, re.Pattern[str]] = {
    "openai": re.compile(r"/(chat(/completions)?|completions|embeddings|responses)$"),
    "anthropic": re.compile(r"(/v1)?(/messages|/complete)$|/v1$"),
    "gemini": re.compile(r"(/models(/[^/]*)?|/tunedModels/[^/]*)$"),
}
"""What stands at the end of a copied address and does not belong to the base."""
_UNFILLED = re.compile(r"[${}<>]|%[A-Za-z_]{3,}%")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PLACE = re.compile(rf"header:{_HEADER.pattern}|[\w-]+(?:\.[\w-]+)*", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def model_spec(name: str, table: Table) -> ModelSpec:
    """Read one model. Raises WorkspaceError; the message never holds a value that may be a key."""
    if not _NAME.fullmatch(name):
        raise WorkspaceError(
            f"{name!r} cannot name a model", where=table.where(), hint="letters, digits, `.`, `_` and `-`"
        )
    if "provider" not in table.values:  # misspelt, more likely than left out
        table.refuse_unknown([key for key in table.values if nearest(key, ["provider"]) is None] + ["provider"])
    provider = table.needed_text("provider", hint=f"one of {', '.join(_KEYS)}, or a plugin's")
    known = _KEYS.get(provider)
    if known is not None:
        table.refuse_unknown(known)
    model = table.needed_text("model") if provider in _MODEL_NEEDED else table.text("model")
    timeout_s = table.number("timeout_s")
    if timeout_s == 0:
        raise WorkspaceError("'timeout_s' must be above 0", where=table.where("timeout_s"))
    return ModelSpec(
        name=name,
        provider=provider,
        model=model or name,
        api_key_env=_variable(table),
        base_url=_url(table, provider),
        headers=_headers(table),
        timeout_s=120.0 if timeout_s is None else float(timeout_s),
        params={key: None if value == REMOVED else value for key, value in table.mapping("params").items()},
        price=price_of(table),
        reasoning=_reasoning(table),
        cost_from=_cost_from(table),
        options=_options(table, provider),
        where=table.where(),
    )


def _options(table: Table, provider: str) -> Mapping[str, JsonValue]:
    """Check what the built-in providers take; hand a plugin's keys through as they stand."""
    match provider:
        case "local":
            table.text("path")
            for key in ("slots", "context", "threads"):
                table.count(key)
        case "replay":
            table.needed_text("path", hint='path = "recorded/{version}.jsonl"')
        case "scripted":
            if ("function" in table.values) == ("table" in table.values or "default" in table.values):
                raise WorkspaceError(
                    "a scripted model takes either 'function' or 'table'",
                    where=table.where(),
                    hint='table = {"case-1" = "the answer"}',
                )
            table.text("function")
            table.mapping("table")
        case _:
            pass
    return {key: value for key, value in table.json().items() if key not in _HOSTED}


def _variable(table: Table) -> str | None:
    variable = table.text("api_key_env")
    if variable is not None and not _VARIABLE.fullmatch(variable):
        raise WorkspaceError(
            "'api_key_env' is the name of an environment variable, never a key",
            where=table.where("api_key_env"),
            hint='api_key_env = "OPENAI_API_KEY"',
        )
    return variable


def _reasoning(table: Table) -> str:
    word = table.text("reasoning") or STRIP
    if word not in (STRIP, KEEP):
        raise WorkspaceError(
            f"'reasoning' must be {STRIP!r} or {KEEP!r}",
            where=table.where("reasoning"),
            hint=f'reasoning = "{KEEP}" leaves <think>…</think> in the output',
        )
    return word


def _url(table: Table, provider: str) -> str | None:
    url = table.text("base_url")
    if url is None:
        return None
    if _UNFILLED.search(url):
        raise WorkspaceError(
            "'base_url' holds a variable, and evalh fills none in",
            where=table.where("base_url"),
            hint='write the address itself, such as base_url = "http://localhost:8000/v1"',
        )
    from urllib.parse import parse_qsl, urlsplit

    hint = 'base_url = "http://localhost:8000/v1"'
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise WorkspaceError("'base_url' is not a URL", where=table.where("base_url"), hint=hint) from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise WorkspaceError("'base_url' must be an http or https URL", where=table.where("base_url"), hint=hint)
    secret = any(names_key(key) for key, _ in parse_qsl(parts.query))
    if parts.username is not None or parts.password is not None or secret:
        raise key_found("base_url", table.where("base_url"))
    path = parts.path.rstrip("/")
    base = _OPERATION[provider].sub("", path) if provider in _OPERATION else path
    if base != path:
        raise WorkspaceError(
            f"'base_url' ends in {path[len(base) :]!r}, which evalh adds itself",
            where=table.where("base_url"),
            hint=f'base_url = "{parts._replace(path=base).geturl()}"',
        )
    return url


def _headers(table: Table) -> Mapping[str, str]:
    headers = table.mapping("headers")
    for key, value in headers.items():
        where = table.where("headers", key)
        if not isinstance(value, str):
            raise WorkspaceError(f"header {key!r} must be text, not {kind_of(value)}", where=where)
        if "${" in value:
            raise WorkspaceError(
                f"header {key!r} holds a variable, and evalh fills none in",
                where=where,
                hint="a key's variable is named in api_key_env; anything else is written as it is",
            )
        if not _HEADER.fullmatch(key) or not _HEADER_VALUE.fullmatch(value):
            raise WorkspaceError(f"header {key!r} holds a character that no header may hold", where=where)
    return headers


def _cost_from(table: Table) -> str | None:
    place = table.text("cost_from")
    if place is not None and not _PLACE.fullmatch(place):
        raise WorkspaceError(
            "'cost_from' is a path into the answer's body, or a header of the answer",
            where=table.where("cost_from"),
            hint='cost_from = "usage.cost", or cost_from = "header:x-litellm-response-cost"',
        )
    return place


CONFIG_NAME = "evalh.toml"

_TABLES = ("workspace", "prompts", "models", "routes")
_WORKSPACE_KEYS = ("default_suite", "plugins", "base", "prompts", "evals", "datasets")


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


def load_config(tree: Tree) -> Config:
    """Read evalh.toml at the tree's root. Raises WorkspaceError."""
    name = label(tree, CONFIG_NAME)
    located = parse_toml(read_text(tree, CONFIG_NAME), name)
    refuse_keys(located)
    top = Table(located, located.value)
    top.refuse_unknown(_TABLES)
    workspace = top.table("workspace")
    workspace.refuse_unknown(_WORKSPACE_KEYS)
    models = {name: model_spec(name, table) for name, table in top.table("models").tables()}
    return Config(
        default_suite=workspace.text("default_suite"),
        plugins=workspace.texts("plugins"),
        base=workspace.text("base"),
        prompts_dir=_folder(workspace, "prompts"),
        evals_dir=_folder(workspace, "evals"),
        datasets_dir=_folder(workspace, "datasets"),
        live={name: live for name, table in top.table("prompts").tables() if (live := _live(table))},
        models=models,
        routes=_routes(top.table("routes"), models),
        where=name,
        source=located,
    )


def _folder(workspace: Table, key: str) -> str:
    folder = workspace.text(key) or key
    names = [name for name in folder.split("/") if name not in ("", ".")]
    if folder.startswith("/") or ".." in names or "\\" in folder or "\0" in folder or not names:
        raise WorkspaceError(
            f"{key!r} must be a folder inside the workspace, with /",
            where=workspace.where(key),
            hint=f'{key} = "{key}"',
        )
    return "/".join(names)


def _live(prompt: Table) -> str | None:
    prompt.refuse_unknown(("live",))
    live = prompt.text("live")
    if live is not None and version_number(live) is None:
        raise WorkspaceError(
            f"'live' names a frozen version, not {live!r}", where=prompt.where("live"), hint='live = "v3"'
        )
    return live


def _routes(tables: Table, models: Mapping[str, ModelSpec]) -> dict[str, Route]:
    routes = {}
    for name, table in tables.tables():
        if name in models:
            raise WorkspaceError(
                f"{name!r} is a model already; a route may stand wherever a model may, so their names must differ",
                where=table.where(),
                hint=f"the model is at {models[name].where}",
            )
        routes[name] = route(name, table)
    for one in routes.values():
        if one.repair is not None and one.model in routes:
            raise WorkspaceError(
                f"route {one.name!r} would repair what {one.model!r} answers, which is a route with repairs of its own",
                where=one.where,
                hint=f"declare it where a model is asked: [routes.{one.model}]",
            )
    return routes
