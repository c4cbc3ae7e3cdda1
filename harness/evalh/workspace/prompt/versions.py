"""From a `.prompt` file's text to a `PromptVersion`: front matter, schemas, tools, body.

docs/reference/prompt-files.md holds every key; a test compares that page with the tables here.
"""

import re
from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from evalh.core.digest import digest
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.located import Located, Table
from evalh.core.prompt import Dialect, PromptVersion
from evalh.core.request import Tool
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import BodyParser, FindPartial
from evalh.workspace.prompt.conversation import INPUT as HISTORY
from evalh.workspace.prompt.picoschema import JsonSchema, read_schema
from evalh.workspace.prompt.templates import grammar_of, required_inputs
from evalh.workspace.yaml import parse_yaml

OWN_KEYS = ("evalh.template", "evalh.why")
TOP_KEYS = ("config", "description", "input", "metadata", "model", "name", "output", "tools", "variant", *OWN_KEYS)
INPUT_KEYS = ("default", "schema")
OUTPUT_KEYS = ("format", "schema")
TOOL_KEYS = ("description", "inputSchema", "name", "parameters")
FORMATS = ("json", "text")
PARAMS = ("temperature", "max_tokens", "top_p", "top_k", "stop", "seed")
PARAM_SPELLINGS = {
    **{name: name for name in PARAMS},
    "maxOutputTokens": "max_tokens",
    "maxTokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stopSequences": "stop",
    "stop_sequences": "stop",
    "topK": "top_k",
    "topP": "top_p",
}
"""The words of `config` that evalh knows, and what each is called in a request."""

_DELIMITER = re.compile(r"---[ \t]*")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TYPO = 0.9  # a parameter that is this close to a known one is no other provider's word


class Position(Value):
    """Which version a text is, and where it was read."""

    name: str
    version: str
    path: str
    revision: str | None = None

    @property
    def file(self) -> str:
        """The file as messages name it: `HEAD~2:prompts/triage/v3.prompt`."""
        return self.path if self.revision is None else f"{self.revision}:{self.path}"


class Source(Value):
    """A file cut in two. `front` is None where there is no front matter; lines count from 1 in the file."""

    front: str | None
    front_line: int
    body: str
    body_line: int


def cut(text: str, file: str) -> Source:
    """Part the front matter from the body. Raises WorkspaceError where it is not closed."""
    lines = text.split("\n")
    # As in Dotprompt, blank lines and a licence in # lines may come first.
    opening = next((i for i, line in enumerate(lines) if line.strip(" \t") and not line.startswith("#")), None)
    if opening is None or not _DELIMITER.fullmatch(lines[opening]):
        return Source(None, 1, text, 1)
    closing = next((i for i in range(opening + 1, len(lines)) if _DELIMITER.fullmatch(lines[i])), None)
    if closing is None:
        raise WorkspaceError(
            "the front matter is not closed", where=f"{file}:{opening + 1}", hint="end it with a line ---"
        )
    front = "\n".join(lines[opening + 1 : closing])
    return Source(front, opening + 2, "\n".join(lines[closing + 1 :]), closing + 2)


def parse_version(text: str, place: Position, find_partial: FindPartial) -> PromptVersion:
    """Read one version, with its digest. Raises WorkspaceError with file:line; UsageError without Handlebars."""
    source = cut(text, place.file)
    located = _front_matter(source, place)
    front = Table(located, located.value)
    dialect = _dialect(front)
    grammar = grammar_of(dialect)
    sections = BodyParser(grammar, find_partial).read(source.body, place.file, source.body_line)
    input_schema, defaults = _input(front)
    json_output, output_schema = _output(front)
    version = PromptVersion(
        name=place.name,
        version=place.version,
        path=place.path,
        revision=place.revision,
        sections=sections,
        dialect=dialect,
        description=front.text("description"),
        why=front.text("evalh.why"),
        model=front.text("model"),
        params=_params(front),
        input_schema=input_schema,
        input_defaults=defaults,
        json_output=json_output,
        output_schema=output_schema,
        tools=_tools(located),
        variables=required_inputs(sections, grammar),
    )
    _check_variables(version, front)
    return replace(version, digest=digest(version.content_document()))


def _front_matter(source: Source, place: Position) -> Located:
    located = parse_yaml(source.front or "", place.file, first_line=source.front_line)
    if located.value is None:
        located = Located({}, place.file, {(): source.front_line})
    front = Table(located, located.value)
    foreign = {key for key in front.values if "." in key and not key.startswith("evalh.")}
    front.refuse_unknown({*TOP_KEYS, *foreign})
    front.mapping("metadata")
    for key, stated in (("name", place.name), ("variant", place.version)):
        if front.text(key) not in (None, stated):
            raise WorkspaceError(
                f"{key!r} is {front.values[key]!r}, but the file's place says {stated!r}",
                where=front.where(key),
                hint="leave the key out: the folder and the file name the prompt",
            )
    return located


