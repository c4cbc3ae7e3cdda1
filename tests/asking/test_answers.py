"""What an ask returns, and which error it raises where there is nothing to return."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

import evalh
from asking.written import ask_of, written
from evalh.core.attempt import ErrorKind
from evalh_trace.records import Attempt, Call, Workflow
from faults.dialects import ANSWER_USD, OPENAI, act
from faults.fault_server import Act, How
from faults.running import served
from workspaces import PROMPT

QUICK = 'model = "small"\nretry = {attempts = 2, base_s = 0.001, cap_s = 0.002}'
TICKET = {"ticket": "order 3"}


class Label(BaseModel):
    label: str


class Strict(BaseModel):
    label: str
    sure: bool


def test_a_prompt_with_json_output_gives_the_json_value(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, QUICK, cases=1) as (_, folder):
        value = evalh.ask("triage", TICKET, workspace=folder)

    assert value == {"label": "billing"}


def test_a_prompt_without_gives_the_text(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: OPENAI.answer("Dear Ada"), QUICK, cases=1) as (_, folder):
        text = PROMPT.replace("output:\n  format: json\n  schema: {label(enum): [billing, bug]}\n", "")
        (folder / "prompts/triage/v1.prompt").write_text(text)
        value = evalh.ask("triage", TICKET, workspace=folder)

    assert value == "Dear Ada"


def test_output_gives_an_object_of_the_model(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, QUICK, cases=1) as (_, folder):
        value = evalh.ask("triage", TICKET, output=Label, workspace=folder)

    assert value == Label(label="billing")


def test_what_does_not_fit_the_model_is_refused_with_its_text_and_its_id(tmp_path: Path) -> None:
    with (
        served(tmp_path, OPENAI.right, QUICK, cases=1) as (_, folder),
        pytest.raises(evalh.AnswerRefused, match="not a Strict: sure: Field required") as refused,
    ):
        evalh.ask("triage", TICKET, output=Strict, workspace=folder)

    assert refused.value.text == '{"label": "billing"}'
    assert ask_of(folder, refused.value.id) == {"status": "error", "error": "refused", "version": "triage@v1"}


@pytest.mark.parametrize(
    ("said", "why"),
    [("I think billing", "JSON"), ('{"label": "refund"}', "output schema"), ('{"label": 1}', "output schema")],
)
def test_what_is_not_the_promised_json_is_refused(tmp_path: Path, said: str, why: str) -> None:
    with (
        served(tmp_path, lambda _: OPENAI.answer(said), QUICK, cases=1) as (_, folder),
        pytest.raises(evalh.AnswerRefused, match=why) as refused,
    ):
        evalh.ask("triage", TICKET, workspace=folder)

    assert refused.value.text == said


def test_a_model_that_declines_gave_no_value(tmp_path: Path) -> None:
    with (
        served(tmp_path, lambda _: act(OPENAI.refusal), QUICK, cases=1) as (_, folder),
        pytest.raises(evalh.AnswerRefused, match="ended the answer with refusal"),
    ):
        evalh.ask("triage", TICKET, workspace=folder)


@pytest.mark.parametrize("kind", ["overload", "auth", "quota", "context_length"])
def test_no_answer_says_why_in_the_words_of_the_log(tmp_path: Path, kind: str) -> None:
    with (
        served(tmp_path, OPENAI.always(kind), QUICK, cases=1) as (_, folder),
        pytest.raises(evalh.NoAnswer) as missing,
    ):
        evalh.ask("triage", TICKET, model="careful", workspace=folder)

    assert missing.value.kind is ErrorKind(kind)
    assert ask_of(folder, missing.value.id)["error"] == f"no_answer: {kind}"
    assert {one.error_kind for one in written(folder, Attempt)} == {kind}


def test_a_deadline_ends_what_is_in_flight(tmp_path: Path) -> None:
    with (
        served(tmp_path, lambda _: Act(how=How.HANG), QUICK, cases=1) as (_, folder),
        pytest.raises(evalh.DeadlinePassed, match=r"no answer within 0\.2 s") as late,
    ):
        evalh.ask("triage", TICKET, timeout_s=0.2, workspace=folder)

    (attempt,) = written(folder, Attempt)
    assert (attempt.workflow_id, attempt.error_kind) == (late.value.id, "interrupted")
    assert ask_of(folder, late.value.id)["error"] == "deadline"


def test_a_routes_deadline_holds_where_the_ask_names_none(tmp_path: Path) -> None:
    route = f"{QUICK}\nbudget = {{deadline_s = 0.2}}"
    with (
        served(tmp_path, lambda _: Act(how=How.HANG), route, cases=1) as (_, folder),
        pytest.raises(evalh.DeadlinePassed),
    ):
        evalh.ask("triage", TICKET, model="careful", workspace=folder)


def test_a_spent_day_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    route = f"{QUICK}\nbudget = {{usd_per_day = 0.0002}}"
    with served(tmp_path, OPENAI.right, route, cases=1) as (server, folder):
        replies = [
            evalh.ask("triage", TICKET, model="careful", default=None, whole=True, workspace=folder) for _ in range(30)
        ]
        with pytest.raises(evalh.BudgetSpent, match=r"budget of 24 hours: \$0\.000\d+ of \$0\.0002 spent"):
            evalh.ask("triage", TICKET, model="careful", workspace=folder)

    answered = [one for one in replies if one.default is None]
    assert 1 < len(answered) == server.count() < 30
    assert len(answered) * ANSWER_USD <= 0.0002


def test_a_default_stands_in_and_the_log_says_so(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.always("overload"), QUICK, cases=1) as (_, folder):
        reply = evalh.ask("triage", TICKET, model="careful", default={"label": "bug"}, whole=True, workspace=folder)

    assert (reply.value, reply.text) == ({"label": "bug"}, "")
    assert "overload" in reply.default
    found = ask_of(folder, reply.id)
    assert (found["status"], found["error"], found["default"]) == ("error", "no_answer: overload", True)


def test_a_default_may_be_none_and_is_not_used_for_wrong_inputs(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.always("auth"), QUICK, cases=1) as (_, folder):
        assert evalh.ask("triage", TICKET, default=None, workspace=folder) is None
        with pytest.raises(evalh.InvalidInputs):
            evalh.ask("triage", {}, default=None, workspace=folder)


def test_a_whole_reply_has_the_id_under_which_the_log_has_its_calls(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, QUICK, cases=1) as (_, folder):
        reply = evalh.ask("triage", TICKET, whole=True, workspace=folder)

    (workflow,), (call,), (attempt,) = (written(folder, kind) for kind in (Workflow, Call, Attempt))
    assert (workflow.id, workflow.name, workflow.door, workflow.status) == (reply.id, "triage", "ask", "ok")
    assert (call.workflow_id, call.prompt, call.attempts, call.answered_by) == (reply.id, "triage@v1", 1, attempt.id)
    assert (attempt.workflow_id, attempt.call_id, attempt.number, attempt.status) == (reply.id, call.id, 1, "ok")
    assert reply.cost_usd == Decimal(str(attempt.cost_usd))
    assert (reply.version, reply.model, reply.finish) == ("triage@v1", "small", "stop")


def test_answers_are_reused_only_where_the_ask_says_so(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, QUICK, cases=1) as (server, folder):
        for _ in range(2):
            evalh.ask("triage", TICKET, workspace=folder)
        bought = [evalh.ask("triage", TICKET, reuse=True, whole=True, workspace=folder) for _ in range(3)]

    assert server.count() == 3
    assert [one.value for one in bought] == [{"label": "billing"}] * 3
    assert [one.cost_usd for one in bought][1:] == [0, 0]
    assert sorted(call.attempts or 0 for call in written(folder, Call)) == [0, 0, 1, 1, 1]


def test_the_live_version_is_asked_unless_another_is_named(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, QUICK, cases=1) as (server, folder):
        for name in ("v2", "draft"):
            (folder / f"prompts/triage/{name}.prompt").write_text(PROMPT.replace("Sort", f"{name}: sort"))
        config = folder / "evalh.toml"
        config.write_text(config.read_text() + '\n[prompts.triage]\nlive = "v1"\n')
        versions = [
            evalh.ask("triage", TICKET, whole=True, workspace=folder).version,
            evalh.ask("triage@v2", TICKET, whole=True, workspace=folder).version,
            evalh.ask("triage", TICKET, version="draft", whole=True, workspace=folder).version,
        ]

    assert versions == ["triage@v1", "triage@v2", "triage@draft"]
    assert [one.document["messages"][0]["content"][:6] for one in server.asked] == ["Sort t", "v2: so", "draft:"]


def test_no_content_is_written_unless_it_is_asked_for(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, QUICK, cases=1) as (_, folder):
        evalh.ask("triage", {"ticket": "order 3 of a secret kind"}, workspace=folder)
        with pytest.raises(evalh.AnswerRefused):
            evalh.ask("triage", {"ticket": "order 3 of a secret kind"}, output=Strict, workspace=folder)
    assert len(written(folder, Workflow)) == 2

    (file,) = (folder / ".evalh/production").glob("*.jsonl")
    assert "secret" not in file.read_text()
    assert "billing" not in file.read_text()


TOOL = """---
config: {max_tokens: 24}
tools:
  - name: find_order
    description: Finds an order
    parameters: {type: object, properties: {id: {type: integer}}, required: [id]}
