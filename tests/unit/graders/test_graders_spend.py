"""`latency` and `cost`."""

import pytest

from evalh.core.errors import WorkspaceError


def test_an_answer_is_fast_enough_up_to_the_limit(judge) -> None:
    assert judge({"latency": {"max_ms": 800}}, "", latency_ms=800.0).outcome == "pass"
    slow = judge({"latency": {"max_ms": 800}}, "", latency_ms=812.4)
    assert (slow.outcome, slow.reason) == ("fail", "812 ms; at most 800")


def test_an_unknown_latency_is_not_judged(judge) -> None:
    assert judge({"latency": {"max_ms": 800}}, "").outcome == "abstain"


def test_an_answer_is_cheap_enough_up_to_the_decimal_that_was_written(judge) -> None:
    assert judge({"cost": {"max_usd": 0.1}}, "", cost_usd="0.1").outcome == "pass"
    costly = judge({"cost": {"max_usd": 0.1}}, "", cost_usd="0.100000000001")
    assert (costly.outcome, costly.reason) == ("fail", "0.100000000001 USD; at most 0.1")
    assert judge({"cost": {"max_usd": 1e-7}}, "", cost_usd="1E-7").reason == "0.0000001 USD; at most 0.0000001"
    assert judge({"cost": {"max_usd": 0}}, "", cost_usd="0").outcome == "pass"


def test_an_unknown_cost_is_not_judged_and_never_0(judge) -> None:
    assert judge({"cost": {"max_usd": 0}}, "").outcome == "abstain"


@pytest.mark.parametrize(
    "entry", ["latency", "cost", {"latency": {"max_ms": -1}}, {"cost": {"max_usd": "1"}}, {"cost": {"max_usd": True}}]
)
def test_a_limit_is_a_number_that_is_not_negative(build_grader, entry: object) -> None:
    with pytest.raises(WorkspaceError):
        build_grader(entry)
