"""What a merge gate asks of a change: `gate:` in a suite, as values."""

import dataclasses
from enum import StrEnum

from evalh.core.values import Value

DEFAULT_MARGIN = 0.05
DEFAULT_DISCORDANCE = 0.10  # how many pairs a gate expects to differ: it sets the bets, never the error rates
DEFAULT_CANARY = 30  # cases: they show a move of 25 points with 80 % power


class Require(StrEnum):
    """What must be shown for a change to pass."""

    NOT_WORSE_SHOWN = "not_worse_shown"  # refuse what is shown to be worse, accept the rest
    NO_WORSE = "no_worse"  # accept what is shown to be no worse than by the margin


class Doubt(StrEnum):
    """What becomes of a change whose measured numbers are beyond a bound, though chance may explain it."""

    ACCEPT = "accept"  # said in the headline
    INCONCLUSIVE = "inconclusive"
    REFUSE = "refuse"


class About(StrEnum):
    """What the verdict is about."""

    POPULATION = "population"  # cases like these
    DATASET = "dataset"  # these cases: the verdict that running all of them would give


class MustPass(Value, kw_only=True):
    """Cases that head must answer well, whatever the statistics say."""

    tags: frozenset[str] = frozenset()
    cases: frozenset[str] = frozenset()
    trials: int = 1
    passes: int = 1  # of the trials

    def takes(self, case_id: str, tags: frozenset[str]) -> bool:
        """Tell whether the rule is about a case."""
        return case_id in self.cases or not self.tags.isdisjoint(tags)


class Never(Value):
    """A grader that must not fail on head. `at_most`: the share that must be shown not to be exceeded."""

    grader: str
    at_most: float | None = None


class GraderRule(Value):
    """One grader's passes, held to the same requirement as good outputs."""

    grader: str
    margin: float


class BaselinePolicy(Value, kw_only=True):
    """What holds for a suite's accepted results."""

    max_age_days: int | None = None  # older ones are not believed; None: any age
    outputs: bool = True  # whether they may be kept in git


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """The policy of one suite. None: the rule does not stand."""

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
    net_loss_may_rise: float | None = None  # of what a case costs in all, with what follows its output
    graders: tuple[GraderRule, ...] = ()
    max_ungraded: float | None = None  # None: the suite's
    canary: int | None = None  # of base's accepted cases, asked again; None: DEFAULT_CANARY if base's model is hosted
    where: str = dataclasses.field(default="", compare=False)  # file:line

    @property
    def tests(self) -> int:
        """How many rules outside the sequential tests may refuse by chance: they share one error rate with those."""
        bounded = sum(rule.at_most is not None for rule in self.never)
        rules = (self.good_rate, self.cost_may_rise, self.latency_may_rise, self.net_loss_may_rise)
        return bounded + sum(rule is not None for rule in rules)

    @property
    def waits(self) -> bool:
        """Tell whether a rule is judged once, over all cases, so that nothing is accepted before they are in."""
        return self.tests > 0
