"""From a route to a stack: the order of the layers, who stands alone, and what is shared."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from evalh.core.attempt import Answer, CallError, Completion, ErrorKind, NotSent
from evalh.core.ports import Provider
from evalh.core.route import (
    BudgetPolicy,
    CascadePolicy,
    LimitPolicy,
    RepairPolicy,
    RetryPolicy,
    Route,
    direct,
)
from evalh.core.suite import GraderSpec
from evalh.routing.breaker import Breaking
from evalh.routing.budget import Budgeted
from evalh.routing.checking import Cascading
from evalh.routing.limiter import Limited
from evalh.routing.retry import FallingBack
from evalh.routing.wrapper import Wrapper
from unit.routing.staging import Model, Stage, ask, builder, call, outcome, play, request, target_of

FITS = (GraderSpec(kind="yes", name="yes"),)
RICH = BudgetPolicy(usd_per_run=Decimal(1))


def cascade(to: str) -> CascadePolicy:
    return CascadePolicy(checks=FITS, escalate_to=to)


def built(route: Route, *others: Route, **changes: Any) -> Provider:
    stage = Stage()
    return builder(stage, target_of(route, *others), **changes).build()


def layers(provider: Provider) -> list[str]:
    """The names of the layers down to the first model."""
    names = [type(provider).__name__]
    while isinstance(provider, Wrapper):
        provider = provider.inner
        names.append(type(provider).__name__)
    return names


def all_of(kind: type[Wrapper], provider: Provider) -> Iterator[Any]:
    """Every layer of a kind, in the order in which a call may come to it."""
    if isinstance(provider, kind):
        yield provider
    match provider:
        case FallingBack():
            below = list(provider._models)
        case Cascading():
            below = [provider.inner, provider._stronger]
        case Wrapper():
            below = [provider.inner]
        case _:
            below = []
    for one in below:
        yield from all_of(kind, one)


def alone(provider: Provider) -> list[tuple[str, bool]]:
    return [(one.name, one.alone) for one in all_of(Breaking, provider)]


# -- the order


def test_the_layers_stand_in_this_order() -> None:
    route = Route(
        name="careful",
        model="small",
        fallback=("third",),
        repair=RepairPolicy(checks=FITS),
        cascade=cascade("strong"),
    )

    assert layers(built(route, budget=RICH)) == [
        "Cascading",
        "FallingBack",
        "Targeted",
        "Repairing",
        "Remembered",
        "Refusable",
        "Retrying",
        "Breaking",
        "Limited",
        "Budgeted",
        "Logged",
        "Model",
    ]


def test_a_model_that_is_asked_directly_has_retries_a_breaker_and_a_window() -> None:
    assert layers(built(direct("small"))) == ["Refusable", "Retrying", "Breaking", "Limited", "Logged", "Model"]


def test_what_a_route_does_not_want_is_not_there() -> None:
    choosing = Route(name="careful", model="small", breaker=None, fallback=("third",))

    assert layers(built(choosing, find=None)) == [
        "FallingBack",
        "Targeted",
        "Refusable",
        "Retrying",
        "Limited",
        "Logged",
        "Model",
    ]


@pytest.mark.parametrize(
    "budget",
    [RICH, BudgetPolicy(usd_per_case=Decimal(1)), BudgetPolicy(tokens_per_run=1)],
    ids=["run", "case", "tokens"],
)
def test_each_kind_of_budget_is_kept(budget: BudgetPolicy) -> None:
    assert "Budgeted" in layers(built(direct("small"), budget=budget))
    assert "Budgeted" not in layers(built(direct("small"), budget=BudgetPolicy(deadline_s=1.0)))


# -- who stands alone


def test_only_the_last_of_a_chain_stands_alone() -> None:
    assert alone(built(direct("a"))) == [("a", True)]
    assert alone(built(Route(name="r", model="a", fallback=("b", "c")))) == [("a", False), ("b", False), ("c", True)]


def test_a_nested_route_stands_alone_where_a_model_would() -> None:
    inner = Route(name="inner", model="a", fallback=("b",))

    first = Route(name="outer", model="inner", fallback=("c",))
    last = Route(name="outer", model="c", fallback=("inner",))
    only = Route(name="outer", model="inner")

    assert alone(built(first, inner)) == [("a", False), ("b", False), ("c", True)]
    assert alone(built(last, inner)) == [("c", False), ("a", False), ("b", True)]
    assert alone(built(only, inner)) == [("a", False), ("b", True)]


def test_both_sides_of_a_cascade_stand_alone_unless_something_stands_behind_it() -> None:
    inner = Route(name="inner", model="a", cascade=cascade("b"))

    assert alone(built(inner)) == [("a", True), ("b", True)]
    outer = Route(name="outer", model="inner", fallback=("c",))
    assert alone(built(outer, inner)) == [("a", False), ("b", False), ("c", True)]


# -- what is shared


def test_a_model_has_one_door_and_one_breaker_whatever_leads_to_it() -> None:
    inner = Route(name="inner", model="a", fallback=("b",))
    outer = Route(name="outer", model="a", fallback=("inner",), cascade=cascade("b"))

    provider = built(outer, inner, budget=RICH)

    doors = list(all_of(Limited, provider))
    assert [door.name for door in doors] == ["a", "a", "b", "b"]
    assert len({id(door) for door in doors}) == 2
    breakers = {(one.name, id(one.breaker)) for one in all_of(Breaking, provider)}
    assert sorted(name for name, _ in breakers) == ["a", "b"]
    assert len({id(one._treasury) for one in all_of(Budgeted, provider)}) == 1


def test_the_lowest_ceiling_of_any_route_to_a_model_counts_for_it() -> None:
    inner = Route(name="inner", model="a", fallback=("b",), limit=LimitPolicy(rpm=10, tpm=500))
    outer = Route(name="outer", model="a", fallback=("inner", "c"), limit=LimitPolicy(rpm=60, concurrency=2))
    stage = Stage()
    build = builder(stage, target_of(outer, inner))

    limits = {name: build._limit(name) for name in "abc"}

    assert limits["a"] == LimitPolicy(rpm=10, tpm=500, concurrency=2)
    assert limits["b"] == LimitPolicy(rpm=10, tpm=500)
    assert limits["c"] == LimitPolicy(rpm=60, concurrency=2)
    assert [door.window.ceiling for door in all_of(Limited, build.build())] == [2, 2, 8, 2]


# -- the whole stack at work


def test_a_routes_answer_may_come_from_its_last_resort_and_every_step_is_told() -> None:
    """The cheap model is down, the next one's output does not fit, is repaired, is in doubt, and the strong one answers."""
    stage = Stage()
    models = [
        Model(name="small", lines=[ErrorKind.OVERLOAD]),
        Model(name="third", lines=["no", "no"]),
        Model(name="strong", lines=[ErrorKind.TIMEOUT, "yes"]),
    ]
    route = Route(
        name="careful",
        model="small",
        retry=RetryPolicy(attempts=2),
        fallback=("third",),
        repair=RepairPolicy(checks=FITS),
        cascade=cascade("strong"),
    )
    target = target_of(route, models=models)
    asked = request(sent=target.settings())
    one = call(asked=asked)

    answer = play(builder(stage, target, budget=RICH).build().send(asked, one))

    assert answer.text == "yes"
    assert [start.model for start in stage.log.begun] == ["small"] * 2 + ["third"] * 2 + ["strong"] * 2
    reasons = ["first", "retry", "fallback", "repair", "escalation", "retry"]
    assert [start.reason for start in stage.log.begun] == reasons
    assert stage.log.kinds == [
        "shrink",
        "retry",
        "shrink",
        "give_up",
        "fallback",
        "repair",
        "unrepaired",
        "escalate",
        "retry",
        "fits",
    ]
    assert one.answered_by == stage.log.begun[-1].id
    assert one.cost_usd == sum((end.cost_usd or 0 for end in stage.log.ended), Decimal(0))
    for start, model in zip(stage.log.begun[::2], models, strict=True):
        assert start.request.settings == target.leaves[model.name].settings


