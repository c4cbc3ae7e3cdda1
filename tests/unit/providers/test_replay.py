"""A recording gives back what was recorded, and never an answer to another question."""

import asyncio
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import Call, CallError, CallKey, Completion, ErrorKind, FinishReason, Logprobs, Usage
from evalh.core.errors import EvalhError, NotFound, WorkspaceError
from evalh.core.model import ModelSpec
from evalh.core.request import Message, Request, Role, Settings, content_digest
from evalh.providers.recording import Recording, ReplayProvider, build
from evalh.providers.registry import ProviderContext


class Files:
    revision = None

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def read(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def exists(self, path: str) -> bool:
        return path in self.files

    def names(self, folder: str) -> list[str]:
        return sorted(self.files)


def asked(request: Request) -> str:
    return content_digest(request.settings.document(), [message.document() for message in request.messages])


def provider(files: dict[str, bytes], path: str, prompt: str | None = "triage", model: str = "m") -> ReplayProvider:
    def no_function(name: str) -> object:
        raise AssertionError(name)

    context = ProviderContext(
        prompt=prompt,
        version="v2" if prompt else None,
        tree=Files(files),
        root=Path(),
        env={},
        cache_dir=Path(),
        load_function=no_function,  # type: ignore[arg-type]
    )
    spec = ModelSpec(name="recorded", provider="replay", model=model, options={"path": path}, where="f:7")
    return build(spec, context)


def rows(*documents: dict[str, object]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


def request(text: str = "hi", model: str = "m", sent_to: dict[str, object] | None = None) -> Request:
    return Request((Message.of(Role.USER, text),), Settings(model=model, sent_to=sent_to or {}, params={"seed": 1}))


def ask(it: ReplayProvider, key: CallKey, asked: Request | None = None) -> Completion:
    asked = asked or request()
    return asyncio.run(it.send(asked, Call(id="r:1", run_id="r", key=key, request=asked)))


def test_a_row_comes_back_whole() -> None:
    it = provider(
        {
            "r.jsonl": rows(
                {
                    "id": "t-1",
                    "trial": 1,
                    "step": "sort",
                    "draw": 2,
                    "output": "über\n{}",
                    "usage": {"input_tokens": 5, "output_tokens": 6, "cached_tokens": 4, "reasoning_tokens": 1, "x": 9},
                    "latency_ms": 812,
                    "cost_usd": 0.0004,
                    "finish": "tool_calls",
                    "tool_calls": [{"id": "c", "name": "find", "arguments": {"q": 1}}],
                    "model": "m-2026",
                    "mean_logprob": -0.0618,
                    "min_logprob": -0.7965,
                    "is_correct": False,
                }
            )
        },
        "r.jsonl",
    )

    completion = ask(it, CallKey("t-1", 1, "sort", 2))

    assert completion.text == "über\n{}"
    assert completion.logprobs == Logprobs(-0.0618, -0.7965)
    assert completion.usage == Usage(5, 6, 4, 1)
    assert (completion.latency_ms, completion.cost_usd) == (812.0, Decimal("0.0004"))
    assert (completion.finish, completion.model) == (FinishReason.TOOL_CALLS, "m-2026")
    assert [(call.name, call.arguments) for call in completion.tool_calls] == [("find", '{"q": 1}')]


def test_what_a_recording_does_not_say_is_unknown() -> None:
    completion = ask(provider({"r.jsonl": rows({"id": "t-1", "output": ""})}, "r.jsonl"), CallKey("t-1"))

    assert completion == Completion(text="")


@pytest.mark.parametrize("key", [CallKey("t-2"), CallKey("t-1", 1), CallKey("t-1", 0, "s"), CallKey("t-1", 0, None, 1)])
def test_a_call_without_a_row_could_not_be_measured(key: CallKey) -> None:
    with pytest.raises(CallError, match=key.case_id) as caught:
        ask(provider({"r.jsonl": rows({"id": "t-1", "output": "x"})}, "r.jsonl"), key)

    assert caught.value.kind is ErrorKind.NOT_RECORDED


def test_a_recording_of_another_request_is_not_an_answer() -> None:
    recorded = asked(request("the old wording"))
    it = provider({"r.jsonl": rows({"id": "t-1", "output": "x", "request": recorded})}, "r.jsonl")

    with pytest.raises(CallError, match="another prompt, inputs or params") as caught:
        ask(it, CallKey("t-1"), request("the new wording"))

    assert caught.value.kind is ErrorKind.NOT_RECORDED
    assert ask(it, CallKey("t-1"), request("the old wording")).text == "x"


def test_a_recording_of_one_provider_answers_for_it_under_another() -> None:
    recorded = asked(request(model="gpt", sent_to={"provider": "openai"}))
    it = provider({"r.jsonl": rows({"id": "t-1", "output": "x", "request": recorded})}, "r.jsonl")

    assert ask(it, CallKey("t-1"), request(model="m", sent_to=dict(it.identity))).text == "x"


def test_the_path_names_version_prompt_and_model() -> None:
    it = provider({"r/triage/v2-m.jsonl": rows({"id": "t-1", "output": "x"})}, "r/{prompt}/{version}-{model}.jsonl")

    assert ask(it, CallKey("t-1")).text == "x"


@pytest.mark.parametrize(
    ("path", "prompt"),
    [("{versoin}.jsonl", "p"), ("{version!r}", "p"), ("{", "p"), ("{version}.jsonl", None), ("", "p")],
)
def test_a_path_that_cannot_be_filled_is_refused_with_its_place(path: str, prompt: str | None) -> None:
    with pytest.raises(WorkspaceError) as caught:
        provider({}, path, prompt)

    assert caught.value.where == "f:7"


def test_a_missing_recording_says_how_to_make_one() -> None:
    with pytest.raises(NotFound, match=r"recorded/v2\.jsonl") as caught:
        asyncio.run(provider({}, "recorded/{version}.jsonl").open())

    assert "evalh export recorded" in (caught.value.hint or "")


def test_gzipped_rows_are_the_same_recording() -> None:
    plain = rows({"id": "t-1", "output": "x"})
    files = {"r.jsonl": plain, "r.jsonl.gz": gzip.compress(plain), "other.jsonl": plain + plain.replace(b"t-1", b"t-2")}
    identities = [provider(files, path).identity for path in files]

    assert identities[0] == identities[1]
    assert identities[0] != identities[2]


def test_a_closed_recording_is_read_anew() -> None:
    files = {"r.jsonl": rows({"id": "t-1", "output": "old"})}
    it = provider(files, "r.jsonl")
    before = it.identity
    assert ask(it, CallKey("t-1")).text == "old"
    asyncio.run(it.close())
    asyncio.run(it.close())
    files["r.jsonl"] = rows({"id": "t-1", "output": "new"})

    assert ask(it, CallKey("t-1")).text == "new"
    assert it.identity != before


def test_a_case_that_is_recorded_twice_is_refused_with_both_lines() -> None:
    raw = rows({"id": "a", "output": "1"}, {"id": "b", "output": "2"}) + b"\n" + rows({"id": "a", "output": "3"})

    with pytest.raises(WorkspaceError, match="lines 1 and 4") as caught:
        Recording("r.jsonl", raw)

    assert caught.value.where == "r.jsonl:4"


def test_several_requests_of_one_step_are_told_apart_by_their_digests() -> None:
    """A function asks a prompt once for each item; all of them are one step's."""
    key = {"id": "a", "step": "order/rank"}
    one, other = request("item 1"), request("item 2")
    it = provider(
        {
            "r.jsonl": rows(
                {**key, "output": "1", "request": asked(one)}, {**key, "output": "2", "request": asked(other)}
            )
        },
        "r.jsonl",
    )

    assert [ask(it, CallKey("a", 0, "order/rank"), each).text for each in (other, one)] == ["2", "1"]
    with pytest.raises(CallError, match="another prompt, inputs or params"):
        ask(it, CallKey("a", 0, "order/rank"), request("item 3"))


@pytest.mark.parametrize("requests", [("x", "x"), (None, "x"), ("x", None)])
def test_two_rows_that_could_answer_one_call_are_refused(requests: tuple[str | None, str | None]) -> None:
    raw = rows(*({"id": "a", "output": "1"} | ({} if one is None else {"request": one}) for one in requests))

    with pytest.raises(WorkspaceError, match="'a' is recorded twice: on lines 1 and 2"):
        Recording("r.jsonl", raw)


def test_half_a_surrogate_pair_in_an_output_comes_back() -> None:
    (found,) = Recording("r.jsonl", b'{"id": "a", "output": "\\ud83d!"}').find(CallKey("a"))

    assert found.output == "\ud83d!"


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"", "r.jsonl"),
        (b"\n \n", "r.jsonl"),
        (b'{"id": "a", "output": "x"}\n{"id": "b"', "r.jsonl:2"),
        (b'{"id": "a", "output": "\xff"}', "r.jsonl:1"),
        (b'{"id": 1, "output": "x"}', "r.jsonl:1"),
        (b'{"id": "a"}', "r.jsonl:1"),
        (b'{"id": "a", "output": "x", "usage": {"input_tokens": -1}}', "r.jsonl:1"),
        (b'{"id": "a", "output": "x", "cost_usd": "NaN"}', "r.jsonl:1"),
        (b"[" * 100_000, "r.jsonl:1"),
    ],
    ids=["empty", "blank", "cut", "binary", "number-id", "no-output", "negative-usage", "nan-cost", "deep"],
)
def test_a_broken_recording_names_file_and_line(raw: bytes, place: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        Recording("r.jsonl", raw)

    assert caught.value.where == place


def test_a_truncated_archive_is_refused() -> None:
    with pytest.raises(WorkspaceError, match="unpacked"):
        Recording("r.jsonl.gz", gzip.compress(b'{"id": "a", "output": "x"}')[:-4])


@given(st.dictionaries(st.text(), st.text(), min_size=1), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_every_output_is_found_by_its_id(outputs: dict[str, str], bom: bool, end: str) -> None:
    text = "".join(json.dumps({"id": case, "output": output}) + end for case, output in outputs.items())

    recording = Recording("r.jsonl", (b"\xef\xbb\xbf" if bom else b"") + text.encode())

    for case, output in outputs.items():
        (found,) = recording.find(CallKey(case))
        assert found.output == output


@given(st.binary(max_size=200))
def test_no_bytes_give_a_traceback(raw: bytes) -> None:
    for path in ("r.jsonl", "r.jsonl.gz"):
        try:
            Recording(path, raw)
        except EvalhError as error:
            assert error.where is not None
