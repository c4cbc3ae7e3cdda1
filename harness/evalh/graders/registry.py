"""The graders that exist, how a suite's entries become graders, and how a user adds one: `grader`.

Built-in kinds are classes of parameters that compile themselves; see `kinds.built_in`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from evalh.core.case import Case
from evalh.core.declared import keys_of, read
from evalh.core.digest import canonical, digest
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.suite import GraderSpec
from evalh.graders.kinds import LOADED, Compiled, Grader, GraderEnvironment, Kind, Scope

F = TypeVar("F", bound=Callable[..., Any])

_HERE = Path(__file__).parent
_BUILT_IN = re.compile(r'\n@built_in\(\s*"(\w+)"')  # `^` would stop at every line: twice the time, at every start


BUILT_IN: Mapping[str, str] = dict(
    sorted(
        (name, ".".join(file.relative_to(_HERE).with_suffix("").parts))
        for file in _HERE.rglob("*.py")
        for name in _BUILT_IN.findall(file.read_text(encoding="utf-8"))
    )
)
"""The kinds that need no plugin, and the module of each: imported when a suite names it.

Found in the text of the modules, so that a grader is one file, and none of them is imported for it.
"""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
registered: dict[str, Kind] = {}
"""The kinds that were registered for the whole process."""

_collections: list[tuple[str, dict[str, Kind]]] = []


def grader(name: str, *, semantics: int = 1) -> Callable[[F], F]:
    """Register `def f(ctx: GradeContext, *, limit: int = 50) -> Verdict`, sync or async, as a kind of grader.

    Keyword-only parameters are those that a suite may set. Their types are checked when the suite is loaded. The
    function itself is returned unchanged. Increase `semantics` when the same output would now be judged differently.
    Raises WorkspaceError with the function's line.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise WorkspaceError(
            f"{name!r} cannot be a grader's name", hint='a letter, then letters, digits, _ . or -: @grader("max_words")'
        )
    from evalh.graders.functions import arguments_of, declared_parameters, judging, where_defined

    def register(function: F) -> F:
        parameters = declared_parameters(function, name)
        names = keys_of(parameters)
        kind = Kind(
            name=name,
            semantics=semantics,
            parameters=parameters,
            compile=lambda scope, parameters: Compiled(
                judging(function, arguments_of(parameters), scope.environment.deadline_s)
            ),
            short=names[0] if len(names) == 1 else None,
            where=where_defined(function),
        )
        _add(kind)
        return function

    return register


def _add(kind: Kind) -> None:
    if kind.name in BUILT_IN:
        raise WorkspaceError(f"{kind.name!r} is a built-in grader", where=kind.where, hint="choose another name")
    file = kind.where.rpartition(":")[0]
    gathered = bool(_collections) and _collections[-1][0] == file
    kinds = _collections[-1][1] if gathered else registered
    earlier = kinds.get(kind.name)
    # A module that was reloaded, or a notebook's cell: the newer function counts.
    if earlier is not None and (gathered or earlier.where.rpartition(":")[0] != file):
        what = f"grader {kind.name!r} exists already, at {earlier.where}"
        raise WorkspaceError(what, where=kind.where, hint="choose another name")
    kinds[kind.name] = kind


@contextmanager
def collecting(file: str) -> Iterator[dict[str, Kind]]:
    """Collect the graders that `file` registers, instead of registering them for the whole process.

    Modules that it imports register for the process, because a module is executed once.
    """
    kinds: dict[str, Kind] = {}
    _collections.append((file, kinds))
    try:
        yield kinds
    finally:
        _collections.pop()


def built_in_kind(name: str) -> Kind | None:
    """Return the kind of this name that needs no plugin."""
    if name in BUILT_IN and name not in LOADED:
        import_module(f"evalh.graders.{BUILT_IN[name]}")
    return LOADED.get(name)


def build(spec: GraderSpec, environment: GraderEnvironment) -> Grader:
    """Compile one entry of a suite. Raises WorkspaceError at its line."""
    kind = built_in_kind(spec.kind) or environment.kinds.get(spec.kind) or registered.get(spec.kind)
    if kind is None:
        known = {*BUILT_IN, *environment.kinds, *registered}
        raise WorkspaceError(f"no grader {spec.kind!r}", where=spec.where, hint=did_you_mean(spec.kind, known))
    stated = kind.spelled_out(spec.params)
    where_of = spec.where_of if stated is spec.params else partial(_where_of_short, spec, kind.short)
    parameters = read(kind.parameters, stated, where_of, f"grader {spec.kind!r}")
    compiled = kind.compile(Scope(spec, environment, build, where_of), parameters)
    return Grader(spec, kind, compiled, kind.differing(stated))


def _where_of_short(spec: GraderSpec, short: str | None, *path: str | int) -> str:
    """Return the place of a value inside a parameter that the file states without its name."""
    return spec.where_of(*(path[1:] if path[:1] == (short,) else path))


def build_all(specs: Iterable[GraderSpec], environment: GraderEnvironment) -> tuple[Grader, ...]:
    """Compile the graders of a suite, in order. Raises WorkspaceError: the mistakes of all of them."""
    graders, mistakes = [], []
    for spec in specs:
        try:
            graders.append(build(spec, environment))
        except WorkspaceError as exc:
            mistakes.append(exc)
    WorkspaceError.raise_all(mistakes)
    taken = {grader.name for grader in graders}
    for grader in graders:
        for name in grader.compiled.named:
            if name in taken:
                what = f"grader {grader.name!r} has a part called {name!r}, a name that another grader or part has"
                raise WorkspaceError(what, where=grader.spec.where, hint="give the part another name")
            taken.add(name)
    return tuple(graders)


def complete(graders: Sequence[Grader], cases: Iterable[Case]) -> tuple[Grader, ...]:
    """Build the graders that rows bring, where one of these counts them. Raises WorkspaceError at the rows' lines."""
    taken = frozenset(name for grader in graders for name in (grader.name, *grader.compiled.named))
    return tuple(
        grader if (over := grader.compiled.over) is None else replace(grader, compiled=over(cases, taken))
        for grader in graders
    )


def graders_digest(graders: Iterable[Grader]) -> str:
    """Digest what the graders judge by: kinds, semantics, required, and parameters that differ from their defaults.

    Their order does not count.
    """
    return digest(sorted((grader.document() for grader in graders), key=canonical))
