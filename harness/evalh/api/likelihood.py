"""Whether models are asked for what the grader `logprob` reads; where not, it would only ever abstain."""

from collections.abc import Iterable, Mapping, Sequence

from evalh.core.errors import WorkspaceError
from evalh.core.route import Route
from evalh.graders.registry import Grader, GraderEnvironment, build_all
from evalh.providers.likelihood import not_asked
from evalh.routing.target import Leaf, Target, models_of, reachable


def require_logprobs(graders: Sequence[Grader], checks: GraderEnvironment, target: Target) -> None:
    """Raise WorkspaceError at the line of a grader, or of a check of a route, that meets a model without."""
    _require(graders, target.leaves)
    for route in reachable(target.route, target.routes):
        if route.repair is not None:
            _require(build_all(route.repair.checks, checks), _leaves(target, route, route.targets, own=True))
        if route.cascade is not None:  # who is escalated to is not checked
            examined = (route.model, *route.fallback)
            _require(build_all(route.cascade.checks, checks), _leaves(target, route, examined, own=False))


def _leaves(target: Target, route: Route, names: Iterable[str], *, own: bool) -> Mapping[str, Leaf]:
    """Return the models that these names lead to; `own`: only those that no other route stands before."""
    found: list[str] = []
    for name in names:
        inner = None if name == route.name else target.routes.get(name)
        if inner is None:
            found.append(name)
        elif not own:
            found += models_of(inner, target.routes, target.leaves)
    return {name: target.leaves[name] for name in found}


def _require(graders: Iterable[Grader], leaves: Mapping[str, Leaf]) -> None:
    for grader in graders:
        for name, leaf in leaves.items() if grader.needs_logprobs else ():
            advice = not_asked(leaf.provider.kind, leaf.settings.params)
            if advice is None:
                continue
            hint = f"[models.{name}] in evalh.toml: {advice}" if advice.startswith("params") else advice
            raise WorkspaceError(
                f"grader {grader.name!r} reads token log-probabilities, and model {name!r} is not asked for any",
                where=grader.spec.where,
                hint=hint,
            )
