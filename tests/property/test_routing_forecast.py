"""The ceiling of a route's cost is what the worst of all models can make it cost: not a cent more, and never less."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from evalh.core.attempt import Call, ErrorKind
from evalh.core.request import Request
from evalh.core.route import CascadePolicy, EscalateBy, RepairBy, RepairPolicy, RetryPolicy, Route
from evalh.core.suite import GraderSpec
from evalh.engine.forecast import most
from evalh.routing.budget import input_bytes
from unit.routing.staging import Line, Model, Stage, builder, call, outcome, play, request, target_of
from unit.routing.staging import settings as settings_of

CHECKS = (GraderSpec(kind="yes", name="yes"),)


@dataclass(eq=False)
class Worst(Model):
    """Fails until its last attempt, and then answers what does not fit; or fails there too at the very end."""

    route: Route = field(default_factory=lambda: Route(name="", model=""))
    ends_with_an_error: bool = False
    unfit: str = "no"

    def __post_init__(self) -> None:
        self.lines = self._line
        self._sent: Counter[str] = Counter()

    def _line(self, request: Request, _call: Call) -> Line:
        digest = request.digest()
        self._sent[digest] += 1
        repairs = self.route.repair.attempts if self.route.repair else 0
        last_request = len(self._sent) > repairs
        if self._sent[digest] < self.route.retry.attempts or (last_request and self.ends_with_an_error):
            return ErrorKind.TIMEOUT
        return self.unfit


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[Route], dict[str, Route]]:
    """Draw a route with others nested in it, the outermost first, and which route each model stands in."""
    routes: list[Route] = []
    owners: dict[str, Route] = {}
    names = (f"m{number}" for number in range(100))
    left = draw(st.integers(1, 5))

    def one(depth: int) -> str:
        nonlocal left
        position = len(routes)
        name = f"r{position}"
        routes.append(Route(name=name, model=""))
        leaves: list[str] = []

        def child() -> str:
            nonlocal left
            if depth < 2 and left > 1 and draw(st.booleans()):
                return one(depth + 1)
            left -= 1
            leaves.append(next(names))
            return leaves[-1]

        model = child()
        fallback = tuple(child() for _ in range(draw(st.integers(0, max(0, min(2, left))))))
        cascade = None
        if left > 0 and draw(st.booleans()):
            cascade = CascadePolicy(checks=CHECKS, escalate_to=child(), by=draw(st.sampled_from(EscalateBy)))
        repairs = draw(st.integers(0, 2))
        route = Route(
            name=name,
            model=model,
            retry=RetryPolicy(attempts=draw(st.integers(1, 3)), share=1000.0),
            breaker=None,
            repair=RepairPolicy(checks=CHECKS, by=draw(st.sampled_from(RepairBy)), attempts=repairs)
            if repairs
            else None,
            fallback=fallback,
            cascade=cascade,
        )
        routes[position] = route
        owners.update(dict.fromkeys(leaves, route))
        return name

    one(0)
    return routes, owners


def costs_of(owners: Mapping[str, Route]) -> dict[str, Decimal | None]:
    """A cost for each model that distinguishes its attempts from all others."""
    return {name: Decimal(1000**number) for number, name in enumerate(owners)}


@given(trees())
@settings(deadline=None, max_examples=60)
def test_the_worst_that_models_can_do_costs_the_ceiling(tree: tuple[list[Route], dict[str, Route]]) -> None:
    routes, owners = tree
    costs = costs_of(owners)
    highest = Decimal(0)
    for errors in product((False, True), repeat=len(owners)):
        models = [
            Worst(name=name, route=owners[name], ends_with_an_error=error)
            for name, error in zip(owners, errors, strict=True)
        ]
        stage, target = Stage(), target_of(*routes, models=models)
        provider = builder(stage, target).build()
        asked = request(sent=target.settings())
        play(outcome(provider.send(asked, call(asked=asked))))
        highest = max(highest, sum((costs[start.model] or Decimal(0) for start in stage.log.begun), Decimal(0)))

    assert most(routes[0], target_of(*routes), lambda name, _: costs[name]) == highest


@given(trees(), st.data())
@settings(deadline=None, max_examples=100)
def test_nothing_that_models_do_costs_more_than_the_ceiling(
    tree: tuple[list[Route], dict[str, Route]], data: st.DataObject
) -> None:
    routes, owners = tree
    costs = costs_of(owners)
    lines = st.sampled_from(["yes", "no", ErrorKind.TIMEOUT, ErrorKind.QUOTA, ErrorKind.BAD_REQUEST])
    models = [Model(name=name, lines=data.draw(st.lists(lines, min_size=1, max_size=9))) for name in owners]
    stage, target = Stage(), target_of(*routes, models=models)
    asked = request(sent=target.settings())

    play(outcome(builder(stage, target).build().send(asked, call(asked=asked))))

    ceiling = most(routes[0], target, lambda name, _: costs[name])
    assert ceiling is not None
    assert sum((costs[start.model] or Decimal(0) for start in stage.log.begun), Decimal(0)) <= ceiling


@given(trees(), st.integers(0, 99))
def test_one_model_whose_cost_is_unknown_makes_the_ceiling_unknown(
    tree: tuple[list[Route], dict[str, Route]], pick: int
) -> None:
    routes, owners = tree
    costs = costs_of(owners)
    costs[list(costs)[pick % len(costs)]] = None

    assert most(routes[0], target_of(*routes), lambda name, _: costs[name]) is None


@given(trees(), st.data())
@settings(deadline=None, max_examples=60)
def test_what_is_sent_along_with_a_request_is_in_the_ceiling(
    tree: tuple[list[Route], dict[str, Route]], data: st.DataObject
) -> None:
    """Every answer is as long as it may be, a token for each byte, and what the models read is counted."""
    routes, owners = tree
    models = [Worst(name=name, route=owners[name], ends_with_an_error=data.draw(st.booleans())) for name in owners]
    stage, target = Stage(), target_of(*routes, models=models)
    leaves = {}
    for number, (name, leaf) in enumerate(target.leaves.items()):
        bound = 5_000 * (number + 1)
        models[list(owners).index(name)].unfit = "x" * bound
        leaves[name] = replace(leaf, settings=settings_of(name, max_tokens=bound))
    target = replace(target, leaves=leaves)
    asked = request(sent=target.settings())

    play(outcome(builder(stage, target).build().send(asked, call(asked=asked))))

    ceiling = most(routes[0], target, lambda _, more: Decimal(input_bytes(asked) + more))
    assert ceiling is not None
    assert sum(input_bytes(start.request) for start in stage.log.begun) <= ceiling
