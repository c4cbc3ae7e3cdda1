"""What a run will do, before anything is sent."""

from collections.abc import Callable, Iterator, Sequence

from evalh.core.digest import digest
from evalh.core.ports import Cases
from evalh.core.prompt import PromptVersion
from evalh.core.run import Fingerprint
from evalh.core.suite import GraderSpec, Suite
from evalh.core.values import Value
from evalh.graders.registry import Grader, graders_digest
from evalh.pipeline.step import Step
from evalh.routing.asking import Resolve
from evalh.routing.build import nobody
from evalh.routing.target import Target


def no_checks(_specs: Sequence[GraderSpec]) -> Sequence[Grader]:
    """Compile nothing: a plan that asks no models needs no checks to be priced."""
    return ()


class Plan(Value, kw_only=True):
    """One suite for one version and model, every part resolved."""

    suite: Suite
    version: PromptVersion
    target: Target
    step: Step
    graders: Sequence[Grader]
    cases: Cases
    trials: int
    draw: int = 0  # 0: the answers; others are drawn apart from them
    resolve: Resolve = nobody  # what graders and checks ask by name
    build_checks: Callable[[Sequence[GraderSpec]], Sequence[Grader]] = no_checks
    checks: Sequence[Grader] = ()  # of its route, and of every route that it leads to

    @property
    def asking(self) -> Iterator[Grader]:
        """The graders and checks that ask models."""
        return (grader for grader in (*self.graders, *self.checks) if grader.asked)

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
