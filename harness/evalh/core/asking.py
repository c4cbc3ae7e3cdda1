"""What a program gets when it asks a prompt in production: a reply, or one of these errors.

EvalhError
├── UsageError
│   └── InvalidInputs     the inputs do not fit the prompt; nothing was sent
└── AskError              `id`: its id in the log
    ├── NoAnswer          no model answered; `kind`: the kind of the last failure, as in the log
    ├── BudgetSpent       another attempt could cost more than the route may spend
    ├── DeadlinePassed    no answer in time
    ├── AnswerRefused     an answer came, but it does not have the form that was asked for; `text`: that answer
    └── Withheld          a person must look first; `step`, `output`, and `given` to continue with
"""

from collections.abc import Mapping
from decimal import Decimal

from evalh.core.attempt import CallError, ErrorKind, FinishReason
from evalh.core.errors import EvalhError, ExitCode, UsageError
from evalh.core.request import ToolCall
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value


class InvalidInputs(UsageError):
    """The inputs do not fit the prompt. Nothing was sent."""


class AskError(EvalhError):
    """An ask gave no value. `id` names it in the log."""

    exit_code = ExitCode.CANNOT_MEASURE

    def __init__(self, what: str, *, id: str, hint: str | None = None) -> None:  # noqa: A002 (the word of the log)
        super().__init__(what, hint=hint)
        self.id = id


class NoAnswer(AskError):
    """No model of the route answered. `kind` says why the last one did not."""

    def __init__(self, error: CallError, *, id: str) -> None:  # noqa: A002 (the word of the log)
        super().__init__(f"no answer: {error}", id=id)
        self.kind: ErrorKind = error.kind


class BudgetSpent(AskError):
    """Another attempt could cost more than is left. Nothing more was sent."""


class DeadlinePassed(AskError):
    """No answer came in time. The requests in flight were stopped."""


class AnswerRefused(AskError):
    """An answer came, but it does not have the form that was asked for. `text` is the answer, unchanged."""

    def __init__(self, what: str, *, id: str, text: str) -> None:  # noqa: A002 (the word of the log)
        super().__init__(what, id=id)
        self.text = text


class Withheld(AskError):
    """The checks of a step with `on_bad: review` refuse its output: a person must look before anything follows.

    It is raised and not returned, so that a program that does not expect it never sends the output to anyone.
    `given` has the outputs of other steps: `ask(…, given={**held.given, held.step: corrected})` does not ask for
    them again.
    """

    def __init__(self, id: str, step: str, output: JsonValue, given: Mapping[str, JsonValue], why: str) -> None:  # noqa: A002 (the word of the log)
        super().__init__(f"withheld for a person: `{step}`: {why}", id=id, hint="given={**held.given, held.step: …}")
        self.step = step
        self.output = output
        self.given = dict(given)
        self.why = why


class Reply(Value, kw_only=True):
    """The result with `whole=True`: the value, and facts about it."""

    id: str  # in the log; feedback names it
    value: object  # text, a JSON value, or an instance of `output`
    text: str  # as the model wrote it; "" for a default
    version: str  # triage@v3
    cost_usd: Decimal | None = None  # of all attempts and checks; None if unknown
    model: str | None = None  # the model that answered, by its name in evalh.toml; None: a function, or several
    tool_calls: tuple[ToolCall, ...] = ()  # of a prompt with tools: what the model wants called
    finish: FinishReason | None = None  # `length`: the answer was cut off; None: a function, or a default
    default: str | None = None  # why the value is the default; None: it is an answer
