"""What `--model` names: a model of evalh.toml, or a route, resolved for one prompt version.

Whether models are asked for what the grader `logprob` reads; where not, it would only ever abstain.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from evalh.core.attempt import Usage
from evalh.core.errors import NotFound, UsageError, WorkspaceError, did_you_mean
from evalh.core.ports import Pricer, Prices
from evalh.core.prompt import PromptRef, PromptVersion
from evalh.core.route import BudgetPolicy, Route, direct
from evalh.core.suite import GraderSpec, Suite
from evalh.graders.registry import Grader, GraderEnvironment, build_all
from evalh.pipeline.step import settings_for
from evalh.providers.logprobs import not_asked
from evalh.routing.target import Leaf, Target, models_of, reachable

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


def version_for(workspace: "Workspace", suite: Suite, ref: PromptRef) -> PromptVersion:
    """Load a version of a suite's prompt. Raises NotFound, WorkspaceError; no such prompt is the suite's mistake."""
    try:
        return workspace.version(ref, suite.prompt)
    except NotFound as exc:
        if ref.name in (None, suite.prompt) and suite.prompt not in workspace.prompts(ref.revision).names():
            raise NotFound(exc.what, where=suite.where_of("prompt"), hint=exc.hint) from None
        raise


def default_model(workspace: "Workspace", suite: Suite, version: PromptVersion) -> tuple[str, str]:
    """Return the model that a suite asks, and where it is named. Raises UsageError where nothing names one."""
    if suite.model is not None:
        return suite.model, suite.where_of("model")
    if version.model is not None:
        return version.model, version.path
    raise UsageError(
        f"which model? suite {suite.name!r} names none",
        where=suite.where,
        hint=f"add `model: …` or use --model {' | '.join(workspace.config.models)}",
    )


def target_for(workspace: "Workspace", name: str, version: PromptVersion, where: str | None = None) -> Target:
    """Resolve the name of a model or a route, which stands at `where`. Raises NotFound, WorkspaceError."""
    config = workspace.config
    route = config.routes.get(name)
    if route is None and name not in config.models:
        raise no_model(workspace, name, where)
    route = route or direct(name)
    for model in models_of(route, config.routes, tuple(config.models)):
        if config.models[model].embeds:
            raise WorkspaceError(
                f"model {model!r} gives embeddings, and no answers",
                where=config.models[model].where,
                hint="the grader embedding_similarity asks it",
            )
    providers = {
        model: workspace.provider(model, version) for model in models_of(route, config.routes, tuple(config.models))
    }
    leaves = {
        model: Leaf(provider, settings_for(version, provider), config.models[model].where)
        for model, provider in providers.items()
    }
    for one in reachable(route, config.routes):
        route_checks(one, workspace.grader_environment)
    refuse_circles(route, workspace)
    return Target(route=route, routes=config.routes, leaves=leaves, judges_by=workspace.judges_by)


def no_model(workspace: "Workspace", name: str, where: str | None) -> NotFound:
    """Return the refusal of a name that no model and no route has."""
    known = (*workspace.config.models, *workspace.config.routes)
    hint = did_you_mean(name, known) if known else f"add [models.{name}]"
    return NotFound(f"no model or route {name!r} in evalh.toml", where=where, hint=hint)


def route_checks(route: Route, environment: GraderEnvironment) -> tuple[Grader, ...]:
    """Compile a route's checks. Raises WorkspaceError for one that does not exist, or that needs gold."""
    policies = [policy for policy in (route.repair, route.cascade) if policy is not None]
    return tuple(check for policy in policies for check in build_checks(policy.checks, environment))


def refuse_circles(route: Route, workspace: "Workspace") -> None:
    """Raise WorkspaceError where a check asks a route that it is itself a part of: it would ask without end."""
    routes, environment = workspace.config.routes, workspace.grader_environment
    done: set[str] = set()

    def visit(one: Route, path: tuple[str, ...]) -> None:
        if one.name in path:
            circle = " → ".join((*path[path.index(one.name) :], one.name))
            raise WorkspaceError(f"a check asks the route that it checks: {circle}", where=one.where)
        if one.name in done:
            return
        asked = [name for check in route_checks(one, environment) for name in check.models]
        for name in (*one.targets, *asked):
            if name in routes:
                visit(routes[name], (*path, one.name))
        done.add(one.name)

    visit(route, ())


def build_checks(specs: Sequence[GraderSpec], environment: GraderEnvironment) -> tuple[Grader, ...]:
    """Compile checks. Raises WorkspaceError where one compares with `expected`: a route works without gold."""
    graders = build_all(specs, environment)
    for grader in graders:
        if grader.needs_expected:
            raise WorkspaceError(
                f"{grader.name!r} compares with what a case expects, and a route must work without that",
                where=grader.spec.where,
                hint='checks without gold: "schema", "json", {regex = "…"}, {length = {max_chars = 500}}, …',
            )
    return graders


def budget_for(target: Target, prices: Prices, usd: BudgetPolicy | None, asked: Iterable[Target] = ()) -> BudgetPolicy:
    """Return the budget that bounds a run: the command line's before the route's.

    Raises UsageError where money is counted and a model has no price, or a request no bound on its output.
    """
    budget = usd or target.route.budget
    if not budget.counts_money and budget.tokens_per_run is None:
        return budget
    for name, leaf in (one for each in (target, *asked) for one in each.leaves.items()):
        if budget.counts_money and not _bounded(prices.find(leaf.provider)):
            raise UsageError(
                f"a budget in USD cannot bound {name!r}: it has no price per token",
                where=leaf.where,
                hint=f"add to [models.{name}] in evalh.toml: price = {{input = 0.25, output = 2.0}}",
            )
        if leaf.settings.max_tokens is None:
            raise UsageError(
                f"a budget cannot bound {name!r}: nothing bounds its output tokens",
                where=leaf.where,
                hint="add max_tokens to the prompt's config, or to the model's params",
            )
    return budget


def _bounded(pricer: Pricer | None) -> bool:
    """Tell whether a price says what a request costs before it is sent: one per hour does not."""
    return pricer is not None and pricer.cost(Usage(input_tokens=1, output_tokens=1), None) is not None


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
            advice = not_asked(leaf.provider, leaf.settings.params)
            if advice is None:
                continue
            hint = f"[models.{name}] in evalh.toml: {advice}" if advice.startswith("params") else advice
            raise WorkspaceError(
                f"grader {grader.name!r} reads token log-probabilities, and model {name!r} is not asked for any",
                where=grader.spec.where,
                hint=hint,
            )
