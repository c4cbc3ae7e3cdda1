"""Whatever a server sends and a program hands over: the program gets it unchanged, and the records stay readable."""

import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalh import trace
from evalh_trace import http_answers, values
from evalh_trace.config import Config
from evalh_trace.privacy import Policy
from evalh_trace.records import Feedback, decode, encode
from evalh_trace.redaction import KINDS, Redactor
from tracing.model_server import Recorded, completion

Read = Callable[[], Recorded]
DEEP = b"[" * 100_000 + b"]" * 100_000
BODIES = {
    "nothing": b"",
    "deep": DEEP,
    "deep inside": b'{"choices": [{"message": {"content": "x", "y": ' + DEEP + b"}}]}",
    "not UTF-8": b'{"choices": "\xff\xfe"}',
    "half a character": json.dumps(completion("\ud83d")).encode(),
    "wrong types": b'{"choices": {"0": 1}, "usage": [], "model": 7}',
    "numbers that cannot be": b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1e400, "completion_tokens": -1}}',
    "control characters": json.dumps(completion("\x00\x1b[31m\u202e")).encode(),
    "a long name": json.dumps(completion(model="m" * 3_000_000)).encode(),
    "events that are none": b"data: {\n\ndata:\n\n:\n\ndata: 7\n\ndata: [DONE]",
}


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_answer_reaches_the_program_as_it_is_and_is_one_attempt(
    name: str, content_type: str, recorded: Read
) -> None:
    response = httpx.Response(200, stream=httpx.ByteStream(BODIES[name]), headers={"content-type": content_type})

    with trace.client(httpx.Client(transport=httpx.MockTransport(lambda _: response))) as client:
        got = client.post("http://model/v1/chat/completions", json={"model": "m", "messages": []})

    assert got.content == BODIES[name]
    (attempt,) = recorded().attempts
    assert attempt.status in {"ok", "error"}
    assert recorded().unreadable == 0
    assert recorded().losses == {}
    assert len(recorded().raw) < 20_000


def test_half_characters_that_two_events_share_are_one(recorded: Read) -> None:
    events = [{"choices": [{"index": 0, "delta": {"content": half}}]} for half in ("\ud83d", "\ude00")]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    response = httpx.Response(
        200, stream=httpx.ByteStream(body.encode()), headers={"content-type": "text/event-stream"}
    )

    with trace.client(httpx.Client(transport=httpx.MockTransport(lambda _: response))) as client:
        client.post("http://model/v1/chat/completions", json={"model": "m", "messages": []})

    assert recorded().attempts[0].text == "\U0001f600"


def packing(encoding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """Return what packs bytes, and what ends the packed text."""
    if encoding == "gzip":
        pack = zlib.compressobj(wbits=31)
        return pack.compress, pack.flush
    if encoding == "br":
        brotli = pytest.importorskip("brotli").Compressor(quality=5)
        return brotli.process, brotli.finish
    zstd = pytest.importorskip("zstandard").ZstdCompressor().compressobj()
    return zstd.compress, zstd.flush


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_an_answer_is_read_in_each_encoding(recorded: Read, encoding: str) -> None:
    pack, end = packing(encoding)
    packed = pack(json.dumps(completion("squeezed " * 100)).encode()) + end()
    response = httpx.Response(200, stream=httpx.ByteStream(packed), headers={"content-encoding": encoding})

    client = trace.client(httpx.Client(transport=httpx.MockTransport(lambda _: response)))
    ask: Any = ("POST", "http://model/v1/chat/completions")
    with client, client.stream(*ask, json={"model": "m", "messages": []}) as got:
        assert b"".join(got.iter_raw()) == packed

    assert recorded().attempts[0].text == "squeezed " * 100


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_bomb_is_not_unpacked(recorded: Read, encoding: str) -> None:
    pack, end = packing(encoding)
    bomb = b"".join([*(pack(b"0" * 1_000_000) for _ in range(400)), end()])
    stream = httpx.ByteStream(bomb)
    response = httpx.Response(200, stream=stream, headers={"content-encoding": encoding})

    ask: Any = ("POST", "http://model/v1/chat/completions")
    client = trace.client(httpx.Client(transport=httpx.MockTransport(lambda _: response)))
    tracemalloc.start()
    try:
        with client, client.stream(*ask, json={"model": "m", "messages": []}) as got:
            assert b"".join(got.iter_raw()) == bomb
        assert recorded().attempts[0].error_kind == "bad_response"
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_a_decoder_that_cannot_be_bounded_is_fed_a_few_bytes_at_a_time(encoding: str) -> None:
    pack, end = packing(encoding)
    bomb = b"".join([*(pack(b"0" * 1_000_000) for _ in range(400)), end()])
    unpacker = (
        pytest.importorskip("brotli").Decompressor().process
        if encoding == "br"
        else pytest.importorskip("zstandard").ZstdDecompressor().decompressobj().decompress
    )

    assert 1_000_000 <= len(http_answers._in_pieces(unpacker, 16)(bomb, 1_000_000)) < 50_000_000


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=ANY)
def test_any_value_of_a_program_becomes_a_record_that_is_read_back(value: Any) -> None:
    policy = Policy(Config(content=True, redact=KINDS), b"salt", pytest.fail)

    note = policy.value(values.encode(value))

    record = Feedback(id="x", workflow_id="w", at=0.0, note=json.dumps(note))
    assert list(decode(encode(record))) == [record]


@given(text=st.text(alphabet='a1@.-+%4 0:()\\u"{}[]', max_size=60))
@settings(max_examples=300)
def test_redaction_is_stable_and_never_raises(text: str) -> None:
    redactor = Redactor([*KINDS, {"field": "a"}])

    once = redactor.text(text)

    assert redactor.text(once) == once
