"""A run that is under way, seen from outside: what the log says of it so far."""

from collections.abc import Mapping
from decimal import Decimal

from evalh.core.log import RunRow
from evalh.core.run import Estimate
from evalh.core.values import Value


class CaseTally(Value, kw_only=True):
    """One case of a run: its trials so far."""

    samples: int
    good: int
    bad: int
    hits: int  # answered by the log
    spent_usd: Decimal | None  # by this run; None: unknown
    task_usd: Decimal | None  # with what the log's answers cost when they were bought
    errors: Mapping[str, int]  # samples without an answer, by error kind
    ties: tuple[tuple[str, str], ...] = ()  # to other cases: `core.case.ties`


class UnderWay(Value, kw_only=True):
    """A run and its numbers so far."""

    run: RunRow
    samples: int
    good: int
    bad: int
    ungraded: int
    hits: int
    good_rate: Estimate
    spent_usd: Decimal | None
    cost_per_good_usd: Estimate
    errors: Mapping[str, int]
