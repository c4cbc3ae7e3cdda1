"""Explaining a route: every decision is stated, and nothing that is not declared."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from evalh.analysis.explain import Statement, explain
from evalh.core.attempt import ErrorKind
from evalh.core.route import (
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
from evalh.core.totals import DecisionTally, Escalated, Tallies

SCHEMA = (GraderSpec(kind="schema", name="schema"),)
FULL = Route(
    name="careful",
    model="small",
    fallback=("strong", "spare"),
    limit=LimitPolicy(concurrency=8, tpm=60_000),
    repair=RepairPolicy(checks=SCHEMA, by=RepairBy.VARY, attempts=2),
    cascade=CascadePolicy(checks=SCHEMA, escalate_to="strong", by=EscalateBy.VERIFY),
    budget=BudgetPolicy(usd_per_run=Decimal(2), usd_per_case=Decimal("0.1"), tokens_per_run=9000, deadline_s=60.0),
)


def told(route: Route, tallies: Tallies | None = None) -> str:
    return "\n".join(f"{one.when} → {one.then}" for one in explain(route, tallies or Tallies()))


def test_how_long_a_rate_limit_is_waited_for_is_stated() -> None:
    patient = replace(direct("small"), limit=LimitPolicy(max_wait_s=90.0))

    assert "after 90 s of such waits a call is given up" in told(patient)
    assert "for 0.5 s, doubled each time up to 30 s" in told(patient)
    assert "it is a failure like any other" in told(replace(patient, fallback=("spare",)))
    assert "the time that it names" not in told(replace(patient, retry=RetryPolicy(on=frozenset({ErrorKind.NETWORK}))))


def found(route: Route, tallies: Tallies, words: str) -> Statement:
    (statement,) = [one for one in explain(route, tallies) if words in one.then or words in one.when]
    return statement


def test_every_kind_of_error_is_accounted_for() -> None:
    text = told(direct("small"))

    for kind in ErrorKind:
        if kind is ErrorKind.STEP_ERROR:
            continue  # a function of a pipeline
        if kind in {ErrorKind.INTERRUPTED, ErrorKind.NOT_RECORDED, ErrorKind.BREAKER_OPEN, ErrorKind.BUDGET}:
            continue  # ours, not the provider's
        if kind in {ErrorKind.REFUSAL, ErrorKind.CONTENT_FILTER}:
            continue  # answers
        assert kind.value in text, kind


@pytest.mark.parametrize(
    "words",
    [
        "strong, then spare is asked",
        "another temperature and seed, 2 times at most",
        "strong is shown the answer and confirms or corrects it",
        "never above 8 in flight, 60000 tokens a minute",
        "would pass $2.00 for the run",
        "would pass 9000 tokens",
        "could pass $0.10 for its case",
        "60 s have passed",
        "meanwhile strong is asked",
    ],
)
def test_what_is_declared_is_stated(words: str) -> None:
    assert words in told(FULL)


def test_what_is_not_declared_is_stated_too() -> None:
    text = told(Route(name="bare", model="small", retry=RetryPolicy(attempts=1), breaker=None))

    for words in ("no repair is declared", "no cascade is declared", "no budget is declared", "no breaker is declared"):
        assert words in text
    assert "it is not sent again" in text


def test_a_rate_limit_is_waited_for_even_where_one_attempt_is_declared() -> None:
    once = Route(name="once", model="small", retry=RetryPolicy(attempts=1))

    assert "any failure other than rate_limit → it is not sent again" in told(once)
    assert "any kind of failure → it is not sent again" in told(replace(once, fallback=("spare",)))
    assert "a rate_limit does not count for either" in told(direct("small"))
    assert "does not count for either" not in told(replace(direct("small"), fallback=("spare",)))


def test_what_happens_to_calls_in_flight_is_stated_for_each_end_of_a_run() -> None:
    assert "60 s have passed since the run began → no new call is sent, calls in flight are cancelled" in told(FULL)
    assert "would pass $2.00 for the run → no new call is sent, calls in flight finish" in told(FULL)


def test_an_open_breaker_leads_to_the_fallback_only_where_the_route_says_so() -> None:
    strict = replace(FULL, fallback_on=frozenset({ErrorKind.OVERLOAD}))

    assert "meanwhile strong is asked" in told(FULL)
    assert "meanwhile calls fail with breaker_open" in told(strict)


def test_a_fallback_catches_a_refused_key_before_the_run_stops() -> None:
    assert "the run stops" in told(direct("small"))
    assert "the run stops" not in told(FULL)


def test_counts_stand_beside_their_decision() -> None:
    tallies = Tallies(
        runs=2,
        calls=100,
        from_log=7,
        decisions={
            "retry": DecisionTally(12, Decimal("0.01"), 11),
            "escalate": DecisionTally(30, Decimal("0.9"), 30),
            "keep": DecisionTally(70),
            "repair": DecisionTally(14, Decimal("0.02"), 9),
            "unrepaired": DecisionTally(2),
        },
        unanswered={"bad_request": 3},
        escalated=Escalated(helped=20, harmed=1, same=8, unknown=1),
    )

    assert found(FULL, tallies, "sent again, 4 attempts").helped == "11 calls were answered in the end"
    escalation = found(FULL, tallies, "strong is shown")
    assert (escalation.taken, escalation.cost_usd) == (30, Decimal("0.9"))
    assert escalation.helped == "20 bad → good, 1 good → bad, 8 the same, 1 unknown"
    assert found(FULL, tallies, "is kept").taken == 70
    assert found(FULL, tallies, "small is asked again").helped == "7 outputs passed then"
    assert found(FULL, tallies, "no attempt was answered").taken == 3
    assert found(FULL, tallies, "the log has an answer").taken == 7
