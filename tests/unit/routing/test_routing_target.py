"""What a run asks: resolved names, and digests that change exactly with what can be answered."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from evalh.core.attempt import ErrorKind
from evalh.core.digest import digest
from evalh.core.errors import WorkspaceError
from evalh.core.request import Request
from evalh.core.route import (
    BreakerPolicy,
    BudgetPolicy,
    CascadePolicy,
    EscalateBy,
    LimitPolicy,
    RepairBy,
    RepairPolicy,
    RetryPolicy,
    Route,
    direct,
)
from evalh.core.suite import GraderSpec
from evalh.routing.target import Leaf, Target, models_of, reachable
from unit.routing.staging import Model, request, settings, target_of

JSON = GraderSpec(kind="json", name="json")
SCHEMA = GraderSpec(kind="schema", name="schema")


def cascade(to: str = "strong", *checks: GraderSpec, by: EscalateBy = EscalateBy.AGAIN) -> CascadePolicy:
    return CascadePolicy(checks=checks or (JSON,), escalate_to=to, by=by)


def by_name(*routes: Route) -> Mapping[str, Route]:
    return {route.name: route for route in routes}


FULL = Route(
    name="careful",
    model="small",
    fallback=("third",),
    repair=RepairPolicy(checks=(JSON,)),
    cascade=cascade(),
    where="evalh.toml:7",
)


def content(target: Target) -> str:
    return digest(target.settings().document())


# -- names


def test_models_are_found_in_the_order_in_which_a_route_names_them() -> None:
    inner = Route(name="inner", model="a", fallback=("b",), cascade=cascade("c"))
    outer = Route(name="outer", model="d", fallback=("inner", "a"), cascade=cascade("e"))

    assert models_of(outer, by_name(inner, outer), ("a", "b", "c", "d", "e", "f")) == ("d", "a", "e", "b", "c")


def test_the_first_model_is_at_the_end_of_nested_routes() -> None:
    inner = Route(name="inner", model="a", fallback=("b",))
    target = target_of(Route(name="outer", model="inner"), inner)

    assert target.first.provider.name == "a"
    assert target_of(direct("small")).first.provider.name == "small"


def test_a_route_is_reached_once_however_often_it_is_named() -> None:
    inner = Route(name="inner", model="a")
    outer = Route(name="outer", model="inner", fallback=("inner",), cascade=cascade("inner"))

    assert reachable(outer, by_name(inner, outer)) == [outer, inner]


@pytest.mark.parametrize(
    ("routes", "circle"),
    [
        ([Route(name="a", model="a", where="evalh.toml:3")], "a → a"),
        (
            [
                Route(name="a", model="m", fallback=("b",), where="evalh.toml:3"),
                Route(name="b", model="c"),
                Route(name="c", model="m", cascade=cascade("a")),
            ],
            "a → b → c → a",
        ),
        ([Route(name="x", model="a"), Route(name="a", model="b", where="evalh.toml:3"), Route(name="b", model="a")], "a → b → a"),
    ],
)  # fmt: skip
def test_a_route_that_leads_back_to_itself_is_refused_at_its_line(routes: list[Route], circle: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        models_of(routes[0], by_name(*routes), ("m",))

    assert caught.value.what == f"the route leads back to itself: {circle}"
    assert caught.value.where == "evalh.toml:3"


def test_a_name_that_is_no_model_and_no_route_is_refused_with_the_nearest() -> None:
    inner = Route(name="inner", model="small", fallback=("stron",), where="evalh.toml:9")
    outer = Route(name="outer", model="inner")

    with pytest.raises(WorkspaceError) as caught:
        models_of(outer, by_name(inner, outer), ("small", "strong"))

    assert caught.value.what == "route 'inner' names 'stron', which is neither a model nor a route"
    assert (caught.value.where, caught.value.hint) == ("evalh.toml:9", "did you mean 'strong'?")


# -- whether it chooses


@pytest.mark.parametrize(
    "change",
    [{"fallback": ("strong",)}, {"cascade": cascade()}, {"repair": RepairPolicy(checks=(JSON,))}],
    ids=["fallback", "cascade", "repair"],
)
def test_a_route_chooses_where_another_request_may_be_answered_nested_ones_too(change: dict[str, Any]) -> None:
    chooser = Route(name="inner", model="small", **change)

    assert target_of(chooser).chooses
    assert target_of(Route(name="outer", model="inner"), chooser).chooses


def test_a_route_that_only_retries_asks_what_the_model_itself_is_asked() -> None:
    plain = target_of(direct("small"))
    patient = Route(
        name="patient",
        model="small",
        retry=RetryPolicy(attempts=9),
        breaker=None,
        limit=LimitPolicy(rpm=3),
        budget=BudgetPolicy(usd_per_run=Decimal(1)),
    )
    nested = Route(name="outer", model="patient")
    messages = request().messages

    for target in (plain, target_of(patient), target_of(nested, patient)):
        assert not target.chooses
        assert target.settings() is target.first.settings
        assert (
            Request(messages, target.settings()).digest() == Request(messages, settings("small", max_tokens=5)).digest()
        )


# -- what its digest covers


@pytest.mark.parametrize(
    "change",
    [
        {"name": "renamed"},
        {"where": "evalh.toml:70"},
        {"breaker": None},
        {"breaker": BreakerPolicy(rate=0.1)},
        {"limit": LimitPolicy(rpm=1)},
        {"budget": BudgetPolicy(usd_per_run=Decimal(1))},
        {"retry": RetryPolicy(base_s=9.0, cap_s=99.0, share=0.1)},
        {"repair": RepairPolicy(checks=(replace(JSON, where="evalh.toml:9"),))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_only_says_when_a_request_leaves_changes_no_digest(change: dict[str, Any]) -> None:
    assert content(target_of(replace(FULL, **change))) == content(target_of(FULL))


@pytest.mark.parametrize(
    "change",
    [
        {"model": "third", "fallback": ("small",)},
        {"retry": RetryPolicy(attempts=2)},
        {"retry": RetryPolicy(on=frozenset({ErrorKind.TIMEOUT}))},
        {"repair": None},
        {"repair": RepairPolicy(checks=(SCHEMA,))},
        {"repair": RepairPolicy(checks=(replace(JSON, params={"fenced": True}),))},
        {"repair": RepairPolicy(checks=(JSON,), by=RepairBy.VARY)},
        {"repair": RepairPolicy(checks=(JSON,), attempts=2)},
        {"fallback": ()},
        {"fallback": ("third", "third")},
        {"fallback": ("third", "small")},
        {"fallback": ("small", "third")},
        {"fallback_on": frozenset({ErrorKind.TIMEOUT})},
        {"cascade": None},
        {"cascade": cascade("third")},
        {"cascade": cascade("strong", SCHEMA)},
        {"cascade": cascade("strong", JSON, SCHEMA)},
        {"cascade": cascade(by=EscalateBy.VERIFY)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_who_answers_what_changes_the_digest(change: dict[str, Any]) -> None:
    assert content(target_of(replace(FULL, **change))) != content(target_of(FULL))


@pytest.mark.parametrize("name", ["small", "third", "strong"])
def test_every_models_settings_are_in_the_digest(name: str) -> None:
    target = target_of(FULL)
    leaf = target.leaves[name]
    changed = Leaf(leaf.provider, replace(leaf.settings, params={"max_tokens": 6}))

    assert content(replace(target, leaves={**target.leaves, name: changed})) != content(target)


def test_other_names_for_the_same_models_and_routes_change_no_digest() -> None:
    """Renamed, a route still finds what it was answered."""

    def built(inner: str, outer: str, small: str, strong: str) -> Target:
        nested = Route(name=inner, model=small, fallback=(strong,))
        route = Route(name=outer, model=inner, cascade=cascade(strong))
        target = target_of(route, nested)
        same = {small: settings("small"), strong: settings("strong")}
        return replace(target, leaves={name: Leaf(Model(name=name), sent) for name, sent in same.items()})

    assert content(built("i", "o", "a", "b")) == content(built("inner", "outer", "small", "strong"))
    assert content(built("i", "o", "a", "b")) != content(target_of(Route(name="o", model="a", fallback=("b",))))


def test_what_a_nested_route_does_is_in_the_digest() -> None:
    outer = Route(name="outer", model="inner", fallback=("third",))
    inner = Route(name="inner", model="small", cascade=cascade())

    changed = replace(inner, cascade=cascade(by=EscalateBy.VERIFY))
    assert content(target_of(outer, inner)) != content(target_of(outer, changed))


def test_a_request_by_a_route_is_never_taken_for_one_of_its_first_model() -> None:
    target = target_of(FULL)

    assert content(target) != digest(target.first.settings.document())
    assert target.settings().output_schema == target.first.settings.output_schema


def test_the_fingerprint_names_every_reachable_route_and_model() -> None:
    inner = Route(name="inner", model="small", fallback=("strong",))
    target = target_of(Route(name="outer", model="inner", cascade=cascade("third")), inner)

    assert [document["model"] for document in target.route_document()] == ["inner", "small"]
    assert [document["model"] for document in target.models_document()] == ["small-1", "strong-1", "third-1"]
