"""The order of a pipeline's steps: what each waits for, circles, branches that can never be taken."""

from collections.abc import Iterator, Mapping, Sequence

from evalh.core.errors import WorkspaceError
from evalh.core.prompt import INPUTS, Constant, First, StepSpec


def reads(spec: StepSpec) -> tuple[str, ...]:
    """Return the steps without whose output a step is skipped."""
    needed = [] if spec.when is None else [spec.when]
    needed += [source for source in spec.inputs.values() if not isinstance(source, Constant | First)]
    return tuple(dict.fromkeys(one.source for each in needed for one in each.references if one.source != INPUTS))


def waits_for(spec: StepSpec) -> tuple[str, ...]:
    """Return all steps that a step comes after."""
    read = (one.source for each in spec.expressions for one in each.references if one.source != INPUTS)
    return tuple(dict.fromkeys([*read, *spec.after, *([spec.otherwise] if spec.otherwise else [])]))


def ordered(steps: Sequence[StepSpec]) -> tuple[StepSpec, ...]:
    """Return the steps, each after all that it waits for, otherwise as the file has them. Raises WorkspaceError."""
    waiting = {spec.name: spec for spec in steps}
    found: list[StepSpec] = []
    while waiting:
        ready = next((one for one in waiting.values() if waiting.keys().isdisjoint(waits_for(one))), None)
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
        name = next(one for one in waits_for(waiting[name]) if one in waiting)
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
        read = reads(spec)
        needs[spec.name] = set(read).union(*(needs[name] for name in read))
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
        if spec.when is None and spec.otherwise is None and found.issuperset(reads(spec)):
            found.add(spec.name)
    return found
