"""Money is bounded: reserved before a request is sent, settled after, and released if it is not sent."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from evalh.core.attempt import CallError, Completion, ErrorKind, NotSent, Usage
from evalh.core.money import Price
from evalh.core.ports import Pricer
from evalh.core.request import Message, Request, Role, Tool, ToolCall, ToolResult
from evalh.routing.budget import Budgeted, Purse, Treasury, worst_case_tokens, worst_case_usd
from evalh.routing.logged import Logged
from unit.routing.staging import PRICE, Line, Model, Stage, ask, call, outcome, play, request, settings

# One request at most: 5 bytes + 16 around the message + 5 of output.
WORST_TOKENS = Decimal(26)
WORST = (Decimal(21) * 1 + Decimal(5) * 2) / 1_000_000
COST = (Decimal(10) * 1 + Decimal(5) * 2) / 1_000_000  # what an answer really costs


def budgeted(
    stage: Stage,
    model: Model,
    *,
    usd: Decimal | None = None,
    tokens: Decimal | None = None,
    per_case: Decimal | None = None,
    pricer: Pricer | None = PRICE,
) -> tuple[Budgeted, Treasury]:
    treasury = Treasury(
        stage.halt, Purse() if usd is None else Purse(usd), Purse() if tokens is None else Purse(tokens), per_case
    )
    return Budgeted(Logged(model, stage.log, pricer, stage.shared), treasury, pricer), treasury


async def ask_many(provider: Budgeted, count: int) -> list[Any]:
    return await asyncio.gather(*(outcome(ask(provider, f"t-{number}")) for number in range(count)))


def empty(treasury: Treasury) -> bool:
    """Whether no reservation is left over."""
    purses = [purse for purse in (treasury.usd, treasury.tokens) if purse is not None]
    return treasury._in_flight == 0 and all(purse.reserved == 0 for purse in purses)


def kinds(ends: Sequence[object]) -> list[type]:
    return [type(end) for end in ends]


def test_the_worst_case_is_a_token_for_every_byte_and_all_of_the_output() -> None:
    bound = worst_case_tokens(request())
    assert bound == Usage(21, 5)
    assert worst_case_usd(request(), PRICE) == WORST


@pytest.mark.parametrize("text", ["ärger", "漢字", "🙂", "\ud800"])
def test_the_worst_case_counts_bytes_wherever_the_text_stands(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    plain = request("")
    bare = worst_case_tokens(plain)
    assert bare is not None
    holders = [
        request(text),
        request("", replace(plain.settings, output_schema={"enum": [text]})),
        request("", replace(plain.settings, tools=(Tool(text, "", {}),))),
        request("", replace(plain.settings, tools=(Tool("", text, {}),))),
        request("", replace(plain.settings, tools=(Tool("", "", {"title": text}),))),
        Request((Message(Role.ASSISTANT, (ToolCall("1", "f", text),)),), plain.settings),
        Request((Message(Role.TOOL, (ToolResult("1", "f", text),)),), plain.settings),
    ]
    for holder in holders:
        bound = worst_case_tokens(holder)
        assert bound is not None
        assert (bound.input_tokens or 0) >= (bare.input_tokens or 0) + size


def test_without_a_bound_or_a_price_there_is_no_worst_case() -> None:
    assert worst_case_tokens(request("x", settings())) is None
    assert worst_case_usd(request("x", settings()), PRICE) is None
    assert worst_case_usd(request(), None) is None


def test_a_purse_refuses_what_does_not_fit_beside_what_is_set_aside() -> None:
    purse = Purse(Decimal(10))

    assert (purse.reserve(Decimal(6)), purse.reserve(Decimal(5)), purse.reserve(Decimal(4))) == (True, False, True)
    assert not purse.never_fits(Decimal(10))
    purse.settle(Decimal(6), Decimal(3))
    assert (purse.spent, purse.reserved) == (3, 4)
    assert (purse.never_fits(Decimal(7)), purse.never_fits(Decimal("7.01"))) == (False, True)


def test_what_an_answer_cost_is_counted_and_the_rest_given_back() -> None:
    stage = Stage()
    provider, treasury = budgeted(stage, Model(), usd=Decimal(1), tokens=Decimal(1000))

    play(ask(provider))

    assert treasury.usd is not None
    assert treasury.tokens is not None
    assert (treasury.usd.spent, treasury.tokens.spent) == (COST, 15)
    assert empty(treasury)


@pytest.mark.parametrize(
    ("line", "usd", "tokens"),
    [
        (ErrorKind.RATE_LIMIT, Decimal(0), 0),  # refused: nothing was done for it
        (ErrorKind.TIMEOUT, WORST, 26),  # sent, and perhaps charged
        (ErrorKind.NETWORK, WORST, 26),
        (ErrorKind.BAD_RESPONSE, WORST, 26),
        (Completion(text="yes"), WORST, 26),  # the provider did not say
        (Completion(text="yes", usage=Usage(10, None)), WORST, 26),
        (Completion(text="yes", cost_usd=Decimal("0.5")), Decimal("0.5"), 26),  # it charged more than the worst case
    ],
)
def test_what_is_not_known_is_counted_at_its_worst_case(line: Line, usd: Decimal, tokens: int) -> None:
    stage = Stage()
    provider, treasury = budgeted(stage, Model(lines=[line]), usd=Decimal(1), tokens=Decimal(1000))

    play(outcome(ask(provider)))

    assert treasury.usd is not None
    assert treasury.tokens is not None
    assert (treasury.usd.spent, treasury.tokens.spent) == (usd, tokens)
    assert empty(treasury)


def test_a_request_that_was_stopped_in_flight_is_counted_at_its_worst_case() -> None:
    stage = Stage()
    provider, treasury = budgeted(stage, Model(took_s=9.0), usd=Decimal(1))

    async def stopped() -> None:
        task = asyncio.ensure_future(ask(provider))
        await stage.clock.sleep(1.0)
        task.cancel()
        await asyncio.wait((task,))

    play(stopped())

    assert treasury.usd is not None
    assert treasury.usd.spent == WORST
    assert empty(treasury)


def test_it_waits_while_what_is_in_flight_may_turn_out_cheaper() -> None:
    """Two worst cases don't fit into the budget together; two answers do."""
    stage, model = Stage(), Model(took_s=1.0)
    provider, treasury = budgeted(stage, model, usd=WORST + COST)

    answers = play(ask_many(provider, 2))

    assert kinds(answers) == [Completion, Completion]
    assert (model.asked_at, stage.halt.reason) == ([0.0, 1.0], None)
    assert empty(treasury)


