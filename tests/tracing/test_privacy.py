"""Content is off until it is stated, personal data is taken out before a byte is written, and keys are never there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from evalh import trace
from evalh_trace.config import Config, Sample, find_place, problems, read_config
from evalh_trace.redaction import Redactor
from evalh_trace.tracer import TRACER
from tracing.model_server import KEY, ModelServer, Recorded, Reply, chunks, completion

Read = Callable[[], Recorded]
MARK = "Zanzibar"  # in every place that holds content


class MarkedError(Exception):
    """Its class may be told, its text is content."""


def run(server: ModelServer) -> str:
    """A program that has the mark wherever content can be; return its workflow's id."""
    tool_calls = [{"id": "c", "type": "function", "function": {"name": "look", "arguments": f'{{"q": "{MARK}"}}'}}]
    answer = completion(MARK)
    answer["choices"][0]["message"] |= {"tool_calls": tool_calls, "reasoning_content": MARK}
    server.plan(
        Reply(429, {"error": {"message": MARK}}, {"retry-after-ms": "1"}),
        Reply(body=answer),
        Reply(body=chunks(MARK, "!")),
        Reply(400, {"error": {"message": MARK}}),
    )
    ask: Any = {
        "model": "small",
        "messages": [{"role": "system", "content": MARK}, {"role": "user", "content": MARK}],
        "tools": [
            {"type": "function", "function": {"name": "look", "description": MARK, "parameters": {"description": MARK}}}
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"description": MARK}}},
        "stop": [MARK],
        "temperature": 0.5,
        "metadata": {"note": MARK},
        "user": MARK,
    }
    with (
        openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1") as client,
        trace.workflow("w", inputs={MARK: MARK}) as w,
    ):
        trace.client(client)
        w.output = {"said": MARK}
        with trace.step("s", inputs=MARK) as s:
            s.output = [MARK]
            client.chat.completions.create(**ask)
            s.check("c", passed=False, note=MARK)
        list(client.chat.completions.create(**ask, stream=True))
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**ask)
        trace.call({"model": "m", "messages": ask["messages"]}, MARK, error=MARK)
        with pytest.raises(MarkedError), trace.step("failing"):
            raise MarkedError(MARK)
    trace.feedback(w.id, good=False, note=MARK)
    return w.id


def test_with_content_the_mark_is_everywhere(server: ModelServer, recorded: Read) -> None:
    run(server)

    found = recorded()
    assert found.workflows[0].inputs == {MARK: MARK}
    assert found.raw.count(MARK.encode()) > 40


def test_without_content_not_a_byte_of_it_is_on_disk(server: ModelServer, recorded: Read, store: Path) -> None:
    TRACER.options = {}
    trace.configure(store=store)

    run(server)

    found = recorded()
    for file in store.rglob("*"):
        assert not file.is_file() or MARK.encode() not in file.read_bytes()
    assert [(one.inputs, one.output) for one in [*found.workflows, *found.steps]] == [(None, None)] * 3
    assert {one.messages for one in found.calls} == {None}
    assert {(one.text, one.tool_calls, one.reasoning) for one in found.attempts} == {(None, None, None)}
    assert {one.name: one.error for one in found.steps} == {"s": None, "failing": "MarkedError"}
    assert [one.error_kind for one in found.attempts if one.number == 1][:1]
    settings = found.calls[0].settings
    assert settings is not None
    assert (settings["params"], settings["tools"]) == ({"temperature": 0.5}, [{"name": "look"}])
    assert 20 in {one.input_tokens for one in found.attempts}  # numbers are not content


def test_digests_without_content_are_salted_and_the_same_for_the_same_request(
    server: ModelServer, recorded: Read, store: Path
) -> None:
    def ask() -> None:
        with trace.client(httpx.Client()) as client:
            client.post(f"{server.url}/v1/chat/completions", json={"model": "m", "messages": []})

    ask()
    plain = recorded().calls[0].request_digest
    TRACER.options = {}
    trace.configure(store=store)
    ask()
    ask()

    salted = [one.request_digest for one in recorded().calls[1:]]
    assert plain is not None
    assert plain.startswith("sha256:")
    assert salted[0] == salted[1] != plain
    assert (salted[0] or "").startswith("salted:")
    assert (store / "production" / "salt").stat().st_mode & 0o777 == 0o600


