"""Users' functions as graders: `@grader`, `python`, their parameters and their answers."""

import asyncio
import functools
from collections.abc import Callable
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta
from pydantic import Field

from evalh.core.errors import WorkspaceError
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.functions import arguments_of
from evalh.graders.kinds import Kind
from evalh.graders.registry import build, collecting, grader
from grading import environment as grading_environment


class Mode(Enum):
    STRICT = "strict"
    LOOSE = "loose"


@pytest.fixture
def max_words() -> dict[str, Kind]:
    with collecting(__file__) as kinds:

        @grader("max_words")
        def max_words(ctx: GradeContext, *, limit: int = 50) -> Verdict:
            words = len(ctx.text.split())
            return Verdict.check(words <= limit, f"{words} words; limit {limit}")

    return kinds


def kinds_of(function: Callable[..., Any], name: str = "mine", **about: Any) -> dict[str, Kind]:
    with collecting(__file__) as kinds:
        assert grader(name, **about)(function) is function
    return kinds


def test_the_six_line_grader_works(build_grader, make_context, ask, max_words) -> None:
    verdict = ask(build_grader({"max_words": {"limit": 2}}, kinds=max_words), make_context("one two three"))

    assert (verdict.outcome, verdict.reason) == ("fail", "3 words; limit 2")
    assert ask(build_grader("max_words", kinds=max_words), make_context("one")).reason == "1 words; limit 50"


@pytest.mark.parametrize(
    ("params", "message", "hint"),
    [
        ({"limt": 3}, "grader 'max_words': unknown key 'limt'", "did you mean 'limit'?"),
        ({"limit": "3"}, "grader 'max_words': 'limit' must be a whole number, not text", None),
        ({"limit": True}, "grader 'max_words': 'limit' must be a whole number, not true or false", None),
        ({"limit": None}, "grader 'max_words': 'limit' must be a whole number, not null", None),
    ],
)
def test_parameters_are_checked_when_the_suite_is_loaded(build_grader, max_words, params, message, hint) -> None:
    with pytest.raises(WorkspaceError) as caught:
        build_grader({"max_words": params}, kinds=max_words)

    assert (caught.value.what, caught.value.hint, caught.value.where) == (message, hint, "evals/triage.yaml:7")


def test_a_parameter_without_default_must_be_stated(build_grader) -> None:
    def mine(ctx: GradeContext, *, limit: int) -> Verdict:
        return Verdict.check(True, str(limit))

    with pytest.raises(WorkspaceError, match="grader 'mine': 'limit' is missing"):
        build_grader("mine", kinds=kinds_of(mine))


def test_types_may_be_choices_lists_bounds_and_anything(build_grader, make_context, ask) -> None:
    def mine(
        ctx: "GradeContext",
        *,
        mode: Literal["strict", "loose"] = "strict",
        words: "list[str]" = ["a"],  # noqa: B006 (a default that must not be shared)
        share: Annotated[float, Meta(ge=0, le=1)] = 0.5,
        anything=None,
    ) -> Verdict:
        words.append(mode)
        return Verdict.check(True, f"{mode} {words} {share} {anything}")

    kinds = kinds_of(mine)

    for _ in range(2):
        stated = build_grader({"mine": {"share": 1, "anything": {"x": [1]}}}, kinds=kinds)
        assert ask(stated, make_context("")).reason == "strict ['a', 'strict'] 1.0 {'x': [1]}"
    with pytest.raises(WorkspaceError, match="'mode' must be strict or loose, not 'lose'") as caught:
        build_grader({"mine": {"mode": "lose"}}, kinds=kinds)
    assert caught.value.hint == "did you mean 'loose'?"
    with pytest.raises(WorkspaceError, match="'share' must be a number from 0 to 1"):
        build_grader({"mine": {"share": 1.5}}, kinds=kinds)
    with pytest.raises(WorkspaceError, match="'words' must hold text, not a number"):
        build_grader({"mine": {"words": ["a", 1]}}, kinds=kinds)


