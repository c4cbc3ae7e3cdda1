"""What a gateway says that an answer costs is read where the workspace says so, and nowhere else."""

from decimal import Decimal
from typing import Any

import pytest

from evalh.core.attempt import Usage
from evalh.providers.prices import Bill
from wire.openai_service import OPENAI, chat, chat_chunk
from wire.service import Reply, event
from wire.talking import SERVICES, talking

COUNTED = chat("")["usage"]
HEADER = "header:x-litellm-response-cost"


def billed(cost: Any, text: str = "hi") -> Any:
    return chat(text, usage=COUNTED | {"cost": cost})


async def test_openrouter_says_it_in_the_body() -> None:
    async with talking(OPENAI, Reply(billed(0.00014)), cost_from="usage.cost") as talk:
        answer = await talk.ask()

    assert (answer.cost_usd, answer.usage) == (Decimal("0.00014"), Usage(20, 9, 12, 4))


async def test_a_stream_says_it_last() -> None:
    chunks = [
        chat_chunk({"content": "hi"}, usage=COUNTED | {"cost": 0.1}),
        chat_chunk({}, finish="stop"),
        chat_chunk({}, choices=[], usage=COUNTED | {"cost": 0.25}),
        event("[DONE]"),
    ]
    async with talking(OPENAI, Reply(chunks=chunks), cost_from="usage.cost") as talk:
        assert (await talk.ask(stream=True)).cost_usd == Decimal("0.25")


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_litellm_says_it_in_a_header(service: Any) -> None:
    reply = Reply(service.answer("hi"), headers={"X-LiteLLM-Response-Cost": "1.05e-05"})
    async with talking(service, reply, cost_from=HEADER) as talk:
        assert (await talk.ask()).cost_usd == Decimal("0.0000105")


async def test_what_costs_nothing_is_0_and_not_unknown() -> None:
    async with talking(OPENAI, Reply(billed(0)), cost_from="usage.cost") as talk:
        assert (await talk.ask()).cost_usd == 0


async def test_without_the_workspaces_word_no_cost_is_believed() -> None:
    async with talking(OPENAI, Reply(billed(0.00014), headers={"x-litellm-response-cost": "0"})) as talk:
        assert (await talk.ask()).cost_usd is None


NONE_OF_THEM = [-1, -0.5, float("nan"), float("inf"), True, False, "0.0001", "", None, [], {}, [1], 1e30, 10**400]


@pytest.mark.parametrize("cost", NONE_OF_THEM, ids=lambda cost: str(cost)[:10])
async def test_what_is_not_an_amount_is_unknown_and_costs_no_answer(cost: Any) -> None:
    async with talking(OPENAI, Reply(billed(cost)), cost_from="usage.cost") as talk:
        answer = await talk.ask()

    assert (answer.text, answer.cost_usd) == ("hi", None)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "None", "", "1,5", "$1", "1e999", "9" * 50, "0x1"])
def test_a_header_that_is_not_an_amount_is_unknown(text: str) -> None:
    assert Bill(HEADER).of_headers({"x-litellm-response-cost": text}) is None


def test_a_path_leads_where_it_says_and_nowhere_else() -> None:
    assert Bill("a.b.cost").of_body(b'{"a": {"b": {"cost": 0.5}}, "cost": 9}') == Decimal("0.5")
    assert Bill("a.b.cost").of_body(b'{"a": [{"b": {"cost": 0.5}}]}') is None
    assert Bill("usage.cost").of_body(b'{"usage": {"cost": 0.5}, "x": NaN}') == Decimal("0.5")
    assert Bill("usage.cost").of_body(b'{"usage": {"cost": 0.5}') is None
    assert Bill("usage.cost").of_headers({"usage.cost": "1"}) is None
    assert Bill(None).of_body(b'{"usage": {"cost": 0.5}}') is None
