"""What a run will do, before anything is sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalh.core.digest import digest
from evalh.core.ports import Cases
from evalh.core.prompt import PromptVersion
from evalh.core.run import Fingerprint
from evalh.core.suite import Suite
from evalh.graders.registry import Grader, graders_digest
from evalh.pipeline.step import Step
from evalh.routing.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One suite for one version and model, every part resolved."""

    suite: Suite
    version: PromptVersion
    target: Target
    step: Step
    graders: Sequence[Grader]
    cases: Cases
    trials: int
    draw: int = 0  # 0: the answers; others are drawn apart from them

    @property
    def planned(self) -> int:
        """How many samples the run evaluates."""
        return len(self.cases) * self.trials

    def fingerprint(self) -> Fingerprint:
        """Digest each part, so that what differs between two results can be named."""
        return Fingerprint(
            prompt=self.version.digest,
            dataset=self.cases.digest,
            graders=graders_digest(self.graders),
            model=digest(self.target.models_document()),
            route=digest(self.target.route_document()),
        )
