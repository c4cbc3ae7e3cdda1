"""Read a `.pipeline.yaml` file into a `PromptVersion` made of steps. The file's keys are declared here.

No step runs: prompts are loaded, functions are read. All errors of a file are reported together.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, TypeAlias

from msgspec.structs import replace
from pydantic import Field, model_validator

from evalh.core.declared import FileModel, Refused, Text, Texts, Words, read
from evalh.core.digest import digest
from evalh.core.errors import EvalhError, WorkspaceError, did_you_mean
from evalh.core.located import Located, kind_of
from evalh.core.ports import Tree
from evalh.core.prompt import (
    INPUTS,
    MOST_STEPS,
    RESERVED,
    Constant,
    First,
    FunctionSpec,
    OnBad,
    Pipeline,
    PromptRef,
    PromptVersion,
    Source,
    StepSpec,
)
from evalh.core.schemas import TEXT
from evalh.core.strict_json import JsonValue
from evalh.workspace.entries import StepEntry
from evalh.workspace.prompt.expressions import WORDS, Compiled, compile_expression
from evalh.workspace.prompt.functions import Signature, read_function
from evalh.workspace.prompt.references import Scope, Shape
from evalh.workspace.prompt.step_graph import (
    impossible_arguments,
    impossible_handovers,
    never_taken,
    ordered,
    unconditional,
)
from evalh.workspace.prompt.versions import Position
from evalh.workspace.yaml import parse_yaml

FindPrompt: TypeAlias = Callable[[PromptRef, str], PromptVersion]
"""Loads the prompt that a step names at `where`. Raises WorkspaceError."""

_PINNED = re.compile(r".+@v[1-9][0-9]*")
_MOST_EXPRESSIONS = 1_000  # compiling takes some milliseconds each
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_LATER = {
    "each": "'each' is reserved for a step that runs once for each item of a list; use a loop in a function step",
    "history": "'history' is reserved for a step that continues another step's conversation",
    "tools": "'tools' is reserved for models that call functions",
}
_OF_FUNCTIONS = ("timeout_s", "retry", "limit", "env", "keep", "revision", "effects", "max_chars")

Variable: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), Words("a variable's name")]
Input: TypeAlias = Annotated[Any, Words("an expression, a number, true, false, a list, {value: …} or {first: […]}")]


class StepRetry(FileModel):
    """`retry: {attempts: 3}` of a function."""

    attempts: int = Field(ge=1, le=100, description="How many attempts in all, with the first one.")


class StepLimit(FileModel):
    """`limit: {concurrency: 4}` of a function."""

    concurrency: int = Field(ge=1, le=10_000, description="How many samples may call the function at the same time.")


class PipelineStep(FileModel):
    """One step: a prompt call or a function."""

    prompt: Text | None = Field(None, description="The prompt, such as other or other@v3. Default: the step's name.")
    python: Annotated[Text, Words(hint="python: steps/orders.py:find")] | None = Field(
        None, description="A function instead of a prompt: steps/orders.py:find. It gets and returns JSON values."
    )
    inputs: dict[str, Input] = Field(
        default_factory=dict,
        description="The step's inputs by name: an expression, a constant, {value: text} or {first: [a, b]}.",
    )
    when: Text | None = Field(None, description="An expression. If it is false, the step is skipped.")
    else_: Text | None = Field(
        None, alias="else", description="The step runs only if the `when` of the named step was false."
    )
    after: Text | Texts = Field((), description="Steps that must run first although this step does not read them.")
    model: Text | None = Field(None, description="A model or route of evalh.toml. Default: the suite's.")
    checks: Annotated[tuple[StepEntry, ...], Words("a list of graders", "checks: [schema]")] = Field(
        (), description="Graders that need no gold. If one fails, the step is bad, in production too."
    )
    on_bad: OnBad = Field(
        OnBad.CONTINUE,
        description="After a bad step: continue, stop what depends on it, or withhold the output for a person.",
    )
    timeout_s: float = Field(30.0, gt=0, le=3600, description="For functions: how long one call may take.")
    retry: StepRetry | None = Field(None, description="For functions: how often it is called in all, if it raises.")
    limit: StepLimit | None = Field(None, description="For functions: how many samples may call it at the same time.")
    env: tuple[Variable, ...] = Field((), description="For functions: the environment variables that it gets.")
    keep: bool = Field(default=False, description="For functions: keep its results, like a model's answers.")
    revision: Text | None = Field(None, description="For functions: any text. Change it to make kept results invalid.")
    effects: bool = Field(
        default=False,
        description="For functions: it has side effects. Without a double, it needs --allow-effects.",
    )
    max_chars: int = Field(
        20_000, ge=1, le=10_000_000, description="For functions: the longest output, in characters of JSON."
    )

    @model_validator(mode="before")
    @classmethod
    def _knows_no_later_words(cls, stated: Any) -> Any:
        for key in stated if isinstance(stated, Mapping) else ():
            if key in _LATER:
                raise Refused(f"{key!r} cannot be used yet", _LATER[key], (key,))
        return stated

    @model_validator(mode="after")
    def _is_one_thing(self) -> "PipelineStep":
        if self.prompt is not None and self.python is not None:
            raise Refused("a step is a prompt or a function, and both 'prompt' and 'python' are stated", at=("python",))
        for key in _OF_FUNCTIONS:
            if self.python is None and key in self.model_fields_set:
                raise Refused(
                    f"{key!r} is for functions, and the step has no 'python'",
                    "for a model, set it in its route",
                    (key,),
                )
        if self.python is not None and self.model is not None:
            raise Refused("a function has no model", "ctx.ask uses the suite's model", ("model",))
        return self


class PipelineFile(FileModel):
    """`prompts/<name>/<version>.pipeline.yaml`: prompts and functions in steps."""

    description: Text | None = Field(None, description="What the pipeline is for.")
    why: Text | None = Field(None, description="Why this version differs from the one before it.")
    steps: Annotated[dict[str, PipelineStep], Words("a mapping of steps", "steps: {extract: {inputs: {…}}}")] = Field(
        min_length=1, description="The steps by name."
    )
    output: Text | Texts | None = Field(
        None, description="The step whose output is the pipeline's. Of a list, the first that ran. Default: the last."
    )


def parse_pipeline(text: str, place: Position, tree: Tree, find_prompt: FindPrompt) -> PromptVersion:
    """Read one version, with its digest. Raises WorkspaceError with every error at its line."""
    located = parse_yaml(text, place.file)
    file = read(PipelineFile, located.value, located.where)
    reader = _Reader(file, located, tree, find_prompt)
    pipeline = reader.pipeline()
    last = [pipeline.step(name) for name in pipeline.output]
    schemas = [one.output_schema for one in last]
    version = PromptVersion(
        name=place.name,
        version=place.version,
        path=place.path,
        revision=place.revision,
        sections=(),
        description=file.description,
        why=file.why,
        json_output=all(one.gives_json for one in last),
        output_schema=schemas[0] if all(one == schemas[0] for one in schemas) else None,
        variables=reader.needed_inputs(pipeline),
        pipeline=pipeline,
        places={key: located.where(key) for key in located.value},
    )
    return replace(version, digest=digest(version.content_document()))


def unpinned(text: str, file: str) -> Iterator[WorkspaceError]:
    """Yield an error for each step of a frozen pipeline without a pinned prompt. Raises WorkspaceError."""
    located = parse_yaml(text, file)
    for name, step in read(PipelineFile, located.value, located.where).steps.items():
        if step.python is None and not _PINNED.fullmatch(step.prompt or name):
            prompt = (step.prompt or name).partition("@")[0]
            what = f"the pipeline is frozen, but its step {name!r} does not name a version of {prompt!r}"
            yield WorkspaceError(what, where=located.where("steps", name), hint=f"prompt: {prompt}@v1")


class _Reader:
    """Reads the steps of one file, and collects their errors."""

    def __init__(self, file: PipelineFile, located: Located, tree: Tree, find_prompt: FindPrompt) -> None:
        self._file = file
        self._located = located
        self._tree = tree
        self._find = find_prompt
        self._errors: list[WorkspaceError] = []
        self._expressions = 0
        self._parameters: dict[str, Signature] = {}
        self._needed: dict[str, set[str]] = {}  # by step: the case's inputs that it requires

    def pipeline(self) -> Pipeline:
        """Return the steps in order, and the output. Raises WorkspaceError."""
        names = list(self._file.steps)
        if len(names) > MOST_STEPS:
            where = self._located.where("steps", names[MOST_STEPS])
            raise WorkspaceError(f"{len(names)} steps; a pipeline has at most {MOST_STEPS}", where=where)
        self._errors += self._misnamed(names)
        made = {name: self._made(name, table) for name, table in self._file.steps.items()}
        scope: dict[str, Shape] = {INPUTS: Shape(), **{name: _shape(one) for name, one in made.items()}}
        steps = [self._step(name, table, made[name], scope) for name, table in self._file.steps.items()]
        stated = self._file.output
        output = tuple(names[-1:]) if stated is None else (stated,) if isinstance(stated, str) else stated
        if not output:
            hint = f"output: {names[-1]}; without this key it is the last step's"
            self._wrong("the output does not name a step", self._located.where("output"), hint)
        for number, name in enumerate(output):
            where = self._located.where("output", *([] if isinstance(stated, str) else [number]))
            if name not in made:
                self._wrong(f"no step {name!r}", where, did_you_mean(name, names))
            elif name in output[:number]:
                self._wrong(f"the output names {name!r} twice", where)
        WorkspaceError.raise_all(self._errors)
        found = ordered(steps)
        self._errors += never_taken(found)
        for spec in found:
            places = {key: self._located.where("steps", spec.name, "inputs", key) for key in spec.inputs}
            places[""] = self._located.where("steps", spec.name, "inputs")
            self._errors += impossible_handovers(spec, scope, places)
            if (takes := self._parameters.get(spec.name)) is not None:
                self._errors += impossible_arguments(spec, takes, places)
        WorkspaceError.raise_all(self._errors)
        return Pipeline(found, output)

    def needed_inputs(self, pipeline: Pipeline) -> frozenset[str]:
        """Return the inputs that every case must have: those of steps that run unconditionally."""
        names = unconditional(pipeline.steps)
        return frozenset(one for name in names for one in self._needed.get(name, ()))

    def _wrong(self, what: str, where: str, hint: str | None = None) -> None:
        self._errors.append(WorkspaceError(what, where=where, hint=hint))

    def _misnamed(self, names: list[str]) -> Iterator[WorkspaceError]:
        for name in names:
            where = self._located.where("steps", name)
            if name in RESERVED:
                hint = _LATER.get(name, f"reserved: {', '.join(sorted(RESERVED))}")
                yield WorkspaceError(f"{name!r} is reserved and cannot be a step's name", where=where, hint=hint)
            elif name in WORDS:
                yield WorkspaceError(f"{name!r} is a word of expressions and cannot be a step's name", where=where)
            elif not _NAME.fullmatch(name):
                near = re.sub("[^A-Za-z0-9]+", "_", name)[:40].strip("_") or "extract"
                hint = f"letters, digits and _, up to 64: {near}"
                yield WorkspaceError(f"{name[:80]!r} is not a step's name", where=where, hint=hint)

    def _made(self, name: str, table: PipelineStep) -> PromptVersion | FunctionSpec | None:
        """Return a step's prompt or function; None if it cannot be loaded."""
        key = "python" if table.python is not None else "prompt"
        where = self._located.where("steps", name, *([key] if getattr(table, key) else []))
        try:
            if table.python is not None:
                return self._function(name, table.python, table, where)
            return self._prompt(table.prompt or name, where)
        except WorkspaceError as exc:
            self._errors.append(exc)
        except EvalhError as exc:
            self._wrong(exc.what, exc.where or where, exc.hint)
        return None

    def _prompt(self, stated: str, where: str) -> PromptVersion:
        try:
            ref = PromptRef.parse(stated)
        except EvalhError as exc:
            raise WorkspaceError(
                f"{stated!r} does not name a prompt", where=where, hint="prompt: other, or other@v3"
            ) from exc
        if ref.name is None or ref.revision is not None:
            what = f"{stated!r}: a step must name a prompt of the same tree"
            raise WorkspaceError(what, where=where, hint="prompt: other, or other@v3")
        return self._find(ref, where)

    def _function(self, name: str, path: str, table: PipelineStep, where: str) -> FunctionSpec:
        files = read_function(self._tree, path, where)
        if files.parameters is not None:
            self._parameters[name] = files.parameters
        return FunctionSpec(
            path=path,
            digest=files.digest,
            timeout_s=table.timeout_s,
            attempts=1 if table.retry is None else table.retry.attempts,
            concurrency=None if table.limit is None else table.limit.concurrency,
            **{key: getattr(table, key) for key in ("env", "keep", "revision", "effects", "max_chars")},
            asks={prompt: self._prompt(prompt, line) for prompt, line in sorted(files.asks.items())},
        )

    def _step(
        self, name: str, table: PipelineStep, made: PromptVersion | FunctionSpec | None, scope: Scope
    ) -> StepSpec:
        where = self._located.where("steps", name)
        when = None if table.when is None else self._compiled(table.when, scope, "steps", name, "when")
        inputs = {key: self._source(value, scope, "steps", name, "inputs", key) for key, value in table.inputs.items()}
        after = (table.after,) if isinstance(table.after, str) else table.after
        for number, one in enumerate(after):
            if one not in self._file.steps:
                place = () if isinstance(table.after, str) else (number,)
                self._wrong(
                    f"no step {one!r}",
                    self._located.where("steps", name, "after", *place),
                    did_you_mean(one, self._file.steps),
                )
        if table.else_ is not None:
            self._check_else(name, table.else_)
        checks = [
            entry.spec(partial(self._located.where, "steps", name, "checks", number), name=entry.kind)
            for number, entry in enumerate(table.checks)
        ]
        return StepSpec(
            name=name,
            where=where,
            version=made if isinstance(made, PromptVersion) else None,
            function=made if isinstance(made, FunctionSpec) else None,
            inputs={key: source for key, source in inputs.items() if source is not None},
            when=when,
            otherwise=table.else_,
            after=after,
            model=table.model,
            checks=tuple(checks),
            on_bad=table.on_bad,
        )

    def _check_else(self, name: str, other: str) -> None:
        where = self._located.where("steps", name, "else")
        if other == name:
            self._wrong("`else` names its own step", where, "name a step that has a `when`")
        elif other not in self._file.steps:
            self._wrong(f"no step {other!r}", where, did_you_mean(other, self._file.steps))
        elif self._file.steps[other].when is None:
            at = self._located.where("steps", other)
            self._wrong(f"step {other!r} has no `when`, so it cannot have an `else`", where, f"add `when` to it: {at}")

    def _source(self, value: JsonValue, scope: Scope, *path: str) -> Source | None:
        """Return an input's source; None if it is wrong."""
        where = self._located.where(*path)
        match value:
            case str():
                return self._compiled(value, scope, *path)
            case bool() | int() | float():
                return Constant(value)
            case list() | tuple():
                text = next((one for one in value if isinstance(one, str) and _looks_read(one, scope)), None)
                if text is not None:
                    hint = f'"[{text}, …]" is an expression; {{value: […]}} is a constant'
                    self._wrong(f"a list is a constant, so {text!r} would be a text in it", where, hint)
                return Constant(list(value))
            case {"value": constant, **more} if not more:
                return Constant(constant)
            case {"first": options, **more} if not more:
                return self._first(options, scope, *path)
        hint = "write an expression, {value: …} for a constant, or {first: [a, b]} for the first that ran"
        self._wrong(f"{path[-1]!r} cannot be {kind_of(value)} here", where, hint)
        return None

    def _first(self, options: JsonValue, scope: Scope, *path: str) -> First | None:
        if not isinstance(options, list | tuple) or not options or not all(isinstance(one, str) for one in options):
            self._wrong("'first' must be a list of expressions", self._located.where(*path), "{first: [a, b]}")
            return None
        found = [self._compiled(one, scope, *path, soft=True) for one in options]
        return First(tuple(one for one in found if one is not None))

    def _compiled(self, text: str, scope: Scope, *path: str, soft: bool = False) -> Compiled | None:
        _, name, key, *_ = path
        where = self._located.where(*path)
        self._expressions += 1
        if self._expressions > _MOST_EXPRESSIONS:
            raise WorkspaceError(f"more than {_MOST_EXPRESSIONS:,} expressions in one pipeline", where=where)
        try:
            found = compile_expression(text, where, scope, condition=key == "when")
        except WorkspaceError as exc:
            self._errors.append(exc)
            return None
        if not soft:
            used = {str(one.path[0]) for one in found.needed if one.source == INPUTS and one.path}
            self._needed.setdefault(name, set()).update(used)
        return found


def _shape(made: PromptVersion | FunctionSpec | None) -> Shape:
    if not isinstance(made, PromptVersion):
        return Shape()
    schema = made.output_schema if made.json_output else TEXT
    return Shape(made.json_output, schema, made.places.get("output", ""))


def _looks_read(text: str, scope: Scope) -> bool:
    return any(text == name or text.startswith((f"{name}.", f"{name}[")) for name in scope)
