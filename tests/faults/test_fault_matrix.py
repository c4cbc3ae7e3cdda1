"""Every way in which a hosted model gives no answer: distinguished, retried as declared, counted and paid for."""

import json
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import pytest

from faults.dialects import ANSWER_USD, DIALECTS, USD_PER_TOKEN, Dialect, act
from faults.fault_server import Act, Asked, How, fault_server
from faults.running import EVERY_KIND, KEY, decisions, here, rows, run, workspace

CASES = 2
ATTEMPTS = 3
OUTPUT_BOUND_USD = 24 * USD_PER_TOKEN[1]  # the prompt's max_tokens
ROUTE = f'model = "small"\nretry = {{attempts = {ATTEMPTS}, base_s = 0.01, on = {EVERY_KIND}}}\nlimit = {{max_wait_s = 2.5}}'
Fault = Callable[[Dialect], Act]


def _page(dialect: Dialect) -> Act:
    return Act(body=b"<html><title>Maintenance</title>back soon</html>", content_type="text/html")


def _said(dialect: Dialect) -> Act:
    return dialect.answer('{"label": "billing"}')


def _empty(dialect: Dialect) -> Act:
    documents: dict[str, Any] = {
        "openai": {**dialect.said("", "stop"), "choices": []},
        "anthropic": {"type": "message", "role": "assistant"},
        "gemini": {"candidates": []},
        "responses": {"object": "response", "output": None},
    }
    return act(documents[dialect.name])


BAD_RESPONSES: dict[str, Fault] = {
    "garbage": lambda _: Act(how=How.GARBAGE),
    "cut off": lambda d: replace(_said(d), how=How.CUT),
    "half a document": lambda d: replace(_said(d), body=_said(d).body[:-20]),
    "a shorter length than the body's": lambda d: replace(_said(d), how=How.LIES),
    "HTML with 200": _page,
    "plain text with 200": lambda _: Act(body=b"OK", content_type="text/plain"),
    "an empty body": lambda _: Act(),
    "no choices": _empty,
    "100 MB": lambda _: Act(how=How.ENDLESS),
    "a body of the wrong shape": lambda _: Act(body=b"[1, 2, 3]"),
    "another charset": lambda d: replace(_said(d), body=b"\xff\xfe" + _said(d).body),
}
RETRIED: dict[str, tuple[str, Fault]] = {
    "overload": ("overload", lambda d: d.error("overload")),
    "a bare 500": ("overload", lambda _: Act(status=500)),
    "a proxy's 502 page": ("overload", lambda d: replace(_page(d), status=502)),
    "timeout": ("timeout", lambda d: d.error("timeout")),
    "reset": ("network", lambda _: Act(how=How.RESET)),
    **{name: ("bad_response", fault) for name, fault in BAD_RESPONSES.items()},
}
SLOW: dict[str, Fault] = {
    "no answer": lambda _: Act(how=How.HANG),
    "a slow drip": lambda d: replace(_said(d), how=How.DRIP),
    "a long think": lambda d: replace(_said(d), delay_s=5.0),
}
ONCE = ("bad_request", "context_length")
FATAL = ("auth", "quota")

each_service = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def _write(folder: Path, dialect: Dialect, port: int, *, route: str = ROUTE, timeout_s: float = 20.0) -> Path:
    more = f'api_key_env = "TEST_KEY"\ntimeout_s = {timeout_s}\n'
    return workspace(folder, {"small": dialect.config(port, more=more)}, {"careful": route}, cases=CASES)


def _attempts(folder: Path) -> list[dict[str, Any]]:
    return rows(folder, "select error_kind, status, cost_usd, estimated, finish, reason from attempts order by id")


@each_service
@pytest.mark.parametrize("fault", RETRIED)
def test_what_may_pass_is_retried_as_declared_and_every_attempt_is_counted_and_paid_for(
    tmp_path: Path, dialect: Dialect, fault: str
) -> None:
    kind, broken = RETRIED[fault]
    with fault_server(lambda _: broken(dialect)) as server:
        folder = _write(tmp_path, dialect, server.port)
        done = run(folder)

    attempts = _attempts(folder)
    assert set(server.cases().values()) == {ATTEMPTS}
    assert len(server.asked) == len(attempts) == CASES * ATTEMPTS
    assert {attempt["error_kind"] for attempt in attempts} == {kind}
    assert (done.exit, done.result["status"], done.result["errors"]) == (4, "complete", {kind: CASES})
    assert (done.result["samples"], done.result["ungraded"]) == (CASES, CASES)
    _assert_paid(folder, done.result, billed=kind in {"timeout", "network", "bad_response"})
    retries, ends = decisions(folder, "retry"), decisions(folder, "give_up")
    assert [decision["reason"] for decision in retries] == [kind] * CASES * (ATTEMPTS - 1)
    assert [decision["detail"]["why"] for decision in ends] == [f"{ATTEMPTS} attempts failed"] * CASES


