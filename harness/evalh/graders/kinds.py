"""What a grader is: a kind with declared parameters, compiled once per suite, then asked once per sample."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import cache, partial
from inspect import isawaitable
from typing import Any, ClassVar, TypeAlias, TypeVar, overload

from msgspec.structs import replace

from evalh.core.case import Case
from evalh.core.declared import FileModel
from evalh.core.digest import digest
from evalh.core.errors import WorkspaceError
from evalh.core.located import Path
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec
from evalh.core.values import Value
from evalh.core.verdict import EarlyVerdict, Form, GradeContext, Question, Verdict
from evalh.graders.judges.asking import Models, Questions, Texts
from evalh.graders.judges.fences import TooLongError
from evalh.graders.paths import BadPath, JsonPath
from evalh.graders.quoting import one_line

Judge: TypeAlias = Callable[[GradeContext], Verdict | Awaitable[Verdict]]
"""Judges one sample. Returns a verdict, or something to await where it must wait."""


FunctionLoader: TypeAlias = Callable[[str], Callable[..., Any]]
"""Finds a user's function by `evals/x.py:name` or `pkg.mod:name`. Raises WorkspaceError."""


class GraderEnvironment(Value, kw_only=True):
    """What graders may be handed. `kinds` are the workspace's own: what `plugins.load_plugins` returns."""

    load_function: FunctionLoader
    models: Models
    texts: Texts
    kinds: "Mapping[str, Kind]"
    deadline_s: float = 10.0  # for one call of a user's function
    trusted: "Collection[bytes] | None" = None  # entries of rows that may run code and ask models; None: every one


class RowKinds(Value):
    """What the graders of a dataset's rows judge by beside their parameters, which the digest of the rows covers."""

    kinds: frozenset[tuple[str, int]]  # kind and semantics
    judges: frozenset[str]  # digests: names of models and files stand for contents

    def document(self) -> list[JsonValue]:
        """Return what a grader's digest covers."""
        found: list[JsonValue] = [{"kind": kind, "semantics": semantics} for kind, semantics in sorted(self.kinds)]
        return [*found, *([{"judges_by": digest(sorted(self.judges))}] if self.judges else [])]


class Compiled(Value):
    """A kind with its parameters fixed, ready to judge."""

    judge: Judge
    needs_expected: bool = False  # False: it can judge without gold, so it may stand inside a route
    parts: "tuple[Grader, ...]" = ()  # what `not`, `any_of` and `all_of` are made of
    models: tuple[str, ...] = ()  # the models and routes that it asks by name
    forms: tuple[Form, ...] = ()  # what its questions have in common
    questions: Questions | None = None  # what it asks about a sample at most
    runs_code: bool = False  # code that stands in its entry or in a file that it names
    needs_logprobs: bool = False  # it reads what a model gives only when it is asked for
    reads: tuple[str, ...] = ()  # the steps of a pipeline whose outputs it looks at
    judges_by: Callable[[], JsonValue] | None = None  # what a digest covers where names stand for contents
    weighs: Mapping[str, JsonValue] | None = None  # what a digest covers beside the parts
    named: tuple[str, ...] = ()  # names that its parts are counted under
    over: "Over | None" = None  # of the kind that rows complete
    asks: tuple[tuple[str | None, Form], ...] = ()  # what graders of rows ask, and under which form
    rows: "RowKinds | None" = None  # what the graders of rows are


Over: TypeAlias = Callable[[Iterable[Case], Collection[str]], Compiled]
"""Completes a grader with the graders of rows; the names are those that parts may not have. Raises WorkspaceError."""


class Parameters(FileModel):
    """The declared parameters of a built-in kind, and how it is compiled."""

    takes_null: ClassVar[bool] = True

    def compile(self, scope: "Scope") -> Compiled:
        """Fix the parameters. Raises WorkspaceError."""
        raise NotImplementedError