def test_keys_in_headers_and_addresses_are_never_on_disk(server: ModelServer, recorded: Read) -> None:
    secret = "0a1b2c3d4e5f60718293"
    url = f"{server.url}/v1/chat/completions?api_key={secret}&x-goog-signature={secret}"
    server.plan(Reply(401, {"error": {"message": f"Incorrect API key provided: sk-{secret}"}}))
    inputs = {"url": url, "proxy": f"http://me:{secret}@proxy", "header": f"Bearer {secret}"}
    client = trace.client(httpx.Client(headers={"Authorization": f"Bearer {secret}"}))
    with client, pytest.raises(httpx.HTTPStatusError), trace.workflow("w", inputs=inputs):
        client.post(url, json={"model": "m", "messages": []}, headers={"x-api-key": secret}).raise_for_status()

    found = recorded()
    assert secret.encode() not in found.raw
    assert (found.workflows[0].error or "").startswith("HTTPStatusError: Client error '401")
    assert found.workflows[0].inputs["proxy"] == "http://[key]@proxy"
    assert found.attempts[0].error == "Incorrect API key provided: [key]"


def test_personal_data_is_taken_out_of_everything_keys_included(
    server: ModelServer, recorded: Read, store: Path
) -> None:
    TRACER.options = {}
    rules = ["email", "iban", {"pattern": "T-[0-9]+"}, {"field": "customer.name"}]
    trace.configure(store=store, redact=rules)
    server.plan(Reply(body=completion('{"customer": {"name": "Ada L."}, "to": "ada\\u0040example.com"}')))

    with (
        trace.client(httpx.Client()) as client,
        trace.workflow("w", inputs={"customer": {"name": "Ada L.", "n": 1}}) as w,
    ):
        client.post(
            f"{server.url}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "I am ada@example.com, T-123"}]},
        )
        w.output = {"ada@example.com": "DE89 3704 0044 0532 0130 00"}

    found = recorded()
    assert found.workflows[0].inputs == {"customer": {"name": "[field]", "n": 1}}
    assert found.workflows[0].output == {"[email]": "[iban]"}
    assert found.calls[0].messages == [{"role": "user", "parts": ["I am [email], [pattern]"]}]
    assert found.attempts[0].text == '{"customer":{"name":"[field]"},"to":"[email]"}'
    assert not any(word in found.raw for word in (b"ada@", b"Ada L", b"3704 0044", b"T-123"))


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("email", "to ada.l+x@mail.example.co.uk, now", "to [email], now"),
        ("email", "?to=ada%40example.com", "?to=[email]"),
        ("email", "müller@bücher.example", "[email]"),
        ("email", "a@b and @home", "a@b and @home"),
        ("phone", "call +49 30 1234567 or (212) 555-0123", "call [phone] or [phone]"),
        ("phone", "030 1234567", "[phone]"),
        ("phone", "on 2024-01-31 at 12:30", "on 2024-01-31 at 12:30"),
        ("card", "4111 1111 1111 1111, not 4111 1111 1111 1112", "[card], not 4111 1111 1111 1112"),
        ("iban", "GB82WEST12345698765432.", "[iban]."),
        ("ip", "from 203.0.113.9 and 2001:db8::1, 127.0.0.1", "from [ip] and [ip], 127.0.0.1"),
        ("ssn", "123-45-6789", "[ssn]"),
    ],
)
def test_each_kind_finds_its_own(kind: str, text: str, shown: str) -> None:
    assert Redactor([kind]).text(text) == shown


def test_numbers_and_numbers_within_json_are_read_too() -> None:
    redactor = Redactor(["card", {"field": "pin"}])

    assert redactor.value({"a": 4111111111111111, "b": [12], "pin": 7}) == {"a": "[card]", "b": [12], "pin": "[field]"}
    assert redactor.text('[{"pin": 7}]') == '[{"pin":"[field]"}]'


