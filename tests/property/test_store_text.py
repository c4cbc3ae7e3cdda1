"""Whatever a model, a dataset or a grader says comes back from the store unchanged, and never breaks a person's SQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from evalh.core.attempt import FinishReason, Usage
from evalh.core.case import ABSENT, Case
from evalh.core.request import ToolCall
from evalh.core.sample import Graded
from evalh.core.verdict import Verdict
from evalh.store import SqliteStore, open_reader, open_store
from evalh.store.columns import json_text, read_json, restored, stored
from unit.store.playing import ANSWER, FixedClock, Play

ODD = "\0␀\ud800\udfff\U0010f7fe\U0010f7ff\U0010f800\U0010ffff'\"\\%_\n\r\u2028\ufeff"
TEXT = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from(ODD)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
COUNT = st.none() | st.integers(0, 2**63 - 1)


@given(TEXT)
@example("\U0010f7ff")
@example("\ud83d\ude42")
def test_text_comes_back_and_is_utf8_without_nul_in_between(text: str) -> None:
    kept = stored(text)

    kept.encode("utf-8")
    assert "\0" not in kept
    assert restored(kept) == text


@given(TEXT, TEXT)
def test_different_texts_are_stored_differently(one: str, other: str) -> None:
    assert (stored(one) == stored(other)) == (one == other)


@given(JSON)
def test_json_comes_back_and_sqlite_can_read_it(value: Any) -> None:
    text = json_text(value)

    assert read_json(text) == value
    with closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute("select json_valid(?)", (text,)).fetchone() == (1,)


@pytest.fixture(scope="module")
def store() -> Iterator[SqliteStore]:
    with (
        TemporaryDirectory() as scratch,
        closing(open_store(Path(scratch), clock=FixedClock(), gather_s=0.0)) as opened,
    ):
        yield opened


RUNS = iter(range(10**9))


@settings(max_examples=60)
@given(
    case=st.builds(
        Case,
        id=TEXT,
        inputs=st.dictionaries(TEXT, JSON, max_size=3),
        expected=st.just(ABSENT) | JSON,
        tags=st.frozensets(TEXT, max_size=3),
    ),
    text=TEXT,
    output=TEXT,
    calls=st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT), max_size=2),
    usage=st.builds(Usage, COUNT, COUNT, COUNT, COUNT),
    reason=TEXT,
)
def test_a_sample_comes_back_whatever_stands_in_it(  # noqa: PLR0913 (one argument for each strategy)
    store: SqliteStore, *, case: Case, text: str, output: str, calls: list[ToolCall], usage: Usage, reason: str
) -> None:
    play = Play(store, f"r{next(RUNS)}")
    play.start()
    call = play.call(case.id, text)
    said = replace(
        ANSWER, text=output, tool_calls=tuple(calls), usage=usage, finish=FinishReason.OTHER, raw=output + reason
    )
    play.answer(call, said)
    verdict = Graded(reason, True, Verdict.check(False, reason))
    play.sample(case, call, (verdict,), completion=said)
    store.flush()

    found = store.find(call.request.digest(), call.key)
    assert found is not None
    assert found.completion == replace(said, raw=None)
    reader = open_reader(store._path.parent)
    with closing(reader):
        detail = reader.case(case.id, play.run_id).samples[0]
        (failed,) = reader.failures(play.run_id, 5)
        (recorded,) = reader.recording(play.run_id)
        columns, rows = reader.query(f"select * from failures where run_id = '{play.run_id}'")
        (row,) = rows
    assert detail.case == replace(case, where="")
    assert detail.calls[0].messages == [{"parts": [text], "role": "user"}]
    assert detail.calls[0].attempts[0].completion == said
    assert detail.sample.verdicts == (verdict,)
    assert (failed.case_id, failed.output, failed.reasons) == (case.id, output, ((reason, reason),))
    assert (recorded["id"], recorded["output"]) == (case.id, output)
    assert dict(zip(columns, row, strict=True))["output"] == stored(output)


def test_a_megabyte_of_hostile_text_comes_back(store: SqliteStore) -> None:
    play = Play(store, "r-large")
    play.start()
    said = replace(ANSWER, text=(ODD + "x") * (2**20 // len(ODD)), raw="\0" * 2**20)
    call = play.call("large")
    play.answer(call, said)
    store.flush()

    found = store.find(call.request.digest(), call.key)

    assert found is not None
    assert found.completion.text == said.text
