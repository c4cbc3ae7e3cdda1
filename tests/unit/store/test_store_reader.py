from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace

from evalh.core.attempt import ErrorKind, Purpose
from evalh.core.case import ABSENT, Case
from evalh.core.errors import NotFound, UsageError
from evalh.core.log import CallRow, CaseDetail, RunRow, SampleDetail
from evalh.core.request import ToolCall, content_digest
from evalh.core.run import RunStatus
from evalh.core.sample import Graded, Standing
from evalh.core.verdict import Verdict
from evalh.store import CallFilter, Reader
from unit.store.playing import ANSWER, FAIL, PASS, SETTINGS, Play, make_record, make_summary

BAD_CASE = Case("t-2", {"ticket": "It crashes\0!"}, {"label": "bug"}, frozenset({"short"}))
NO_ANSWER = Graded("schema", True, Verdict.error("no answer: timeout"))


@pytest.fixture
def mixed(play: Play) -> Play:
    """A finished run: one good, one bad after a retry, one ungraded without an answer."""
    play.start(planned=3)
    play.good("t-1", "where is my money", index=0)
    call = play.call("t-2", "It crashes")
    play.fail(call)
    play.answer(call, cost="0.0002")
    hint = Graded("tone", False, Verdict.check(False, "curt"))
    play.sample(BAD_CASE, call, (PASS, FAIL, hint), index=1)
    call = play.call("t-3", "?")
    error = play.fail(call)
    play.sample(
        Case("t-3", {"ticket": "?"}), call, (NO_ANSWER,), index=2, completion=None, error=error,
        standing=Standing.UNGRADED,
    )  # fmt: skip
    play.finish()
    return play


def test_a_run_comes_back_as_it_was_recorded(play: Play, reader: Reader) -> None:
    record = play.start(owner="support", commit="abc", dirty=True, selection={"limit": 2}, max_ungraded=0.1)
    play.store.flush()

    run = reader.run("r1")

    assert run == RunRow(record=record, status=RunStatus.RUNNING, reason=None, finished_at=None, summary=None)


def test_a_summary_comes_back_exactly(mixed: Play, reader: Reader) -> None:
    run = reader.run("r1")

    assert run.summary == make_summary()
    assert isinstance(run.summary.cost_usd, Decimal)
    assert run.finished_at == 1_785_233_700.25


def test_a_result_is_the_run_with_failures_to_look_at(mixed: Play, reader: Reader) -> None:
    result = reader.result("last")

    assert (result.record.id, result.status, result.summary) == ("r1", RunStatus.COMPLETE, make_summary())
    assert [one.case_id for one in result.failures] == ["t-2", "t-3"]


def test_a_run_without_a_summary_has_no_result(play: Play, reader: Reader) -> None:
    play.start()
    play.store.flush()

    with pytest.raises(NotFound, match="is running: it has no summary"):
        reader.result("r1")


def test_runs_are_named_by_id_by_beginning_or_last(playing: Callable[[str], Play], reader: Reader) -> None:
    for at, run_id in enumerate(("r20260728-01-aa", "r20260728-01-ab", "r20260729-02-cc")):
        playing(run_id).start(started_at=1000.0 + at)
        playing(run_id).store.flush()

    assert reader.run("last").record.id == "r20260729-02-cc"
    assert reader.run("r20260729").record.id == "r20260729-02-cc"
    assert reader.run("r20260728-01-aa").record.id == "r20260728-01-aa"
    assert [run.record.id for run in reader.runs(2)] == ["r20260729-02-cc", "r20260728-01-ab"]
    with pytest.raises(UsageError, match="several runs") as several:
        reader.run("r20260728")
    assert several.value.hint == "have: r20260728-01-aa, r20260728-01-ab"
    for wrong in ("v3", "", "%", "R2026"):
        with pytest.raises(NotFound) as missing:
            reader.run(wrong)
        assert "r20260729-02-cc" in (missing.value.hint or "")


def test_an_empty_store_has_no_last_run(reader: Reader) -> None:
    with pytest.raises(NotFound) as told:
        reader.run("last")

    assert told.value.hint == "evalh run"
    assert reader.runs() == []