@each_service
@pytest.mark.parametrize("fault", SLOW)
def test_an_answer_that_is_not_whole_in_time_is_a_timeout_and_is_paid_for(
    tmp_path: Path, dialect: Dialect, fault: str
) -> None:
    with fault_server(lambda _: SLOW[fault](dialect)) as server:
        folder = _write(tmp_path, dialect, server.port, timeout_s=0.3)
        done = run(folder)

    assert set(server.cases().values()) == {ATTEMPTS}
    assert {attempt["error_kind"] for attempt in _attempts(folder)} == {"timeout"}
    assert (done.exit, done.result["errors"]) == (4, {"timeout": CASES})
    _assert_paid(folder, done.result, billed=True)


@each_service
@pytest.mark.parametrize("kind", ONCE)
def test_what_would_be_met_again_is_asked_once(tmp_path: Path, dialect: Dialect, kind: str) -> None:
    with fault_server(lambda _: dialect.error(kind)) as server:
        folder = _write(tmp_path, dialect, server.port)
        done = run(folder)

    assert set(server.cases().values()) == {1}
    assert [attempt["error_kind"] for attempt in _attempts(folder)] == [kind] * CASES
    assert (done.exit, done.result["status"], done.result["errors"]) == (4, "complete", {kind: CASES})
    _assert_paid(folder, done.result, billed=False)
    assert decisions(folder) == []


@each_service
@pytest.mark.parametrize("kind", FATAL)
def test_what_every_call_would_meet_stops_the_run_at_the_first(tmp_path: Path, dialect: Dialect, kind: str) -> None:
    with fault_server(lambda _: dialect.error(kind)) as server:
        folder = _write(tmp_path, dialect, server.port)
        done = run(folder, "--concurrency", "1")

    assert len(server.asked) == 1
    assert [attempt["error_kind"] for attempt in _attempts(folder)] == [kind]
    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert kind in done.result["stopped_because"]
    _assert_paid(folder, done.result, billed=False)


@each_service
def test_a_filtered_answer_is_told_apart_and_never_asked_again(tmp_path: Path, dialect: Dialect) -> None:
    filtered = dialect.filtered
    answer = act(filtered[1], status=filtered[0]) if isinstance(filtered, tuple) else act(filtered)
    with fault_server(lambda _: answer) as server:
        folder = _write(tmp_path, dialect, server.port)
        done = run(folder)

    assert set(server.cases().values()) == {1}
    told = {attempt["error_kind"] or attempt["finish"] for attempt in _attempts(folder)}
    assert told == {"content_filter"}
    assert done.result["good"] == 0
    assert (done.exit, done.result["errors"]) == ((4, {"content_filter": CASES}) if answer.status == 400 else (0, {}))


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if one.refusal], ids=lambda dialect: dialect.name)
def test_a_refusal_is_an_answer_that_graders_judge(tmp_path: Path, dialect: Dialect) -> None:
    with fault_server(lambda _: act(dialect.refusal)) as server:
        folder = _write(tmp_path, dialect, server.port)
        done = run(folder)

    assert set(server.cases().values()) == {1}
    assert {(attempt["status"], attempt["finish"]) for attempt in _attempts(folder)} == {("ok", "refusal")}
    assert (done.exit, done.result["bad"], done.result["errors"]) == (0, CASES, {})
    assert done.result["cost_usd"] == pytest.approx(CASES * ANSWER_USD, rel=1e-12)


@each_service
def test_what_passes_after_a_retry_is_good_and_costs_all_its_attempts(tmp_path: Path, dialect: Dialect) -> None:
    def script(asked: Asked) -> Act:
        faults = (Act(how=How.RESET), dialect.error("overload"))
        return faults[asked.nth - 1] if asked.nth <= len(faults) else _said(dialect)

    with fault_server(script) as server:
        folder = _write(tmp_path, dialect, server.port)
        done = run(folder)

    attempts = _attempts(folder)
    lost = [attempt["cost_usd"] for attempt in attempts if attempt["error_kind"] == "network"]
    assert [attempt["reason"] for attempt in attempts] == ["first", "retry", "retry"] * CASES
    assert len(server.asked) == done.result["attempts"] == CASES * ATTEMPTS
    assert (done.exit, done.result["good"], done.result["errors"]) == (0, CASES, {})
    assert done.result["cost_usd"] == pytest.approx(CASES * ANSWER_USD + sum(lost), rel=1e-9)
    assert min(lost) > OUTPUT_BOUND_USD


