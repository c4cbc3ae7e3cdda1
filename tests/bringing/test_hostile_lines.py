"""Whatever a line says, it becomes records that can be stored, or a mistake with its place."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.errors import WorkspaceError
from evalh.interop.recorded_calls.lines import RecordedFile
from evalh.interop.recorded_calls.reading import FORMS, VOTES, FileForm, FileReading
from evalh.store.production.rows import row_of
from evalh_trace.records import Record, decode, encode
from workspaces import evalh

SEEDS: dict[str, dict[str, Any]] = {
    "Who&When runs": {"question": "q", "steps": [{"agent": "a", "content": "c", "role": "user"}], "mistake_step": 0},
    "LiteLLM logging payloads": {
        "call_type": "completion",
        "trace_id": "t",
        "startTime": 1.0,
        "endTime": 2.0,
        "messages": [{"role": "user", "content": "hi"}],
        "response": {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1}},
        "metadata": {"requester_metadata": {}},
        "error_information": {"error_code": "429"},
    },
    "OpenAI requests and answers": {
        "request": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": []},
        "response": {"choices": [{"message": {"content": "x", "tool_calls": []}}], "usage": {"prompt_tokens": 1}},
        "custom_id": "c",
        "error": None,
        "metadata": {},
        "inputs": {},
    },
    "votes": {"workflow": "w", "good": True, "kind": "vote", "note": "n", "at": "2026-01-01T00:00:00Z"},
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to everything in a value."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        found += places(one, (*path, key))
    return found


def with_lie(seed: Any, path: tuple[Any, ...], lie: Any) -> Any:
    """Return a copy with something else in one place."""
    copy = json.loads(json.dumps(seed))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = lie
    return copy


def read(lines: list[Any], forms: tuple[FileForm, ...]) -> tuple[list[Record], FileReading]:
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    reading = FileReading(io.BytesIO(data), RecordedFile(name="in.jsonl", at=1.0), forms)
    return list(reading), reading


@pytest.mark.parametrize("form", [*FORMS, *VOTES], ids=lambda form: form.name)
@given(data=st.data())
def test_a_lie_in_any_place_gives_records_or_a_mistake(form: FileForm, data: st.DataObject) -> None:
    seed = SEEDS[form.name]
    path = data.draw(st.sampled_from(places(seed)))
    line = with_lie(seed, path, data.draw(ANYTHING))

    records, reading = read([seed, line, seed], (form,))

    assert reading.form is form
    assert records  # the lines beside it are read
    for record in records:
        row_of(record)  # type: ignore[arg-type]
        assert list(decode(encode(record))) == [record]  # type: ignore[arg-type]
    assert all(one.where == "in.jsonl:2" and one.what for one in reading.mistakes)


@pytest.mark.parametrize("form", [*FORMS, *VOTES], ids=lambda form: form.name)
@given(data=st.data())
def test_the_same_file_gives_the_same_ids(form: FileForm, data: st.DataObject) -> None:
    lines = [SEEDS[form.name], with_lie(SEEDS[form.name], places(SEEDS[form.name])[-1], data.draw(ANYTHING))]

    first, second = read(lines, (form,))[0], read(lines, (form,))[0]

    assert [one.id for one in first] == [one.id for one in second]


@given(data=st.binary(max_size=200) | st.lists(ANYTHING, max_size=3).map(lambda some: json.dumps(some).encode()))
def test_bytes_of_any_kind_are_read_or_refused_in_words(data: bytes) -> None:
    try:
        reading = FileReading(io.BytesIO(data), RecordedFile(name="in.jsonl", at=1.0))
    except WorkspaceError as refused:
        assert str(refused).startswith("in.jsonl")
    else:
        list(reading)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ('"emial"', "'emial' is not a kind of personal data"),
        ('{pattern = "("}', "is not one of RE2"),
        ('{pattern = ".*"}', "fits an empty text"),
        ('{pattern = "a", field = "b"}', "a rule is a kind"),
    ],
)
def test_a_rule_that_cannot_be_applied_is_refused_with_its_line_and_nothing_is_kept(
    tmp_path: Path, rule: str, told: str
) -> None:
    (tmp_path / "evalh.toml").write_text(f'[trace]\nredact = ["email", {rule}]\n')
    done = evalh(tmp_path, "collect", "--", "true")
    assert done.returncode == 2
    assert "evalh.toml:2" in done.stderr
    assert told in done.stderr
    assert not (tmp_path / ".evalh").exists()
