"""Prompts, their versions, and how a person names one; pipelines, which are versions made of steps."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Protocol, TypeAlias

from msgspec import field

from evalh.core.digest import digest
from evalh.core.errors import UsageError
from evalh.core.request import Tool
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec
from evalh.core.values import Value

DRAFT = "draft"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_VERSION = re.compile(r"v[1-9][0-9]*")

INPUTS = "inputs"
"""The name of the case's own inputs in expressions."""

RESERVED = frozenset({INPUTS, "expected", "item", "first", "steps", "history", "tools", "each"})
"""Names that a step cannot have."""

MOST_STEPS = 50


class Dialect(StrEnum):
    """The syntax of a body's slots. `portable` is the subset that is the same in all of them."""

    PORTABLE = "portable"
    JINJA2 = "jinja2"
    HANDLEBARS = "handlebars"


def version_number(version: str) -> int | None:
    """Return 3 for `v3`; None for `draft` and for anything else."""
    return int(version[1:]) if _VERSION.fullmatch(version) else None


class PromptRef(Value):
    """A reference as typed: `v3`, `triage@v3`, `triage`, `triage@draft`, `HEAD~2:triage@v3`, `main:triage`."""

    name: str | None  # None: the suite's prompt
    version: str | None  # None: the draft if there is one, else live
    revision: str | None = None  # None: the work tree

    @classmethod
    def parse(cls, text: str) -> "PromptRef":
        """Read a reference. Raises UsageError with the forms that exist."""
        revision, colon, rest = text.rpartition(":")
        name, at, version = rest.partition("@")
        if not at and (version_number(rest) is not None or rest == DRAFT):
            name, version = "", rest
        bad_version = bool(version) and version != DRAFT and version_number(version) is None
        if (
            bad_version
            or (at and not version)
            or (name and not _NAME.fullmatch(name))
            or not rest
            or (colon and not revision)
        ):
            raise UsageError(
                f"{text!r} is not the name of a prompt or version",
                hint="forms: v3 · triage@v3 · triage@draft · triage · HEAD~2:triage@v3 · main:triage",
            )
        return cls(name or None, version or None, revision or None)

    def __str__(self) -> str:
        revision = f"{self.revision}:" if self.revision else ""
        if self.name is None:
            return f"{revision}{self.version}"
        return f"{revision}{self.name}" + (f"@{self.version}" if self.version else "")


class Section(Value):
    """One message's source in a version's body; `role` is None for the place of the case's history."""

    role: str | None
    source: str
    line: int = 1  # in the file, for messages


class OnBad(StrEnum):
    """What happens after a step whose checks failed."""

    CONTINUE = "continue"
    STOP = "stop"  # no step that depends on it runs; the sample is bad
    REVIEW = "review"  # the output is withheld for a person


class Reference(Value):
    """What an expression reads: a step's output or the case's inputs, and the way to a part of it."""

    source: str  # a step's name, or INPUTS
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        """Return it as it is written: `extract.items[0].id`, `extract["order id"]`."""
        return self.source + "".join(
            f".{part}" if isinstance(part, str) and part.isidentifier() else f"[{part!r}]" for part in self.path
        )


class HandoverError(Exception):
    """The next step cannot read an output. It is the producer's failure; `where` is the line of the expression."""

    def __init__(self, producer: str, what: str, where: str) -> None:
        super().__init__(what)
        self.producer = producer  # a step's name, or INPUTS
        self.what = what
        self.where = where


class Expression(Protocol):
    """A compiled expression."""

    @property
    def text(self) -> str:
        """As it is written."""

    @property
    def where(self) -> str:
        """Where it stands: file:line."""

    @property
    def references(self) -> tuple[Reference, ...]:
        """All that it may read."""

    def evaluate(self, values: Mapping[str, JsonValue]) -> JsonValue:
        """Return its value; `values` holds INPUTS and the output of each step that ran. Raises HandoverError."""

    def holds(self, values: Mapping[str, JsonValue]) -> bool:
        """Return whether it is true, as a condition. Raises HandoverError."""


class Constant(Value):
    """An input that is the same for all cases."""

    value: JsonValue


class First(Value):
    """The output of the first of several steps that ran."""

    options: tuple[Expression, ...]


Source: TypeAlias = Expression | Constant | First


class FunctionSpec(Value, kw_only=True):
    """A step that is a function: JSON in, JSON out."""

    path: str  # "steps/orders.py:find"
    digest: str  # of its file, and of the workspace's files that it imports
    timeout_s: float = 30.0
    attempts: int = 1
    concurrency: int | None = None
    env: tuple[str, ...] = ()  # variables that it is handed, by name
    keep: bool = False  # results are kept like answers
    revision: str | None = None  # what `keep` cannot see: raise it where the world has changed
    effects: bool = False  # never called without a double or --allow-effects
    max_chars: int = 20_000  # of its output as JSON
    asks: "Mapping[str, PromptVersion]" = field(default_factory=dict)  # what it asks by `ctx.ask("name", …)`

    def document(self) -> dict[str, JsonValue]:
        """Return what the version's digest covers."""
        return {
            "path": self.path,
            "digest": self.digest,
            "revision": self.revision,
            "env": list(self.env),
            "asks": {name: version.digest for name, version in self.asks.items()},
        }


