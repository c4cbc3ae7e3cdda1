"""Results as they are compared: a sample without its case's text and its output."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import field

from evalh.core.sample import Standing
from evalh.core.values import Value
from evalh.core.verdict import Outcome


class SampleResult(Value, kw_only=True):
    """One sample, as far as comparing needs it: from the store, from a committed baseline, or from a run under way."""

    case_id: str
    trial: int
    standing: Standing
    cost_usd: Decimal | None  # all task spend, an answer from the store at what it cost when bought; None: unknown
    latency_ms: float | None
    latency_whole: bool = True  # False: the last attempt's alone, as older logs have it
    output_digest: str | None  # equal outputs have equal digests; None: no answer
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)  # by grader
    required: frozenset[str] = frozenset()  # the graders that decide what is good
    row_digest: str | None = None  # of the case's row; None: not known
    tags: frozenset[str] = frozenset()
    cluster: str | None = None  # as the row says
    inputs_digest: str | None = None  # equal inputs make one cluster, though no row says so; None: not known
