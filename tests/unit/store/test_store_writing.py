import json
import sqlite3
from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace

from evalh.core.attempt import Completion, Decision, ErrorKind, FinishReason, Purpose, Usage
from evalh.core.case import Case
from evalh.core.request import Settings, ToolCall
from evalh.core.run import RunStatus
from evalh.core.sample import Graded, Standing
from evalh.core.verdict import Verdict
from evalh.store import SqliteStore, StoreError
from evalh.store.batch import Batch, NewSample, WriterMemory
from evalh.store.rows import INSERT_OK, INSERT_SENT, UPDATE_OK
from unit.store.playing import ANSWER, FAIL, PASS, SETTINGS, Play

Ask = Callable[..., list[tuple]]


def test_a_case_becomes_one_row_in_each_table(play: Play, rows: Ask) -> None:
    play.start()
    play.good()

    for table in ("runs", "versions", "cases", "samples", "calls", "attempts", "verdicts"):
        assert rows(f"select count(*) from {table}") == [(1,)], table


def test_an_attempt_is_a_row_while_it_is_in_flight(play: Play, rows: Ask) -> None:
    play.start()
    start = play.begin(play.call())

    assert rows("select status, reason, latency_ms, text from attempts") == [("sent", "first", None, None)]
    play.end(start)
    assert rows("select status, latency_ms, text, estimated from attempts") == [("ok", 101.5, ANSWER.text, 0)]


def test_an_attempt_that_begins_and_ends_in_one_batch_is_written_once(play: Play) -> None:
    play.start()
    batch = Batch(WriterMemory())
    start = play.begin(play.call())
    ended: list = []
    play.store.end = ended.append  # type: ignore[method-assign]
    play.end(start)
    batch.add(start)
    batch.add(ended[0])

    written = [sql for sql, _ in batch.statements()]

    assert INSERT_OK in written
    assert INSERT_SENT not in written
    assert UPDATE_OK not in written


