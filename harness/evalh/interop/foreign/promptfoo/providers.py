"""The providers of a promptfoo config: models of a service, or applications."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from evalh.core.declared import read
from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.interop.foreign.layout import models_text
from evalh.interop.foreign.promptfoo import applications
from evalh.interop.foreign.promptfoo.entries import NoEntryError
from evalh.interop.foreign.promptfoo.kept_code import KeptCode
from evalh.interop.foreign.promptfoo.nodes import Node
from evalh.interop.foreign.promptfoo.services import BY_HAND, FILLED, KINDS_OF_CALL, LOST, PARAMS, QUIET, base_table
from evalh.interop.foreign.promptfoo.sources import REMOVED
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject, free_name, slug
from evalh.providers.registry import options_of
from evalh.workspace.config import model_table
from evalh.workspace.credentials import refuse_keys
from evalh.workspace.toml import parse_toml

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENV = re.compile(r"\{\{\s*env\.(\w+)\s*\}\}|\$\{?(\w+)\}?")
_MILLION = 1_000_000
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?")


class ForeignModel(Value, kw_only=True):
    """A provider as a model of evalh's."""

    name: str
    table: Mapping[str, JsonValue]
    where: str
    prompts: tuple[str, ...] | None = None  # the prompts that it is asked alone; None: all
    schema: Mapping[str, JsonValue] | None = None  # of its outputs
    tools: tuple[Mapping[str, JsonValue], ...] = ()
    output: JsonValue = None  # a transform of its output, in JavaScript
    objects: bool = False  # assertions see JSON, not text


class ProviderReader:
    """Reads providers, and tells what became of each."""

    def __init__(self, sheet: ProofSheet, code: KeptCode, taken: frozenset[str]) -> None:
        self._sheet, self._code = sheet, code
        self._taken = set(taken)

    def models(self, root: Node) -> list[ForeignModel]:
        """Return the models of a config, in its order."""
        found: list[ForeignModel] = []
        for node in _providers(root):
            model = self.model(node)
            if model is not None:
                found.append(model)
        return found

    def model(self, node: Node) -> ForeignModel | None:
        """Return one provider as a model, or tell why there is none."""
        identity = node.value if isinstance(node.value, str) else node.text("id")
        if identity is None and isinstance(node.value, Mapping) and len(node.value) == 1:  # {id: {config: …}}
            identity = str(next(iter(node.value)))
            node = node.child(identity)
        if identity is None:
            self._sheet.add(Fidelity.NOT, node.where, "provider", "has no id", subject=Subject.MODEL)
            return None
        what = f"provider {identity}"
        try:
            self._tell_key(node)
            model = self._read(identity, node)
        except (NoEntryError, WorkspaceError) as exc:
            do = exc.do if isinstance(exc, NoEntryError) else None
            why = exc.why if isinstance(exc, NoEntryError) else exc.what
            self._sheet.add(Fidelity.NOT, node.where, what, why, subject=Subject.MODEL, do=do)
            return None
        return model

    def _read(self, identity: str, node: Node) -> ForeignModel:
        config = node.child("config")
        label = node.text("label") or identity
        name = free_name(slug(label) or "model", self._taken)
        filtered = node.child("prompts").value
        prompts = tuple(map(str, filtered)) if isinstance(filtered, list) else None
        program = applications.read(identity, node, self._code)
        if program is not None:
            _refuse_unreadable(program.table)
            self._sheet.add(
                program.status, node.where, f"provider {identity}", program.why, subject=Subject.MODEL, do=program.do
            )
            self._taken.add(name)
            return ForeignModel(
                name=name,
                table=program.table,
                where=node.where,
                prompts=prompts,
                objects=program.objects,
                output=node.child("transform").value or program.transform,
            )
        table, schema, tools = self._service(identity, config)
        self._taken.add(name)
        return ForeignModel(
            name=name,
            table=table,
            where=node.where,
            prompts=prompts,
            schema=schema,
            objects=schema is not None,
            tools=tools,
            output=node.child("transform").value,
        )

    def _service(
        self, identity: str, config: Node
    ) -> tuple[dict[str, JsonValue], Mapping[str, JsonValue] | None, tuple[Mapping[str, JsonValue], ...]]:
        service, _, rest = identity.partition(":")
        if service in LOST or not rest:
            why = LOST.get(service, "is not a provider that evalh knows")
            raise NoEntryError(why, "a provider `http`, `command` or `python`")
        call, _, model = rest.partition(":")
        if call not in KINDS_OF_CALL or not model:
            call, model = "", rest
        table = base_table(service, model)
        if table is None:
            raise NoEntryError("is not a provider that evalh knows", "`openai` with base_url, if its API is OpenAI's")
        near: list[str] = []
        if call in ("embedding", "embeddings"):
            table["api"] = "embeddings"
        elif call == "completion":
            raise NoEntryError("is the old API of completions", "name a chat model")
        elif call == "text-generation":
            near.append("is asked by the API of chat completions, not by that of text generation")
        elif call == "responses" and service == "openai":
            table["api"] = "responses"
        schema, tools = self._settings(table, config, near)
        near += [why for place, why in BY_HAND.items() if place in table.get("base_url", "")]
        if table.get("base_url", "").startswith("http://localhost") and config.has("apiKey"):
            table["api_key_env"] = "MODEL_API_KEY"
        _refuse_unreadable(table)
        status = Fidelity.NEAR if near else Fidelity.SAME
        told = "; ".join(near) or None
        self._sheet.add(status, config.where, f"provider {identity}", told, subject=Subject.MODEL)
        return table, schema, tools

    def _settings(
        self, table: dict[str, Any], config: Node, near: list[str]
    ) -> tuple[Mapping[str, JsonValue] | None, tuple[Mapping[str, JsonValue], ...]]:
        """Put a provider's settings into its table; return the schema and the tools among them."""
        params: dict[str, JsonValue] = {}
        schema: Mapping[str, JsonValue] | None = None
        tools: tuple[Mapping[str, JsonValue], ...] = ()
        for key in config.names:
            value = config.child(key).value
            if key in PARAMS:
                params[PARAMS[key]] = value
            elif key == "passthrough" and isinstance(value, Mapping):
                params |= value
            elif key == "response_format" and isinstance(value, Mapping):
                schema = _schema(value)
                params |= {} if schema is not None else {"response_format": value}
            elif key == "tools" and isinstance(value, list):
                tools = tuple(found for one in value if (found := _tool(one)) is not None)
                if len(tools) < len(value):
                    near.append("some of its tools have a form that is not read")
            elif not self._of_address(table, key, value, near) and key not in QUIET:
                where = config.document.where(*config.path, key)
                self._sheet.add(Fidelity.NOTE, where, f"config.{key}", "is not carried over")
        if params:
            table["params"] = params
        return schema, tools

    def _of_address(self, table: dict[str, Any], key: str, value: JsonValue, near: list[str]) -> bool:
        """Put a setting about the address, the key or the price into the table; False for any other."""
        if key in ("apiBaseUrl", "baseUrl") and isinstance(value, str):
            self._address(table, value, near)
        elif key == "apiKeyEnvar" and isinstance(value, str) and _VARIABLE.fullmatch(value):
            table["api_key_env"] = value
        elif key in FILLED and isinstance(value, str) and _HOST.fullmatch(value):
            _fill_address(table, key, value)
        elif key in ("cost", "inputCost", "outputCost"):
            _price(table, key, value)
        elif key == "headers" and isinstance(value, Mapping):
            table["headers"] = {name: str(item) for name, item in value.items() if _plain(name, item)}
        else:
            return False
        return True

    def _address(self, table: dict[str, Any], address: str, near: list[str]) -> None:
        if REMOVED in address or _ENV.search(address) or "{{" in address:
            near.append("its address depends on a variable or holds a key: put it into base_url")
        else:
            table["base_url"] = address.removesuffix("/chat/completions").rstrip("/")

    def _tell_key(self, node: Node) -> None:
        key = node.child("config").child("apiKey").value
        if isinstance(key, str) and (found := _ENV.fullmatch(key.strip())):
            name = found[1] or found[2]
            self._sheet.add(Fidelity.NOTE, node.where, "apiKey", f"is read from {name}", do=f'api_key_env = "{name}"')


