"""What a service holds of judgements: its users' votes become feedback, everything else scores."""

from typing import Any

from evalh.core.values import Value
from evalh.interop.otel_values import (
    EVALUATION,
    EVALUATION_EXPLANATION,
    EVALUATION_LABEL,
    EVALUATION_NAME,
    EVALUATION_SCORE,
)
from evalh.interop.spans.received import ReceivedEvent, short
from evalh.interop.spans.trace_records import SCORE_ID, SCORE_SOURCE, score_id
from evalh_trace.records import Feedback, Score

PEOPLE = "people"
_MOST_TEXT = 100_000
_GOOD = frozenset(("good", "positive", "thumbs-up", "thumbs_up", "thumbs up", "up", "like", "yes", "true", "👍"))
_BAD = frozenset(
    ("bad", "negative", "thumbs-down", "thumbs_down", "thumbs down", "down", "dislike", "no", "false", "👎")
)
_BY_VALUE = {1.0: True, 0.0: False, -1.0: False}


class Judgement(Value, kw_only=True):
    """One judgement of a trace, or of a span in it."""

    id: str
    trace: str
    span: str | None
    name: str
    value: float | None
    label: str | None
    comment: str | None
    source: str  # people, or what gave it
    at: float | None
    user: str | None = None

    @property
    def good(self) -> bool | None:
        """Whether it says good or bad; None: neither, such as a number between."""
        word = (self.label or "").strip().lower()
        if word in _GOOD or word in _BAD:
            return word in _GOOD
        return None if self.value is None else _BY_VALUE.get(self.value)

    def is_vote(self, names: frozenset[str]) -> bool:
        """Whether it is what a user said of an answer: by a person or named as feedback, and good or bad."""
        stated = self.name in names or self.source == PEOPLE or "feedback" in self.name.lower()
        return stated and self.good is not None

    def feedback(self, seen_at: float) -> Feedback:
        """Return it as a vote."""
        return Feedback(
            id=f"feedback-{score_id(self.trace, self.id)}",
            workflow_id=self.trace,
            at=seen_at if self.at is None else self.at,
            good=self.good,
            note=self.comment,
            user=self.user,
        )

    def score(self, step: str | None) -> Score:
        """Return it as a score of a step, or of the workflow."""
        label = self.label or None
        outcome = {"pass": "pass", "passed": "pass", "fail": "fail", "failed": "fail"}.get((label or "").lower())
        said = [one for one in (label if outcome is None else None, self.comment) if one]
        return Score(
            id=score_id(self.trace, self.id),
            workflow_id=self.trace,
            step_id=step,
            name=self.name,
            outcome=outcome,
            score=self.value,
            text=": ".join(said) or None,
            source=self.source,
            at=self.at,
        )

    def event(self) -> ReceivedEvent:
        """Return it as the event that the conventions have for it: it finds its step where its span does."""
        told: dict[str, Any] = {
            EVALUATION_NAME: self.name,
            EVALUATION_LABEL: self.label,
            EVALUATION_SCORE: self.value,
            EVALUATION_EXPLANATION: self.comment,
            SCORE_ID: self.id,
            SCORE_SOURCE: self.source,
        }
        attributes = {key: value for key, value in told.items() if value is not None}
        return ReceivedEvent(name=EVALUATION, at=self.at, attributes=attributes)


def comment_of(text: Any) -> str | None:
    """Return what was said, of bounded length."""
    return text[:_MOST_TEXT] if isinstance(text, str) and text.strip() else None


def label_of(text: Any) -> str | None:
    """Return a category's name."""
    return short(text) or None
