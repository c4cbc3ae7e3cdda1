"""What is handed from step to step, held against the schemas before anything runs.

Only what is certain is an error: every value of the producer's schema would be refused by the consumer's.
"""

from collections.abc import Iterator

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.prompt import Constant, First, Source, StepSpec
from evalh.core.schemas import ANYTHING, TEXT, NoPart, Schema, part_of, refusal
from evalh.workspace.prompt.expressions import PlainExpression
from evalh.workspace.prompt.references import Scope
from evalh.workspace.prompt.templates import check_inputs


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