def test_samples_come_in_dataset_order_with_their_verdicts(play: Play, reader: Reader) -> None:
    play.start()
    for index in (11, 2, 0):
        for trial in (1, 0):
            call = play.call(f"t-{index}", trial=trial)
            play.answer(call)
            play.sample(Case(f"t-{index}", {}), call, (FAIL,) if index == 2 else (PASS,), index=index)
    play.store.flush()

    samples = list(reader.samples("r1"))

    assert [(one.case_index, one.trial) for one in samples] == [(0, 0), (0, 1), (2, 0), (2, 1), (11, 0), (11, 1)]
    assert samples[2].verdicts == (FAIL,)
    assert [one.case_id for one in reader.samples("r1", Standing.BAD)] == ["t-2", "t-2"]
    assert len(list(reader.samples("r1", limit=4))) == 4
    assert list(reader.samples("r")) == [], "a run's samples, not those of every run whose id begins so"


def test_a_sample_comes_back_as_it_was_stored(mixed: Play, reader: Reader) -> None:
    bad, lost = list(reader.samples("r1"))[1:]

    assert bad.id == "r1/t-2/0"
    assert (bad.cost_usd, bad.cached_cost_usd, bad.judge_cost_usd) == (Decimal("0.0002"), Decimal(0), Decimal(0))
    assert (bad.attempts, bad.latency.total_ms, bad.finish, bad.answered_by) == (2, 60_101.5, "stop", "r1:2.2")
    assert (lost.standing, lost.error_kind, lost.error) == (Standing.UNGRADED, "timeout", "no answer in 60 s")


def test_failures_say_what_went_in_what_came_out_and_which_required_grader_said_what(
    mixed: Play, reader: Reader
) -> None:
    bad, lost = reader.failures("r1", 10)

    assert bad.inputs == BAD_CASE.inputs
    assert bad.output == ANSWER.text
    assert bad.reasons == (("equals", "label is bug, expected billing"),)
    assert (lost.output, lost.error, lost.standing) == (None, "no answer in 60 s", "ungraded")
    assert mixed.store.failures("r1", 1) == (bad,)


def test_a_case_is_shown_with_its_samples_calls_attempts_and_verdicts(mixed: Play, reader: Reader) -> None:
    mixed.answer(mixed.call("t-2", "Is it polite?", draw=1, purpose=Purpose.JUDGE))
    mixed.store.flush()

    detail = reader.case("t-2")

    (one,) = detail.samples
    assert detail.run.record.id == "r1"
    assert one.case == BAD_CASE
    assert [graded.grader for graded in one.sample.verdicts] == ["schema", "equals", "tone"]
    answer, judge = one.calls
    assert [(attempt.status, attempt.reason) for attempt in answer.attempts] == [("error", "first"), ("ok", "retry")]
    assert answer.messages == [{"parts": ["It crashes"], "role": "user"}]
    assert answer.settings == SETTINGS.document()
    assert answer.cost_usd == Decimal("0.0002")
    assert answer.answer == answer.attempts[1]
    assert (judge.purpose, judge.draw) == ("judge", 1)
    failed = answer.attempts[0]
    assert (failed.error_kind, failed.error, failed.http_status) == ("timeout", "no answer in 60 s", 504)
    assert (failed.retry_after_s, failed.estimated, failed.completion) == (2.0, True, None)


def test_a_case_without_expected_comes_back_without_it(mixed: Play, reader: Reader) -> None:
    assert reader.case("t-3").samples[0].case.expected is ABSENT


def test_a_case_is_shown_in_its_newest_run_or_in_the_run_that_is_named(
    mixed: Play, playing: Callable[[str], Play], reader: Reader
) -> None:
    later = playing("r2")
    later.start(started_at=make_record().started_at + 60)
    later.good("t-1", "new wording")
    later.finish()

    assert reader.case("t-1").run.record.id == "r2"
    assert reader.case("t-1", "r1").run.record.id == "r1"
    assert reader.case("t-2").run.record.id == "r1", "the newest run that has it"
    with pytest.raises(NotFound, match="no case 't-2' in run r2"):
        reader.case("t-2", "r2")


