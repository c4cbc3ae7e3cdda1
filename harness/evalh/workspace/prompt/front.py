"""The front matter of a `.prompt` file: its keys are declared here and nowhere else."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, model_validator

from evalh.core.declared import FileModel, Refused, Text, Texts, Words
from evalh.core.prompt import Dialect

PARAM_SPELLINGS: Mapping[str, str] = {
    **{name: name for name in ("temperature", "max_tokens", "top_p", "top_k", "stop", "seed")},
    "maxOutputTokens": "max_tokens",
    "maxTokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stopSequences": "stop",
    "stop_sequences": "stop",
    "topK": "top_k",
    "topP": "top_p",
}
"""The words of `config` that evalh knows, and what each is called in a request."""

Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
_TYPO = 0.9  # a parameter this close to a known one is not another provider's


class ConfigTable(FileModel):
    """Parameters of the request. Unknown ones are sent unchanged; null means not set."""

    model_config = ConfigDict(extra="allow")
    takes_null: ClassVar[bool] = True

    temperature: float | None = Field(None, ge=0)
    max_tokens: Count | None = Field(None, description="The most tokens of an answer.")
    max_output_tokens: Count | None = Field(None, description="Another spelling of max_tokens.")
    max_tokens_: Count | None = Field(None, alias="maxTokens", description="Another spelling of max_tokens.")
    max_output_tokens_: Count | None = Field(
        None, alias="maxOutputTokens", description="Another spelling of max_tokens."
    )
    top_p: Share | None = None
    top_p_: Share | None = Field(None, alias="topP", description="Another spelling of top_p.")
    top_k: Count | None = None
    top_k_: Count | None = Field(None, alias="topK", description="Another spelling of top_k.")
    stop: Text | Texts | None = Field(None, description="The texts that end an answer.")
    stop_sequences: Text | Texts | None = Field(None, description="Another spelling of stop.")
    stop_sequences_: Text | Texts | None = Field(None, alias="stopSequences", description="Another spelling of stop.")
    seed: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _says_each_once(cls, stated: Any) -> Any:
        names: set[str] = set()
        for key, value in stated.items() if isinstance(stated, Mapping) else ():
            name = PARAM_SPELLINGS.get(key)
            if value is None:
                continue
            if name is None and (close := get_close_matches(key, PARAM_SPELLINGS, n=1, cutoff=_TYPO)):
                raise Refused(f"unknown parameter {key!r}", f"did you mean {close[0]!r}?", (key,))
            if name in names:
                raise Refused(f"{key!r} states {name!r} twice", at=(key,))
            names |= {name} if name else set()
        return stated


class InputTable(FileModel):
    """The inputs that a case must have."""

    default: dict[str, Any] = Field(default_factory=dict, description="Values for inputs that a case does not have.")
    schema_: Any = Field(None, alias="schema", description="Picoschema or JSON Schema of the inputs.")


class OutputTable(FileModel):
    """The form of an answer."""

    format: Literal["json", "text"] | None = Field(None, description="Default: json if there is a schema.")
    schema_: Any = Field(None, alias="schema", description="Picoschema or JSON Schema of the answer.")

    @model_validator(mode="after")
    def _text_has_no_schema(self) -> Self:
        if self.format == "text" and self.schema_ is not None:
            raise Refused("text has no schema", "say `format: json`", ("schema",))
        return self


class ToolTable(FileModel):
    """A function that the model may call."""

    name: Annotated[str, Words("a tool's name", "letters, digits, _ . -")] = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: Text | None = None
    parameters: Any = Field(None, description="Picoschema or JSON Schema of the arguments: an object.")
    input_schema: Any = Field(None, alias="inputSchema", description="Another spelling of parameters.")

    @model_validator(mode="after")
    def _says_parameters_once(self) -> Self:
        if {"parameters", "input_schema"} <= self.model_fields_set:
            raise Refused("'parameters' and 'inputSchema' are one key", at=("inputSchema",))
        return self


class FrontMatter(FileModel):
    """The front matter of `prompts/<name>/<version>.prompt`. Keys with a dot belong to other programs."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {r"^(?!evalh\.)[^.]*\.": {}}})

    config: ConfigTable = Field(default_factory=ConfigTable.model_construct, description="Parameters of the request.")
    description: Text | None = Field(None, description="What the prompt is for.")
    input: InputTable = Field(default_factory=InputTable.model_construct)
    metadata: dict[str, Any] = Field(default_factory=dict, description="Notes for other programs. evalh ignores them.")
    model: Text | None = Field(None, description="A model or route of evalh.toml.")
    name: Text | None = Field(None, description="Must agree with the folder's name. Optional.")
    output: OutputTable = Field(default_factory=OutputTable.model_construct)
    tools: tuple[ToolTable, ...] = Field((), description="Functions that the model may call.")
    variant: Text | None = Field(None, description="Must agree with the file's name. Optional.")
    template: Dialect = Field(Dialect.PORTABLE, alias="evalh.template", description="The template language.")
    why: Text | None = Field(None, alias="evalh.why", description="Why this version differs from the one before it.")

    @model_validator(mode="after")
    def _names_each_tool_once(self) -> Self:
        names = [tool.name for tool in self.tools]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise Refused(f"tool {name!r} exists twice", at=("tools", place))
        return self
