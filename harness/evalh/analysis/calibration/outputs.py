"""Calibrating a judge against people's labels: agreement, corrected rates, and which outputs to label next.

Outputs are drawn at random within each stratum, and from rare strata as often as from common ones. So rates are
combined stratum by stratum, weighted by how common each is, never over the labelled outputs as they stand.

Within a stratum the order is a hash of the case, so the labels so far are a random sample of the stratum, whenever the
person stops. Outputs of one case come near each other, so that labels cover both sides of a comparison. The next output
is of the stratum with the fewest labels: twenty labels of outputs that a judge passes teach little about its refusals.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from math import fsum

from evalh.core.calibration import AgreementTable, Confusion, CorrectedRate, Label, LabelCandidate
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.stats.agreement import agreement
from evalh.stats.calibration import Calibrated, LabelledStratum, rate_of_strata

_MOVER = "mover"
_TWO = 2


class Judged(Value):
    """One output that the judge has judged. Equal outputs for equal rows have equal `item`s."""

    item: tuple[str, str]  # digests of the row and of the output
    stratum: str
    passed: bool


class Votes(Value):
    """What people said of one output."""

    by_author: Mapping[str, bool]

    @property
    def share(self) -> float:
        """The share that said good."""
        return sum(self.by_author.values()) / len(self.by_author)

    @property
    def majority(self) -> bool | None:
        """What most said; None: as many good as bad."""
        return None if 2 * sum(self.by_author.values()) == len(self.by_author) else self.share > 1 / 2


def votes(labels: Iterable[Label]) -> dict[tuple[str, str], Votes]:
    """Gather the labels by what was labelled."""
    gathered: defaultdict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for label in labels:
        gathered[label.case_digest, label.output_digest][label.author] = label.good
    return {item: Votes(by_author) for item, by_author in gathered.items()}


def both_said(judged: Iterable[Judged], people: Mapping[tuple[str, str], Votes]) -> list[tuple[bool, bool]]:
    """Return (the judge passes it, most people do) of each output; those on which people are torn are left out."""
    return [
        (one.passed, majority)
        for one in {one.item: one for one in judged}.values()
        if one.item in people and (majority := people[one.item].majority) is not None
    ]


def confusion(both: Iterable[tuple[bool, bool]]) -> Confusion:
    """Count what the judge says against what people say."""
    cells = Counter(both)
    return Confusion(
        both_good=cells[True, True],
        judge_only=cells[True, False],
        people_only=cells[False, True],
        both_bad=cells[False, False],
    )


def people_agreement(people: Mapping[tuple[str, str], Votes], seed: int) -> AgreementTable | None:
    """Measure how far people agree among themselves; None: no two of them labelled the same output."""
    authors = sorted({author for one in people.values() for author in one.by_author})
    rows = [[one.by_author.get(author) for author in authors] for one in people.values()]
    if not any(sum(label is not None for label in row) >= _TWO for row in rows):
        return None
    return agreement(rows, seed=seed)


def corrected_rate(
    name: str, run: str | None, judged: Sequence[Judged], people: Mapping[tuple[str, str], Votes]
) -> CorrectedRate:
    """Estimate the rate that people would give to such outputs, from their labels in each stratum."""
    strata: defaultdict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        strata[one.stratum].append(one)
    labels = sum(one.item in people for one in judged)
    return CorrectedRate(
        name=name,
        run=run,
        judged=len(judged),
        judge_rate=sum(one.passed for one in judged) / len(judged) if judged else None,
        labels=labels,
        corrected=_corrected(list(strata.values()), people),
    )


def _corrected(strata: Sequence[Sequence[Judged]], people: Mapping[tuple[str, str], Votes]) -> Estimate:
    known = []
    for stratum in strata:
        shares = [people[one.item].share for one in stratum if one.item in people]
        if not shares:
            return Estimate(None, None, None, _MOVER)  # the rate of this stratum is unknown
        known.append(LabelledStratum(len(stratum), len(shares), fsum(shares) / len(shares)))
    return rate_of_strata(known) if known else Estimate(None, None, None, _MOVER)


def counted(part: Calibrated, *, complete: bool) -> Calibrated:
    """Take a stratum of one output, labelled, as it is: nothing of it is left to guess."""
    if complete and part.se is None:
        return Calibrated(part.value, part.value, part.value, 0.0, part.weight, _TWO, part.judged)
    return part


def ordered(
    candidates: Iterable[LabelCandidate], labelled: AbstractSet[tuple[str, str]], seed: str
) -> list[LabelCandidate]:
    """Return what is not labelled yet, in the order in which to ask. Equal outputs for a case are asked once."""
    distinct = {candidate.shown: candidate for candidate in candidates}
    have = Counter(one.stratum for shown, one in distinct.items() if shown in labelled)
    strata: dict[str, list[LabelCandidate]] = {}
    for candidate in sorted(distinct.values(), key=lambda one: _place(one, seed), reverse=True):
        if candidate.shown not in labelled:
            strata.setdefault(candidate.stratum, []).append(candidate)
    chosen = []
    while strata:
        stratum = min(strata, key=lambda name: (have[name], name))
        chosen.append(strata[stratum].pop())
        have[stratum] += 1
        if not strata[stratum]:
            del strata[stratum]
    return chosen


def _place(candidate: LabelCandidate, seed: str) -> bytes:
    case, both = ("|".join((seed, *part)) for part in (candidate.shown[:1], candidate.shown))
    return b"".join(sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (case, both))
