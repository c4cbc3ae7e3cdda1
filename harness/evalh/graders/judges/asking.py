"""Common parts of graders that ask a model: which models may be asked, and what happens after a failure."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from evalh.core.attempt import Answer, CallError, FinishReason, NotSent
from evalh.core.case import ABSENT
from evalh.core.errors import EvalhError
from evalh.core.ports import Template
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Asker, EarlyVerdict, GradeContext, Question, Verdict
from evalh.graders.quoting import one_line

Ask: TypeAlias = Callable[[GradeContext, Asker], Awaitable[Verdict]]

_DECLINED = {
    FinishReason.REFUSAL: "refused",
    FinishReason.CONTENT_FILTER: "was stopped by a content filter",
    FinishReason.LENGTH: "was cut off: raise the max_tokens of the grader, or of its prompt",
    FinishReason.TOOL_CALLS: "asked for a tool",
}


class Models(Protocol):
    """The models and routes that a workspace names."""

    def require(self, name: str, where: str, *, embeds: bool = False) -> None:
        """Raise WorkspaceError at `where` for an unknown name, or a model that cannot do what is asked of it.

        `embeds`: it is asked for the embeddings of texts; otherwise for answers.
        """

    def document(self, name: str) -> JsonValue:
        """Return what stands for a model in a digest: everything that decides its answers. Raises EvalhError."""

    def holds_schema(self, name: str | None) -> bool:
        """Whether the model of this name is held to a schema by its provider, so that it writes no prose."""


class RubricText(Value, kw_only=True):
    """A rubric as it was read: its text, and the scale that a file may state in its front matter."""

    text: str
    scale: Mapping[str, JsonValue]
    where_of: Callable[..., str]  # file:line of what the front matter states


class JudgePrompt(Value, kw_only=True):
    """A prompt version that judges. `form` is what its front matter says of the reply and the params."""

    label: str
    digest: str
    template: Template
    variables: frozenset[str]
    params: Mapping[str, JsonValue]
    output_schema: Mapping[str, JsonValue] | None


class Texts(Protocol):
    """Where rubrics, judges' prompts and code for the `javascript` grader come from."""

    def rubric(self, path: str, where: str) -> RubricText:
        """Read a rubric file. Raises WorkspaceError."""

    def prompt(self, reference: str, where: str) -> JudgePrompt:
        """Load a prompt version. Raises WorkspaceError."""

    def script(self, path: str, where: str) -> str | None:
        """Read a file of code; None if there is none. Raises WorkspaceError."""


class UnreadableReplyError(Exception):
    """A reply that says nothing that counts; the message says why."""


def said(answer: Answer) -> str:
    """Return a reply's text. Raises UnreadableReplyError where the model refused, or was cut off."""
    declined = _DECLINED.get(answer.completion.finish)
    if declined is not None:
        raise UnreadableReplyError(f"it {declined}")
    return answer.completion.text


def no_reference(ctx: GradeContext) -> Verdict | None:
    """Return the verdict where a judge is to be shown what a case expects, and there is nothing; None: there is."""
    if ctx.expected is ABSENT:
        return Verdict.abstain("the case has no expected value")
    empty = ctx.expected is None or (isinstance(ctx.expected, str) and not ctx.expected.strip())
    if empty or (isinstance(ctx.expected, list | dict) and not ctx.expected):
        return Verdict.error("the case's expected is empty: reference: true has nothing to show")
    return None


def by_asking(who: str, ask: Ask) -> Callable[[GradeContext], Awaitable[Verdict]]:
    """Return the judge that asks. A failure is an `error` verdict, never a pass or a fail.

    Raises NotSent where the run is ending, and EvalhError where no further question could be answered either.
    """

    async def judge(ctx: GradeContext) -> Verdict:
        if ctx.asker is None:
            return Verdict.error(f"{who}: no model can be asked here")
        try:
            return await ask(ctx, ctx.asker)
        except EarlyVerdict as early:
            return early.verdict
        except (NotSent, EvalhError):
            raise
        except CallError as error:
            said = f" gave no answer: {error}"
        except UnreadableReplyError as error:
            said = f": {error}"
        except Exception as exc:  # noqa: BLE001 (a grader that breaks says nothing about the output)
            said = f": {type(exc).__name__}: {exc}"
        return Verdict.error(one_line(f"{who}{said}"))

    return judge


Questions: TypeAlias = Callable[[GradeContext], "tuple[Question, ...]"]
"""What a grader would ask about a sample at most, for a plan: an output that is not there yet is empty."""