def test_the_run_halts_when_a_request_will_never_fit_and_says_what_was_spent() -> None:
    stage, model = Stage(), Model(took_s=1.0)
    provider, treasury = budgeted(stage, model, usd=3 * WORST)

    ends = play(ask_many(provider, 8))

    spent = f"${4 * COST:.6f} of ${3 * WORST:f} spent"
    cost = f"could cost ${WORST} with an answer as long as max_tokens allows"
    assert stage.halt.reason == f"the budget: {spent}, and another attempt {cost}"
    assert kinds(ends) == [Completion] * 4 + [NotSent] * 4
    assert treasury.usd is not None
    assert treasury.usd.spent <= 3 * WORST
    assert empty(treasury)


def test_a_budget_below_one_request_sends_nothing() -> None:
    stage, model = Stage(), Model()
    provider, _ = budgeted(stage, model, usd=WORST - Decimal("1e-9"))

    assert kinds(play(ask_many(provider, 2))) == [NotSent, NotSent]
    assert model.asked == []


def test_tokens_are_a_budget_of_their_own() -> None:
    stage, model = Stage(), Model()
    provider, treasury = budgeted(stage, model, usd=Decimal(1), tokens=WORST_TOKENS + 15)

    async def calls() -> list[object]:
        return [await outcome(ask(provider)) for _ in range(3)]

    ends = play(calls())

    assert kinds(ends) == [Completion, Completion, NotSent]
    assert stage.halt.reason is not None
    assert "30 of 41 tokens spent" in stage.halt.reason
    assert empty(treasury)


def test_what_does_not_fit_into_one_purse_is_not_set_aside_in_the_other() -> None:
    stage = Stage()
    treasury = Treasury(stage.halt, Purse(Decimal(1)), Purse(Decimal(5)))

    ended = play(outcome(treasury.reserve(Decimal("0.5"), Decimal(6), call())))

    assert isinstance(ended, NotSent)
    assert empty(treasury)


