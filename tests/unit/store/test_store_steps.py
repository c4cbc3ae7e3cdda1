"""What a pipeline's samples are in the log: every step, and where it went wrong first."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from evalh.core.attempt import CallKey, Completion, Decision
from evalh.core.case import Case
from evalh.core.log import SampleDetail
from evalh.core.request import Message, Role, content_digest
from evalh.core.run import StepRecord
from evalh.core.sample import (
    Sample,
    SampleWord,
    Standing,
    StepGrade,
    StepResult,
    StepState,
    Story,
)
from evalh.core.strict_json import JsonValue
from evalh.providers.recording import Recording
from evalh.store import Reader, SqliteStore
from unit.store.playing import FAIL, SETTINGS, Play
from unit.store.refund import POISONED, REPLY_SETTINGS, STEPS, Pipeline


@pytest.fixture
def pipeline(play: Play) -> Pipeline:
    return Pipeline(play)


def test_a_samples_steps_come_back_as_they_were(pipeline: Pipeline, store: SqliteStore, reader: Reader) -> None:
    sample = pipeline.sample()
    store.flush()

    (row,) = reader.samples("r1")

    assert row.steps == sample.steps
    assert row.story == POISONED
    (story,) = reader.stories("r1")
    assert story.sample.steps == sample.steps
    shown = reader.show("r1/t-1/0")
    assert isinstance(shown, SampleDetail)
    assert shown.sample.steps == sample.steps


def test_a_runs_steps_come_back_with_the_run(pipeline: Pipeline, reader: Reader) -> None:
    assert reader.run("r1").record.steps == STEPS == pipeline.record.steps


def test_a_call_says_its_settings_only_where_its_step_has_others(
    pipeline: Pipeline, store: SqliteStore, reader: Reader, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    pipeline.sample()
    odd = pipeline.play.call("t-2", "x", step="extract", settings=REPLY_SETTINGS)
    pipeline.play.answer(odd)
    store.flush()

    told = rows("select step, settings is null from calls order by id")

    assert told == [("extract", 1), ("reply", 1), ("extract", 0)]
    settings = [call.settings for call in sorted(reader.calls(run_id="r1"), key=lambda call: call.id)]
    assert settings == [SETTINGS.document(), REPLY_SETTINGS.document(), REPLY_SETTINGS.document()]


def test_two_runs_under_way_keep_their_steps_apart(
    pipeline: Pipeline, playing: Callable[[str], Play], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    other = playing("r2")
    other.start(steps=(StepRecord(step="extract", settings_document=REPLY_SETTINGS.document()),))
    pipeline.play.answer(pipeline.play.call(step="extract"))
    other.answer(other.call(step="extract"))

    assert rows("select run_id, settings is null from calls order by id") == [("r1", 1), ("r2", 0)]


def test_a_large_value_is_stored_once_however_often_it_is_handed_on(
    pipeline: Pipeline, store: SqliteStore, reader: Reader, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    email, order = "é" * 5000 + "\0\ud800", {"items": ["x" * 100] * 60, "more": None}
    samples = [pipeline.sample(case_id, email=email, order=order) for case_id in ("t-1", "t-2")]
    store.flush()

    assert rows("select count(*) from texts") == [(2,)]
    assert rows("select max(length(inputs)) from step_results")[0][0] < 100
    assert [row.steps for row in reader.samples("r1")] == [sample.steps for sample in samples]
    (found,) = rows("select inputs, output from steps where sample_id = 'r1/t-1/0' and step = 'reply'")
    assert json.loads(found[0]) == {"email": email, "order": order, "brief": True}
    assert rows("select json_extract(output, '$.items[59]') from steps where step = 'order'") == [("x" * 100,)] * 2


@pytest.mark.parametrize(
    "small", [None, True, False, 7, 1.5, "text", '{"not": "json"}', "", [], {}, ["a", None], {"a": {"b": None}}]
)
def test_the_view_of_steps_shows_small_inputs_beside_large_ones_as_they_are(
    pipeline: Pipeline, rows: Callable[..., list[tuple[Any, ...]]], small: JsonValue
) -> None:
    inputs: dict[str, JsonValue] = {"small": small, 'it\'s "odd"': small, "large": "y" * 5000}
    pipeline.sample(steps=(StepResult(step="extract", state=StepState.RAN, inputs=inputs, output=small),))

    ((told, output),) = rows("select inputs, output from steps")

    assert json.loads(told) == inputs
    assert json.loads(output) == small


def test_poisoned_samples_says_what_was_spent_behind_the_first_bad_step(
    pipeline: Pipeline, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    """`log` reads nothing: what it cost was not spent behind `extract`."""
    pipeline.sample()
    clean = StepResult(step="extract", state=StepState.RAN, grade=StepGrade.GOOD, cost_usd=Decimal(1))
    pipeline.sample("t-2", steps=(clean,), story=Story(word=SampleWord.CLEAN))

    told = rows("select case_id, trial, word, first_bad, responsible, standing, downstream_usd from poisoned_samples")

    assert told == [("t-1", 0, "poisoned", "extract", '["extract"]', "bad", pytest.approx(0.004))]


def test_one_unknown_cost_makes_what_was_spent_behind_unknown(
    pipeline: Pipeline, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    steps = tuple(
        StepResult(step=name, state=StepState.RAN, cost_usd=None if name == "reply" else Decimal(1), tainted=True)
        for name in ("extract", "order", "reply")
    )
    pipeline.sample(steps=steps)

    assert rows("select downstream_usd from poisoned_samples") == [(None,)]


def test_where_a_function_gave_the_output_reports_and_views_have_it(
    pipeline: Pipeline, store: SqliteStore, reader: Reader, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    play = pipeline.play
    call = play.call("t-9", step="extract")
    play.answer(call)
    given = StepResult(step="order", state=StepState.GIVEN, output={"state": "late"})
    sample = Sample(
        case=Case("t-9", {"email": "x"}),
        case_index=0,
        trial=0,
        standing=Standing.BAD,
        verdicts=(FAIL,),
        call_id=call.id,
        completion=Completion(text='{"state": "late"}'),
        steps=(given,),
        story=Story(word=SampleWord.UNEXPLAINED),
        review="'extract': odd",
    )
    store.add_sample("r1", sample, None)
    store.flush()

    (story,) = reader.stories("r1")
    assert story.output == '{"state": "late"}'
    assert story.sample.review == "'extract': odd"
    assert reader.failures("r1", 3)[0].output == '{"state": "late"}'
    assert rows("select output from failures") == [('{"state": "late"}',)]


def test_what_a_step_gave_in_a_run_is_found_by_case_and_trial(
    pipeline: Pipeline, playing: Callable[[str], Play], store: SqliteStore, reader: Reader
) -> None:
    large = "z" * 5000
    pipeline.sample(order={"state": large})
    pipeline.sample("t-2")
    Pipeline(playing("r2")).sample("t-3")
    store.flush()

    assert reader.step_outputs("r1", "order") == {("t-1", 0): {"state": large}, ("t-2", 0): {"state": "late"}}
    assert reader.step_outputs("r1", "log") == {}, "it was skipped"


def test_what_a_steps_cascade_decided_stands_beside_what_became_of_the_sample(
    pipeline: Pipeline, store: SqliteStore, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    sample = pipeline.sample()
    for call_id, kind in ((sample.steps[0].call_id, "escalate"), (sample.call_id, "keep")):
        detail = {"checks": [{"check": "sure", "outcome": "fail", "score": 0.2}], "answer": f"{call_id}.1"}
        store.decide(Decision(run_id="r1", kind=kind, reason="in doubt", at=1.0, call_id=call_id, detail=detail))

    told = rows("select step, escalated, check_name, standing from escalations order by step")

    assert told == [("extract", 1, "sure", "bad"), ("reply", 0, "sure", "bad")]


def test_a_plain_sample_writes_nothing_about_steps(
    play: Play, store: SqliteStore, reader: Reader, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    play.start()
    play.good()

    for table in ("run_steps", "step_results", "step_verdicts", "texts"):
        assert rows(f"select count(*) from {table}") == [(0,)], table
    assert rows("select word, first_bad, responsible, step_output, review from samples") == [(None,) * 5]
    (row,) = reader.samples("r1")
    assert (row.steps, row.story) == ((), None)


def test_what_a_row_gives_in_a_steps_place_makes_it_another_case(
    pipeline: Pipeline, store: SqliteStore, reader: Reader, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    play = pipeline.play
    for trial, given in enumerate(({}, {"order": {"state": "late"}})):
        call = play.call("t-1", trial=trial, step="extract")
        play.answer(call)
        play.sample(Case("t-1", {"email": "x"}, given=given), call)
    store.flush()

    assert rows("select given from cases order by given") == [(None,), ('{"order":{"state":"late"}}',)]
    assert [story.case.given for story in reader.stories("r1")] == [{}, {"order": {"state": "late"}}]


def test_all_that_a_function_asked_is_recorded_once(pipeline: Pipeline, store: SqliteStore, reader: Reader) -> None:
    play = pipeline.play
    for text, draw in (("item 1", 0), ("item 2", 0), ("item 1", 1), ("item 1", 0)):
        call = play.call("t-1", text, step="order/rank", draw=draw)
        play.answer(call, Completion(text=f"{text}, draw {draw}"))
        call.answered_by = f"{call.id}.1"
        store.conclude(call, cache_hit=False)
    pipeline.sample()
    store.flush()

    told = [row for row in reader.recording("r1") if row["step"] == "order/rank"]

    assert [row["output"] for row in told] == ["item 1, draw 0", "item 2, draw 0", "item 1, draw 1"]
    lines = "".join(f"{json.dumps(row)}\n" for row in told)
    assert [row.output for row in Recording("r", lines.encode()).find(CallKey("t-1", 0, "order/rank", 1))] == [
        "item 1, draw 1"
    ]


def test_a_recording_has_a_row_for_each_step_and_is_found_by_it(
    pipeline: Pipeline, store: SqliteStore, reader: Reader
) -> None:
    pipeline.sample()
    store.flush()

    lines = "".join(f"{json.dumps(row)}\n" for row in reader.recording("r1"))

    recording = Recording("refund.jsonl", lines.encode())
    asked = {"extract": (SETTINGS, "Where is 77?"), "reply": (REPLY_SETTINGS, "write")}
    given = {"extract": '{"order_id": "78"}', "reply": "It is late."}
    assert len(recording) == len(given)
    for step, output in given.items():
        (row,) = recording.find(CallKey("t-1", 0, step))
        assert row.output == output
        settings, text = asked[step]
        messages = [Message.of(Role.USER, text).document()]
        assert row.request == content_digest(settings.document(), messages)