def _providers(root: Node) -> Iterator[Node]:
    for key in ("providers", "targets"):
        node = root.child(key)
        if isinstance(node.value, str | Mapping):
            yield node
        for item in node.items():
            if isinstance(item.value, list):  # a file that holds several
                yield from item.items()
            else:
                yield item


def _refuse_unreadable(table: Mapping[str, JsonValue]) -> None:
    """Read a table as evalh.toml is read. Raises NoEntryError for one that would be refused."""
    try:
        located = parse_toml(models_text({"m": table}), "evalh.toml")
        refuse_keys(located)
        read(model_table(options_of(str(table["provider"]))), located.value["models"]["m"], located.where)
    except WorkspaceError as exc:
        raise NoEntryError(f"evalh.toml would refuse it: {exc.what}", exc.hint) from None


def _schema(value: JsonValue) -> Mapping[str, JsonValue] | None:
    if not isinstance(value, Mapping) or value.get("type") != "json_schema":
        return None
    stated = value.get("json_schema")
    found = stated.get("schema") if isinstance(stated, Mapping) else value.get("schema")
    return found if isinstance(found, Mapping) else None


def _tool(value: JsonValue) -> Mapping[str, JsonValue] | None:
    if not isinstance(value, Mapping):
        return None
    tool = value.get("function") if isinstance(value.get("function"), Mapping) else value
    assert isinstance(tool, Mapping)
    if not isinstance(tool.get("name"), str):
        return None
    found = {key: tool[key] for key in ("name", "description") if isinstance(tool.get(key), str)}
    schema = tool.get("parameters") or tool.get("input_schema")
    return {**found, "parameters": schema} if isinstance(schema, Mapping) else found


def _fill_address(table: dict[str, Any], key: str, value: str) -> None:
    """Put a part of an address where ours has a place for it; a host alone is an address of OpenAI's form."""
    address = table.get("base_url")
    if address is None and key == "apiHost":
        table["base_url"] = f"https://{value}/v1"
    for place in FILLED[key] if address is not None else ():
        table["base_url"] = table["base_url"].replace(place, value)


def _price(table: dict[str, Any], key: str, value: JsonValue) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    each = round(value * _MILLION, 9)
    price = table.setdefault("price", {"input": each, "output": each})
    if key != "cost":
        price["input" if key == "inputCost" else "output"] = each


def _plain(name: str, value: JsonValue) -> bool:
    text = str(value)
    return REMOVED not in text and not _ENV.search(text) and "{{" not in text and name.lower() != "authorization"
