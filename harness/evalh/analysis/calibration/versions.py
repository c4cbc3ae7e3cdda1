"""Two versions' rates apart, as people would see them, and whether the judge errs differently on the two.

Labels are drawn by what was judged (`analysis.calibration.outputs`), so pairs are put together by what was judged of
both sides, each kind weighted by how common it is.

Where both sides gave the same output nothing is left to guess: there is no
difference, whichever judge it is.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import fsum, sqrt

from msgspec.structs import replace

from evalh.analysis.calibration.outputs import Judged, Votes, counted, votes
from evalh.analysis.compare.pairing import Results
from evalh.core.calibration import GOOD, JudgeStanding, Label, VersionDifference
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.stats.calibration import Calibrated, calibrated_mean, stratified, tells_little
from evalh.stats.quantiles import t_critical

_TWO = 2
_SAME = "same output"
_NOTHING = 1e-9  # rounding
_CONFIDENCE = 0.95


class NamedRun(Value, kw_only=True):
    """What is compared, for people, and its run in the log."""

    name: str
    run: str | None


class Seen(Value):
    """One case: head - base, as the judge sees it and as people do; None: a side has no label."""

    judge: float
    people: float | None


def version_difference(
    base: tuple[NamedRun, Iterable[Judged]],
    head: tuple[NamedRun, Iterable[Judged]],
    people: Mapping[tuple[str, str], Votes],
) -> VersionDifference | None:
    """Estimate head's rate - base's in people's terms; None: fewer than two cases have a label on both sides.

    Cases are matched by their rows. Trials of a case are one observation: its mean.
    """
    rows = [_by_row(side[1]) for side in (base, head)]
    common = [row for row in rows[0] if row in rows[1]]
    cells: defaultdict[object, list[Seen]] = defaultdict(list)
    for row in common:
        sides = (rows[0][row], rows[1][row])
        cells[_kind(*sides)].append(_seen(*sides, people))
    labels = sum(seen.people is not None for cell in cells.values() for seen in cell)
    if labels < _TWO:
        return None
    same = len(cells.pop(_SAME, ()))
    corrected, shift = estimates(list(cells.values()), same)
    apart = [abs(one.people - one.judge) for cell in cells.values() for one in cell if one.people is not None]
    return VersionDifference(
        base=base[0].name,
        head=head[0].name,
        base_run=base[0].run,
        head_run=head[0].run,
        cases=len(common),
        judge_difference=fsum(seen.judge for cell in cells.values() for seen in cell) / len(common),
        labels=labels,
        corrected=corrected,
        shift=shift,
        few_labels=tells_little(sum(one > _NOTHING for one in apart), len(apart)),
    )


def estimates(cells: Sequence[list[Seen]], same: int) -> tuple[Estimate, Estimate]:
    """Estimate the mean difference in people's terms, and people's - the judge's; `same`: cases without any.

    Cells hold the cases of one kind, that were equally likely to be labelled.
    """
    strata = _collapsed(list(cells))
    total = same + sum(map(len, strata))
    corrected = [(len(cell), _corrected(cell)) for cell in strata]
    shift = [(len(cell), _shift(cell)) for cell in strata]
    known = [(seen.people, seen.judge) for cell in strata for seen in cell if seen.people is not None]
    guessed = len(known) + same < total
    differ = [people - judge for people, judge in known]
    return (
        _together(corrected, (same, total), "ppi++", alike=guessed and _agree([people for people, _ in known])),
        _together(shift, (same, total), "t", alike=guessed and _agree(differ)),
    )


def _agree(values: Sequence[float]) -> bool:
    """Whether all labelled cases say the same: then they do not show how far others may be from it."""
    return not values or max(values) - min(values) <= _NOTHING


def _by_row(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    rows: defaultdict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        rows[one.item[0]].append(one)
    return dict(rows)


def _kind(base: Sequence[Judged], head: Sequence[Judged]) -> object:
    outputs = [sorted(one.item[1] for one in side) for side in (base, head)]
    if outputs[0] == outputs[1]:
        return _SAME
    return tuple(tuple(sorted({one.stratum for one in side})) for side in (base, head))


def _seen(base: Sequence[Judged], head: Sequence[Judged], people: Mapping[tuple[str, str], Votes]) -> Seen:
    labelled = [[one for one in side if one.item in people] for side in (base, head)]
    if not all(labelled):
        return Seen(_rate(head) - _rate(base), None)
    shares = [fsum(people[one.item].share for one in side) / len(side) for side in labelled]
    return Seen(_rate(labelled[1]) - _rate(labelled[0]), shares[1] - shares[0])


def _rate(judged: Sequence[Judged]) -> float:
    return sum(one.passed for one in judged) / len(judged)


def _collapsed(cells: list[list[Seen]]) -> list[list[Seen]]:
    """Put kinds of pairs together of which too little is labelled to estimate each by itself."""
    known = [cell for cell in cells if _is_known(cell)]
    rest = [seen for cell in cells if not _is_known(cell) for seen in cell]
    while rest and known and not _is_known(rest):
        smallest = min(known, key=len)
        known.remove(smallest)
        rest += smallest
    return [*known, rest] if rest else known


def _is_known(cell: Sequence[Seen]) -> bool:
    labelled = sum(seen.people is not None for seen in cell)
    return labelled >= _TWO or labelled == len(cell)


def _corrected(cell: Sequence[Seen]) -> Calibrated | None:
    pairs = [(seen.people, seen.judge) for seen in cell if seen.people is not None]
    if not pairs:
        return None
    elsewhere = [seen.judge for seen in cell if seen.people is None]
    estimate = calibrated_mean([label for label, _ in pairs], [score for _, score in pairs], elsewhere)
    return counted(estimate, complete=not elsewhere)


def _shift(cell: Sequence[Seen]) -> Calibrated | None:
    apart = [seen.people - seen.judge for seen in cell if seen.people is not None]
    if not apart:
        return None
    return counted(calibrated_mean(apart, [0.0] * len(apart), []), complete=len(apart) == len(cell))


def _together(
    parts: Sequence[tuple[int, Calibrated | None]], of: tuple[int, int], method: str, *, alike: bool
) -> Estimate:
    """Combine the kinds of pairs; `of`: the cases with the same output on both sides, and all cases.

    `alike`: labelled cases say nothing of how far the others may be from them.
    No interval is of zero width. Where each kind says the same throughout, the cases still are a sample of the kinds.
    """
    same, total = of
    known = [(count, part) for count, part in parts if part is not None]
    if len(known) < len(parts):
        return Estimate(None, None, None, method)
    if same:  # no difference, and nothing to guess
        known.append((same, Calibrated(0.0, 0.0, 0.0, 0.0, 0.0, _TWO, same)))
    if len(known) > 1:
        method = f"{method}-stratified"
    estimate = known[0][1] if len(known) == 1 else stratified([(count / total, part) for count, part in known])
    half = None if estimate.high is None else estimate.high - estimate.value
    if half is not None and half <= _NOTHING:
        apart = fsum(count / total * (part.value - estimate.value) ** 2 for count, part in known)
        unknown = alike or apart <= _NOTHING
        half = None if unknown else t_critical(_CONFIDENCE, total - 1) * sqrt(apart / total)
    if half is None:
        return Estimate(estimate.value, None, None, method)
    return Estimate(estimate.value, max(-1.0, estimate.value - half), min(1.0, estimate.value + half), method)


def judge_differences(
    judges: Sequence[JudgeStanding], labels: Sequence[Label], base: Results, head: Results
) -> tuple[JudgeStanding, ...]:
    """Hold each judge's difference of the two sides against people's, as far as labels cover both."""
    found = []
    for judge in judges:
        about = judge.judge if any(label.about == judge.judge for label in labels) else GOOD
        people = votes(label for label in labels if label.about == about)
        sides = [
            (NamedRun(name=f"{side.prompt} on {side.model}", run=side.run), tuple(_judged(side, judge.judge, about)))
            for side in (base, head)
        ]
        difference = version_difference(sides[0], sides[1], people) if people else None
        found.append(replace(judge, difference=difference))
    return tuple(found)


def _judged(side: Results, judge: str, about: str) -> Iterator[Judged]:
    for case in side.cases.values():
        if case.incident:
            continue
        for sample in case.samples:
            outcome = sample.outcomes.get(judge)
            if outcome in (Outcome.PASS, Outcome.FAIL) and sample.row_digest and sample.output_digest:
                stratum = str(sample.standing if about == GOOD else outcome)
                yield Judged((sample.row_digest, sample.output_digest), stratum, outcome is Outcome.PASS)
