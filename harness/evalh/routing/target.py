"""What a run asks: a route, the routes it may lead to, and the models at their ends."""

from collections.abc import Callable, Collection, Mapping

from msgspec.structs import force_setattr, replace

from evalh.core.digest import digest
from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.ports import Provider
from evalh.core.request import Settings
from evalh.core.route import Route
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec
from evalh.core.values import Value


def addressed(provider: Provider) -> Mapping[str, JsonValue]:
    """Return what a request's digest covers of a provider: its identity, and what only holds until its code changes.

    The fingerprint has the identity alone: two revisions of an application can be compared.
    """
    return {**provider.identity, **getattr(provider, "passing", {})}


class Leaf(Value):
    """One model of a route: its provider, and everything of its requests but the messages."""

    provider: Provider
    settings: Settings
    where: str | None = None  # file:line of the model, for messages


class Target(Value, kw_only=True):
    """What a run asks: a route, the routes it may lead to, and the models at their ends."""

    route: Route
    routes: Mapping[str, Route]  # by name, all of the workspace
    leaves: Mapping[str, Leaf]  # by model name, all that can be reached
    judges_by: Callable[[GraderSpec], JsonValue] = GraderSpec.document  # the digest of a check
    chooses: bool = False  # computed: whether an answer may come from another request than the first model's own

    def __post_init__(self) -> None:
        chooses = any(route.chooses for route in reachable(self.route, self.routes))
        force_setattr(self, "chooses", chooses)

    @property
    def name(self) -> str:
        """What `--model` names."""
        return self.route.name

    @property
    def first(self) -> Leaf:
        """The model that is asked first."""
        route = self.route
        while route.model in self.routes and route.model != route.name:
            route = self.routes[route.model]
        return self.leaves[route.model]

    def route_document(self) -> list[JsonValue]:
        return [route.document(judges_by=self.judges_by) for route in reachable(self.route, self.routes)]

    def models_document(self) -> list[JsonValue]:
        """Return the content of the fingerprint's model part."""
        providers = [self.leaves[name].provider for name in sorted(self.leaves)]
        return [{"model": one.model, "sent_to": dict(one.identity), "params": dict(one.params)} for one in providers]

    def settings(self) -> Settings:
        """Return the settings of the run's requests: the first model's, or the whole route if it chooses.

        An answer of a route that chooses is found by everything that decides who answers, not by names.
        """
        own = self.first.settings
        if not self.chooses:
            return own
        reads = any(leaf.settings.reads_inputs for leaf in self.leaves.values())
        return replace(own, sent_to={"route": self._content(self.route)}, reads_inputs=reads)

    def _content(self, route: Route) -> dict[str, JsonValue]:
        def stands_for(name: str) -> JsonValue:
            inner = self.routes.get(name)
            return digest(self.leaves[name].settings.document()) if inner is None else self._content(inner)

        return route.document(stands_for, self.judges_by)


def reachable(route: Route, routes: Mapping[str, Route]) -> list[Route]:
    """Return a route and every route that it may lead to, each once. Raises WorkspaceError for a circle."""
    found: dict[str, Route] = {}

    def visit(one: Route, path: tuple[str, ...]) -> None:
        if one.name in path:
            circle = " → ".join((*path[path.index(one.name) :], one.name))
            raise WorkspaceError(f"the route leads back to itself: {circle}", where=one.where)
        found[one.name] = one
        for name in one.targets:
            if name in routes:
                visit(routes[name], (*path, one.name))

    visit(route, ())
    return list(found.values())


def models_of(route: Route, routes: Mapping[str, Route], models: Collection[str]) -> tuple[str, ...]:
    """Return the models that a route may ask, in the order in which it names them. Raises WorkspaceError."""
    names: dict[str, None] = {}
    for one in reachable(route, routes):
        for name in one.targets:
            if name in routes:
                continue
            if name not in models:
                hint = did_you_mean(name, (*models, *routes))
                raise WorkspaceError(
                    f"route {one.name!r} names {name!r}, which is neither a model nor a route",
                    where=one.where,
                    hint=hint,
                )
            names[name] = None
    return tuple(names)