def test_a_case_that_is_not_there_names_the_nearest(mixed: Play, reader: Reader) -> None:
    with pytest.raises(NotFound) as told:
        reader.case("t2")

    assert told.value.hint == "did you mean 't-2'?"


def test_a_case_id_may_hold_slashes_and_beginnings_of_others(play: Play, reader: Reader) -> None:
    play.start()
    for index, case_id in enumerate(("a", "a/b", "a/b/0", "\ud800\0", "%")):
        call = play.call(case_id)
        play.answer(call)
        play.sample(Case(case_id, {"n": index}), call, index=index)
    play.store.flush()

    for index, case_id in enumerate(("a", "a/b", "a/b/0", "\ud800\0", "%")):
        (one,) = reader.case(case_id).samples
        assert one.case.inputs == {"n": index}
        assert one.sample.case_id == case_id


def test_an_answer_from_the_store_shows_the_request_that_was_sent_then(
    mixed: Play, playing: Callable[[str], Play], reader: Reader
) -> None:
    later = playing("r2")
    later.start(started_at=make_record().started_at + 60)
    call = later.call("t-1", "where is my money")
    hit = later.store.find(call.request.digest(), call.key)
    assert hit is not None
    later.sample(Case("t-1", {"ticket": "where is my money"}, {"label": "billing"}), call, hit=hit)
    later.finish()

    (shown,) = reader.case("t-1", "r2").samples[0].calls

    assert shown.cache_hit
    assert shown.attempts == ()
    assert shown.messages == [{"parts": ["where is my money"], "role": "user"}]
    assert shown.answer is not None
    assert shown.answer.id == "r1:1.1"
    assert shown.answer.completion == ANSWER


def test_calls_are_found_by_what_went_wrong(mixed: Play, reader: Reader) -> None:
    ids = {which: [call.id for call in reader.calls(which)] for which in CallFilter}

    assert ids[CallFilter.ALL] == ["r1:1", "r1:2", "r1:3"]
    assert ids[CallFilter.ERRORS] == ["r1:2", "r1:3"]
    assert ids[CallFilter.RETRIED] == ["r1:2"]
    assert ids[CallFilter.SLOW] == ["r1:2", "r1:3", "r1:1"]
    assert len(reader.calls(limit=1)) == 1


def test_calls_of_all_runs_come_newest_run_first_and_of_one_run_in_its_order(
    playing: Callable[[str], Play], reader: Reader
) -> None:
    for run_id in ("r2", "r10"):
        run = playing(run_id)
        run.start()
        for _ in range(10):
            run.answer(run.call())
        run.store.flush()

    assert [call.id for call in reader.calls(limit=11)][-2:] == ["r2:10", "r10:1"]
    assert [call.id for call in reader.calls(run_id="r10")][:2] == ["r10:1", "r10:2"]
    assert {call.run_id for call in reader.calls(run_id="r1")} == set(), "r1 is not r10"


def test_show_tells_what_an_id_is(mixed: Play, reader: Reader) -> None:
    assert isinstance(reader.show("r1"), RunRow)
    assert isinstance(reader.show("last"), RunRow)
    assert isinstance(reader.show("t-2"), CaseDetail)
    assert isinstance(reader.show("r1/t-2/0"), SampleDetail)
    call = reader.show("r1:2")
    assert isinstance(call, CallRow)
    assert reader.show("r1:2.1") == call
    with pytest.raises(NotFound, match="no run, sample, call, attempt, comparison, gate or case") as told:
        reader.show("t-22")
    assert told.value.hint == "did you mean 't-2'?"


def test_show_takes_the_beginning_of_a_runs_id(playing: Callable[[str], Play], reader: Reader) -> None:
    playing("r20260728-01-aa").start()
    playing("r20260728-01-aa").store.flush()

    shown = reader.show("r2026")

    assert isinstance(shown, RunRow)
    assert shown.record.id == "r20260728-01-aa"


