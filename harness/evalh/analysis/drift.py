"""Base against itself: the accepted results of a version, and the same cases asked again.

The result says whether the model behind the name has changed. A gate's canary and `evalh drift` share it.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from evalh.analysis.compare.differences import Differences, goods, rate_of
from evalh.analysis.compare.pairing import Pair, clustered
from evalh.core.errors import EvalhError, ExitCode
from evalh.core.run import Estimate
from evalh.core.sample import Standing
from evalh.core.values import Value
from evalh.stats.paired import smallest_move

CANARY_ALPHA = 0.05  # a false alarm costs a gate base's calls, and no wrong decision


class DriftVerdict(StrEnum):
    """The result of a repetition."""

    MOVED = "moved"
    NOT_SHOWN = "not_shown"
    UNMEASURED = "unmeasured"  # too many samples are ungraded, or none could be asked


_CODES = {
    DriftVerdict.MOVED: ExitCode.NO,
    DriftVerdict.NOT_SHOWN: ExitCode.YES,
    DriftVerdict.UNMEASURED: ExitCode.CANNOT_MEASURE,
}


class DriftResult(Value, kw_only=True):
    """What is known of the model under a name, then and now. Counts are cases."""

    cases: tuple[str, ...]  # that were asked again
    trials: int
    wins: int  # better now
    losses: int
    difference: Estimate  # of the good rates, now - then
    then: Estimate
    now: Estimate
    p_value: float | None
    test: str
    alpha: float
    smallest: float | None  # the smallest move that so many cases show with 80 % power; None if there is none
    outputs: tuple[int, int]  # cases whose outputs differ, of those where both are known
    models_then: tuple[str, ...]  # as they named themselves; empty: they did not
    models_now: tuple[str, ...]
    ungraded: int  # samples
    measured: bool
    routed: bool  # whichever model of a route answered: their names tell nothing
    worse: tuple[str, ...]
    better: tuple[str, ...]
    asked: int = 0  # samples; the others were asked the same day
    cost_usd: Decimal | None = Decimal(0)

    @property
    def newcomers(self) -> tuple[str, ...]:
        """The models that answer now and did not then; empty if the earlier ones are unknown."""
        if self.routed or not self.models_then:
            return ()
        return tuple(one for one in self.models_now if one not in self.models_then)

    @property
    def answers_moved(self) -> bool:
        """Whether the results themselves are shown to differ."""
        return self.measured and self.p_value is not None and self.p_value <= self.alpha

    @property
    def verdict(self) -> DriftVerdict:
        """The answer."""
        if self.newcomers or self.answers_moved:
            return DriftVerdict.MOVED
        return DriftVerdict.NOT_SHOWN if self.measured else DriftVerdict.UNMEASURED


class Drift(Value, kw_only=True):
    """One baseline, and its result."""

    suite: str
    path: str
    prompt: str = ""
    model: str = ""
    date: str = ""
    of: int = 0  # cases of the dataset
    move: DriftResult | None = None  # None: `error` says why
    error: EvalhError | None = None
    notices: tuple[str, ...] = ()

    @property
    def exit(self) -> ExitCode:
        """The exit code that this baseline stands for."""
        if self.move is None:
            return ExitCode.CANNOT_MEASURE if self.error is None else self.error.exit_code
        return _CODES[self.move.verdict]


class Repeat(Value, kw_only=True):
    """What is judged: the same cases then and now, and who answered."""

    pairs: Sequence[Pair]  # base: then, head: now
    models_then: frozenset[str]
    models_now: frozenset[str]
    max_ungraded: float
    routed: bool
    discordance: float
    asked: int = 0
    cost_usd: Decimal | None = Decimal(0)


def judge_move(repeat: Repeat, alpha: float, seed: int = 0) -> DriftResult:
    """Judge whether base moved. What is ungraded never helps to say so."""
    pairs = repeat.pairs
    differences = Differences(pairs, exact=True, seed=seed)
    clusters = clustered([pair.head for pair in pairs])
    known = [
        (pair.base.output_digests, pair.head.output_digests)
        for pair in pairs
        if None not in pair.base.output_digests and None not in pair.head.output_digests
    ]
    samples = [sample for pair in pairs for sample in pair.head.samples]
    ungraded = sum(sample.standing is Standing.UNGRADED for sample in samples)
    return DriftResult(
        cases=tuple(pair.case_id for pair in pairs),
        trials=max((pair.head.trials for pair in pairs), default=0),
        wins=len(differences.won),
        losses=len(differences.lost),
        difference=differences.estimate,
        then=rate_of([goods(pair.base) for pair in pairs], clusters),
        now=rate_of([goods(pair.head) for pair in pairs], clusters),
        p_value=differences.p_value,
        test=differences.test,
        alpha=alpha,
        # Where more of these answers differ than expected, a move shows less.
        smallest=smallest_move(differences.clusters, max(repeat.discordance, differences.discordance), alpha)
        if pairs
        else None,
        outputs=(sum(then != now for then, now in known), len(known)),
        models_then=tuple(sorted(repeat.models_then)),
        models_now=tuple(sorted(repeat.models_now)),
        ungraded=ungraded,
        measured=bool(samples) and ungraded <= repeat.max_ungraded * len(samples),
        routed=repeat.routed,
        worse=differences.lost,
        better=differences.won,
        asked=repeat.asked,
        cost_usd=repeat.cost_usd,
    )