class StepSpec(Value, kw_only=True):
    """One step, as its file says. `version` or `function`: one of the two."""

    name: str
    where: str  # file:line
    version: "PromptVersion | None" = None  # of a prompt step
    function: FunctionSpec | None = None
    inputs: Mapping[str, Source] = field(default_factory=dict)
    when: Expression | None = None
    otherwise: str | None = None  # `else: X`: runs where X's own condition said no
    after: tuple[str, ...] = ()
    model: str | None = None  # a model or route; the suite's where None
    checks: tuple[GraderSpec, ...] = ()
    on_bad: OnBad = OnBad.CONTINUE

    @property
    def gives_json(self) -> bool:
        """Whether its output is JSON; otherwise it is text."""
        return self.version is None or self.version.json_output

    @property
    def output_schema(self) -> Mapping[str, JsonValue] | None:
        """What its output fits; None: nothing is stated."""
        return None if self.version is None else self.version.output_schema

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Every expression of the step."""
        found = [self.when] if self.when is not None else []
        for source in self.inputs.values():
            if isinstance(source, First):
                found += source.options
            elif not isinstance(source, Constant):
                found.append(source)
        return tuple(found)

    @property
    def reads(self) -> tuple[str, ...]:
        """The steps without whose output it is skipped."""
        needed = [] if self.when is None else [self.when]
        needed += [source for source in self.inputs.values() if not isinstance(source, First | Constant)]
        return _steps_in(needed)

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The steps that it comes after."""
        others = [*self.after, *([self.otherwise] if self.otherwise else [])]
        return tuple(dict.fromkeys([*_steps_in(self.expressions), *others]))

    def document(self) -> dict[str, JsonValue]:
        """Return what the version's digest covers: not where it stands, nor its model."""
        return {
            "prompt": None if self.version is None else self.version.digest,
            "function": None if self.function is None else self.function.document(),
            "inputs": {name: _source_document(source) for name, source in self.inputs.items()},
            "when": None if self.when is None else self.when.text,
            "else": self.otherwise,
            "after": list(self.after),
            "checks": [spec.document() for spec in self.checks],
            "on_bad": self.on_bad.value,
        }


def _steps_in(expressions: Iterable[Expression]) -> tuple[str, ...]:
    found = (reference.source for one in expressions for reference in one.references)
    return tuple(dict.fromkeys(name for name in found if name != INPUTS))


def _source_document(source: Source) -> JsonValue:
    match source:
        case Constant():
            return {"value": source.value}
        case First():
            return {"first": [one.text for one in source.options]}
        case _:
            return source.text


class Pipeline(Value):
    """The steps of a version, each after all that it reads, and what gives the output: the first that ran."""

    steps: tuple[StepSpec, ...]
    output: tuple[str, ...]

    def step(self, name: str) -> StepSpec:
        """Return a step by name. Raises KeyError."""
        return next(one for one in self.steps if one.name == name)

    def document(self) -> dict[str, JsonValue]:
        """Return what the version's digest covers."""
        return {"steps": {one.name: one.document() for one in self.steps}, "output": list(self.output)}

    def digest(self) -> str:
        """Digest it."""
        return digest(self.document())


class PromptVersion(Value, kw_only=True):
    """One content of a prompt, partials inlined and Picoschema resolved."""

    name: str
    version: str
    path: str  # in the tree: "prompts/triage/v3.prompt"
    sections: tuple[Section, ...]
    dialect: Dialect = Dialect.PORTABLE
    revision: str | None = None  # None: the work tree
    description: str | None = None
    why: str | None = None
    model: str | None = None
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    input_schema: Mapping[str, JsonValue] | None = None
    input_defaults: Mapping[str, JsonValue] = field(default_factory=dict)
    json_output: bool = False
    output_schema: Mapping[str, JsonValue] | None = None
    tools: tuple[Tool, ...] = ()
    variables: frozenset[str] = frozenset()  # the inputs that the body uses
    pipeline: Pipeline | None = None  # a version made of steps; it has no sections
    places: Mapping[str, str] = field(default_factory=dict)  # file:line of each key of the front matter
    variant: str = ""  # how a run's pipeline differs from the file's: [extract@v2]
    digest: str = ""  # of `content_document`

    def content_document(self) -> dict[str, JsonValue]:
        """Return what the digest covers: what would be sent; not description, why, path or model."""
        if self.pipeline is not None:
            return self.pipeline.document()
        return {
            "dialect": self.dialect.value,
            "sections": [[section.role, section.source] for section in self.sections],
            "params": dict(self.params),
            "input": {"schema": self.input_schema, "default": dict(self.input_defaults)},
            "output": {"json": self.json_output, "schema": self.output_schema},
            "tools": [tool.document() for tool in self.tools],
        }

    @property
    def label(self) -> str:
        """`triage@v3`, with the revision where it was read from one."""
        return f"{PromptRef(self.name, self.version, self.revision)}{self.variant}"
