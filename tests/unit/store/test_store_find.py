from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace

from evalh.core.attempt import CallKey, Completion, ErrorKind, FinishReason, Logprobs, Usage
from evalh.core.errors import EvalhError
from evalh.core.request import ToolCall
from evalh.store import SqliteStore
from unit.store.playing import ANSWER, Play


def test_an_answer_comes_back_whole(play: Play) -> None:
    play.start()
    said = Completion(
        text="a\0b ␀ \ud800",
        finish=FinishReason.LENGTH,
        tool_calls=(ToolCall("c1", "refund", '{"order": "\ud800"'),),
        usage=Usage(10, 20, 5, None),
        latency_ms=33.25,
        ttft_ms=None,
        model="tiny-1",
        request_id="req\0",
        logprobs=Logprobs(-0.25, -1.5, 20),
    )
    call = play.call()
    start = play.answer(call, replace(said, raw="the body"), cost="0.000123")
    play.store.flush()

    found = play.store.find(call.request.digest(), call.key)

    assert found is not None
    assert found.completion == said
    assert found.attempt_id == start.id
    assert found.cost_usd == Decimal("0.000123")


def test_an_answer_that_was_handed_over_is_found_once_it_is_committed(play: Play) -> None:
    play.start()
    call = play.call()
    assert play.store.find(call.request.digest(), call.key) is None

    play.answer(call)
    play.store.flush()

    assert play.store.find(call.request.digest(), call.key) is not None


@pytest.mark.parametrize(
    "key",
    [CallKey("t-2"), CallKey("t-1", trial=1), CallKey("t-1", step="sort"), CallKey("t-1", draw=1)],
    ids=["case", "trial", "step", "draw"],
)
def test_nothing_is_found_under_another_key(play: Play, key: CallKey) -> None:
    play.start()
    call = play.call("t-1")
    play.answer(call)
    play.store.flush()

    assert play.store.find(call.request.digest(), key) is None


def test_nothing_is_found_for_another_request(play: Play) -> None:
    play.start()
    call = play.call(text="refund please")
    play.answer(call)
    play.store.flush()

    assert play.store.find(play.call(text="refund please!").request.digest(), call.key) is None


def test_a_named_step_is_found_under_its_name(play: Play) -> None:
    play.start()
    call = play.call(step="sort")
    play.answer(call)
    play.store.flush()

    assert play.store.find(call.request.digest(), CallKey("t-1", step="sort")) is not None
    assert play.store.find(call.request.digest(), CallKey("t-1")) is None


def test_errors_are_never_answers(play: Play) -> None:
    play.start()
    call = play.call()
    play.fail(call, ErrorKind.BAD_RESPONSE)
    play.begin(call)
    play.store.flush()

    assert play.store.find(call.request.digest(), call.key) is None


def test_the_newest_answer_counts_even_if_it_was_stored_first(play: Play, playing: Callable[[str], Play]) -> None:
    fresh, old = playing("r2"), playing("r1")
    fresh.at, old.at = 2_000_000_000.0, 1_000_000_000.0
    for run, text in ((fresh, "new"), (old, "old")):
        run.start()
        run.answer(run.call(), replace(ANSWER, text=text))
        run.store.flush()
    call = play.call()

    found = play.store.find(call.request.digest(), call.key)

    assert found is not None
    assert found.completion.text == "new"


def test_of_two_answers_in_the_same_millisecond_the_later_row_counts(
    play: Play, playing: Callable[[str], Play]
) -> None:
    for run_id in ("r1", "r2"):
        run = playing(run_id)
        run.start()
        run.answer(run.call(), replace(ANSWER, text=run_id))
        run.store.flush()
    call = play.call()

    found = play.store.find(call.request.digest(), call.key)

    assert found is not None
    assert found.completion.text == "r2"


def test_an_answer_costs_what_all_attempts_of_its_call_cost(play: Play) -> None:
    play.start()
    call = play.call()
    play.fail(call, cost="0.1")
    play.answer(call, cost="0.2")
    other = play.call("t-2")
    play.answer(other, cost="7")
    play.store.flush()

    found = play.store.find(call.request.digest(), call.key)

    assert found is not None
    assert found.cost_usd == Decimal("0.3")


def test_one_unknown_attempt_makes_an_answers_cost_unknown(play: Play) -> None:
    play.start()
    call = play.call()
    play.fail(call, cost=None)
    play.answer(call, cost="0.2")
    play.store.flush()

    found = play.store.find(call.request.digest(), call.key)

    assert found is not None
    assert found.cost_usd is None


def test_calls_whose_numbers_begin_alike_do_not_share_their_cost(play: Play) -> None:
    play.start()
    calls = [play.call(f"t-{number}") for number in range(12)]
    for call in calls:
        play.answer(call, cost="0.001")
    play.store.flush()

    for call in calls:  # r1:1 and r1:10, r1:11, r1:12
        found = play.store.find(call.request.digest(), call.key)
        assert found is not None
        assert found.cost_usd == Decimal("0.001")


def test_a_finish_reason_of_a_newer_evalh_reads_as_other(play: Play) -> None:
    play.start()
    call = play.call()
    play.answer(call, replace(ANSWER, finish="paused"))  # type: ignore[arg-type]
    play.store.flush()

    found = play.store.find(call.request.digest(), call.key)

    assert found is not None
    assert found.completion.finish is FinishReason.OTHER


def test_the_search_is_one_index_lookup_without_sorting(store: SqliteStore, rows: Callable[..., list[tuple]]) -> None:
    from evalh.store.answers import _FIND

    plan = " ".join(detail for *_, detail in rows(f"explain query plan {_FIND}", "t-1", 0, 0, None, "sha256:0"))

    assert "USING INDEX attempts_answers (case_id=? AND trial=? AND draw=? AND step=? AND request_digest=?)" in plan
    assert "TEMP B-TREE" not in plan


def test_a_search_in_a_closed_store_is_an_error_for_people(store: SqliteStore) -> None:
    store.close()

    with pytest.raises(EvalhError):
        store.find("sha256:0", CallKey("t-1"))
