"""What a run will do, before anything is sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalh.core.digest import digest
from evalh.core.ports import Cases, Provider
from evalh.core.prompt import PromptVersion
from evalh.core.run import Fingerprint
from evalh.core.suite import Suite
from evalh.graders.registry import Grader, graders_digest
from evalh.pipeline.step import Step

DIRECT = digest("direct")
"""The route digest of a model that is asked directly, without a declared route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One suite for one version and model, every part resolved."""

    suite: Suite
    version: PromptVersion
    provider: Provider
    step: Step
    graders: Sequence[Grader]
    cases: Cases
    trials: int
    route_digest: str = DIRECT

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
            model=digest(
                {
                    "model": self.provider.model,
                    "sent_to": dict(self.provider.identity),
                    "params": dict(self.provider.params),
                }
            ),
            route=self.route_digest,
        )
