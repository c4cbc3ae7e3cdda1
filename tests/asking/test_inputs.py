"""What is wrong with an ask is told before anything is sent, with what to type instead."""

from pathlib import Path
from typing import Any

import pytest

import evalh
from faults.dialects import OPENAI
from faults.running import served
from workspaces import write_workspace

TICKET = {"ticket": "order 3"}


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, '"ticket" is a required property'),
        ({"tiket": "order 3"}, "has no input 'tiket', and 'ticket' is missing"),
        ({"ticket": 3}, "input 'ticket': 3 is not of type"),
        ({"ticket": {1}}, "set at ticket, which is not JSON"),
        ({"ticket": float("nan")}, "nan at ticket, which is not JSON"),
        ({1: "order 3"}, "a key that is not text"),
        ("order 3", "inputs must be a mapping of names to values, not str"),
        (None, '"ticket" is a required property'),
    ],
    ids=lambda one: str(one)[:12],
)
def test_wrong_inputs_are_refused_and_nothing_is_sent(tmp_path: Path, inputs: Any, told: str) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder), pytest.raises(evalh.InvalidInputs, match=told):
        evalh.ask("triage", inputs, workspace=folder)

    assert server.count() == 0


def test_inputs_that_the_version_no_longer_uses_are_let_through(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        value = evalh.ask("triage", {**TICKET, "customer": "Ada"}, workspace=folder)

    assert value == {"label": "billing"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"prompt": "triag"}, "did you mean 'triage'"),
        ({"prompt": "triage@v9"}, "no version 'v9' of prompt 'triage'"),
        ({"prompt": "v1"}, "names no prompt"),
        ({"prompt": 3}, "a prompt is named by a text, not by int"),
        ({"prompt": "triage@v1", "version": "v2"}, "name two versions"),
        ({"model": "smal"}, "did you mean 'small'"),
        ({"output": dict}, "output must be a pydantic model, not dict"),
        ({"output": 3}, "output must be a pydantic model, not int"),
        ({"timeout_s": 0}, "timeout_s must be a number of seconds above 0"),
        ({"timeout_s": float("inf")}, "timeout_s must be a number of seconds above 0"),
        ({"timeout_s": "1"}, "timeout_s must be a number of seconds above 0"),
        ({"default": {1}}, "default must be JSON"),
        ({"outptu": 3}, "no option 'outptu'"),
        ({"ticket": "Hi"}, "inputs are a mapping, the second argument: {'ticket': …}"),
        ({"given": {"extract": 1}}, "is a single prompt: it has no steps to give"),
        ({"given": [1]}, "given must be a mapping"),
    ],
    ids=lambda one: str(one)[:12],
)
def test_what_cannot_be_meant_is_told_and_nothing_is_sent(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder), pytest.raises(evalh.EvalhError, match=told):
        evalh.ask(**{"prompt": "triage", "inputs": TICKET, "workspace": folder, **options})

    assert server.count() == 0


def test_a_model_of_json_needs_a_prompt_that_gives_json(tmp_path: Path) -> None:
    from pydantic import BaseModel

    write_workspace(tmp_path)
    prompt = tmp_path / "prompts/triage/v1.prompt"
    prompt.write_text(
        prompt.read_text().replace("output:\n  format: json\n  schema: {label(enum): [billing, bug]}\n", "")
    )

    with pytest.raises(evalh.EvalhError, match="triage@v1 gives text, and a model is made of JSON"):
        evalh.ask("triage", TICKET, output=BaseModel, workspace=tmp_path)


def test_a_prompt_with_nothing_but_a_draft_is_not_asked_by_its_name_alone(tmp_path: Path) -> None:
    write_workspace(tmp_path)
    (tmp_path / "prompts/triage/v1.prompt").rename(tmp_path / "prompts/triage/draft.prompt")

    with pytest.raises(evalh.EvalhError, match="has no version yet, only a draft\n  evalh prompt release triage"):
        evalh.ask("triage", TICKET, workspace=tmp_path)


def test_a_missing_key_is_told_and_found_once_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path, OPENAI.right, cases=1, more='api_key_env = "ASKED_KEY"\n') as (server, folder):
        with pytest.raises(evalh.EvalhError, match="ASKED_KEY is not set"):
            evalh.ask("triage", TICKET, workspace=folder)
        monkeypatch.setenv("ASKED_KEY", "k-1234567")
        value = evalh.ask("triage", TICKET, workspace=folder)

    assert value == {"label": "billing"}
    assert server.asked[0].headers["authorization"] == "Bearer k-1234567"


def test_the_workspace_is_named_by_a_variable_or_found_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path / "w", OPENAI.right, cases=1) as (_, folder):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("EVALH_WORKSPACE", str(folder))
        by_variable = evalh.ask("triage", TICKET)
        monkeypatch.delenv("EVALH_WORKSPACE")
        with pytest.raises(evalh.EvalhError, match=r"no evalh\.toml here or in a folder above"):
            evalh.ask("triage", TICKET)
        monkeypatch.chdir(folder / "evals")
        upwards = evalh.ask("triage", TICKET)

    assert by_variable == upwards == {"label": "billing"}


def test_a_budget_of_a_day_needs_a_price_and_a_bound(tmp_path: Path) -> None:
    route = 'model = "small"\nbudget = {usd_per_day = 1.0}'
    with served(tmp_path, OPENAI.right, route, cases=1) as (server, folder):
        prompt = folder / "prompts/triage/v1.prompt"
        prompt.write_text(prompt.read_text().replace(", max_tokens: 24", ""))
        with pytest.raises(evalh.EvalhError, match="nothing bounds its output tokens"):
            evalh.ask("triage", TICKET, model="careful", workspace=folder)

    assert server.count() == 0


def test_a_loaded_prompt_renders_the_messages_that_an_ask_sends(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        evalh.ask("triage", TICKET, workspace=folder)
        prompt = evalh.load_prompt("triage", workspace=folder)

        assert prompt.render(TICKET) == server.asked[0].document["messages"]
        assert (prompt.label, prompt.params) == ("triage@v1", {"temperature": 0, "max_tokens": 24})
        assert prompt.output_schema is not None
        with pytest.raises(evalh.InvalidInputs, match="'ticket' is missing"):
            prompt.render({"tickt": "order 3"})
