"""Pipelines in production: what comes of their steps, and what waits for a person."""

from pathlib import Path

import pytest

import evalh
from asking.written import ask_of, written
from evalh_trace.records import Attempt, Step, Workflow
from stepping import PIPELINE, mail, step_server, write_pipeline

SAME = {"version": "draft"}


def reviewed(on_bad: str = "review") -> str:
    """Return the pipeline with a check of the extracted number, which has three digits at most."""
    checked = f"    on_bad: {on_bad}\n    checks: [{{regex: {{pattern: '\"order_id\": \\d{{1,3}},'}}}}]\n"
    return PIPELINE.replace("    inputs: {email: inputs.email}\n", "    inputs: {email: inputs.email}\n" + checked, 1)


def test_a_pipeline_gives_its_output_and_a_record_of_each_step(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port)
        reply = evalh.ask("refund", {"email": mail(3)}, whole=True, workspace=folder, **SAME)

    assert reply.value == "Your order 3 is late"
    assert (server.count("extract"), server.count("reply")) == (1, 1)
    steps = written(folder, Step)
    assert [(one.name, one.status, one.workflow_id) for one in steps] == [
        (name, "ok", reply.id) for name in ("extract", "order", "reply")
    ]
    assert float(reply.cost_usd) == pytest.approx(sum(one.cost_usd or 0.0 for one in written(folder, Attempt)))


def test_a_step_to_review_is_raised_and_nothing_behind_it_is_asked(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({3})
        folder = write_pipeline(tmp_path, port, pipeline=reviewed())
        with pytest.raises(evalh.Withheld, match="withheld for a person: `extract`") as held:
            evalh.ask("refund", {"email": mail(3)}, default="sorry", workspace=folder, **SAME)

    assert (held.value.step, held.value.output) == ("extract", {"order_id": 1003, "topic": "order"})
    assert server.count("reply") == 0
    assert ask_of(folder, held.value.id)["error"] == "withheld"
    assert [one.attributes["withheld"] for one in written(folder, Step) if one.name == "extract"] == [True]


def test_a_corrected_step_goes_on_and_no_step_is_asked_again(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_replies = frozenset({3})
        pipeline = PIPELINE + "    on_bad: review\n    checks: [{contains: {value: order}}]\n"
        pipeline += "  shout:\n    python: steps/orders.py:shout\n    inputs: {text: reply, order: order}\n"
        folder = write_pipeline(tmp_path, port, pipeline=pipeline)
        orders = folder / "steps/orders.py"
        orders.write_text(orders.read_text() + "\n\ndef shout(text, order):\n    return {text: order['id']}\n")
        with pytest.raises(evalh.Withheld) as caught:
            evalh.ask("refund", {"email": mail(3)}, workspace=folder, **SAME)
        held = caught.value
        before = len(server.asked)
        given = {**held.given, held.step: "Your order 3 will come"}
        value = evalh.ask("refund", {"email": mail(3)}, given=given, workspace=folder, **SAME)

    assert held.given == {
        "extract": {"order_id": 3, "topic": "order"},
        "order": {"id": 3, "state": "late"},
    }
    assert value == {"Your order 3 will come": 3}
    assert len(server.asked) == before


def test_a_given_step_alone_asks_no_step_that_only_it_reads(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port)
        given = {"order": {"id": 5, "state": "lost"}}
        value = evalh.ask("refund", {"email": mail(3)}, given=given, workspace=folder, **SAME)

    assert value == "Your order 5 is lost"
    assert server.count("extract") == 0


def test_a_step_that_stops_refuses_with_what_it_gave(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({3})
        folder = write_pipeline(tmp_path, port, pipeline=reviewed("stop"))
        with pytest.raises(evalh.AnswerRefused, match="stopped at 'extract'") as refused:
            evalh.ask("refund", {"email": mail(3)}, workspace=folder, **SAME)

    assert "1003" in refused.value.text
    assert server.count("reply") == 0


def test_a_function_that_raises_is_no_answer(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port)
        (folder / "steps/orders.py").write_text("def find(order_id):\n    raise LookupError('gone')\n")
        with pytest.raises(evalh.NoAnswer, match="LookupError: gone") as missing:
            evalh.ask("refund", {"email": mail(3)}, workspace=folder, **SAME)

    assert missing.value.kind == "step_error"


def test_functions_with_effects_are_called_once_an_ask(tmp_path: Path) -> None:
    with step_server() as (_, port):
        pipeline = PIPELINE.replace("find\n", "find\n    effects: true\n")
        folder = write_pipeline(tmp_path, port, pipeline=pipeline)
        text = "from pathlib import Path\n\n\ndef find(order_id):\n    with Path(__file__).with_name('sent').open('a') as f:\n"
        (folder / "steps/orders.py").write_text(
            text + "        f.write('x')\n    return {'id': order_id, 'state': 'late'}\n"
        )
        for _ in range(2):
            evalh.ask("refund", {"email": mail(3)}, workspace=folder, **SAME)

    assert (folder / "steps/sent").read_text() == "xx"


@pytest.mark.parametrize(
    ("inputs", "given", "told"),
    [
        ({}, {}, "email"),
        ({"email": mail(3)}, {"extrct": 1}, "did you mean 'extract'"),
        ({"email": mail(3)}, {"extract": {1, 2}}, "given: extract: a value of type set, which is not JSON"),
    ],
)
def test_what_a_pipeline_cannot_begin_with_is_refused(
    tmp_path: Path, inputs: dict[str, str], given: dict[str, object], told: str
) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port)
        with pytest.raises(evalh.InvalidInputs, match=told):
            evalh.ask("refund", inputs, given=given, workspace=folder, **SAME)

    assert server.asked == []
    assert not (folder / ".evalh/production").exists() or written(folder, Workflow) == []
