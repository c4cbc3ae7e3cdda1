"""What a run will do, before anything is sent; what bounds it; and what of it is known already."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Protocol

from msgspec import field
from msgspec.structs import replace

from evalh.core.attempt import Answer, CallKey, Usage
from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.core.errors import UsageError
from evalh.core.ports import Cases, Pricer, Prices
from evalh.core.prompt import PromptVersion
from evalh.core.route import BudgetPolicy
from evalh.core.run import Fingerprint
from evalh.core.sample import SampleResult
from evalh.core.strict_json import JsonValue
from evalh.core.suite import BaselinePolicy, GraderSpec, Suite
from evalh.core.values import Value
from evalh.graders.kinds import Grader
from evalh.graders.registry import graders_digest
from evalh.pipeline.step import Step
from evalh.routing.asking import Resolve
from evalh.routing.target import Target


class AskOptions(Value, kw_only=True):
    """How any verb that runs cases asks."""

    concurrency: int | None = None
    fresh: bool = False  # ask again what the log holds
    budget_usd: Decimal | None = None  # for each run; None: the route's


class Routing(Value, kw_only=True):
    """What is asked, and what finds what its graders and checks ask by name."""

    target: Target
    resolve: Resolve
    build_checks: Callable[[Sequence[GraderSpec]], Sequence[Grader]]


class Plan(Routing, kw_only=True, dict=True):
    """One suite for one version and model, every part resolved."""

    suite: Suite
    version: PromptVersion
    step: Step
    graders: Sequence[Grader]
    cases: Cases
    trials: int
    draw: int = 0  # 0: the answers; others are drawn apart from them
    selection: Mapping[str, JsonValue] = field(default_factory=dict)  # of the dataset's cases; empty: all
    find_asked: Callable[[Target, Iterable[Grader]], Sequence[Target]]
    checks: Sequence[Grader] = ()  # of its route, and of every route that it leads to

    @property
    def asking(self) -> Iterator[Grader]:
        """The graders and checks that ask models."""
        return (grader for grader in (*self.graders, *self.checks) if grader.asked)

    @cached_property
    def asked(self) -> Sequence[Target]:
        """Everything that graders and checks ask, found once. Raises WorkspaceError."""
        return self.find_asked(self.target, self.asking)

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


ANY_AGE = BaselinePolicy()


class Known(Value):
    """What is known of a plan without asking."""

    answers: Mapping[tuple[str, CallKey], Answer] = field(default_factory=dict)  # by request digest
    results: Mapping[tuple[str, int], SampleResult] = field(default_factory=dict)
    models: frozenset[str] = frozenset()  # who gave a baseline's answers, as they named themselves
    notices: tuple[str, ...] = ()

    def holds(self, plan: Plan, case: Case, trials: int) -> bool:
        """Whether so many trials of a case are known."""
        request = plan.step.request(case).digest()
        return all(
            (case.id, trial) in self.results or (request, CallKey(case.id, trial, plan.step.name)) in self.answers
            for trial in range(trials)
        )

    def beside(self, answers: Mapping[tuple[str, CallKey], Answer]) -> "Known":
        """Add answers: the same request is the same request, whichever side sends it."""
        return replace(self, answers={**answers, **self.answers})


class KnownResults(Protocol):
    """Results that were accepted earlier."""

    def of(self, plan: Plan, policy: BaselinePolicy = ANY_AGE, suite: str | None = None) -> Known:
        """Return what is known of a plan's samples; `suite` is what the plan's suite was called then.

        Raises WorkspaceError for results that were edited by hand.
        """


def budget_for(target: Target, prices: Prices, usd: Decimal | None, asked: Iterable[Target] = ()) -> BudgetPolicy:
    """Return the budget that bounds a run: `usd` for it, before what the route says.

    Raises UsageError where money is counted and a model has no price, or a request no bound on its output.
    """
    budget = target.route.budget if usd is None else replace(target.route.budget, usd_per_run=usd)
    if not budget.counts_money and budget.tokens_per_run is None:
        return budget
    for name, leaf in (one for each in (target, *asked) for one in each.leaves.items()):
        if budget.counts_money and not _bounded(prices.find(leaf.provider)):
            raise UsageError(
                f"a budget in USD cannot bound {name!r}: it has no price per token",
                where=leaf.where,
                hint=f"add to [models.{name}] in evalh.toml: price = {{input = 0.25, output = 2.0}}",
            )
        if leaf.settings.max_tokens is None:
            raise UsageError(
                f"a budget cannot bound {name!r}: nothing bounds its output tokens",
                where=leaf.where,
                hint="add max_tokens to the prompt's config, or to the model's params",
            )
    return budget


def _bounded(pricer: Pricer | None) -> bool:
    """Whether a price says what a request costs before it is sent: one per hour does not."""
    return pricer is not None and pricer.cost(Usage(input_tokens=1, output_tokens=1), None) is not None
