"""The JSON Schemas of the files that people write, made from the models that read them; published in `schemas/`."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from evalh.core.declared import FileModel, Text, Words
from evalh.core.strict_json import JsonValue
from evalh.graders.kinds import Kind
from evalh.graders.parts import Entry
from evalh.graders.registry import BUILT_IN, built_in_kind
from evalh.providers.registry import kinds, options_of
from evalh.workspace.config import ConfigFile, model_table
from evalh.workspace.prompt.front import FrontMatter
from evalh.workspace.prompt.pipelines import PipelineFile, PipelineStep
from evalh.workspace.routes import RouteTable
from evalh.workspace.suites import SuiteFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_GRADER = "#/$defs/grader"
_COMMON = {
    "required": {
        "type": "boolean",
        "description": "Whether an output must pass it to be good. Default: true; of embedding_similarity: false.",
    },
    "name": {"type": "string", "minLength": 1, "description": "What reports print."},
}


class DatasetRow(FileModel):
    """One line of `datasets/<name>.jsonl`, as `workspace.dataset.jsonl_rows` reads it in its own, fast way."""

    id: Text = Field(description="Unique in the file. Results are paired by it.")
    inputs: dict[str, Any] = Field(description="The prompt's inputs.")
    expected: Any = Field(None, description="The expected answer, for graders that compare. Missing is not null.")
    tags: tuple[str, ...] = Field((), description="Words for --tag.")
    cluster: Text | None = Field(None, description="Cases with the same cluster are similar, and count as one.")
    graders: Annotated[tuple[Entry, ...], Words("a list of graders")] = Field(
        (), description="Graders for this row, in the form of a suite's; its entry `case` counts them."
    )
    given: dict[str, JsonValue] | None = Field(None, description="Fixed outputs for steps of a pipeline, by step.")
    source: dict[str, JsonValue] | None = Field(
        None, description="Where the case was found; written by `evalh dataset add`."
    )


class _Generator(GenerateJsonSchema):
    """A key that states nothing is left out, never null; exact numbers are numbers."""

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        table: type[FileModel] | None = schema.get("metadata", {}).get("table")
        if table is None:
            return super().generate_inner(schema)
        table.model_rebuild()  # it waited until a file has it
        return super().generate_inner(table.__pydantic_core_schema__)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        return inner if schema.get("default") in (None, (), {}) else super().default_schema(schema)

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        limits = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
        stated: Mapping[str, Any] = schema
        return {"type": "number", **{word: float(stated[key]) for key, word in limits.items() if key in stated}}

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON Schema."""
    return model.model_json_schema(schema_generator=_Generator)


def published() -> dict[str, dict[str, Any]]:
    """Return every schema by its file's name in `schemas/`."""
    return {
        "suite": _titled("evalh suite", suite_schema()),
        "evalh-toml": _titled("evalh.toml", config_schema()),
        "front-matter": _titled("front matter of a .prompt file", schema_of(FrontMatter)),
        "pipeline": _titled("pipeline of prompts and functions", pipeline_schema()),
        "dataset-row": _titled("row of a dataset", schema_of(DatasetRow)),
    }


def suite_schema() -> dict[str, Any]:
    """Return the JSON Schema of a suite, with the parameters of every built-in grader."""
    schema = schema_of(SuiteFile)
    for key in ("graders", "compare"):
        schema["properties"][key]["items"] = {"$ref": _GRADER}
    schema["properties"]["step_graders"]["additionalProperties"]["items"] = {"$ref": _GRADER}
    schema["$defs"] |= _grader_definitions()
    return schema


def pipeline_schema() -> dict[str, Any]:
    """Return the JSON Schema of a `.pipeline.yaml` file."""
    schema = schema_of(PipelineFile)
    step = schema["$defs"][PipelineStep.__name__]["properties"]
    step["checks"]["items"] = {"$ref": _GRADER}
    step["inputs"]["additionalProperties"] = {
        "anyOf": [
            {"type": ["string", "number", "boolean", "array"]},
            _only("value", {}),
            _only("first", {"type": "array", "items": {"type": "string"}, "minItems": 1}),
        ]
    }
    schema["$defs"] |= _grader_definitions()
    return schema


def _only(key: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of evalh.toml, with the keys of every built-in provider."""
    schema = schema_of(ConfigFile)
    definitions = schema["$defs"]
    route = schema_of(RouteTable)
    definitions |= route.pop("$defs") | {"RouteTable": route}
    schema["properties"]["routes"]["additionalProperties"] = {"$ref": "#/$defs/RouteTable"}
    for table in ("RepairTable", "CascadeTable"):
        definitions[table]["properties"]["checks"]["items"] = {"$ref": _GRADER}
    definitions |= _grader_definitions()
    words = [kind for kind in kinds() if options_of(kind) is not options_of("")]
    for kind in (*words, ""):
        own = schema_of(model_table(options_of(kind)))
        definitions |= own.pop("$defs", {})
        definitions[f"{kind or 'plugin'}-model"] = own
    schema["properties"]["models"]["additionalProperties"] = {
        "type": "object",
        "required": ["provider"],
        "properties": {"provider": {"type": "string", "anyOf": [{"enum": words}, {}]}},
        "allOf": [_where(words, words, "plugin"), *(_where([kind], [], kind) for kind in words)],
    }
    schema["properties"]["models"]["propertyNames"] = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}
    return schema


def _where(words: list[str], others: list[str], definition: str) -> dict[str, Any]:
    """Hold a model to a definition where its provider is this word; or, with `others`, where it is none of them."""
    reference = {"$ref": f"#/$defs/{definition}-model"}
    condition = {"properties": {"provider": {"enum": words}}}
    return {"if": condition, "else" if others else "then": reference}


def _titled(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": _DIALECT, **schema, "title": title}


def _grader_definitions() -> dict[str, Any]:
    """Describe a grader's entry: its kind alone, or one kind with its parameters or the short form."""
    definitions: dict[str, Any] = {}
    kinds = {name: kind for name in sorted(BUILT_IN) if (kind := built_in_kind(name)) is not None}
    entries = {name: _entry(kind, definitions) for name, kind in kinds.items()}
    own = {"anyOf": [{"not": {"type": "object"}}, {"type": "object", "properties": _COMMON}]}
    return {
        "grader": {
            "description": "A grader's kind, or one `kind: parameters`; anything but a mapping is its `value`.",
            "oneOf": [
                {"type": "string", "pattern": r"\S", "anyOf": [{"enum": list(kinds)}, {}]},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "properties": entries,
                    "additionalProperties": own,
                },
            ],
        },
        **definitions,
    }


def _entry(kind: Kind, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = schema_of(kind.parameters)
    definitions.update(schema.pop("$defs", {}))
    properties = {**schema.get("properties", {}), **_COMMON}
    stated = {
        "type": "object",
        "properties": properties,
        "required": schema.get("required", []),
        "additionalProperties": False,
    }
    forms = [stated]
    short = kind.short or ("value" if "value" in properties else None)
    if kind.holds_entry:
        forms.append({"$ref": _GRADER})
    elif short is not None:
        forms.append({"allOf": [properties[short], {"not": {"type": "object"}}]})
    if not stated["required"]:
        forms.append({"type": "null"})
    entry: dict[str, Any] = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {"description": (kind.parameters.__doc__ or kind.name).split("\n")[0], **entry}
