"""Cases that got worse, on fresh trials: whether they regressed, are unsteady, or flipped by chance.

Only the fresh trials are judged. Those in which the flip was seen were chosen for it, and would confirm it always.
"""

from collections.abc import Mapping, Sequence

from evalh.analysis.comparison import Confirmed, Flip
from evalh.analysis.pairing import CaseResult
from evalh.stats.confirm import fisher_worse, probability_worse
from evalh.stats.multiplicity import benjamini_hochberg

FRESH_TRIALS = 5  # with 3, the smallest p-value that Fisher's test can give is 0.05: powerless
FALSE_DISCOVERIES = 0.10  # of the cases that are called regressed, so many may not be


def confirm(
    cases: Sequence[str], base: Mapping[str, CaseResult], head: Mapping[str, CaseResult]
) -> tuple[Confirmed, ...]:
    """Judge each case by its fresh trials on both sides; ungraded ones are left out, and no trial is no evidence."""
    counts = [(_graded(base.get(case)), _graded(head.get(case))) for case in cases]
    p_values = [fisher_worse(*of_base, *of_head) for of_base, of_head in counts]
    adjusted = benjamini_hochberg(p_values)
    return tuple(
        Confirmed(
            case_id=case,
            base_good=of_base[0],
            base_trials=of_base[1],
            head_good=of_head[0],
            head_trials=of_head[1],
            p_value=p_value,
            p_adjusted=p_adjusted,
            p_worse=probability_worse(*of_base, *of_head),
            label=_label(of_base, of_head, p_adjusted),
        )
        for case, (of_base, of_head), p_value, p_adjusted in zip(cases, counts, p_values, adjusted, strict=True)
    )


def _graded(case: CaseResult | None) -> tuple[int, int]:
    return (0, 0) if case is None else (case.goods, case.trials - case.ungraded)


def _label(base: tuple[int, int], head: tuple[int, int], p_adjusted: float) -> Flip:
    if p_adjusted <= FALSE_DISCOVERIES:
        return Flip.REGRESSED
    mixed = any(0 < good < trials for good, trials in (base, head))
    unseen = 0 in (base[1], head[1])
    worse = not unseen and head[0] * base[1] < base[0] * head[1]
    return Flip.UNSTABLE if mixed or worse or unseen else Flip.NOISE