def _dialect(front: Table) -> Dialect:
    word = front.text("evalh.template") or Dialect.PORTABLE.value
    if word not in list(Dialect):
        raise WorkspaceError(
            f"unknown template language {word!r}", where=front.where("evalh.template"), hint=did_you_mean(word, Dialect)
        )
    return Dialect(word)


def _params(front: Table) -> dict[str, JsonValue]:
    """Return `config` in our words; null states nothing."""
    stated = {key: value for key, value in front.mapping("config").items() if value is not None}
    if not stated:
        return {}
    table = front.table("config")
    params: dict[str, JsonValue] = {}
    for key, value in stated.items():
        name = PARAM_SPELLINGS.get(key)
        if name is None:
            _refuse_typo(key, table)
        elif name in params:
            raise WorkspaceError(f"{key!r} states {name!r} twice", where=table.where(key))
        params[name or key] = value if name is None else _param(name, key, table)
    return params


def _refuse_typo(key: str, table: Table) -> None:
    from difflib import get_close_matches

    close = get_close_matches(key, PARAM_SPELLINGS, n=1, cutoff=_TYPO)
    if close:
        raise WorkspaceError(f"unknown parameter {key!r}", where=table.where(key), hint=f"did you mean {close[0]!r}?")


def _param(name: str, key: str, table: Table) -> JsonValue:
    value = table.values[key]
    match name:
        case "temperature":
            table.number(key)
        case "top_p":
            table.number(key, high=1.0)
        case "max_tokens" | "top_k":
            table.count(key)
        case "stop":
            return [table.needed_text(key)] if isinstance(value, str) else list(table.texts(key))
        case _ if not isinstance(value, int) or isinstance(value, bool):
            raise WorkspaceError(f"{key!r} must be a whole number", where=table.where(key))
    return value


def _input(front: Table) -> tuple[JsonSchema | None, dict[str, JsonValue]]:
    table = front.table("input")
    table.refuse_unknown(INPUT_KEYS)
    return _schema(table), dict(table.mapping("default"))


def _output(front: Table) -> tuple[bool, JsonSchema | None]:
    table = front.table("output")
    table.refuse_unknown(OUTPUT_KEYS)
    schema = _schema(table)
    form = table.text("format") or ("text" if schema is None else "json")
    if form not in FORMATS:
        raise WorkspaceError(
            f"unknown output format {form!r}", where=table.where("format"), hint=did_you_mean(form, FORMATS)
        )
    if form == "text" and schema is not None:
        raise WorkspaceError("text has no schema", where=table.where("schema"), hint="say `format: json`")
    return form == "json", schema


def _schema(table: Table, key: str = "schema") -> JsonSchema | None:
    if table.values.get(key) is None:
        return None
    return read_schema(table.values[key], partial(table.where, key))


def _tools(located: Located) -> tuple[Tool, ...]:
    listed = located.value.get("tools", [])
    if not isinstance(listed, list):
        raise WorkspaceError("'tools' must be a list", where=located.where("tools"))
    tools: list[Tool] = []
    for index, item in enumerate(listed):
        where = located.where("tools", index)
        if not isinstance(item, Mapping):
            raise WorkspaceError("a tool is a mapping of name, description and parameters", where=where)
        tool = _tool(Table(located, item, ("tools", index)))
        if any(tool.name == other.name for other in tools):
            raise WorkspaceError(f"tool {tool.name!r} is there twice", where=where)
        tools.append(tool)
    return tuple(tools)


def _tool(table: Table) -> Tool:
    table.refuse_unknown(TOOL_KEYS)
    name = table.needed_text("name")
    if not _TOOL_NAME.fullmatch(name):
        raise WorkspaceError(f"{name!r} is not a tool's name", where=table.where("name"), hint="letters, digits, _ . -")
    if "parameters" in table.values and "inputSchema" in table.values:
        raise WorkspaceError("'parameters' and 'inputSchema' are one key", where=table.where("inputSchema"))
    key = "inputSchema" if "inputSchema" in table.values else "parameters"
    parameters = _schema(table, key) or {"type": "object", "properties": {}}
    if parameters.get("type") != "object":
        raise WorkspaceError("a tool's parameters are an object", where=table.where(key))
    return Tool(name, table.text("description") or "", parameters)


def _check_variables(version: PromptVersion, front: Table) -> None:
    """Refuse a slot that the declared inputs do not know: no case could fill it."""
    schema = version.input_schema
    if schema is None or schema.get("additionalProperties") is not False:
        return
    declared = schema.get("properties", {})
    for name in sorted(version.variables - declared.keys() - version.input_defaults.keys() - {HISTORY}):
        raise WorkspaceError(
            f"the body uses {{{{{name}}}}}, which the input schema does not have",
            where=front.where("input", "schema"),
            hint=did_you_mean(name, declared),
        )
