"""What a report is made of: a run's samples with their outputs, and how each answer came about."""

from decimal import Decimal

from evalh.core.attempt import Usage
from evalh.core.case import Case
from evalh.core.log import DecisionRow, SampleRow
from evalh.core.request import ToolCall
from evalh.core.values import Value


class SampleStory(Value, kw_only=True):
    """One sample, its case as it was then, and what was answered."""

    sample: SampleRow
    case: Case
    output: str | None  # None: no answer came
    reasoning: str | None  # what stood before the answer; None: nobody looked
    tool_calls: tuple[ToolCall, ...]
    usage: Usage
    model_answered: str | None  # the model's name as it answered


class TracedAttempt(Value, kw_only=True):
    """One physical request, without its texts."""

    number: int
    model: str
    started_at: float  # seconds since the epoch, UTC
    reason: str  # first, retry, repair, fallback, escalation
    status: str
    latency_ms: float | None
    error_kind: str | None
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    estimated: bool


class TracedCall(Value, kw_only=True):
    """One call of a sample: its attempts and what was decided between them; on a cache hit those that bought it."""

    id: str
    step: str | None
    draw: int
    purpose: str
    cache_hit: bool
    route: str | None
    attempts: tuple[TracedAttempt, ...]
    decisions: tuple[DecisionRow, ...]

    @property
    def eventful(self) -> bool:
        """Tell whether anything happened but one question and one answer."""
        return len(self.attempts) != 1 or bool(self.decisions) or self.attempts[0].status != "ok"
