"""Suites: a prompt, a dataset, graders, a gate policy (`gate:`) and prices of outputs (`value:`), as values.

`eased` finds where a suite asks less than before: a bar that is lowered today is missing for tomorrow's change.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from math import inf

from msgspec import field

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

DEFAULT_MARGIN = 0.05
DEFAULT_DISCORDANCE = 0.10  # the share of pairs that a gate expects to differ: it sets the bets, never the error rates
DEFAULT_CANARY = 30  # cases: they show a change of 25 points with 80 % power


class Require(StrEnum):
    """What must be shown for a change to pass."""

    NOT_WORSE_SHOWN = "not_worse_shown"  # refuse what is shown to be worse, accept the rest
    NO_WORSE = "no_worse"  # accept what is shown to be no worse than by the margin


class Doubt(StrEnum):
    """What happens to a change whose numbers exceed a bound, if chance may explain it."""

    ACCEPT = "accept"  # accepted, and mentioned in the headline
    INCONCLUSIVE = "inconclusive"
    REFUSE = "refuse"


class About(StrEnum):
    """What the decision is about."""

    POPULATION = "population"  # cases like these
    DATASET = "dataset"  # exactly these cases: the decision that running all of them would give


class MustPass(Value, kw_only=True):
    """Cases that head must answer well, regardless of the statistics."""

    tags: frozenset[str] = frozenset()
    cases: frozenset[str] = frozenset()
    trials: int = 1
    passes: int = 1  # of the trials

    def takes(self, case_id: str, tags: frozenset[str]) -> bool:
        """Whether the rule applies to a case."""
        return case_id in self.cases or not self.tags.isdisjoint(tags)


class Never(Value):
    """A grader that must not fail on head. `at_most`: the share of failures that may not be exceeded."""

    grader: str
    at_most: float | None = None


class GraderRule(Value):
    """A rule for one grader's passes, as for good outputs."""

    grader: str
    margin: float


class BaselinePolicy(Value, kw_only=True):
    """The rules for a suite's accepted results."""

    max_age_days: int | None = None  # older ones do not count; None: any age
    outputs: bool = True  # whether they may be kept in git


class GatePolicy(Value, kw_only=True):
    """The gate policy of one suite. None: no such rule."""

    require: Require = Require.NOT_WORSE_SHOWN
    margin: float = DEFAULT_MARGIN
    target: About = About.POPULATION
    doubt: Doubt = Doubt.ACCEPT
    sequential: bool = True
    discordance: float = DEFAULT_DISCORDANCE
    trials: int | None = None  # None: the suite's
    must_pass: MustPass | None = None
    good_rate: float | None = None  # at least
    never: tuple[Never, ...] = ()
    cost_may_rise: float | None = None  # 0.1: by a tenth, for each good output
    latency_may_rise: float | None = None  # of p95
    net_loss_may_rise: float | None = None  # of the whole cost of a case, with its consequences
    graders: tuple[GraderRule, ...] = ()
    max_ungraded: float | None = None  # None: the suite's
    canary: int | None = None  # of base's accepted cases, asked again; None: DEFAULT_CANARY if base's model is hosted

    @property
    def tests(self) -> int:
        """The number of rules beside the sequential tests that can refuse by chance: they share one error rate."""
        bounded = sum(rule.at_most is not None for rule in self.never)
        rules = (self.good_rate, self.cost_may_rise, self.latency_may_rise, self.net_loss_may_rise)
        return bounded + sum(rule is not None for rule in rules)

    @property
    def waits(self) -> bool:
        """Whether a rule is judged once, over all cases, so that nothing is accepted before all cases have run."""
        return self.tests > 0


class OutcomePrices(Value):
    """The consequences of an output, in USD."""

    bad_usd: float = 0.0  # accepted although bad
    review_usd: float = 0.0
    abstain_usd: float = 0.0  # not accepted at all
    good_usd: float = 0.0  # the value of an accepted good output; only the net loss counts it


class OutputValue(Value, kw_only=True):
    """A suite's prices, and the graders whose `fail` sends an output to a person."""

    prices: OutcomePrices
    review: frozenset[str] = frozenset()  # names of graders


ADVISORY = frozenset({"embedding_similarity"})
"""Kinds of graders that are not required unless a suite says `required: true`."""


