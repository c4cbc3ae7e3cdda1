"""What was traced of a program that evalh did not run: a workflow and all that is known of it."""

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh_trace.records import Attempt, Call, Feedback, Score, Step, Workflow


class WorkflowDetail(Value, kw_only=True):
    """A workflow with all that belongs to it. Steps stand in their order."""

    workflow: Workflow
    steps: tuple[Step, ...] = ()
    calls: tuple[Call, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    feedback: tuple[Feedback, ...] = ()
    scores: tuple[Score, ...] = ()


def said(messages: JsonValue) -> list[tuple[str, str]]:
    """Return who said what in a call's messages, texts alone; what is not of the log's form is left out."""
    found = []
    for message in messages if isinstance(messages, list) else ():
        parts = message.get("parts") if isinstance(message, dict) else None
        if isinstance(parts, list) and isinstance(message.get("role"), str):
            found.append((message["role"], "".join(part for part in parts if isinstance(part, str))))
    return found


class TracedItem(Value):
    """One step or call of a workflow, to be shown whole."""

    detail: WorkflowDetail
    item: Step | Call


class ProductionCall(Value, kw_only=True):
    """A call in a list: with its workflow's name and its attempts."""

    call: Call
    workflow: str
    attempts: tuple[Attempt, ...]
    cost_usd: float | None

    @property
    def answer(self) -> Attempt | None:
        """The attempt that gave the answer; the last one where none did."""
        named = [one for one in self.attempts if one.id == self.call.answered_by] or self.attempts
        return named[-1] if named else None


class Spent(Value, kw_only=True):
    """What workflows of one name cost, in USD. Sums are of those with a price; `unpriced` counts the others."""

    name: str
    workflows: int
    calls: int
    usd: float
    unpriced: int
    stands_for: float  # workflows, those that were not kept included: the sum of the weights
    usd_of_all: float  # weighted likewise
