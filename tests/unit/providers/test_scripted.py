"""The scripted provider stands in for a model: what a script gives, raises or forgets is what a caller sees."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from evalh.core.attempt import Call, CallError, CallKey, Completion, ErrorKind, FinishReason, Usage
from evalh.core.errors import WorkspaceError
from evalh.core.model import ModelSpec
from evalh.core.money import Price
from evalh.core.request import Message, Request, Role, Settings
from evalh.providers.registry import ProviderContext
from evalh.providers.scripted import ScriptedProvider, build


class NoFiles:
    revision = None

    def read(self, path: str) -> bytes:
        raise FileNotFoundError(path)

    def exists(self, path: str) -> bool:
        return False

    def names(self, folder: str) -> list[str]:
        return []


def provider(
    options: dict[str, object], function: Callable[..., object] | None = None, root: Path = Path()
) -> ScriptedProvider:
    def load(path: str) -> Callable[..., object]:
        if function is None:
            raise WorkspaceError(f"no function {path}")
        return function

    context = ProviderContext(
        prompt="triage", version="v1", tree=NoFiles(), root=root, env={}, cache_dir=root, load_function=load
    )
    return build(ModelSpec(name="small", provider="scripted", model="script-1", options=options, where="f:3"), context)


def scripted(function: Callable[..., object], **options: object) -> ScriptedProvider:
    return provider({"function": "evals/answers.py:answer", **options}, function)


def ask(it: ScriptedProvider, text: str = "hello", **key: object) -> Completion:
    request = Request((Message.of(Role.USER, text),), Settings(model="script-1", sent_to=it.identity))
    call = Call(id="r:1", run_id="r", key=CallKey(**{"case_id": "t-1", **key}), request=request)  # type: ignore[arg-type]
    return asyncio.run(it.send(request, call))


def test_a_function_is_handed_what_its_parameters_name() -> None:
    it = scripted(lambda request, case_id, trial, draw: f"{request.messages[-1].text}/{case_id}/{trial}/{draw}")

    assert ask(it, "hi", trial=2, draw=1).text == "hi/t-1/2/1"


def test_a_function_with_keywords_is_handed_everything() -> None:
    it = scripted(lambda **handed: sorted(handed))

    assert json.loads(ask(it).text) == ["case_id", "draw", "messages", "request", "step", "trial"]


def test_a_parameter_that_nobody_fills_is_named_when_the_workspace_is_read() -> None:
    with pytest.raises(WorkspaceError, match="asks for 'case'") as caught:
        scripted(lambda case: case)

    assert caught.value.where == "f:3"
    assert caught.value.hint is not None
    assert "case_id" in caught.value.hint


def test_a_parameter_with_a_default_is_left_alone() -> None:
    assert ask(scripted(lambda case_id, prefix="x": prefix + case_id)).text == "xt-1"


def test_an_async_function_is_awaited() -> None:
    async def answer(case_id: str) -> str:
        await asyncio.sleep(0)
        return f"late {case_id}"

    assert ask(scripted(answer)).text == "late t-1"


def test_a_dict_stands_for_its_json_in_its_own_order() -> None:
    assert ask(scripted(lambda: {"label": "bug", "added": "é"})).text == '{"label": "bug", "added": "é"}'


def test_a_completion_is_handed_on_as_it_stands() -> None:
    given = Completion(
        text="cut", finish=FinishReason.LENGTH, usage=Usage(1, 2), latency_ms=7.0, model="m", cost_usd=Decimal(3)
    )

    assert ask(scripted(lambda: given)) == given


def test_a_cost_written_as_a_float_is_the_number_that_was_written() -> None:
    def costing(cost: object) -> ScriptedProvider:
        return scripted(lambda: Completion(text="x", cost_usd=cost))  # type: ignore[arg-type]

    assert ask(costing(0.1)).cost_usd == Decimal("0.1")
    for nonsense in (float("nan"), "0.1", True):
        with pytest.raises(CallError, match="cost_usd is not an amount"):
            ask(costing(nonsense))


@pytest.mark.parametrize(
    "nonsense",
    [None, 7, b"bytes", {"x": object()}, {"x": float("nan")}],
    ids=["None", "a number", "bytes", "an object", "NaN"],
)
def test_nonsense_is_a_bad_response(nonsense: object) -> None:
    with pytest.raises(CallError) as caught:
        ask(scripted(lambda: nonsense))

    assert caught.value.kind is ErrorKind.BAD_RESPONSE


def test_a_function_that_raises_is_a_bad_response_with_its_message() -> None:
    def answer() -> str:
        raise KeyError("ticket")

    with pytest.raises(CallError, match="KeyError: 'ticket'") as caught:
        ask(scripted(answer))

    assert caught.value.kind is ErrorKind.BAD_RESPONSE


def test_a_script_may_play_a_rate_limit() -> None:
    def answer() -> str:
        raise CallError(ErrorKind.RATE_LIMIT, "slow down", retry_after_s=2.0)

    with pytest.raises(CallError) as caught:
        ask(scripted(answer))

    assert (caught.value.kind, caught.value.retry_after_s) == (ErrorKind.RATE_LIMIT, 2.0)


def test_usage_is_characters_over_four_so_that_a_price_shows() -> None:
    completion = ask(scripted(lambda: "x" * 9), "y" * 8)

    assert completion.usage == Usage(2, 3)
    assert Price(input=Decimal(1), output=Decimal(1)).cost(completion.usage, 0.0) == Decimal("0.000005")


def test_a_table_answers_by_case_and_falls_back_to_its_default() -> None:
    it = provider({"table": {"t-1": "one", "t-2": {"label": "bug"}}, "default": "other"})

    assert [ask(it, case_id=case).text for case in ("t-1", "t-2", "t-3")] == ["one", '{"label": "bug"}', "other"]


def test_a_case_without_a_row_in_the_table_could_not_be_measured() -> None:
    with pytest.raises(CallError, match="'t-9'") as caught:
        ask(provider({"table": {"t-1": "one"}}), case_id="t-9")

    assert caught.value.kind is ErrorKind.NOT_RECORDED


@pytest.mark.parametrize(
    "options",
    [{}, {"table": {}}, {"function": 3}, {"default": "x", "latency_ms": -1}, {"default": "x", "latency_ms": True}],
)
def test_a_script_that_cannot_answer_is_refused_with_its_place(options: dict[str, object]) -> None:
    with pytest.raises(WorkspaceError) as caught:
        provider(options)

    assert caught.value.where == "f:3"


def test_a_function_that_is_not_there_is_refused_with_the_models_place() -> None:
    with pytest.raises(WorkspaceError, match=r"no function evals/a\.py:x") as caught:
        provider({"function": "evals/a.py:x"})

    assert caught.value.where == "f:3"


def test_an_edited_script_is_another_model(tmp_path: Path) -> None:
    script = tmp_path / "answers.py"
    identities = []
    for source in ("def answer(): return 'a'", "def answer(): return 'b'"):
        script.write_text(source)
        identities.append(provider({"function": "answers.py:answer"}, lambda: "a", tmp_path).identity)

    assert identities[0] != identities[1]


def test_an_edited_table_is_another_model() -> None:
    assert provider({"table": {"t-1": "a"}}).identity != provider({"table": {"t-1": "b"}}).identity


def test_a_latency_is_waited_for_and_reported() -> None:
    it = provider({"default": "x", "latency_ms": 20})

    assert (ask(it).latency_ms or 0) >= 20