def test_a_call_in_flight_is_shown_though_its_row_comes_later(play: Play, reader: Reader) -> None:
    play.start()
    play.begin(play.call())
    play.store.flush()

    call = reader.show("r1:1")

    assert isinstance(call, CallRow)
    assert [attempt.status for attempt in call.attempts] == ["sent"]
    assert (call.messages, call.cost_usd, call.settings) == (None, None, SETTINGS.document())
    assert reader.show("r1:1.1") == call


def test_a_recording_has_the_answers_in_dataset_order(mixed: Play, reader: Reader) -> None:
    first, second = reader.recording("r1")

    assert first == {
        "id": "t-1",
        "trial": 0,
        "step": None,
        "output": ANSWER.text,
        "usage": {"input_tokens": 40, "output_tokens": 8, "cached_tokens": 0},
        "latency_ms": 101.5,
        "cost_usd": 0.0001,
        "finish": "stop",
        "model": "tiny-1-2026",
        "request": content_digest(
            SETTINGS.document(),
            [message.document() for message in mixed.call("t-1", "where is my money").request.messages],
        ),
    }
    assert (second["id"], second["cost_usd"]) == ("t-2", 0.0002)


def test_a_recording_of_a_run_that_was_answered_by_the_store_is_the_same(
    mixed: Play, playing: Callable[[str], Play], reader: Reader
) -> None:
    later = playing("r2")
    later.start()
    for index, (case_id, text) in enumerate((("t-1", "where is my money"), ("t-2", "It crashes"))):
        call = later.call(case_id, text)
        hit = later.store.find(call.request.digest(), call.key)
        assert hit is not None
        later.sample(Case(case_id, {}), call, hit=hit, index=index)
    later.finish()

    assert list(reader.recording("r2")) == list(reader.recording("r1"))


def test_a_recording_keeps_tool_calls_and_says_what_it_does_not_know(play: Play, reader: Reader) -> None:
    play.start()
    call = play.call()
    said = replace(ANSWER, tool_calls=(ToolCall("c1", "refund", "{}"),), latency_ms=None)
    play.answer(call, said, cost=None)
    play.sample(Case("t-1", {}), call, completion=said)
    judge = play.call(purpose=Purpose.JUDGE, draw=1, text="polite?")
    play.answer(judge)
    play.store.flush()

    (only,) = reader.recording("r1")

    assert only["tool_calls"] == [{"id": "c1", "name": "refund", "arguments": "{}"}]
    assert (only["cost_usd"], only["latency_ms"]) == (None, None)


def test_the_views_answer_what_people_ask_first(mixed: Play, reader: Reader) -> None:
    def ask(sql: str) -> list[tuple]:
        return list(reader.query(sql)[1])

    assert ask("select case_id, reasons, output from failures order by case_id") == [
        ("t-2", "equals: label is bug, expected billing", ANSWER.text),
        ("t-3", "schema: no answer: timeout", None),
    ]
    assert ask("select run_id, samples, good, good_rate, task_usd, cost_per_good_usd from cost_per_good") == [
        ("r1", 3, 1, pytest.approx(1 / 3), pytest.approx(0.0003), pytest.approx(0.0003))
    ]
    assert [row[0] for row in ask("select call_id from slow_calls")] == ["r1:2", "r1:3"]


def test_the_cost_per_good_of_an_unpriced_run_or_one_without_good_samples_is_null(
    playing: Callable[[str], Play], reader: Reader
) -> None:
    for run_id, cost, verdict in (("r1", None, PASS), ("r2", "0.1", FAIL)):
        run = playing(run_id)
        run.start()
        call = run.call()
        run.answer(call, cost=cost)
        run.sample(Case("t-1", {}), call, (verdict,))
        run.store.flush()

    _, rows = reader.query("select run_id, task_usd, cost_per_good_usd from cost_per_good order by run_id")
    assert list(rows) == [("r1", None, None), ("r2", 0.1, None)]


def test_an_unfinished_runs_error_kinds_are_readable(play: Play, reader: Reader) -> None:
    play.start()
    play.fail(play.call(), ErrorKind.INTERRUPTED)
    play.store.flush()

    assert [call.attempts[0].status for call in reader.calls(CallFilter.ERRORS)] == ["interrupted"]
