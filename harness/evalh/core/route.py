"""Routes: how a call is made. `[routes.<name>]` in evalh.toml as values, and the route of a model without one."""

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
"""Kinds of errors after which the same request may succeed later. The cause of all others is in the request."""

OUTAGE = frozenset({ErrorKind.OVERLOAD, ErrorKind.TIMEOUT, ErrorKind.NETWORK})
"""Kinds that mean that the provider is down; a breaker counts them."""

FALLBACK_ON = RETRYABLE | {ErrorKind.QUOTA, ErrorKind.AUTH, ErrorKind.BREAKER_OPEN}
"""Kinds after which the next model is asked, unless the route says otherwise."""

_LIMIT_WAIT_S = 600.0


class RetryPolicy(Value, kw_only=True):
    """When the same request is sent again, and how long it waits: full jitter below an exponential cap."""

    attempts: int = 4  # in all, the first included
    on: frozenset[ErrorKind] = RETRYABLE
    base_s: float = 0.5  # the first wait is drawn from [0, base_s], the next from [0, 2 × base_s], …
    cap_s: float = 30.0
    max_wait_s: float = 120.0  # longest wait for a provider that fails and asks us to wait
    share: float = 0.5  # most retries in a run, as a share of its calls


class BreakerPolicy(Value, kw_only=True):
    """When a breaker opens: at a failure rate over a window, never at a count."""

    rate: float = 0.5
    min: int = 20  # fewest requests in the window for a conclusion
    window_s: float = 30.0
    cooldown_s: float = 5.0

    @property
    def silent_failures(self) -> int:
        """Failures in a row, without an answer, that also open it once they last `silence_s`."""
        return min(5, self.min)

    @property
    def silence_s(self) -> float:
        """How long there must have been no answer for that."""
        return self.window_s / 3.0


class LimitPolicy(Value, kw_only=True):
    """The ceilings of a provider. Below them the window adapts: halved on 429 and overload, then grown again."""

    concurrency: int | None = None
    rpm: int | None = None  # requests a minute
    tpm: int | None = None  # tokens a minute, input and output
    max_wait_s: float | None = None  # longest wait of one call for rate limits; None: see `Route.wait_s`


class RepairBy(StrEnum):
    """How the next attempt differs from one whose output failed a check."""

    FEEDBACK = "feedback"  # the output and what was wrong with it are added
    VARY = "vary"  # another temperature and seed


class RepairPolicy(Value, kw_only=True):
    """The checks that an output must pass, and what follows if it does not."""

    checks: tuple[GraderSpec, ...]
    by: RepairBy = RepairBy.FEEDBACK
    attempts: int = 1  # further ones


class EscalateBy(StrEnum):
    """What the stronger model is asked."""

    AGAIN = "again"  # the same request
    VERIFY = "verify"  # the request and the first answer, to confirm or correct


class CascadePolicy(Value, kw_only=True):
    """The checks that an output of the first model must pass, and the model that answers if it does not."""

    checks: tuple[GraderSpec, ...]
    escalate_to: str  # a model or route
    by: EscalateBy = EscalateBy.AGAIN


class BudgetPolicy(Value, kw_only=True):
    """What a run may spend. Amounts are reserved before a request is sent, and settled after."""

    usd_per_run: Decimal | None = None
    usd_per_day: Decimal | None = None  # of a service: in any 24 hours, in one process
    usd_per_case: Decimal | None = None
    tokens_per_run: int | None = None
    deadline_s: float | None = None  # from the run's start; requests in flight are cancelled then

    @property
    def counts_money(self) -> bool:
        """Whether every request needs a price and a bound on its output."""
        return self.usd_per_run is not None or self.usd_per_case is not None


class Route(Value, kw_only=True):
    """How a call is made: the first model, and everything that may follow."""

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

        If not, the answers of the model and of the route are the same, and the log serves both.
        """
        return bool(self.fallback or self.cascade or self.repair)

    @property
    def wait_s(self) -> float:
        """How long one call may wait for rate limits, in all.

        A bound on each wait of a retry applies here too.
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

        Name and place are left out, as are breaker and limits, which only delay requests. `stands_for` returns what
        replaces the name of a model or route, `judges_by` what replaces a check.
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
    """Return the route of a model that is named directly: retries and a breaker, nothing else."""
    return Route(name=model, model=model)