def test_a_redactor_that_fails_drops_the_content_and_says_so(
    recorded: Read, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TRACER.options = {}
    trace.configure(store=store, redact=["email"])
    trace.flush(20)

    def failing(*_: object) -> None:
        raise ValueError("a broken rule")

    monkeypatch.setattr(Redactor, "value", failing)
    with trace.workflow("w", inputs=MARK) as w:
        w.output = MARK

    assert (recorded().workflows[0].inputs, recorded().workflows[0].output) == (None, None)
    assert recorded().losses.keys() == {"redaction"}
    assert MARK.encode() not in recorded().raw


@pytest.mark.parametrize(
    "said",
    [
        {"content": True, "redact": ["emial"]},
        {"content": True, "redact": [{"pattern": "("}]},
        {"content": True, "redact": [{"pattern": "x*"}]},
        {"content": True, "redact": [{"fields": "x"}]},
        {"content": True, "redact": "email"},
        {"content": True, "sample": {"rate": 2}},
        {"content": True, "sample": {"rates": 0.5}},
        {"content": True, "sample": {"always": ["slow:soon"]}},
        {"content": True, "sample": 0.5},
        {"content": "yes"},
    ],
)
def test_what_is_configured_wrongly_keeps_content_off_and_is_told(said: Any, recorded: Read, store: Path) -> None:
    TRACER.options = {}
    trace.configure(store=store, **said)

    with trace.workflow("w", inputs=MARK):
        pass

    assert recorded().workflows[0].inputs is None
    ((why, count),) = recorded().losses.items()
    assert why.startswith("config: ")
    assert count == 1


def test_the_nearest_evalh_toml_upwards_says_where_and_what(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "evalh.toml").write_text(
        '[trace]\nredact = ["email", {field = "name"}]\nkeep = "30d"\nstore = "kept"\n'
        'sample = {rate = 0.01, always = ["error", "slow:10s"]}\n'
    )

    place = find_place({}, {}, tmp_path / "a" / "b")

    assert (place.store, place.wrong, problems(place.table)) == (tmp_path / "kept", (), [])
    assert read_config(place.table) == Config(
        content=True,
        redact=("email", {"field": "name"}),
        sample=Sample(rate=0.01, always=frozenset({"error"}), slow_s=10.0),
        keep_s=30 * 86400.0,
        store="kept",
    )


def test_the_store_is_the_programs_word_then_the_environments_then_the_files(tmp_path: Path) -> None:
    (tmp_path / "evalh.toml").write_text("")
    inner = tmp_path / "inner"
    inner.mkdir()
    both = {"EVALH_TRACE_STORE": "/t", "EVALH_STORE": "/s"}

    assert find_place({"store": "/p"}, both, inner).store == Path("/p")
    assert find_place({}, both, inner).store == Path("/t")
    assert find_place({}, {"EVALH_STORE": "/s"}, inner).store == Path("/s")
    assert find_place({}, {}, inner).store == tmp_path / ".evalh"
    (tmp_path / "evalh.toml").unlink()
    assert find_place({}, {}, inner).store == inner / ".evalh"


@pytest.mark.parametrize("text", ["[trace]\ncontent = maybe", "trace = 1", "[trace", "\0"])
def test_a_broken_file_is_a_problem_and_not_an_exception(text: str, tmp_path: Path) -> None:
    (tmp_path / "evalh.toml").write_text(text)

    place = find_place({}, {}, tmp_path)

    assert len(place.wrong) == 1
    assert place.store == tmp_path / ".evalh"


@pytest.mark.parametrize(
    ("table", "content"),
    [({}, False), ({"content": True}, True), ({"redact": ["email"]}, True), ({"redact": []}, False), ({"content": False, "redact": ["email"]}, False)],
)  # fmt: skip
def test_content_is_on_only_where_it_is_stated(table: dict[str, Any], content: bool) -> None:
    assert read_config(table).content is content


def test_content_is_kept_only_of_what_comes_after_it_was_stated(recorded: Read, store: Path) -> None:
    TRACER.options = {}
    trace.configure(store=store)
    with trace.workflow("before", inputs=MARK):
        pass
    trace.configure(content=True)
    with trace.workflow("after", inputs=MARK):
        pass

    assert [one.inputs for one in recorded().workflows] == [None, MARK]


def test_a_folder_that_is_made_here_is_kept_out_of_git_and_from_other_users(recorded: Read, store: Path) -> None:
    trace.feedback("w", good=True)

    recorded()
    assert (store / ".gitignore").read_text() == "*\n"
    assert {file.stat().st_mode & 0o077 for file in (store / "production").iterdir()} == {0}
    assert (store / "production").stat().st_mode & 0o077 == 0