class GraderSpec(Value, kw_only=True):
    """One entry under `graders:`, before the registry builds it.

    `name` is the name in reports: the kind, or `kind(param)` if a suite uses a kind twice.
    """

    kind: str
    name: str
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    required: bool = True
    where: str = ""  # file:line
    places: Callable[..., str] | None = None  # file:line of a parameter, or of a value inside it

    def where_of(self, *path: str | int) -> str:
        """Return the place of a parameter, or of a value inside it; of a missing one, the entry's place."""
        return self.where if self.places is None or not path else self.places(*path)

    def document(self) -> dict[str, JsonValue]:
        """Return what the suite digest covers."""
        return {"kind": self.kind, "params": dict(self.params), "required": self.required}


class Suite(Value, kw_only=True):
    """`evals/<name>.yaml`."""

    name: str
    prompt: str
    dataset: str
    graders: tuple[GraderSpec, ...]
    model: str | None = None
    owner: str | None = None
    trials: int = 1
    max_ungraded: float = 0.02  # share of samples; above it a run cannot measure
    gate: GatePolicy = field(default_factory=GatePolicy)
    baseline: BaselinePolicy = field(default_factory=BaselinePolicy)
    value: OutputValue | None = None
    compare: tuple[GraderSpec, ...] = ()
    step_graders: Mapping[str, tuple[GraderSpec, ...]] = field(default_factory=dict)  # of a pipeline's steps
    where: str = ""
    places: Mapping[str, str] = field(default_factory=dict)  # file:line of each key

    def where_of(self, key: str) -> str:
        """Return the place of a key; of a missing one, the suite's place."""
        return self.places.get(key, self.where)


_LENIENT = (Doubt.REFUSE, Doubt.INCONCLUSIVE, Doubt.ACCEPT)


def eased(before: Suite, after: Suite) -> Iterator[str]:
    """Yield the keys of a suite that ask less of a change than before."""
    old, new = before.gate, after.gate
    if old.require is Require.NO_WORSE and new.require is not old.require:
        yield "gate.require"
    if old.target is About.POPULATION and new.target is not old.target:
        yield "gate.target"
    if (new.trials or after.trials) < (old.trials or before.trials):
        yield "trials"
    if old.must_pass is not None and _asks_less(old.must_pass, new.must_pass):
        yield "gate.must_pass"
    if (new.good_rate or 0.0) < (old.good_rate or 0.0):
        yield "gate.good_rate"
    if _canary(new) < _canary(old):
        yield "gate.canary"
    if old.net_loss_may_rise is not None and before.value != after.value:
        yield "value"
    for key, was, now in _ceilings(before, after):
        if now > was:
            yield key


def _asks_less(old: MustPass, new: MustPass | None) -> bool:
    if new is None or not (old.tags <= new.tags and old.cases <= new.cases):
        return True
    return new.trials < old.trials or new.passes * old.trials < old.passes * new.trials


def _canary(policy: GatePolicy) -> int:
    return DEFAULT_CANARY if policy.canary is None else policy.canary


def _ceilings(before: Suite, after: Suite) -> Iterator[tuple[str, float, float]]:
    """Yield upper limits before and after; infinity if there is no such rule."""
    old, new = before.gate, after.gate
    yield "gate.margin", old.margin, new.margin
    yield "gate.discordance", old.discordance, new.discordance  # a larger one bets only on larger drops
    yield "gate.doubt", _LENIENT.index(old.doubt), _LENIENT.index(new.doubt)
    yield "gate.cost_per_good", _or_none(old.cost_may_rise), _or_none(new.cost_may_rise)
    yield "gate.latency_p95", _or_none(old.latency_may_rise), _or_none(new.latency_may_rise)
    yield "gate.net_loss", _or_none(old.net_loss_may_rise), _or_none(new.net_loss_may_rise)
    yield "max_ungraded", _ungraded(before), _ungraded(after)
    yield "baseline.max_age", _or_none(before.baseline.max_age_days), _or_none(after.baseline.max_age_days)
    margins = {rule.grader: rule.margin for rule in new.graders}
    for one in old.graders:
        yield f"gate.graders.{one.grader}", one.margin, margins.get(one.grader, inf)
    never = {rule.grader: rule.at_most or 0.0 for rule in new.never}
    for rule in old.never:
        yield f"gate.never.{rule.grader}", rule.at_most or 0.0, never.get(rule.grader, inf)


def _or_none(ceiling: float | None) -> float:
    return inf if ceiling is None else ceiling


def _ungraded(suite: Suite) -> float:
    return suite.max_ungraded if suite.gate.max_ungraded is None else suite.gate.max_ungraded
