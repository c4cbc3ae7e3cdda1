"""Baselines: the accepted results of one version on one model, committed to git."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalh.core.attempt import Answer, CallKey
from evalh.core.result import SampleResult
from evalh.engine.plan import Plan


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of a plan without asking."""

    answers: Mapping[tuple[str, CallKey], Answer] = field(default_factory=dict)  # by request digest
    results: Mapping[tuple[str, int], SampleResult] = field(default_factory=dict)


class Recollection:
    """Where committed baselines are found."""

    def of(self, plan: Plan) -> Answers:
        """Return what is known of a plan's samples."""
        del plan
        return Answers()