def test_limits_and_descriptions_are_pydantics_and_every_mistake_is_told_at_its_line() -> None:
    def mine(
        ctx: GradeContext,
        *,
        schema: Annotated[int, Field(ge=1, le=9, description="Words.")] = 3,
        mode: Mode = Mode.LOOSE,
        days: set[date] | None = None,
    ) -> Verdict:
        return Verdict.check(True, f"{schema} {mode} {days}")

    kinds = kinds_of(mine)
    parameters = kinds["mine"].parameters
    stated = {"schema": 12, "mode": "lax", "limit": 1}
    lines = {key: f"evals/a.yaml:{line}" for line, key in enumerate(stated, start=7)}
    spec = GraderSpec(kind="mine", name="mine", params=stated, where="evals/a.yaml:6", places=lines.__getitem__)
    with pytest.raises(WorkspaceError) as caught:
        build(spec, grading_environment(kinds=kinds))

    assert [(one.where, one.what) for one in (caught.value, *caught.value.others)] == [
        ("evals/a.yaml:7", "grader 'mine': 'schema' must be a whole number from 1 to 9"),
        ("evals/a.yaml:8", "grader 'mine': 'mode' must be strict or loose"),
        ("evals/a.yaml:9", "grader 'mine': unknown key 'limit'"),
    ]
    assert parameters.model_json_schema()["properties"]["schema"]["description"] == "Words."
    fine = {"schema": 9, "mode": "strict", "days": ["2026-02-01"]}
    assert arguments_of(parameters.model_validate(fine)) == {
        "schema": 9,
        "mode": Mode.STRICT,
        "days": {date(2026, 2, 1)},
    }


def test_an_asynchronous_grader_is_awaited(build_grader, make_context, ask) -> None:
    async def mine(ctx: GradeContext) -> Verdict:
        await asyncio.sleep(0)
        return Verdict.scored(0.25, 0.2, ctx.text)

    verdict = ask(build_grader("mine", kinds=kinds_of(mine)), make_context("text"))

    assert (verdict.outcome, verdict.score, verdict.reason) == ("pass", 0.25, "text")


def test_a_wrapped_function_keeps_its_parameters(build_grader, make_context, ask) -> None:
    def plain(ctx: GradeContext, *, limit: int = 1) -> Verdict:
        return Verdict.check(True, str(limit))

    @functools.wraps(plain)
    def wrapped(*args: Any, **kwargs: Any) -> Verdict:
        return plain(*args, **kwargs)

    assert ask(build_grader({"mine": {"limit": 4}}, kinds=kinds_of(wrapped)), make_context("")).reason == "4"


def test_what_breaks_is_an_error_with_type_message_and_line(build_grader, make_context, ask) -> None:
    def mine(ctx: GradeContext) -> Verdict:
        return {}["lab\x1bel"]

    async def mine_too(ctx: GradeContext) -> Verdict:
        return mine(ctx)

    for function in (mine, mine_too):
        verdict = ask(build_grader("mine", kinds=kinds_of(function)), make_context(""))
        assert (verdict.outcome, verdict.score) == ("error", None)
        assert verdict.reason.startswith("KeyError: 'lab\\x1bel' (test_graders_functions.py:")
        assert "Traceback" not in verdict.reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "returned NoneType, not a Verdict"),
        (True, "returned bool, not a Verdict"),
        (0.5, "returned float, not a Verdict"),
        ("pass", "returned str, not a Verdict"),
    ],
)
def test_another_answer_than_a_verdict_is_an_error(build_grader, make_context, ask, answer, reason) -> None:
    verdict = ask(build_grader("mine", kinds=kinds_of(lambda ctx: answer)), make_context(""))

    assert (verdict.outcome, verdict.reason) == ("error", reason)


def test_a_coroutine_from_a_plain_function_is_an_error(build_grader, make_context, ask) -> None:
    async def later() -> Verdict:
        return Verdict.check(True, "")

    def plain(ctx: GradeContext) -> object:
        return later()

    verdict = ask(build_grader("mine", kinds=kinds_of(plain)), make_context(""))

    assert (verdict.outcome, verdict.reason) == ("error", "returned a coroutine: declare the function with async def")


def test_a_verdict_that_cannot_be_is_an_error(build_grader, make_context, ask) -> None:
    verdict = ask(build_grader("mine", kinds=kinds_of(lambda ctx: Verdict.scored(7, 0.5, ""))), make_context(""))

    assert (verdict.outcome, "must lie in" in verdict.reason) == ("error", True)


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict("pass", 1.0, ""),
        Verdict(Outcome.PASS, 1.5, ""),
        Verdict(Outcome.PASS, float("nan"), ""),
        Verdict(Outcome.PASS, "1", ""),
        Verdict(Outcome.FAIL, 0.0, None),
    ],
)
def test_a_verdict_built_by_hand_is_checked(build_grader, make_context, ask, verdict: Verdict) -> None:
    said = ask(build_grader("mine", kinds=kinds_of(lambda ctx: verdict)), make_context(""))

    assert (said.outcome, said.score) == ("error", None)
    assert said.reason.startswith("returned a verdict that is not valid: Verdict(")