@each_service
@pytest.mark.parametrize("words", ["seconds", "date"])
def test_retry_after_is_honoured(tmp_path: Path, dialect: Dialect, words: str) -> None:
    def script(asked: Asked) -> Act:
        # A date has whole seconds: two ahead is more than one away.
        after = "1" if words == "seconds" else formatdate(time() + 2, usegmt=True)
        return dialect.error("rate_limit", after=after) if asked.nth == 1 else _said(dialect)

    with fault_server(script) as server:
        folder = _write(tmp_path, dialect, server.port)
        done = run(folder)

    first, last = ([one.at for one in server.asked if one.nth == nth] for nth in (1, 2))
    assert (done.exit, done.result["good"]) == (0, CASES)
    assert min(last) - max(first) >= (0.95 if words == "seconds" else 0.9)
    assert [decision["reason"] for decision in decisions(folder, "retry")] == ["rate_limit"] * CASES


@each_service
def test_a_longer_wait_than_is_allowed_is_not_waited_for(tmp_path: Path, dialect: Dialect) -> None:
    route = 'model = "small"\nretry = {attempts = 3, base_s = 0.01, max_wait_s = 60}'
    with fault_server(lambda _: dialect.error("rate_limit", after="3600")) as server:
        folder = _write(tmp_path, dialect, server.port, route=route)
        done = run(folder)

    assert set(server.cases().values()) == {1}
    assert done.exit == 4
    assert {decision["detail"]["why"] for decision in decisions(folder, "give_up")} == {
        "the provider asks to wait 3600 s, more than 60 s"
    }


@each_service
def test_a_kind_that_the_route_leaves_out_is_asked_once(tmp_path: Path, dialect: Dialect) -> None:
    route = 'model = "small"\nretry = {attempts = 3, base_s = 0.01, on = ["rate_limit"]}'
    with fault_server(lambda _: dialect.error("overload")) as server:
        folder = _write(tmp_path, dialect, server.port, route=route)
        done = run(folder)

    assert set(server.cases().values()) == {1}
    assert (done.exit, done.result["errors"]) == (4, {"overload": CASES})


@each_service
def test_no_failure_lets_the_key_out(tmp_path: Path, dialect: Dialect) -> None:
    """A server that echoes the key in every way it has: in errors, headers, ids, answers, pages."""
    faults = [*(fault for _, fault in RETRIED.values()), *[_error_of(kind) for kind in dialect.errors], _said]
    faults.append(lambda one: act({**one.said('{"label": "billing"}', "stop"), "debug": {"sent_with": KEY}}))
    written = []
    for number, fault in enumerate(faults):
        with fault_server(lambda _, fault=fault: _echoing(fault(dialect))) as server:
            folder = _write(tmp_path / str(number), dialect, server.port)
            done = run(folder)
            shown = here(folder, "calls", "--json")
        assert {KEY in str(dict(one.headers)) for one in server.asked} == {True}
        written += [done.out, done.err, shown.out, shown.err]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
    for text in written:
        assert KEY not in text


def _error_of(kind: str) -> Fault:
    return lambda dialect: dialect.error(kind)


def _echoing(answer: Act) -> Act:
    headers = {"x-request-id": f"req-{KEY}", "request-id": f"req-{KEY}", "Set-Cookie": f"session={KEY}"}
    body = answer.body
    if KEY.encode() in body:
        pass  # beside an answer that is free of it
    elif body.startswith(b"{"):
        document = json.loads(body)
        for text in ("message", "label", "text", "content"):
            document = _with_key(document, text)
        body = json.dumps(document).encode()
    else:
        body = body.replace(b"Maintenance", KEY.encode()) + KEY.encode()
    return replace(answer, body=body, headers={**answer.headers, **headers})


def _with_key(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {
            key: f"{inner} {KEY}" if key == name and isinstance(inner, str) else _with_key(inner, name)
            for key, inner in value.items()
        }
    return [_with_key(inner, name) for inner in value] if isinstance(value, list) else value


def _assert_paid(folder: Path, result: dict[str, Any], *, billed: bool) -> None:
    """Every attempt has a cost: what was reserved where the provider may have worked, else nothing."""
    attempts = _attempts(folder)
    assert {attempt["estimated"] for attempt in attempts} == {int(billed)}
    assert result["cost_usd"] == pytest.approx(sum(attempt["cost_usd"] for attempt in attempts), rel=1e-9)
    if billed:
        assert min(attempt["cost_usd"] for attempt in attempts) > OUTPUT_BOUND_USD
    else:
        assert result["cost_usd"] == 0.0