def test_the_decision_names_the_answer_in_doubt_whichever_model_gave_it() -> None:
    stage = Stage()
    models = [Model(name="small", lines=[ErrorKind.AUTH]), Model(name="third", lines=["no"])]
    route = Route(name="careful", model="small", fallback=("third",), cascade=cascade("strong"))

    play(ask(builder(stage, target_of(route, models=models)).build()))

    (detail,) = stage.log.details("escalate")
    (third,) = [start.id for start in stage.log.begun if start.model == "third"]
    assert detail["answer"] == third


def test_a_route_that_was_cut_off_goes_on_where_it_was() -> None:
    """The first model's answer is in the log: it is checked again, and only the stronger model is asked."""
    stage = Stage()
    small, strong = Model(lines=["no"]), Model(name="strong")
    route = Route(name="careful", model="small", cascade=cascade("strong"))
    target = target_of(route, models=[small, strong])
    asked = request(sent=target.settings())
    known = request(sent=target.leaves["small"].settings).digest()

    def find(digest: str, _key: object) -> Answer | None:
        return Answer("r0:1.1", Completion(text="no"), Decimal("0.1")) if digest == known else None

    one = call(asked=asked)
    answer = play(builder(stage, target, find=find).build().send(asked, one))

    assert (answer.text, len(small.asked), len(strong.asked)) == ("yes", 0, 1)
    assert one.cached_cost_usd == Decimal("0.1")


