"""The graph of a pipeline's steps: their order, branches that are never taken, what is handed along its edges.

Of what is handed on only what is certain is an error: every value of the producer's schema would be refused by the
consumer's.
"""

from collections.abc import Iterator, Mapping, Sequence

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.prompt import Constant, First, Source, StepSpec
from evalh.core.schemas import ANYTHING, TEXT, NoPart, Schema, part_of, refusal
from evalh.workspace.prompt.expressions import PlainExpression
from evalh.workspace.prompt.functions import Signature
from evalh.workspace.prompt.references import Scope
from evalh.workspace.prompt.templates import check_inputs


def ordered(steps: Sequence[StepSpec]) -> tuple[StepSpec, ...]:
    """Return the steps, each after all that it waits for, otherwise as the file has them. Raises WorkspaceError."""
    waiting = {spec.name: spec for spec in steps}
    found: list[StepSpec] = []
    while waiting:
        ready = next((one for one in waiting.values() if waiting.keys().isdisjoint(one.waits_for)), None)
        if ready is None:
            raise _circle(waiting)
        found.append(waiting.pop(ready.name))
    return tuple(found)


def _circle(waiting: Mapping[str, StepSpec]) -> WorkspaceError:
    """Return the refusal of a circle; each step that is left waits for another one that is."""
    path: list[str] = []
    name = next(iter(waiting))
    while name not in path:
        path.append(name)
        name = next(one for one in waiting[name].waits_for if one in waiting)
    circle = [*path[path.index(name) :], name]
    first = min(circle, key=list(waiting).index)
    start = circle.index(first)
    turned = [*circle[start:-1], *circle[:start], first]
    what = f"the steps wait for each other: {' → '.join(turned)}"
    return WorkspaceError(what, where=waiting[first].where, hint="a step reads only what was there before it")


def never_taken(steps: Sequence[StepSpec]) -> Iterator[WorkspaceError]:
    """Yield the steps that run only where a step was skipped, and read it."""
    needs: dict[str, set[str]] = {}
    for spec in steps:  # in order
        needs[spec.name] = set(spec.reads).union(*(needs[name] for name in spec.reads))
        if spec.otherwise is not None and spec.otherwise in needs[spec.name]:
            yield WorkspaceError(
                f"step {spec.name!r} runs only where {spec.otherwise!r} was skipped, and reads it: it would never run",
                where=spec.where,
                hint=f"{{first: [{spec.otherwise}, …]}} takes what ran",
            )


def unconditional(steps: Sequence[StepSpec]) -> set[str]:
    """Return the steps that run for every case that gets so far."""
    found: set[str] = set()
    for spec in steps:  # in order
        if spec.when is None and spec.otherwise is None and found.issuperset(spec.reads):
            found.add(spec.name)
    return found


def impossible_handovers(spec: StepSpec, scope: Scope, places: dict[str, str]) -> Iterator[WorkspaceError]:
    """Yield what a step's prompt lacks, does not take, or must refuse. `places`: file:line of each input."""
    version = spec.version
    if version is None:
        return
    takes: Schema = version.input_schema or ANYTHING
    there = version.places.get("input", version.path)
    needed = [*check_inputs(version, spec.inputs), *takes.get("required", ())]
    for name in dict.fromkeys(needed):
        if name not in spec.inputs and name not in version.input_defaults:
            hint = f"inputs: {{{name}: …}}; {version.label} needs it: {there}"
            what = f"step {spec.name!r} is handed no {name!r}"
            yield WorkspaceError(what, where=places.get("", spec.where), hint=hint)
    for name, source in spec.inputs.items():
        wanted = part_of(takes, (name,))
        if isinstance(wanted, NoPart):
            hint = f"{did_you_mean(name, wanted.have)} · its schema: {there}"
            yield WorkspaceError(f"{version.label} takes no input {name!r}", where=places[name], hint=hint)
            continue
        refused = _refused(source, wanted, scope)
        if refused is not None:
            what, schema = refused
            hint = f"what {version.label} takes: {there}" + (f" · what is given: {schema}" if schema else "")
            yield WorkspaceError(f"{what}: {version.label} refuses it as {name!r}", where=places[name], hint=hint)


def impossible_arguments(spec: StepSpec, takes: Signature, places: dict[str, str]) -> Iterator[WorkspaceError]:
    """Yield what a step's function needs and is not handed, or is handed and does not take."""
    assert spec.function is not None
    path = spec.function.path
    for name in sorted(takes.required - spec.inputs.keys()):
        hint = f"inputs: {{{name}: …}}; {path} needs it: {takes.where}"
        yield WorkspaceError(f"step {spec.name!r} is handed no {name!r}", where=places.get("", spec.where), hint=hint)
    for name in spec.inputs:
        if name not in takes.names and not takes.takes_any:
            hint = f"{did_you_mean(name, takes.names)} · {takes.where}"
            yield WorkspaceError(f"{path} takes no {name!r}", where=places[name], hint=hint)


def _refused(source: Source, wanted: Schema, scope: Scope) -> tuple[str, str] | None:
    """Return why an input is always refused, and where its own schema stands."""
    match source:
        case Constant():
            why = refusal({"const": source.value}, wanted)
            return None if why is None else (f"the value {why}", "")
        case First():
            found = [_refused(one, wanted, scope) for one in source.options]
            return found[0] if all(found) else None
        case PlainExpression():
            reference = source.part.reference
            shape = scope[reference.source]
            given = part_of(shape.schema if shape.gives_json else TEXT, reference.path)
            why = None if isinstance(given, NoPart) else refusal(given, wanted)
            return None if why is None else (f"{reference}{'' if why.startswith('.') else ' '}{why}", shape.where)
        case _:
            return None