def test_a_reason_that_quotes_the_output_moves_no_cursor(build_grader, make_context, ask) -> None:
    grader = build_grader("mine", kinds=kinds_of(lambda ctx: Verdict.check(True, ctx.text)))

    assert ask(grader, make_context("\x1b[2J\u202e")).reason == "\\x1b[2J\\u202e"
    assert len(ask(grader, make_context("x" * 1_000_000)).reason) == 1001


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: None, "takes no context"),
        (lambda *, ctx: None, "takes no context"),
        (lambda ctx, limit: None, "'limit' must be keyword-only"),
        (lambda ctx, limit=1: None, "'limit' must be keyword-only"),
        (lambda ctx, *rest: None, "'rest' must be keyword-only"),
        (lambda ctx, **rest: None, "'rest' must be keyword-only"),
    ],
)
def test_a_function_of_another_form_is_refused_at_its_line(function, message: str) -> None:
    with pytest.raises(WorkspaceError, match=message) as caught:
        kinds_of(function)

    assert f"{__file__}:" in caught.value.where


def test_a_type_that_cannot_be_read_is_refused() -> None:
    def mine(ctx: GradeContext, *, limit: "Missing" = 1) -> Verdict:  # noqa: F821 (it is not there)
        return Verdict.check(True, "")

    with pytest.raises(WorkspaceError, match="the type of parameter 'limit' cannot be read: name 'Missing'"):
        kinds_of(mine)


def test_a_type_for_the_checker_only_does_not_disturb_the_context() -> None:
    def mine(ctx: "OnlyForTheChecker", *, limit: int = 1) -> "Verdict":  # noqa: F821 (as under TYPE_CHECKING)
        return Verdict.check(True, "")

    assert "mine" in kinds_of(mine)


@pytest.mark.parametrize("name", ["", "two words", "1st", None, 3, lambda ctx: None])
def test_a_grader_needs_a_name(name) -> None:
    with pytest.raises(WorkspaceError, match="cannot be a grader's name"):
        grader(name)


# -- python: a function by its path


def check(ctx: GradeContext, *, word: str = "ok") -> bool:
    return word in ctx.text


def verdict(ctx: GradeContext) -> Verdict:
    return Verdict.scored(0.5, 0.9, "so so")


def number(ctx: GradeContext) -> float:
    return 0.5


def load(path: str) -> object:
    return {"f:check": check, "f:verdict": verdict, "f:number": number, "f:Kind": Kind}[path]


def test_python_asks_a_function(build_grader, make_context, ask) -> None:
    def outcome(params: dict[str, Any]) -> tuple[str, str]:
        said = ask(build_grader({"python": params}, load_function=load), make_context("all ok"))
        return said.outcome, said.reason

    assert outcome({"function": "f:check"}) == ("pass", "returned True")
    assert outcome({"function": "f:check", "args": {"word": "no"}}) == ("fail", "returned False")
    assert outcome({"function": "f:verdict"}) == ("fail", "so so")
    assert outcome({"function": "f:number"}) == ("error", "returned float, not a Verdict or a bool")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "'function' is missing"),
        ({"function": "f:check", "args": {"wrod": "x"}}, "'f:check': unknown key 'wrod'"),
        ({"function": "f:check", "args": {"word": 1}}, "'f:check': 'word' must be text"),
        ({"function": "f:verdict", "args": {"word": "x"}}, "unknown key 'word'"),
        ({"function": "f:Kind"}, "'f:Kind' is a class"),
        ({"function": "f:check", "deadline_s": 0}, "'deadline_s' must be a number above 0"),
    ],
)
def test_what_python_is_given_is_checked_when_the_suite_is_loaded(build_grader, params, message: str) -> None:
    with pytest.raises(WorkspaceError, match=message) as caught:
        build_grader({"python": params}, load_function=load)

    assert caught.value.where == "evals/triage.yaml:7"


def test_python_without_a_loader_says_so(build_grader) -> None:
    with pytest.raises(WorkspaceError, match="no function loader"):
        build_grader({"python": {"function": "f:check"}})
