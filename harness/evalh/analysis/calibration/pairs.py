"""Holding a judge of two outputs against itself, the outputs swapped, and against what people say of each output."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import fsum

from evalh.analysis.calibration.outputs import Votes
from evalh.analysis.calibration.versions import Seen, estimates
from evalh.analysis.compare.preference import of_case, swaps
from evalh.core.calibration import CorrectedRate, PositionBias, VersionPreference
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.graders.judges.prefer import Favoured
from evalh.stats.judges import SwapCounts, swap_analysis

_WORTH = {Favoured.HEAD: 1.0, Favoured.BASE: -1.0}


class PairTrial(Value, kw_only=True):
    """One trial of a case on both sides: the outputs' digests, what their graders say, and what the judge prefers."""

    base: str
    head: str
    kind: tuple[str, str]
    favoured: Favoured

    @property
    def differs(self) -> bool:
        """Whether there is anything to prefer."""
        return self.base != self.head


class PairCase(Value, kw_only=True):
    """One case of one comparison."""

    row: str
    trials: tuple[PairTrial, ...]

    @property
    def item(self) -> tuple[str, frozenset[frozenset[str]]]:
        """What was judged, whichever side it stood on."""
        return (self.row, frozenset(frozenset((one.base, one.head)) for one in self.trials))

    @property
    def outputs(self) -> frozenset[tuple[str, str]]:
        """What a label may be about: the row, and each output of the trials."""
        return frozenset((self.row, output) for one in self.trials for output in (one.base, one.head))

    @property
    def differs(self) -> bool:
        """Whether the judge was to be asked."""
        return any(one.differs for one in self.trials)

    @property
    def favoured(self) -> Favoured:
        """What the judge prefers, its trials joined."""
        return of_case([one.favoured for one in self.trials])

    def people(self, votes: Mapping[tuple[str, str], Votes]) -> float | None:
        """Say what people prefer by what they say of each output: 1 head, -1 base, 0 neither; None: not labelled."""
        both = [
            votes[self.row, one.head].share - votes[self.row, one.base].share
            for one in self.trials
            if (self.row, one.head) in votes and (self.row, one.base) in votes
        ]
        mean = fsum(both)
        return None if not both else (mean > 0) - (mean < 0)


class JudgedComparison(Value, kw_only=True):
    """Two versions that were put before the judge."""

    name: str
    run: str | None  # head's
    cases: tuple[PairCase, ...]


def position(cases: Iterable[PairCase]) -> PositionBias:
    """Count what the order did; the same pair is counted once."""
    counts = swaps(Counter(one.favoured for one in {one.item: one for one in cases if one.differs}.values()))
    swapped = swap_analysis(counts)
    return PositionBias(
        pairs=counts.pairs,
        consistent=counts.head + counts.base,
        first=counts.first,
        second=counts.second,
        ties=counts.ties,
        consistency=swapped.consistency,
        unsteady=swapped.unsteady,
        p_value=swapped.position_p,
    )


def version_preference(comparison: JudgedComparison) -> VersionPreference:
    """Count what is preferred, the order's part taken for ties."""
    tally = Counter(one.favoured for one in comparison.cases)
    head, base, unjudged = (tally[one] for one in (Favoured.HEAD, Favoured.BASE, Favoured.UNJUDGED))
    return VersionPreference(
        name=comparison.name,
        head=head,
        base=base,
        ties=len(comparison.cases) - head - base - unjudged,
        unjudged=unjudged,
        p_value=swap_analysis(SwapCounts(head=head, base=base, first=0, second=0)).preference_p,
    )


def win_rate(comparison: JudgedComparison, votes: Mapping[tuple[str, str], Votes]) -> CorrectedRate:
    """Estimate head's win rate as people would see it, a tie counts half: PPI++ over what is preferred (1, 0, -1)."""
    judged = [one for one in comparison.cases if one.favoured is not Favoured.UNJUDGED]
    cells: defaultdict[object, list[Seen]] = defaultdict(list)
    for one in judged:
        if one.differs:
            kind = tuple(sorted({trial.kind for trial in one.trials}))
            cells[kind].append(Seen(_WORTH.get(one.favoured, 0.0), one.people(votes)))
    corrected, _ = estimates(list(cells.values()), sum(not one.differs for one in judged)) if judged else (None, None)
    seen = [one for cell in cells.values() for one in cell]
    labels = sum(one.people is not None for one in seen)
    return CorrectedRate(
        name=comparison.name,
        run=comparison.run,
        judged=len(judged),
        judge_rate=(1 + fsum(one.judge for one in seen) / len(judged)) / 2 if judged else None,
        labels=labels,
        corrected=_as_rate(corrected) if corrected is not None and labels else Estimate(None, None, None, "ppi++"),
    )


def _as_rate(net: Estimate) -> Estimate:
    value, low, high = (None if number is None else (1 + number) / 2 for number in (net.value, net.low, net.high))
    return Estimate(value, low, high, net.method)


def both_prefer(cases: Sequence[PairCase], votes: Mapping[tuple[str, str], Votes]) -> list[tuple[bool, bool]]:
    """Return (the judge prefers head, people do) where both prefer one."""
    return [
        (one.favoured is Favoured.HEAD, people > 0)
        for one in cases
        if one.favoured in _WORTH and (people := one.people(votes))
    ]
