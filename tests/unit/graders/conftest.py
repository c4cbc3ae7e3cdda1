"""One way to ask a grader: the entry as a suite states it, and what the model said."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from evalh.core.attempt import Answer, CallError, Completion, ErrorKind, FinishReason, Usage
from evalh.core.case import ABSENT, Case
from evalh.core.request import Message, Request, Role, Settings, Tool, ToolCall
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Question, Verdict
from evalh.graders.kinds import Grader
from evalh.graders.registry import build
from grading import environment as grading_environment


def built(entry: str | dict[str, Any], **environment: Any) -> Grader:
    """Build a grader from an entry under `graders:` in a suite."""
    kind, params = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
    params = {} if params is None else params if isinstance(params, dict) else {"value": params}
    spec = GraderSpec(kind=kind, name=kind, params=params, where="evals/triage.yaml:7")
    return build(spec, grading_environment(**{"models": Anybody(), **environment}))


def context(text: str, **about: Any) -> GradeContext:
    """Build what a grader sees; what is not stated is absent."""
    if "system" in about:
        about["request"] = asked_with(about.pop("system"), about.pop("user", "Hello."))
    completion = Completion(
        text=text,
        finish=FinishReason(about.pop("finish", "stop")),
        tool_calls=tuple(ToolCall(f"t-{number}", *call) for number, call in enumerate(about.pop("tool_calls", ()))),
        latency_ms=about.pop("latency_ms", None),
        logprobs=about.pop("logprobs", None),
        usage=Usage(output_tokens=about.pop("output_tokens", None)),
    )
    cost = about.pop("cost_usd", None)
    graders = about.pop("graders", ())
    case = Case("c-1", about.pop("inputs", {}), expected=about.pop("expected", ABSENT), graders=graders)
    return GradeContext(case=case, completion=completion, cost_usd=None if cost is None else Decimal(cost), **about)


def asked_with(system: str, user: str = "Hello.", tools: tuple[Tool, ...] = ()) -> Request:
    """Build a request of a system prompt and a user's message."""
    messages = [Message.of(role, text) for role, text in ((Role.SYSTEM, system), (Role.USER, user)) if text]
    return Request(tuple(messages), Settings(model="m", sent_to={}, tools=tools))


@dataclass
class Says:
    """`core.verdict.Asker` whose models give these replies, one after the other; an error kind is raised."""

    replies: Sequence[str | Completion | ErrorKind]
    questions: list[Question] = field(default_factory=list)

    async def ask(self, question: Question) -> Answer:
        reply = self.replies[min(len(self.questions), len(self.replies) - 1)]
        self.questions.append(question)
        if isinstance(reply, ErrorKind):
            raise CallError(reply, "as scripted")
        completion = reply if isinstance(reply, Completion) else Completion(text=reply)
        return Answer(f"r1:{len(self.questions)}.1", completion, Decimal("0.001"), question.model)


class Anybody:
    """`graders.judges.asking.Models` that knows every model."""

    def require(self, name: str, where: str, *, embeds: bool = False) -> None:
        """Let everyone through."""

    def document(self, name: str) -> str:
        return name

    def holds_schema(self, name: str | None) -> bool:
        return name == "held"


async def _awaited(verdict: Awaitable[Verdict]) -> Verdict:
    return await verdict


def asked(grader: Grader, ctx: GradeContext) -> Verdict:
    """Ask a grader as the engine does."""
    verdict = grader.judge(ctx)
    return verdict if isinstance(verdict, Verdict) else asyncio.run(_awaited(verdict))


@pytest.fixture
def build_grader() -> Callable[..., Grader]:
    return built


@pytest.fixture
def make_context() -> Callable[..., GradeContext]:
    return context


@pytest.fixture
def make_request() -> Callable[..., Request]:
    return asked_with


@pytest.fixture
def says() -> type[Says]:
    return Says


@pytest.fixture
def ask() -> Callable[[Grader, GradeContext], Verdict]:
    return asked


@pytest.fixture
def judge() -> Callable[..., Verdict]:
    """Judge one output by one entry: `judge({"equals": {"value": 1}}, "1", expected=…)`."""

    def judge(entry: str | dict[str, Any], text: str, **about: Any) -> Verdict:
        return asked(built(entry), context(text, **about))

    return judge
