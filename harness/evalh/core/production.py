"""What was traced of a program that evalh did not run: a workflow and all that is known of it."""

from collections import Counter
from enum import StrEnum

from evalh.core.sample import Standing, Story
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh_trace.records import Attempt, Call, Feedback, Score, Step, Workflow


class WorkflowGrade(Value, kw_only=True):
    """What `evalh grade --production` found of one workflow: the newest of a suite."""

    suite: str
    prompt: str  # the version that graded it, such as triage@v3
    run_id: str
    sample_id: str
    standing: Standing
    story: Story | None  # None: its steps were not graded


class WorkflowDetail(Value, kw_only=True):
    """A workflow with all that belongs to it. Steps stand in their order."""

    workflow: Workflow
    steps: tuple[Step, ...] = ()
    calls: tuple[Call, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    feedback: tuple[Feedback, ...] = ()
    scores: tuple[Score, ...] = ()
    grades: tuple[WorkflowGrade, ...] = ()  # by suite: they are in the log, not beside the workflow


def said(messages: JsonValue) -> list[tuple[str, str]]:
    """Return the role and text of a call's messages, texts alone; what is not of the log's form is left out."""
    found = []
    for message in messages if isinstance(messages, list) else ():
        parts = message.get("parts") if isinstance(message, dict) else None
        if isinstance(parts, list) and isinstance(message.get("role"), str):
            found.append((message["role"], "".join(part for part in parts if isinstance(part, str))))
    return found


class Voted(StrEnum):
    """What users said of a workflow."""

    GOOD = "good"  # good votes alone
    BAD = "bad"  # a bad vote, whatever others said
    NONE = "none"

    @classmethod
    def of(cls, votes: Counter[bool] | None) -> "Voted":
        """Sum up a workflow's votes; None: it has none."""
        if not votes:
            return cls.NONE
        return cls.BAD if votes[False] else cls.GOOD


class TracedItem(Value):
    """One step or call of a workflow, to be shown whole."""

    detail: WorkflowDetail
    item: Step | Call


class ProductionCall(Value, kw_only=True):
    """A call in a list: with its workflow's name and its attempts."""

    call: Call
    workflow: str
    attempts: tuple[Attempt, ...]
    versions: tuple[str, ...]  # whose template its messages fit
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


class WorkflowKind(StrEnum):
    """Which workflows a list shows."""

    ALL = "all"
    FAILED = "failed"  # an error, interrupted, a thumb down or a failed score
    THUMBS_DOWN = "thumbs_down"
    QUIET = "quiet"  # a step failed, and yet the workflow ended without an error
    POISONED = "poisoned"  # graded: a bad step led to its bad output
    UNCHECKED = "unchecked"  # nobody judged it: no score, no vote
    RUNNING = "running"


class WorkflowOrder(StrEnum):
    """How a list of workflows is ordered."""

    NEWEST = "newest"
    SLOWEST = "slowest"
    MOST_EXPENSIVE = "most_expensive"


class WorkflowQuery(Value, kw_only=True):
    """What a list of workflows is about. None: any."""

    kind: WorkflowKind = WorkflowKind.ALL
    name: str | None = None
    version: str | None = None  # triage@v3, of any call
    session: str | None = None
    user: str | None = None
    text: str | None = None  # a part of the id, name, session or user, in any case
    since: str = ""  # an instant of the log's form
    poisoned: frozenset[str] = frozenset()  # ids, by the newest grading: it is in the log, not beside the workflows
    order: WorkflowOrder = WorkflowOrder.NEWEST


class FirstFailure(Value):
    """The earliest step that failed itself, not by a step inside it, and what says so."""

    step: str
    position: int | None
    reason: str | None
    source: str | None  # who scored it; None: the program's own error


class WorkflowLine(Value, kw_only=True):
    """A workflow in a list. Sums are of what is known; the counts beside them say what is missing."""

    id: str
    name: str
    started_at: float
    ended_at: float | None
    status: str | None
    error: str | None
    session: str | None
    user: str | None
    steps: int
    calls: int
    usd: float
    unpriced: int  # calls
    input_tokens: int
    output_tokens: int
    uncounted: int  # answers whose tokens are unknown
    good_votes: int
    bad_votes: int
    other_votes: int  # copied, retried, escalated, …
    failed_scores: int
    passed_scores: int
    first_failure: FirstFailure | None


class WorkflowList(Value, kw_only=True):
    """A part of a list, and how many workflows the whole has."""

    lines: tuple[WorkflowLine, ...]
    counts: dict[WorkflowKind, int]  # of those that fit the rest of the query
    names: tuple[str, ...]  # the most frequent, of all workflows
    versions: tuple[str, ...]
    lost: int  # records of production that were not stored
