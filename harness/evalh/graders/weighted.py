"""`weighted`: graders with weights, and a threshold for their mean score."""

from collections.abc import Sequence
from functools import partial
from math import fsum
from typing import Annotated

from pydantic import Field

from evalh.core.declared import Words
from evalh.core.verdict import Outcome, Verdict
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.parts import (
    Entry,
    WeighedPart,
    detailed,
    joint_outcome,
    judging,
    mean_score,
    names_of,
    telling,
    weighed_part,
)

_ROUNDING = 1e-9  # weights of 0.1 are not exact: they must not decide


@built_in("weighted", short="graders")
class Weighted(Parameters):
    """Graders with weights: their mean score reaches a threshold, or all of them pass."""

    graders: Annotated[tuple[Entry, ...], Words("a list of graders")] = Field(
        description="Graders, written as in a suite's list. Each may have a weight (1; 0: only reported) and a name."
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="The mean score that passes, whatever the graders say. Without it, all must pass."
    )

    def compile(self, scope: Scope) -> Compiled:
        """Build the graders. Raises WorkspaceError."""
        if not self.graders:
            raise scope.wrong("has no graders")
        parts = tuple(weighed_part(scope.at("graders", place), entry) for place, entry in enumerate(self.graders))
        if not any(part.weight for part in parts):
            raise scope.wrong("has only graders of weight 0: none of them decides", "weight: 1 for one at least")
        weighs = [[part.weight, part.name] for part in parts]
        return Compiled(
            judging(parts, partial(_weighed, self.threshold)),
            needs_expected=any(part.grader.needs_expected for part in parts),
            parts=tuple(part.grader for part in parts),
            named=names_of(parts, scope.wrong),
            weighs={"threshold": self.threshold, "weights": weighs},
        )


def _weighed(threshold: float | None, parts: Sequence[WeighedPart], said: Sequence[Verdict]) -> Verdict:
    score = mean_score(parts, said)
    outcome = joint_outcome(parts, said)
    if threshold is not None:
        outcome = _by_threshold(threshold, parts, said, outcome)
    assert outcome is not None  # a grader of weight 0 alone is refused
    reason = telling(parts, said, outcome)
    if threshold is not None and score is not None:
        unknown = sum(part.weight > 0 and one.score is None for part, one in zip(parts, said, strict=True))
        lacking = f" ({unknown} without a score)" if unknown else ""
        reason = f"{score:.3g}{lacking}; at least {threshold:g}; {reason}"
    known = outcome in (Outcome.PASS, Outcome.FAIL)
    return detailed(Verdict(outcome, score if known else None, reason), parts, said)


def _by_threshold(
    threshold: float, parts: Sequence[WeighedPart], said: Sequence[Verdict], joint: Outcome | None
) -> Outcome | None:
    """Return what the known scores decide, whatever the others would be; otherwise what is not known."""
    weights = fsum(part.weight for part in parts)
    known = [(part.weight, one.score) for part, one in zip(parts, said, strict=True) if one.score is not None]
    least = fsum(weight * score for weight, score in known) / weights
    most = least + 1 - fsum(weight for weight, _ in known) / weights
    if any(weight for weight, _ in known):
        if least >= threshold - _ROUNDING:
            return Outcome.PASS
        if most < threshold - _ROUNDING:
            return Outcome.FAIL
    outcomes = {one.outcome for part, one in zip(parts, said, strict=True) if part.weight and one.score is None}
    return Outcome.ERROR if Outcome.ERROR in outcomes else Outcome.ABSTAIN if outcomes else joint
