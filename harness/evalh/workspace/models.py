"""`[models.<name>]` in evalh.toml. They name a key's variable, never a key."""

import re
from collections.abc import Mapping

from evalh.core.digest import JsonValue
from evalh.core.errors import WorkspaceError, nearest
from evalh.core.model import ModelSpec
from evalh.core.reasoning import KEEP, STRIP
from evalh.workspace.credentials import key_found, names_key
from evalh.workspace.located import Table, kind_of
from evalh.workspace.pricing import price_of

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