def test_who_waits_for_money_does_not_send_when_the_run_has_ended_meanwhile() -> None:
    stage, model = Stage(), Model(took_s=1.0)
    provider, treasury = budgeted(stage, model, usd=WORST + COST)

    async def calls() -> list[Any]:
        ends = asyncio.ensure_future(ask_many(provider, 2))
        await stage.clock.sleep(0.5)
        stage.halt.now("enough")
        return await ends

    ends = play(calls())

    assert (kinds(ends), len(model.asked)) == ([Completion, NotSent], 1)
    assert empty(treasury)


def test_when_the_run_has_ended_nothing_is_set_aside() -> None:
    stage, model = Stage(), Model()
    provider, treasury = budgeted(stage, model, usd=Decimal(1))
    stage.halt.now("enough")

    assert kinds(play(ask_many(provider, 2))) == [NotSent, NotSent]
    assert empty(treasury)


def test_a_cancelled_waiter_sets_nothing_aside_and_does_not_hold_up_the_next() -> None:
    stage, model = Stage(), Model(took_s=1.0)
    provider, treasury = budgeted(stage, model, usd=WORST + COST + COST)

    async def calls() -> list[Any]:
        tasks = [asyncio.ensure_future(ask(provider, f"t-{number}")) for number in range(4)]
        await stage.clock.sleep(0.5)
        tasks[2].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    ends = play(calls())

    assert kinds(ends) == [Completion, Completion, asyncio.CancelledError, Completion]
    assert empty(treasury)


def test_a_waiter_that_is_cancelled_as_it_is_woken_leaves_the_room_to_the_next() -> None:
    stage, six, five, none = Stage(), Decimal(6), Decimal(5), Decimal(0)
    purse = Purse(Decimal(10))
    treasury = Treasury(stage.halt, purse)

    async def calls() -> bool:
        await treasury.reserve(six, none, call("t-1"))
        woken, next_one = (asyncio.ensure_future(treasury.reserve(usd, none, call("t-2"))) for usd in (six, five))
        await asyncio.sleep(0)
        treasury.settle((six, none), (Decimal(1), none))
        woken.cancel()
        await asyncio.wait((woken, next_one))
        return woken.cancelled()

    assert play(calls())
    assert (purse.spent, purse.reserved, treasury._in_flight) == (1, 5, 1)


def test_one_case_may_not_cost_more_than_its_share_and_the_run_goes_on() -> None:
    stage, model = Stage(), Model()
    provider, treasury = budgeted(stage, model, per_case=WORST + COST)

    async def calls() -> list[object]:
        asked = request()
        one = call("t-1", asked)
        return [await outcome(provider.send(asked, one)) for _ in range(3)] + [await outcome(ask(provider, "t-2"))]

    *_, refused, other = ends = play(calls())

    assert kinds(ends) == [Completion, Completion, CallError, Completion]
    assert isinstance(refused, CallError)
    assert refused.kind is ErrorKind.BUDGET
    cost = f"could cost ${WORST} with an answer as long as max_tokens allows"
    assert str(refused).startswith(f"budget: another attempt {cost}, more than is left of ${WORST + COST}")
    assert isinstance(other, Completion)
    assert (stage.halt.reason, empty(treasury)) == (None, True)


def test_unknown_costs_do_not_make_a_cases_share_endless() -> None:
    stage, model = Stage(), Model(lines=[Completion(text="yes")])
    provider, _ = budgeted(stage, model, per_case=3 * WORST)

    async def calls() -> list[object]:
        asked = request()
        one = call("t-1", asked)
        return [await outcome(provider.send(asked, one)) for _ in range(5)]

    assert kinds(play(calls())) == [Completion] * 3 + [CallError] * 2


def test_a_free_model_is_never_held_up() -> None:
    stage, model = Stage(), Model()
    free = Price(input=Decimal(0), output=Decimal(0))
    provider, treasury = budgeted(stage, model, usd=Decimal(0), pricer=free)

    assert kinds(play(ask_many(provider, 50))) == [Completion] * 50
    assert empty(treasury)


def test_a_tiny_budget_is_told_in_plain_digits() -> None:
    stage, model = Stage(), Model(took_s=1.0)
    provider, _ = budgeted(stage, model, usd=Decimal("1E-7"))

    play(ask_many(provider, 1))

    assert "$0.00 of $0.0000001 spent" in str(stage.halt.reason)
