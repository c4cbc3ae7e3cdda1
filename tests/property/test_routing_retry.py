"""Whatever a provider says and however often it fails, the retry loop ends, and never waits less than it was asked to."""

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.route import RETRYABLE, RetryPolicy
from evalh.routing.retry import GiveUp, Retrying, Wait, decide_retry
from evalh.routing.run_context import RetryBudget
from unit.routing.staging import Line, Model, Stage, ask, outcome, play

POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 6),
    on=st.frozensets(st.sampled_from(sorted(RETRYABLE))),
    base_s=st.floats(0.0, 10.0),
    cap_s=st.floats(0.0, 60.0),
    max_wait_s=st.floats(0.0, 300.0),
    share=st.floats(0.0, 1.0),
)
ERRORS = st.builds(
    CallError,
    st.sampled_from(ErrorKind),
    st.just("as drawn"),
    retry_after_s=st.none() | st.floats(0.0, 400.0),
)


@given(POLICIES, st.integers(1, 2_000), ERRORS, st.integers())
def test_a_wait_lies_between_what_was_asked_and_the_jitters_ceiling_above_it(
    policy: RetryPolicy, attempt: int, error: CallError, seed: int
) -> None:
    step = decide_retry(policy, attempt, error, Random(seed))

    if isinstance(step, Wait):
        asked_s = error.retry_after_s or 0.0
        assert error.kind in policy.on
        assert attempt < policy.attempts
        assert asked_s <= policy.max_wait_s
        assert asked_s <= step.seconds <= asked_s + policy.cap_s
        assert step.seconds <= asked_s + policy.base_s * 2.0 ** (attempt - 1)
    else:
        assert (step.reason is None) == (error.kind not in policy.on)


@given(st.floats(0.0, 2.0), st.lists(st.booleans(), max_size=200))
def test_a_run_never_retries_more_than_ten_and_its_share(share: float, calls: list[bool]) -> None:
    budget, counted, taken = RetryBudget(), 0, 0
    for is_call in calls:
        if is_call:
            budget.call()
            counted += 1
        elif budget.take(share):
            taken += 1
            assert taken <= 11 + share * counted  # the one that reaches the bound may overshoot by less than one
        else:
            assert taken >= 10 + share * counted


@given(POLICIES, st.lists(ERRORS | st.just("yes"), min_size=1, max_size=8))
def test_a_call_ends_with_its_first_answer_or_with_the_error_that_was_not_retried(
    policy: RetryPolicy, lines: list[Line]
) -> None:
    stage, model = Stage(), Model(lines=lines)

    ended = play(outcome(ask(Retrying(model, policy, stage.shared))))

    played = [lines[min(number, len(lines) - 1)] for number in range(len(model.asked))]
    assert len(played) <= policy.attempts
    assert all(isinstance(line, CallError) and line.kind in policy.on for line in played[:-1])
    if isinstance(ended, CallError):
        assert ended is played[-1]
        assert isinstance(decide_retry(policy, len(played), ended, Random(0)), GiveUp)
    else:
        assert played[-1] == "yes"
    retries = stage.log.details("retry")
    assert len(retries) == len(played) - 1
    for number, line in enumerate(played[:-1]):
        assert isinstance(line, CallError)
        waited_s = model.asked_at[number + 1] - model.asked_at[number]
        assert waited_s >= (line.retry_after_s or 0.0) - 1e-6


@given(POLICIES, st.floats(0.0, 30.0), st.lists(ERRORS, min_size=1, max_size=8))
@example(RetryPolicy(base_s=0.0), 30.0, [CallError(ErrorKind.RATE_LIMIT, "at once", retry_after_s=1e-300)])
def test_the_waits_of_a_call_for_rate_limits_are_finite(policy: RetryPolicy, most_s: float, lines: list[Line]) -> None:
    stage, model = Stage(), Model(lines=lambda _request, call: lines[len(model.asked) % len(lines)])

    play(outcome(ask(Retrying(model, policy, stage.shared, wait_s=most_s))))

    waits = [float(str(one["wait_s"])) for one in stage.log.details("retry")]
    assert model.asked_at[-1] <= most_s + policy.cap_s + (policy.attempts - 1) * (policy.max_wait_s + policy.cap_s) + 1
    assert len(waits) == len(model.asked) - 1