---
{{ticket}}
"""


def test_the_calls_of_tools_are_in_the_whole_reply(tmp_path: Path) -> None:
    said = OPENAI.said("", "tool_calls")
    function = {"name": "find_order", "arguments": '{"id": 3}'}
    said["choices"][0]["message"]["tool_calls"] = [{"id": "c-1", "type": "function", "function": function}]
    with served(tmp_path, lambda _: act(said), QUICK, cases=1) as (_, folder):
        (folder / "prompts/triage/v1.prompt").write_text(TOOL)
        reply = evalh.ask("triage", TICKET, whole=True, workspace=folder)

    assert [(one.name, one.arguments) for one in reply.tool_calls] == [("find_order", '{"id": 3}')]
    assert (reply.value, reply.finish) == ("", "tool_calls")


PLUGIN = """import sys
from evalh import provider


class Rude:
    kind, max_in_flight = "rude", None

    def __init__(self, spec):
        self.spec, self.name, self.model, self.params = spec, spec.name, spec.model, spec.params
        self.identity = {"provider": "rude"}

    async def open(self): ...

    async def close(self): ...

    async def send(self, request, call):
        if "order 1" in request.messages[-1].text:
            sys.exit("no")
        raise ValueError("by mistake")


@provider("rude")
def build(spec, context):
    return Rude(spec)
"""


def test_a_plugin_that_exits_or_raises_ends_its_own_ask_and_no_other(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, QUICK, cases=1) as (_, folder):
        (folder / "evals/rude.py").write_text(PLUGIN)
        config = folder / "evalh.toml"
        text = config.read_text().replace("[workspace]\n", '[workspace]\nplugins = ["evals/rude.py"]\n')
        config.write_text(
            f'{text}\n[models.rude]\nprovider = "rude"\n[routes.once]\nmodel = "rude"\nretry = {{attempts = 1}}\n'
        )
        with pytest.raises(RuntimeError, match="SystemExit: no"):
            evalh.ask("triage", {"ticket": "order 1"}, model="once", workspace=folder)
        with pytest.raises(evalh.NoAnswer, match=r"rude\.py:19: ValueError: by mistake"):
            evalh.ask("triage", {"ticket": "order 2"}, model="once", workspace=folder)
        value = evalh.ask("triage", TICKET, workspace=folder)

    assert value == {"label": "billing"}
