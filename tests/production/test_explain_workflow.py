"""What a program does between its calls is said in plain words, and first what its records cannot show."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from evalh.api.workspace import Workspace
from evalh_trace.records import AnyRecord, Attempt, Call, Workflow
from workspaces import evalh

NOW = 1_800_000_000.0


def call(number: int, said: str, answer: str | None, **fields: Any) -> list[AnyRecord]:
    """Return a call of `w`, one second after the one before it; without an answer it failed."""
    name = f"w.{number}"
    kind = fields.pop("error_kind", None if answer is not None else "rate_limit")
    finish = fields.pop("finish", "stop")
    settings = {"model": fields.pop("model", "small"), **fields.pop("settings", {})}
    defaults = {"attempts": 1, "started_at": NOW + number, "latency_ms": 990.0}
    defaults["messages"] = [{"role": "user", "parts": [said]}]
    status = "error" if answer is None else "ok"
    attempt = Attempt(
        id=f"{name}.a",
        workflow_id="w",
        call_id=name,
        status=status,
        error_kind=kind,
        text=answer,
        finish=finish,
        cost_usd=0.01,
    )
    return [Call(id=name, workflow_id="w", settings=settings, **{**defaults, **fields}), attempt]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "evalh.toml").write_text("")
    return Workspace.open(tmp_path)


def observed(workspace: Workspace, *calls: list[AnyRecord]) -> list[dict[str, Any]]:
    with workspace.production_writer() as production:
        production.write([Workflow(id="w", name="refund", door="trace", started_at=NOW, status="ok")])
        production.write(record for group in calls for record in group)
    done = evalh(workspace.root, "explain", "--workflow", "w", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["observations"]
    return found


def told(found: list[dict[str, Any]]) -> list[tuple[str, str, int | None]]:
    return [(one["seen"], one["what"], one["times"]) for one in found]


ANSWER = '{"order": "A-1", "topic": "a late parcel from Hamburg"}'


def test_a_loop_that_sends_the_same_request_again_at_once_is_a_blind_retry(workspace: Workspace) -> None:
    loop = [call(1, "sort", None), call(2, "sort", None), call(3, "sort", "bug")]
    found = observed(workspace, *loop)
    assert told(found) == [("retry", "the same request was sent again at once, after 'rate_limit'", 2)]
    assert found[0]["cost_usd"] == pytest.approx(0.02)
    assert found[0]["examples"] == ["w.2", "w.3"]
    assert "retry = {" in found[0]["instead"]


def test_a_retry_that_waits_and_one_after_an_error_that_a_wait_does_not_heal_are_told_apart(
    workspace: Workspace,
) -> None:
    found = observed(
        workspace,
        call(1, "a", None),
        call(9, "a", "x"),
        call(10, "b", None, error_kind="bad_request"),
        call(11, "b", "y"),
    )
    assert {what for _, what, _ in told(found)} == {
        "the same request was sent again after a wait, after 'rate_limit'",
        "the same request was sent again without saying what was wrong, after 'bad_request'",
    }


def test_a_retry_of_which_no_time_is_known_is_said_to_be_neither_quick_nor_late(workspace: Workspace) -> None:
    found = observed(workspace, call(1, "a", None, latency_ms=None), call(9, "a", "x"))
    assert told(found) == [("retry", "the same request was sent again, after 'rate_limit'", 1)]


def test_the_same_request_after_an_answer_and_another_model_are_seen(workspace: Workspace) -> None:
    found = observed(
        workspace,
        call(1, "a", "x"),
        call(2, "a", "y"),
        call(3, "b", None),
        call(4, "b", "z", model="strong"),
    )
    assert {(seen, what) for seen, what, _ in told(found)} == {
        ("asked again", "the same request was sent again after an answer, without saying what was wrong"),
        ("fallback", "the same messages went to another model after 'rate_limit'"),
    }


@pytest.mark.parametrize("handed", [ANSWER, "Reply about a late parcel from Hamburg, please."])
def test_an_answer_that_goes_into_the_next_call_without_a_schema_is_passed_on(
    workspace: Workspace, handed: str
) -> None:
    found = observed(workspace, call(1, "extract", ANSWER), call(2, handed, "Dear customer"))
    assert told(found) == [("passed on", "an answer for which no schema was sent went into a later call", 1)]


def test_a_short_answer_that_goes_on_is_recognised_if_it_is_json(workspace: Workspace) -> None:
    found = observed(workspace, call(1, "extract", '{"n": 7}'), call(2, 'Reply about {"n": 7}.', "Dear customer"))
    assert [seen for seen, _, _ in told(found)] == ["passed on"]


@pytest.mark.parametrize(
    ("said", "messages"),
    [
        ("extract", [{"role": "user", "parts": ["extract"]}, {"role": "assistant", "parts": [ANSWER]}]),
        (f"As in {ANSWER}", [{"role": "user", "parts": [f"As in {ANSWER}, but shorter"]}]),
    ],
)
def test_a_chats_history_and_a_text_that_was_there_before_are_not_handed_over(
    workspace: Workspace, said: str, messages: list[Any]
) -> None:
    found = observed(workspace, call(1, said, ANSWER), call(2, "", "Dear customer", messages=messages))
    assert [seen for seen, _, _ in told(found)] == ["not checked"]


def test_an_answer_that_a_schema_held_is_not_named(workspace: Workspace) -> None:
    schema = {"output_schema": {"type": "object"}}
    found = observed(workspace, call(1, "extract", ANSWER, settings=schema), call(2, ANSWER, "Dear customer"))
    assert found == []


@pytest.mark.parametrize(
    ("answer", "finish", "how"),
    [
        ("It began like this and then", "length", "was cut off (its tokens ran out)"),
        ('{"order": "A-1", "topic": ', "stop", "looked like JSON and was not"),
        ("I cannot help with this one.", "refusal", "was refused"),
    ],
)
def test_a_broken_answer_that_goes_on_is_named_by_what_is_wrong(
    workspace: Workspace, answer: str, finish: str, how: str
) -> None:
    found = observed(workspace, call(1, "extract", answer, finish=finish), call(2, f"Use: {answer}", "Dear customer"))
    assert told(found) == [("passed on", f"an answer {how}, and went into a later call", 1)]


def test_json_that_is_used_without_a_schema_was_not_checked(workspace: Workspace) -> None:
    found = observed(workspace, call(1, "extract", ANSWER))
    assert told(found) == [("not checked", "an answer looks like JSON, and no schema was sent for it", 1)]


def test_retries_inside_a_client_are_not_visible_through_spans_and_are_through_its_transport(
    workspace: Workspace,
) -> None:
    hidden = observed(workspace, call(1, "a", "x", attempts=None))
    assert told(hidden) == [
        ("not visible", "retries inside the client library: one span covers all of its attempts (1 of 1 calls)", None)
    ]
    failed = Attempt(id="w.2.b", workflow_id="w", call_id="w.2", number=1, status="error", error_kind="rate_limit")
    seen = observed(workspace, [*call(2, "b", "y", attempts=2), failed])
    assert ("retry", "the client library sent the request again by itself, after 'rate_limit'", 1) in told(seen)


def test_without_content_equal_requests_are_known_by_their_digest(workspace: Workspace) -> None:
    dark = {"messages": None, "request_digest": "abc"}
    found = observed(workspace, call(1, "a", None, **dark), call(2, "a", "x", **dark))
    assert [seen for seen, _, _ in told(found)] == ["not visible", "retry"]


@pytest.mark.parametrize(
    ("digest", "what"),
    [
        ("abc", "what was asked: content is off, so requests are compared only by their digest"),
        (None, "what was asked: content is off, so it is unknown whether a request was sent again"),
    ],
)
def test_without_content_nothing_is_claimed_of_what_cannot_be_seen(
    workspace: Workspace, digest: str | None, what: str
) -> None:
    quiet = call(1, "a", "x", messages=None, request_digest=digest)
    assert isinstance(quiet[1], Attempt)
    found = observed(workspace, [quiet[0], replace(quiet[1], text=None)])
    answers = "what was answered: content is off, so it is unknown what was checked or passed on"
    assert told(found) == [("not visible", f"{one} (1 of 1 calls)", None) for one in (what, answers)]
    assert "nothing in what is visible" in evalh(workspace.root, "explain", "--workflow", "w").stdout


def test_an_unknown_workflow_is_told_with_the_names_that_there_are(workspace: Workspace) -> None:
    observed(workspace, call(1, "a", "x"))
    done = evalh(workspace.root, "explain", "--workflow", "refnd")
    assert done.returncode == 2
    assert "did you mean 'refund'?" in done.stderr


def test_what_evalh_ask_ran_is_left_out_and_that_is_said(workspace: Workspace) -> None:
    observed(workspace, call(1, "a", "x"))
    with workspace.production_writer() as production:
        production.write([Workflow(id="w-2", name="refund", door="ask", started_at=NOW + 1, status="ok")])
        for one in call(2, "b", ANSWER):
            production.write([replace(one, id=f"{one.id} asked", workflow_id="w-2")])
    both, alone = (evalh(workspace.root, "explain", "--workflow", name).stdout for name in ("refund", "w-2"))
    assert both.startswith("refund  1 workflow, 1 call; evalh did not run it\n1 workflow of evalh.ask left out")
    assert alone == "refund\n1 workflow of evalh.ask left out: evalh explain shows how its route decides\n"


def test_an_id_that_is_not_there_is_told_as_one_of_production_where_nothing_was_run(workspace: Workspace) -> None:
    observed(workspace, call(1, "a", "x"))
    done = evalh(workspace.root, "show", "nothing")
    assert done.returncode == 2
    assert "no workflow, step or call 'nothing'\n  evalh trace list" in done.stderr


@pytest.mark.parametrize("messages", [7, "text", [7], [{"role": "x"}], [{"parts": 7}], [[]], {"a": 1}])
def test_messages_that_are_no_messages_break_nothing(workspace: Workspace, messages: Any) -> None:
    observed(workspace, call(1, "a", ANSWER), call(2, "b", "x", messages=messages))


def test_it_reads_well(workspace: Workspace) -> None:
    observed(workspace, call(1, "sort", None), call(2, "sort", ANSWER), call(3, ANSWER, "Dear customer", attempts=None))
    done = evalh(workspace.root, "explain", "--workflow", "refund")
    assert done.stdout.startswith("refund  1 workflow, 3 calls; evalh did not run it\n\nnot visible\n  retries inside")
    assert "1 time · in 1 workflow · $0.01 · evalh show w.2" in done.stdout