class Kind(Value, kw_only=True):
    """A kind of grader. `semantics` is raised by hand when the same output would now be judged differently."""

    name: str
    semantics: int
    parameters: type[FileModel]
    compile: Callable[["Scope", Any], Compiled]
    short: str | None = None  # the parameter that a suite may state without its name: `- contains: refund`
    holds_entry: bool = False  # that parameter is a grader's entry: `- not: {contains: refund}`
    where: str = "evalh"  # file:line of the code, for messages

    def spelled_out(self, stated: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        """Return the parameters by their names. A suite hands over what it states without a name as `value`."""
        if self.short is None or len(stated) != 1 or self.short in stated:
            return stated
        if "value" in stated:
            return {self.short: stated["value"]}
        return {self.short: dict(stated)} if self.holds_entry else stated

    def differing(self, stated: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the stated parameters that differ from their defaults: a new default changes no digest."""
        defaults = _defaults_of(self.parameters)
        # By the types as well: true is not 1.
        return {
            name: value
            for name, value in stated.items()
            if value != defaults[name] or isinstance(value, bool) != isinstance(defaults[name], bool)
        }


@cache
def _defaults_of(parameters: type[FileModel]) -> Mapping[str, Any]:
    return {field.alias or name: field.default for name, field in parameters.model_fields.items()}


class Scope(Value):
    """Where a kind is compiled: the entry in the suite, and what may be handed to it."""

    spec: GraderSpec
    environment: GraderEnvironment
    build: Callable[[GraderSpec, GraderEnvironment], "Grader"]  # for graders made of graders
    where_of: Callable[..., str]  # `file:line` of a parameter, or of a value inside it

    def wrong(self, what: str, hint: str | None = None, at: Path = ()) -> WorkspaceError:
        """Return the error of this entry; `at`: the parameter that is wrong, and the path inside it."""
        return WorkspaceError(f"grader {self.spec.kind!r} {what}", where=self.where_of(*at), hint=hint)

    def at(self, *path: str | int) -> "Scope":
        """Return the scope of an entry inside a parameter: what is wrong with it is there."""
        return replace(self, where_of=partial(self.where_of, *path))

    def function(self, path: str) -> Callable[..., Any]:
        """Load a user's function. Raises WorkspaceError at the user's line, or at this entry's."""
        try:
            return self.environment.load_function(path)
        except WorkspaceError as exc:
            raise WorkspaceError(exc.what, where=exc.where or self.spec.where, hint=exc.hint) from exc.__cause__

    @overload
    def path(self, text: str, *at: str) -> JsonPath: ...
    @overload
    def path(self, text: str | None, *at: str) -> JsonPath | None: ...
    def path(self, text: str | None, *at: str) -> JsonPath | None:
        """Compile the JSON path that a parameter, or a key in it, states; None stays None. Raises WorkspaceError."""
        try:
            return None if text is None else JsonPath.parse(text)
        except BadPath as exc:
            raise self.wrong(f"cannot use this path: {exc}", at=at) from None


class Grader(Value, eq=False):
    """A grader of a suite, compiled."""

    spec: GraderSpec
    kind: Kind
    compiled: Compiled
    stated: Mapping[str, JsonValue]  # the parameters that differ from their defaults

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def required(self) -> bool:
        return self.spec.required

    @property
    def needs_expected(self) -> bool:
        """Whether it compares with the case's `expected`; if not, it may stand inside a route as a check."""
        return self.compiled.needs_expected

    @property
    def needs_logprobs(self) -> bool:
        """Whether it, or a part of it, reads token log-probabilities."""
        return self.compiled.needs_logprobs or any(part.needs_logprobs for part in self.compiled.parts)

    @property
    def models(self) -> tuple[str, ...]:
        """The models and routes that it asks by name, its parts' too."""
        rows = (name for name, _ in self.compiled.asks if name is not None)
        return (*self.compiled.models, *rows, *(name for part in self.compiled.parts for name in part.models))

    @property
    def reads(self) -> tuple[str, ...]:
        """The steps of a pipeline whose outputs it, or a part of it, looks at."""
        return (*self.compiled.reads, *(name for part in self.compiled.parts for name in part.reads))

    def questions(self, ctx: GradeContext) -> "tuple[Question, ...]":
        """Return what it asks about a sample at most, its parts' questions too. None where nothing may be asked."""
        try:
            own = self.compiled.questions(ctx) if self.compiled.questions is not None else ()
        except TooLongError:
            own = ()
        return (*own, *(question for part in self.compiled.parts for question in part.questions(ctx)))

    @property
    def asked(self) -> "tuple[tuple[str | None, Form], ...]":
        """Return whom it asks, and under which form; None: the model that answered."""
        names = self.compiled.models or (None,)
        own = [(name, form) for form in self.compiled.forms for name in names]
        return (*own, *self.compiled.asks, *(one for part in self.compiled.parts for one in part.asked))

    def judge(self, ctx: GradeContext) -> Verdict | Awaitable[Verdict]:
        """Judge a sample. A grader that breaks gives an `error` verdict.

        What is awaited may raise NotSent (the run is ending) and EvalhError (no model can be asked any more).
        """
        try:
            return self.compiled.judge(ctx)
        except EarlyVerdict as early:
            return early.verdict
        except Exception as exc:  # noqa: BLE001 (a grader that breaks says nothing about the output)
            return broke(exc)

    async def check(self, ctx: GradeContext) -> Verdict:
        judged = self.judge(ctx)
        return await judged if isawaitable(judged) else judged

    def document(self) -> dict[str, JsonValue]:
        document: dict[str, JsonValue] = {
            "kind": self.kind.name,
            "semantics": self.kind.semantics,
            "required": self.required,
        }
        if self.compiled.parts:
            document |= {"parts": [part.document() for part in self.compiled.parts]}
            return document | ({} if self.compiled.weighs is None else {"weighs": dict(self.compiled.weighs)})
        if self.compiled.judges_by is not None:
            return document | {"judges_by": self.compiled.judges_by()}
        document |= {"params": dict(self.stated)}
        return document if self.compiled.rows is None else document | {"parts": self.compiled.rows.document()}


def broke(exc: BaseException) -> Verdict:
    """Return the verdict of a grader that raised: type and message, without a traceback."""
    return Verdict.error(one_line(f"{type(exc).__name__}: {exc}"))


LOADED: dict[str, Kind] = {}
"""The kinds that need no plugin, as far as their modules are imported; `registry` knows which module holds which."""

P = TypeVar("P", bound=Parameters)


def built_in(
    name: str, *, short: str | None = None, holds_entry: bool = False, semantics: int = 1
) -> Callable[[type[P]], type[P]]:
    """Register a class of parameters as a kind; the keywords are those of `Kind`."""

    def register(cls: type[P]) -> type[P]:
        def compiled(scope: Scope, parameters: P) -> Compiled:
            return parameters.compile(scope)

        LOADED[name] = Kind(
            name=name, semantics=semantics, parameters=cls, compile=compiled, short=short, holds_entry=holds_entry
        )
        return cls

    return register
