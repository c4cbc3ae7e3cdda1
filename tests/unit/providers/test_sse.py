"""A stream's events are the same however it is cut, and are what the standard makes of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.providers.http.body import EventStream
from hanging import seconds


def events(chunks: list[bytes]) -> list[bytes]:
    source = EventStream()
    return [event for chunk in chunks for event in source.feed(chunk)] + list(source.end())


lines = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data:  c",
        b"data",
        b": ping",
        b"event: x",
        b"id: 1",
        b"retry: 9",
        b"",
        b"datax: d",
        "data: ü世".encode(),
    ]
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
streams = st.lists(st.tuples(lines, ends), max_size=12).map(lambda parts: b"".join(line + end for line, end in parts))


def by_the_standard(stream: bytes) -> list[bytes]:
    """Read a whole stream at once, line by line, as the standard tells it."""
    found: list[bytes] = []
    data: list[bytes] = []
    for line in [*stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        name, _, value = line.partition(b":")
        if not line and data:
            found.append(b"\n".join(data))
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" "))
    return found


@given(streams, st.data())
def test_events_do_not_depend_on_where_the_stream_is_cut(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    places = [0, *cuts, len(stream)]
    chunks = [stream[start:stop] for start, stop in pairwise(places)]

    assert events(chunks) == events([stream]) == events([stream[i : i + 1] for i in range(len(stream))])


@given(streams)
def test_events_are_what_the_standard_makes_of_the_stream(stream: bytes) -> None:
    assert events([stream]) == by_the_standard(stream)


@pytest.mark.parametrize(
    ("stream", "wanted"),
    [
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b"\xef\xbb\xbfdata: marked\n\n", [b"marked"]),
        (b"data: unclosed", [b"unclosed"]),
        (b"data: unclosed\r", [b"unclosed"]),
        (b'{"no": "events"}', []),
        (b"", []),
    ],
    ids=["two lines", "byte order mark", "no end", "half an end", "json", "nothing"],
)
def test_an_event_is_read(stream: bytes, wanted: list[bytes]) -> None:
    assert events([stream]) == wanted


def test_a_long_line_in_small_chunks_takes_time_by_its_length_only() -> None:
    def least(size: int) -> float:
        chunks = [b"data: ", *[b"x" * 16] * (size // 16), b"\n\n"]
        assert len(events(chunks)[0]) == size
        return min(seconds(lambda: events(chunks)) for _ in range(3))

    assert least(2**21) < 40 * max(least(2**18), 0.005)  # eight times the work; the square of it would be 64 times
