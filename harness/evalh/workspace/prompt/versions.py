"""From a `.prompt` file's text to a `PromptVersion`: front matter, schemas, tools, body.

docs/reference/prompt-files.md holds every key; a test compares that page with the models of `front`.
"""

import re
from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from evalh.core.declared import read
from evalh.core.digest import digest
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.located import Located
from evalh.core.prompt import PromptVersion
from evalh.core.request import Tool
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import BodyParser, FindPartial
from evalh.workspace.prompt.conversation import INPUT as HISTORY
from evalh.workspace.prompt.front import PARAM_SPELLINGS, FrontMatter, ToolTable
from evalh.workspace.prompt.picoschema import JsonSchema, read_schema
from evalh.workspace.prompt.templates import grammar_of, required_inputs
from evalh.workspace.yaml import parse_yaml

_DELIMITER = re.compile(r"---[ \t]*")


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
    """A file cut in two. `front` is None if there is no front matter; lines count from 1 in the file."""

    front: str | None
    front_line: int
    body: str
    body_line: int


def cut(text: str, file: str) -> Source:
    """Part the front matter from the body. Raises WorkspaceError if it is not closed."""
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
    located = _located(source, place)
    front = _front_matter(located, place)
    grammar = grammar_of(front.template)
    sections = BodyParser(grammar, find_partial).read(source.body, place.file, source.body_line)
    output_schema = _schema(located, "output", "schema")
    version = PromptVersion(
        name=place.name,
        version=place.version,
        path=place.path,
        revision=place.revision,
        sections=sections,
        dialect=front.template,
        description=front.description,
        why=front.why,
        model=front.model,
        params=_params(located),
        input_schema=_schema(located, "input", "schema"),
        input_defaults=front.input.default,
        json_output=(front.output.format or ("text" if output_schema is None else "json")) == "json",
        output_schema=output_schema,
        tools=tuple(_tool(tool, located, place) for place, tool in enumerate(front.tools)),
        variables=required_inputs(sections, grammar),
        places={key: located.where(key) for key in located.value},
    )
    _check_variables(version, located)
    return replace(version, digest=digest(version.content_document()))


def _located(source: Source, place: Position) -> Located:
    located = parse_yaml(source.front or "", place.file, first_line=source.front_line)
    return Located({}, place.file, {(): source.front_line}) if located.value is None else located


def _front_matter(located: Located, place: Position) -> FrontMatter:
    value = located.value
    if isinstance(value, Mapping):  # keys with a dot are other programs' own
        value = {key: one for key, one in value.items() if "." not in key or key.startswith("evalh.")}
    front = read(FrontMatter, value, located.where)
    for key, stated, expected in (("name", front.name, place.name), ("variant", front.variant, place.version)):
        if stated not in (None, expected):
            raise WorkspaceError(
                f"{key!r} is {stated!r}, but the file's place says {expected!r}",
                where=located.where(key),
                hint="leave the key out: the folder and the file name the prompt",
            )
    return front


def _params(located: Located) -> dict[str, JsonValue]:
    """Return `config` in our words; null states nothing."""
    params: dict[str, JsonValue] = {}
    for key, value in located.value.get("config", {}).items():
        name = PARAM_SPELLINGS.get(key, key)
        if value is not None:
            params[name] = [value] if name == "stop" and isinstance(value, str) else value
    return params


def _schema(located: Located, *path: str | int) -> JsonSchema | None:
    value = located.value
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else value[step]
        if value is None:
            return None
    return read_schema(value, partial(located.where, *path))


def _tool(tool: ToolTable, located: Located, place: int) -> Tool:
    key = "parameters" if tool.input_schema is None else "inputSchema"
    parameters = _schema(located, "tools", place, key) or {"type": "object", "properties": {}}
    if parameters.get("type") != "object":
        raise WorkspaceError("a tool's parameters are an object", where=located.where("tools", place, key))
    return Tool(tool.name, tool.description or "", parameters)


def _check_variables(version: PromptVersion, located: Located) -> None:
    """Refuse a slot that the declared inputs do not know: no case could fill it."""
    schema = version.input_schema
    if schema is None or schema.get("additionalProperties") is not False:
        return
    declared = schema.get("properties", {})
    for name in sorted(version.variables - declared.keys() - version.input_defaults.keys() - {HISTORY}):
        raise WorkspaceError(
            f"the body uses {{{{{name}}}}}, which the input schema does not have",
            where=located.where("input", "schema"),
            hint=did_you_mean(name, declared),
        )
