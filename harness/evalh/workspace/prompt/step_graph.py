"""The graph of a pipeline's steps: their order, branches that are never taken, and handovers that cannot work.

A handover is an error only if it is certain to fail: the consumer's schema refuses every value of the producer's
schema.
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
    """Return the steps in topological order, otherwise in the file's order. Raises WorkspaceError."""
    waiting = {spec.name: spec for spec in steps}
    found: list[StepSpec] = []
    while waiting:
        ready = next((one for one in waiting.values() if waiting.keys().isdisjoint(one.waits_for)), None)
        if ready is None:
            raise _circle(waiting)
        found.append(waiting.pop(ready.name))
    return tuple(found)


def _circle(waiting: Mapping[str, StepSpec]) -> WorkspaceError:
    """Return the error for a cycle. Each step in `waiting` waits for another one in it."""
    path: list[str] = []
    name = next(iter(waiting))
    while name not in path:
        path.append(name)
        name = next(one for one in waiting[name].waits_for if one in waiting)
    circle = [*path[path.index(name) :], name]
    first = min(circle, key=list(waiting).index)
    start = circle.index(first)
    turned = [*circle[start:-1], *circle[:start], first]
    what = f"the steps depend on each other in a circle: {' → '.join(turned)}"
    return WorkspaceError(what, where=waiting[first].where, hint="a step can read only steps that run before it")


def never_taken(steps: Sequence[StepSpec]) -> Iterator[WorkspaceError]:
    """Yield an error for each step that runs only if another was skipped, and reads that one."""
    needs: dict[str, set[str]] = {}
    for spec in steps:  # in order
        needs[spec.name] = set(spec.reads).union(*(needs[name] for name in spec.reads))
        if spec.otherwise is not None and spec.otherwise in needs[spec.name]:
            yield WorkspaceError(
                f"step {spec.name!r} runs only if {spec.otherwise!r} was skipped, and reads it: it can never run",
                where=spec.where,
                hint=f"{{first: [{spec.otherwise}, …]}} takes the first that ran",
            )


def unconditional(steps: Sequence[StepSpec]) -> set[str]:
    """Return the steps that run for every case that is not stopped before."""
    found: set[str] = set()
    for spec in steps:  # in order
        if spec.when is None and spec.otherwise is None and found.issuperset(spec.reads):
            found.add(spec.name)
    return found


def impossible_handovers(spec: StepSpec, scope: Scope, places: dict[str, str]) -> Iterator[WorkspaceError]:
    """Yield inputs that a step's prompt lacks, does not have, or always refuses. `places`: file:line of each input."""
    version = spec.version
    if version is None:
        return
    takes: Schema = version.input_schema or ANYTHING
    there = version.places.get("input", version.path)
    needed = [*check_inputs(version, spec.inputs), *takes.get("required", ())]
    for name in dict.fromkeys(needed):
        if name not in spec.inputs and name not in version.input_defaults:
            hint = f"inputs: {{{name}: …}}; {version.label} needs it: {there}"
            what = f"step {spec.name!r} lacks the input {name!r}"
            yield WorkspaceError(what, where=places.get("", spec.where), hint=hint)
    for name, source in spec.inputs.items():
        wanted = part_of(takes, (name,))
        if isinstance(wanted, NoPart):
            hint = f"{did_you_mean(name, wanted.have)} · its schema: {there}"
            yield WorkspaceError(f"{version.label} has no input {name!r}", where=places[name], hint=hint)
            continue
        refused = _refused(source, wanted, scope)
        if refused is not None:
            what, schema = refused
            hint = f"what {version.label} takes: {there}" + (f" · what is given: {schema}" if schema else "")
            yield WorkspaceError(f"{what}: {version.label} refuses it as {name!r}", where=places[name], hint=hint)


def impossible_arguments(spec: StepSpec, takes: Signature, places: dict[str, str]) -> Iterator[WorkspaceError]:
    """Yield parameters that a step's function needs and does not get, and inputs that are not its parameters."""
    assert spec.function is not None
    path = spec.function.path
    for name in sorted(takes.required - spec.inputs.keys()):
        hint = f"inputs: {{{name}: …}}; {path} needs it: {takes.where}"
        yield WorkspaceError(
            f"step {spec.name!r} lacks the input {name!r}", where=places.get("", spec.where), hint=hint
        )
    for name in spec.inputs:
        if name not in takes.names and not takes.takes_any:
            hint = f"{did_you_mean(name, takes.names)} · {takes.where}"
            yield WorkspaceError(f"{path} has no parameter {name!r}", where=places[name], hint=hint)


def _refused(source: Source, wanted: Schema, scope: Scope) -> tuple[str, str] | None:
    """Return why an input is always refused, and where its own schema is."""
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
