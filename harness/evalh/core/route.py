"""Routes: how a call is made. `[routes.<name>]` in evalh.toml as values, and what a model asked by name gets."""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

from msgspec import field

from evalh.core.attempt import ErrorKind
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec
from evalh.core.values import Value

RETRYABLE = frozenset(
    {ErrorKind.RATE_LIMIT, ErrorKind.OVERLOAD, ErrorKind.TIMEOUT, ErrorKind.NETWORK, ErrorKind.BAD_RESPONSE}
)
"""Kinds that the same request may not meet again a little later. The others would be: their cause is in the request."""

OUTAGE = frozenset({ErrorKind.OVERLOAD, ErrorKind.TIMEOUT, ErrorKind.NETWORK})
"""Kinds that say the provider is not well; a breaker counts them."""

FALLBACK_ON = RETRYABLE | {ErrorKind.QUOTA, ErrorKind.AUTH, ErrorKind.BREAKER_OPEN}
"""Kinds after which the next model is asked, unless the route says otherwise."""

_LIMIT_WAIT_S = 600.0


class RetryPolicy(Value, kw_only=True):
    """When the same request is sent again, and how long it waits: full jitter below an exponential cap."""

    attempts: int = 4  # in all, the first included
    on: frozenset[ErrorKind] = RETRYABLE
    base_s: float = 0.5  # the first wait is drawn from [0, base_s], the next from [0, 2 × base_s], …
    cap_s: float = 30.0
    max_wait_s: float = 120.0  # a provider that fails and asks for more than this is not waited for
    share: float = 0.5  # retries in a run, as a share of its calls; a storm ends here


class BreakerPolicy(Value, kw_only=True):
    """When a provider is left alone: a failure rate over a window, never a count."""

    rate: float = 0.5
    min: int = 20  # requests in the window below which nothing is concluded
    window_s: float = 30.0
    cooldown_s: float = 5.0

    @property
    def silent_failures(self) -> int:
        """Failures in a row, with no answer between, that trip it too once they last `silence_s`."""
        return min(5, self.min)

    @property
    def silence_s(self) -> float:
        """How long nothing must have been answered for that."""
        return self.window_s / 3.0


class LimitPolicy(Value, kw_only=True):
    """What a provider is never asked above. Below it the window adapts: halved on 429 and overload, then regrown."""

    concurrency: int | None = None
    rpm: int | None = None  # requests a minute
    tpm: int | None = None  # tokens a minute, input and output
    max_wait_s: float | None = None  # of one call, for rate limits; None: see `Route.wait_s`


class RepairBy(StrEnum):
    """How the next attempt differs from one whose output did not fit."""

    FEEDBACK = "feedback"  # the output and what was wrong with it are sent along
    VARY = "vary"  # another temperature and seed


class RepairPolicy(Value, kw_only=True):
    """What an output must pass to be taken, and what is tried when it does not."""

    checks: tuple[GraderSpec, ...]
    by: RepairBy = RepairBy.FEEDBACK
    attempts: int = 1  # further ones


class EscalateBy(StrEnum):
    """What the stronger model is asked."""

    ANEW = "anew"  # the same request
    VERIFY = "verify"  # the request, the first answer, and to confirm or correct it


class CascadePolicy(Value, kw_only=True):
    """Which outputs of the first model are not taken, and who answers then."""

    checks: tuple[GraderSpec, ...]
    escalate_to: str  # a model or route
    by: EscalateBy = EscalateBy.ANEW


class BudgetPolicy(Value, kw_only=True):
    """What a run may spend. Reserved before a request leaves, settled after."""

    usd_per_run: Decimal | None = None
    usd_per_case: Decimal | None = None
    tokens_per_run: int | None = None
    deadline_s: float | None = None  # from the run's start; what is in flight then ends

    @property
    def counts_money(self) -> bool:
        """Whether every request needs a price and a bound on its output."""
        return self.usd_per_run is not None or self.usd_per_case is not None


class Route(Value, kw_only=True):
    """How a call is made: who is asked first, and everything that may happen after."""

    name: str
    model: str  # a model, or another route
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy | None = field(default_factory=BreakerPolicy)
    limit: LimitPolicy = field(default_factory=LimitPolicy)
    repair: RepairPolicy | None = None
    fallback: tuple[str, ...] = ()
    fallback_on: frozenset[ErrorKind] = FALLBACK_ON
    cascade: CascadePolicy | None = None
    budget: BudgetPolicy = field(default_factory=BudgetPolicy)
    where: str = ""  # file:line

    @property
    def chooses(self) -> bool:
        """Whether an answer may come from another request than the first model's own.

        Where not, answers of the model and of the route are the same answers, and the log serves both.
        """
        return bool(self.fallback or self.cascade or self.repair)

    @property
    def wait_s(self) -> float:
        """How long one call may wait, in all, for rate limits.

        A bound that was set for each wait of a retry holds for these too.
        """
        if self.limit.max_wait_s is not None:
            return self.limit.max_wait_s
        of_retries = self.retry.max_wait_s
        return _LIMIT_WAIT_S if of_retries == RetryPolicy().max_wait_s else of_retries

    @property
    def targets(self) -> tuple[str, ...]:
        """The models and routes that it may ask, in order."""
        escalation = (self.cascade.escalate_to,) if self.cascade else ()
        return (self.model, *self.fallback, *escalation)

    def document(
        self,
        stands_for: Callable[[str], JsonValue] = str,
        judges_by: Callable[[GraderSpec], JsonValue] = GraderSpec.document,
    ) -> dict[str, JsonValue]:
        """Return what the route's digest covers: everything that can change an answer or end a run.

        Name and place don't; neither do breaker and limits, which only say when a request leaves. `stands_for` gives
        what is put for the name of a model or route, `judges_by` for a check.
        """
        repair, cascade = self.repair, self.cascade
        others = [stands_for(name) for name in self.fallback]

        def checks(specs: tuple[GraderSpec, ...]) -> list[JsonValue]:
            return [judges_by(spec) for spec in specs]

        return {
            "model": stands_for(self.model),
            "retry": {"attempts": self.retry.attempts, "on": sorted(self.retry.on)},
            "repair": repair and {"checks": checks(repair.checks), "by": repair.by, "attempts": repair.attempts},
            "fallback": {"to": others, "on": sorted(self.fallback_on)} if others else None,
            "cascade": cascade
            and {"checks": checks(cascade.checks), "to": stands_for(cascade.escalate_to), "by": cascade.by},
        }


def direct(model: str) -> Route:
    """Return the route of a model that is asked by its own name: retries and a breaker, nothing else."""
    return Route(name=model, model=model)