def test_an_end_without_a_begin_is_still_a_row(play: Play, rows: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    play.start()
    monkeypatch.setattr(SqliteStore, "begin", lambda *_: None)
    play.answer(play.call())

    assert rows("select status, number from attempts") == [("ok", 1)]


def test_every_attempt_of_a_call_is_told_with_its_error_and_reason(play: Play, rows: Ask) -> None:
    play.start()
    call = play.call()
    play.fail(call, ErrorKind.RATE_LIMIT, cost="0")
    play.answer(call, cost="0.002")
    play.sample(Case("t-1", {}), call)

    assert rows("select id, status, reason, error_kind, http_status, retry_after_s, estimated from attempts") == [
        ("r1:1.1", "error", "first", "rate_limit", 504, 2.0, 1),
        ("r1:1.2", "ok", "retry", None, None, None, 0),
    ]
    assert rows("select attempts, cost_usd, answered_by, reasons from calls") == [
        (2, 0.002, "r1:1.2", '["retry after rate_limit"]')
    ]


def test_a_cancelled_attempt_is_interrupted_not_failed(play: Play, rows: Ask) -> None:
    play.start()
    play.fail(play.call(), ErrorKind.INTERRUPTED)

    assert rows("select status from attempts") == [("interrupted",)]


def test_an_unknown_price_is_null_and_never_zero(play: Play, rows: Ask) -> None:
    play.start()
    call = play.call()
    play.answer(call, cost=None)
    play.sample(Case("t-1", {}), call)

    assert rows("select cost_usd from attempts union all select cost_usd from calls") == [(None,), (None,)]
    assert rows("select cost_usd, cached_cost_usd from samples") == [(None, 0.0)]


def test_a_call_keeps_its_request_and_a_cache_hit_points_to_it(
    play: Play, playing: Callable[[str], Play], rows: Ask
) -> None:
    play.start()
    first = play.good(text="where is my parcel")
    play.store.flush()
    later = playing("r2")
    later.start()
    call = later.call(text="where is my parcel")
    hit = later.store.find(call.request.digest(), call.key)
    assert hit is not None
    later.sample(Case("t-1", {"ticket": "where is my parcel"}, {"label": "billing"}), call, hit=hit)

    assert rows("select id, cache_hit, answered_by, messages is null from calls order by id") == [
        ("r1:1", 0, f"{first.id}.1", 0),
        ("r2:1", 1, f"{first.id}.1", 1),
    ]
    assert json.loads(rows("select messages from calls where id = 'r1:1'")[0][0]) == [
        {"role": "user", "parts": ["where is my parcel"]}
    ]
    assert rows("select run_id, cost_usd, cached_cost_usd from samples order by 1") == [
        ("r1", 0.0001, 0.0),
        ("r2", 0.0, 0.0001),
    ]
    assert rows("select count(*) from cases") == [(1,)], "the same content is the same row"


def test_a_case_that_was_edited_is_another_row(play: Play, rows: Ask) -> None:
    play.start()
    for index, case in enumerate((Case("t-1", {"x": 1}), Case("t-1", {"x": 1}, None), Case("t-1", {"x": 2}))):
        call = play.call(trial=index)
        play.answer(call)
        play.sample(case, call)

    assert rows("select inputs, expected from cases order by inputs, expected") == [
        ('{"x":1}', None),
        ('{"x":1}', "null"),
        ('{"x":2}', None),
    ]


def test_a_judges_call_is_a_row_with_its_own_settings(play: Play, rows: Ask) -> None:
    play.start()
    judging = Settings(model="strong-1", sent_to={"provider": "openai"})
    play.answer(play.call(draw=0, purpose=Purpose.TASK))
    play.answer(play.call(draw=1, purpose=Purpose.JUDGE, settings=judging, text="Is this polite?"))

    assert rows("select purpose, settings from calls order by id") == [
        ("task", None),
        ("judge", json.dumps(judging.document(), separators=(",", ":"))),
    ]
    assert rows("select settings from runs") == [(json.dumps(SETTINGS.document(), separators=(",", ":")),)]


def test_the_request_is_there_as_soon_as_its_answer_is(play: Play, rows: Ask) -> None:
    play.start()
    play.answer(play.call(text="before any sample"))

    assert rows("select messages, answered_by from calls") == [
        ('[{"parts":["before any sample"],"role":"user"}]', "r1:1.1")
    ]


def test_a_call_that_was_never_sent_is_a_row_too(play: Play, rows: Ask) -> None:
    play.start()
    call = play.call()
    missing = Graded("schema", True, Verdict.error("no answer"))
    play.sample(Case("t-1", {}), call, (missing,), completion=None, standing=Standing.UNGRADED)

    assert rows("select attempts, answered_by from calls") == [(0, None)]
    assert rows("select standing, finish, output_digest from samples") == [("ungraded", None, None)]


def test_verdicts_keep_their_order_and_say_whether_they_were_required(play: Play, rows: Ask) -> None:
    play.start()
    call = play.call()
    play.answer(call)
    hint = Graded("tone", False, Verdict.abstain("nothing to compare with"))
    play.sample(Case("t-1", {}), call, (FAIL, hint, PASS, PASS))

    assert rows("select position, grader, required, outcome, score from verdicts") == [
        (0, "equals", 1, "fail", 0.0),
        (1, "tone", 0, "abstain", None),
        (2, "schema", 1, "pass", 1.0),
        (3, "schema", 1, "pass", 1.0),
    ]


def test_equal_outputs_have_equal_digests_and_tool_calls_count(play: Play, rows: Ask) -> None:
    play.start()
    calls = (ToolCall("c1", "refund", '{"order": 7}'),)
    outputs = (ANSWER, replace(ANSWER, latency_ms=7.0), replace(ANSWER, tool_calls=calls), replace(ANSWER, text="no"))
    for trial, completion in enumerate(outputs):
        call = play.call(trial=trial)
        play.answer(call, completion)
        play.sample(Case("t-1", {}), call, completion=completion)

    first, second, third, fourth = (digest for (digest,) in rows("select output_digest from samples order by trial"))
    assert first == second
    assert len({first, third, fourth}) == 3


def test_everything_a_provider_says_is_a_column(play: Play, rows: Ask) -> None:
    play.start()
    completion = Completion(
        text="",
        finish=FinishReason.TOOL_CALLS,
        tool_calls=(ToolCall("c1", "refund", '{"order": 7'),),
        usage=Usage(10, 20, 5, 3),
        latency_ms=None,
        ttft_ms=12.5,
        model="tiny-1-0728",
        request_id="req-9",
        raw='{"choices": []}',
    )
    play.answer(play.call(), completion)

    names = (
        "text, finish, tool_calls, input_tokens, output_tokens, cached_tokens, reasoning_tokens, latency_ms, ttft_ms,"
        " model_answered, request_id, raw, started_at"
    )
    assert rows(f"select {names} from attempts") == [
        (
            "",
            "tool_calls",
            '[{"id":"c1","name":"refund","arguments":"{\\"order\\": 7"}]',
            10,
            20,
            5,
            3,
            None,
            12.5,
            "tiny-1-0728",
            "req-9",
            '{"choices": []}',
            "2026-07-28T10:15:02.000Z",
        )
    ]


def test_decisions_are_rows_numbered_within_their_run(play: Play, rows: Ask) -> None:
    play.start()
    for kind in ("retry", "fallback"):
        detail = {"model": "strong"}
        play.store.decide(Decision(run_id="r1", kind=kind, reason="rate limit", at=1.5, call_id="r1:1", detail=detail))

    assert rows("select id, kind, at, detail from decisions") == [
        ("r1:d1", "retry", "1970-01-01T00:00:01.500Z", '{"model":"strong"}'),
        ("r1:d2", "fallback", "1970-01-01T00:00:01.500Z", '{"model":"strong"}'),
    ]


def test_what_is_handed_over_is_durable_when_finish_run_returns(play: Play, folder, rows: Ask) -> None:
    play.start()
    play.good()
    play.finish(RunStatus.STOPPED, "the budget is spent")

    with sqlite3.connect(folder / "evalh.db") as other:
        found = other.execute("select status, reason, finished_at from runs").fetchall()
    other.close()
    assert found == [("stopped", "the budget is spent", "2026-07-28T10:15:00.250Z")]


def test_an_attempt_that_never_ended_is_interrupted_when_its_run_finishes(play: Play, rows: Ask) -> None:
    play.start()
    play.begin(play.call())
    play.store.flush()
    play.begin(play.call())
    play.finish(RunStatus.INTERRUPTED)

    assert rows("select distinct status, error_kind from attempts") == [("interrupted", "interrupted")]


def test_a_value_that_cannot_be_stored_costs_nothing_else_and_is_told(play: Play, folder) -> None:
    play.start()
    play.good("t-1")
    call = play.call("t-2")
    play.answer(call)
    odd = Graded("plugin", True, Verdict(PASS.verdict.outcome, Decimal("0.5"), "a plugin's own idea of a score"))  # type: ignore[arg-type]
    play.sample(Case("t-2", {}), call, (odd,))
    play.good("t-3")

    with pytest.raises(StoreError, match="could not be stored") as told:
        play.finish()

    assert told.value.exit_code == 4
    with sqlite3.connect(folder / "evalh.db") as other:
        assert other.execute("select count(*) from attempts where status = 'ok'").fetchall() == [(3,)]
        assert other.execute("select grader from verdicts").fetchall() == [("schema",), ("schema",)]
    other.close()
    assert play.store.failed is told.value
    with pytest.raises(StoreError):
        play.begin(play.call())


def test_memory_of_the_writer_does_not_grow_with_the_run(play: Play) -> None:
    play.start()
    memory = WriterMemory()
    for number in range(200):
        batch = Batch(memory)
        call = play.call(purpose=Purpose.JUDGE, settings=Settings(model="strong-1", sent_to={}))
        start = play.begin(call)
        batch.add(start)
        list(batch.statements())
        batch = Batch(memory)
        sample = play.sample(Case(f"t-{number}", {}), call)
        batch.add(NewSample("r1", sample, call))
        list(batch.statements())
        memory.in_flight.discard(start.id)

    assert len(memory.settings) <= 64
    assert not memory.in_flight


def test_close_can_be_called_twice_and_nothing_can_be_stored_after_it(play: Play) -> None:
    play.start()
    play.store.close()
    play.store.close()

    with pytest.raises(StoreError, match="closed"):
        play.begin(play.call())
    with pytest.raises(StoreError, match="closed"):
        play.store.flush()


def test_a_run_that_was_left_unfinished_is_interrupted_when_the_store_closes(play: Play, folder) -> None:
    play.start()
    play.good()
    play.store.close()

    with sqlite3.connect(folder / "evalh.db") as other:
        assert other.execute("select status, reason, summary from runs").fetchall() == [
            ("interrupted", "the run was left unfinished", None)
        ]
        assert other.execute("select count(*) from samples").fetchall() == [(1,)]
    other.close()
    assert not list((folder / "live").iterdir())