def test_a_directly_asked_model_is_sent_the_very_request() -> None:
    stage = Stage()
    small = Model()
    target = target_of(direct("small"), models=[small])
    asked = request(sent=target.settings())

    play(builder(stage, target).build().send(asked, call(asked=asked)))

    assert small.asked == [asked]


def test_with_a_fallback_a_dead_model_costs_a_few_probes_and_the_run_goes_on() -> None:
    stage = Stage()
    small, strong = Model(lines=[ErrorKind.NETWORK]), Model(name="strong")
    route = Route(name="r", model="small", retry=RetryPolicy(attempts=1), fallback=("strong",))
    provider = builder(stage, target_of(route, models=[small, strong])).build()

    async def calls() -> list[Completion]:
        return [await ask(provider, f"t-{number}") for number in range(200)]

    answers = play(calls())

    assert {answer.text for answer in answers} == {"yes"}
    assert len(small.asked) == 20  # the breaker's minimum
    assert stage.halt.reason is None


def test_a_dead_model_without_a_fallback_ends_the_run_within_a_minute() -> None:
    stage = Stage()
    small = Model(lines=[ErrorKind.NETWORK], took_s=0.1)
    provider = builder(stage, target_of(direct("small"), models=[small])).build()

    async def calls() -> float:
        for number in range(200):
            if isinstance(await outcome(ask(provider, f"t-{number}", f"text {number}")), NotSent):
                break
        return stage.clock.monotonic()

    at = play(calls())

    assert stage.halt.reason is not None
    assert stage.halt.reason.startswith("small is down")
    assert at < 60.0
    assert len(small.asked) <= 25


def test_checks_that_cannot_be_built_are_refused_before_anything_is_sent() -> None:
    stage = Stage()
    route = Route(name="r", model="small", repair=RepairPolicy(checks=FITS))
    small = Model()

    def refuse(_specs: object) -> Any:
        raise CallError(ErrorKind.UNSUPPORTED, "no such check")

    with pytest.raises(CallError):
        builder(stage, target_of(route, models=[small]), build_checks=refuse).build()
    assert small.asked == []


def test_a_model_named_twice_in_a_chain_is_asked_twice_through_the_same_door() -> None:
    stage = Stage()
    small = Model(lines=[ErrorKind.BAD_RESPONSE, "yes"])
    route = Route(name="r", model="small", fallback=("small",), retry=RetryPolicy(attempts=1))
    target = target_of(route, models=[small])

    answer = play(ask(builder(stage, target, budget=RICH).build()))

    assert (answer.text, len(small.asked)) == ("yes", 2)
