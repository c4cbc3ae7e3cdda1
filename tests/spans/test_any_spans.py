"""Whatever is received becomes records or is counted: no value of any attribute stops a collection."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from evalh.interop.spans.collection import Collection
from evalh.interop.spans.privacy import whole, without_content
from evalh.interop.spans.received import NotOtlp, read_json
from evalh_trace.records import AnyRecord, encode
from spans.collecting import RECORDED_KEYS, TRACE

ids = st.sampled_from([f"{number:016x}" for number in range(1, 6)])
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=20), st.just("[{}]")
)
held = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
)
kinds = st.sampled_from(["stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "kvlistValue", "x"])
texts = st.one_of(
    st.text(max_size=30),
    held.map(lambda told: orjson.dumps(told, option=orjson.OPT_NON_STR_KEYS).decode()),
    st.sampled_from(["chat", "execute_tool", "LLM", "workflow", "error", "assistant"]),
)
values = st.one_of(
    st.dictionaries(kinds, held, max_size=2),
    texts.map(lambda told: {"stringValue": told}),
    st.just({"intValue": "7"}),
    held,
)
attributes = st.lists(
    st.fixed_dictionaries(
        {"key": st.one_of(st.sampled_from(RECORDED_KEYS.split()), st.text(max_size=8)), "value": values}
    ),
    max_size=12,
)
events = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["gen_ai.choice", "gen_ai.user.message", "gen_ai.evaluation.result", "exception"]),
        "timeUnixNano": scalars,
        "attributes": st.one_of(attributes, held),
    }
)
spans = st.fixed_dictionaries(
    {
        "traceId": st.sampled_from([TRACE, TRACE.upper(), "0" * 32]),
        "spanId": ids,
        "parentSpanId": st.one_of(ids, st.none(), scalars),
        "name": scalars,
        "startTimeUnixNano": scalars,
        "endTimeUnixNano": scalars,
        "attributes": st.one_of(attributes, attributes, held),
        "events": st.one_of(st.lists(events, max_size=3), held),
        "status": st.one_of(st.just({"code": 2, "message": "x"}), held),
    }
)
records = st.fixed_dictionaries(
    {
        "traceId": st.sampled_from([TRACE, None]),
        "spanId": ids,
        "timeUnixNano": scalars,
        "eventName": st.sampled_from(
            [
                "gen_ai.choice",
                "gen_ai.tool.message",
                "gen_ai.client.inference.operation.details",
                "gen_ai.evaluation.result",
            ]
        ),
        "attributes": attributes,
        "body": values,
    }
)


def request(told: list[Any], logs: list[Any]) -> bytes:
    document = {
        "resourceSpans": [{"scopeSpans": [{"spans": told}]}],
        "resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}],
    }
    return orjson.dumps(document)


@settings(max_examples=100)
@given(st.lists(spans, max_size=6), st.lists(records, max_size=3), st.booleans())
def test_any_spans_become_records_or_are_counted(told: list[Any], logs: list[Any], content: bool) -> None:
    written: list[AnyRecord] = []
    collection = Collection(
        write=written.extend, price=lambda *_: None, keep=whole if content else without_content, process="p"
    )

    for now in (0.0, 10.0):  # twice the same
        collection.add(read_json(request(told, logs)), now)
        collection.settle(now + 5)
    collection.close(100.0)

    for record in written:
        encode(record)
    numbers = collection.tally()
    assert numbers.calls <= len(told)
    assert numbers.workflows <= 1
    assert set(collection.losses) <= {"unreadable"}


@given(held)
def test_any_json_is_otlp_or_is_refused(document: Any) -> None:
    try:
        received = read_json(orjson.dumps(document))
    except NotOtlp:
        return
    assert received.spans == []
