"""`[routes.<name>]` in evalh.toml: the logic around a call, declared."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

from evalh.core.attempt import ErrorKind
from evalh.core.declared import FileModel, Refused, Text, Texts, Words
from evalh.core.errors import did_you_mean
from evalh.core.route import (
    FALLBACK_ON,
    RETRYABLE,
    BreakerPolicy,
    BudgetPolicy,
    CascadePolicy,
    EscalateBy,
    LimitPolicy,
    RepairBy,
    RepairPolicy,
    RetryPolicy,
    Route,
)
from evalh.workspace.entries import RouteEntry

_FALLBACK_KINDS = FALLBACK_ON | {ErrorKind.CONTEXT_LENGTH, ErrorKind.REFUSAL, ErrorKind.CONTENT_FILTER}
_RETRY, _BREAKER = RetryPolicy(), BreakerPolicy()
Where: TypeAlias = Callable[..., str]


def _kind(word: str, allowed: frozenset[ErrorKind], otherwise: str) -> ErrorKind:
    if word in allowed:
        return ErrorKind(word)
    if word in set(ErrorKind):
        raise Refused(otherwise, f"may be declared: {', '.join(sorted(allowed))}")
    raise Refused(f"no kind of error {word!r}", did_you_mean(word, map(str, allowed)))


def _retried(word: str) -> ErrorKind:
    return _kind(word, RETRYABLE, f"{word!r} cannot be retried: its cause is in the request or the account")


def _followed(word: str) -> ErrorKind:
    return _kind(word, _FALLBACK_KINDS, f"a fallback cannot help with {word!r}")


Retried: TypeAlias = Annotated[str, AfterValidator(_retried), WithJsonSchema({"enum": sorted(RETRYABLE)})]
Followed: TypeAlias = Annotated[str, AfterValidator(_followed), WithJsonSchema({"enum": sorted(_FALLBACK_KINDS)})]
Seconds: TypeAlias = Annotated[float, Field(ge=0)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Checks: TypeAlias = Annotated[
    tuple[RouteEntry, ...], Field(min_length=1), Words("a list of graders", 'checks = ["schema"]')
]


class RetryTable(FileModel):
    """When the same request is sent again."""

    attempts: Count = Field(_RETRY.attempts, description="How many attempts in all, with the first one.")
    on: tuple[Retried, ...] = Field(tuple(sorted(RETRYABLE)), description="The kinds of failure that are retried.")
    base_s: Seconds = Field(
        _RETRY.base_s, description="The first wait is random, from 0 to this limit. The limit doubles each time."
    )
    cap_s: Seconds = Field(_RETRY.cap_s, description="The highest value of that limit.")
    max_wait_s: Seconds = Field(
        _RETRY.max_wait_s, description="If a provider asks for a longer wait, evalh does not wait."
    )
    share: Annotated[float, Field(ge=0)] = Field(
        _RETRY.share, description="The most retries in a run, as a share of its calls."
    )


class BreakerTable(FileModel):
    """When evalh stops asking a provider for a while."""

    rate: Annotated[float, Words(hint="rate = 0.5")] = Field(
        _BREAKER.rate, gt=0, le=1, description="The share of failures in the window that opens the breaker."
    )
    min: Count = Field(_BREAKER.min, description="The smallest number of requests in the window.")
    window_s: Seconds = _BREAKER.window_s
    cooldown_s: Seconds = _BREAKER.cooldown_s


class LimitTable(FileModel):
    """Ceilings for the requests to a provider."""

    concurrency: Count | None = Field(None, description="Requests in flight.")
    rpm: Count | None = Field(None, description="Requests per minute.")
    tpm: Count | None = Field(None, description="Tokens per minute, input and output.")
    max_wait_s: Seconds | None = Field(None, description="How long one call may wait in total for rate limits.")


class RepairTable(FileModel):
    """The checks that an output must pass, and what is tried if it does not."""

    checks: Checks
    by: RepairBy = RepairBy.FEEDBACK
    attempts: Count = Field(1, description="How many further attempts.")


class CascadeTable(FileModel):
    """Which outputs of the first model are in doubt, and which model answers then."""

    checks: Checks
    escalate_to: Annotated[Text, Words(hint='escalate_to = "strong"')] = Field(description="A model or route.")
    by: EscalateBy = EscalateBy.AGAIN


class BudgetTable(FileModel):
    """What a run may spend."""

    usd_per_run: Decimal | None = Field(None, ge=0)
    usd_per_day: Decimal | None = Field(None, ge=0, description="In any 24 hours, for programs that ask in production.")
    usd_per_case: Decimal | None = Field(None, ge=0)
    tokens_per_run: Count | None = None
    deadline_s: Seconds | None = Field(
        None, description="Seconds from the run's start. Requests in flight then are cancelled."
    )


class RouteTable(FileModel):
    """`[routes.<name>]`: which model is asked first, and everything that may happen after that."""

    model: Annotated[Text, Words(hint='model = "small"')] = Field(description="The model or route that is asked first.")
    retry: RetryTable | None = None
    breaker: BreakerTable | Literal[False] | None = Field(
        None, description="When to stop asking a provider. false: never."
    )
    limit: LimitTable | None = None
    repair: RepairTable | None = None
    fallback: Texts = Field((), description="The models and routes that are asked next, in order.")
    fallback_on: tuple[Followed, ...] | None = Field(
        None, description="The kinds of failure that lead to the fallback."
    )
    cascade: CascadeTable | None = None
    budget: BudgetTable | None = None

    def route(self, name: str, where: Where) -> Route:
        """Return the route as a value."""
        retry, repair, cascade = self.retry, self.repair, self.cascade
        return Route(
            name=name,
            model=self.model,
            retry=RetryPolicy(**({**dict(retry), "on": frozenset(map(ErrorKind, retry.on))} if retry else {})),
            breaker=None if self.breaker is False else BreakerPolicy(**dict(self.breaker or ())),
            limit=LimitPolicy(**dict(self.limit or ())),
            repair=None if repair is None else RepairPolicy(**_checked(repair, partial(where, "repair"))),
            fallback=self.fallback,
            fallback_on=FALLBACK_ON if self.fallback_on is None else frozenset(map(ErrorKind, self.fallback_on)),
            cascade=None if cascade is None else CascadePolicy(**_checked(cascade, partial(where, "cascade"))),
            budget=BudgetPolicy(**dict(self.budget or ())),
            where=where(),
        )


def _checked(table: RepairTable | CascadeTable, where: Where) -> dict[str, Any]:
    specs = (entry.spec(partial(where, "checks", place), name=entry.kind) for place, entry in enumerate(table.checks))
    return {**dict(table), "checks": tuple(specs)}
