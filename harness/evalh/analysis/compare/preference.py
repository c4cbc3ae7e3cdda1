"""Preferences of a judge of two outputs between two versions, by case, with the effect of the order separated."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

from evalh.analysis.compare.comparison import Preferred
from evalh.graders.judges.prefer import Favoured
from evalh.stats.judges import SwapCounts, swap_analysis


def swaps(tally: Counter[Favoured]) -> SwapCounts:
    """Count what a judge did with pairs that it saw in both orders; pairs that it did not judge are left out."""
    return SwapCounts(
        head=tally[Favoured.HEAD],
        base=tally[Favoured.BASE],
        first=tally[Favoured.FIRST],
        second=tally[Favoured.SECOND],
        ties=tally[Favoured.TIE],
    )


def preferred(
    judge: tuple[str, str],
    cases: Mapping[str, Sequence[Favoured]],
    spent: tuple[Decimal | None, Decimal | None],
    why_unjudged: str | None,
) -> Preferred:
    """Count what a judge (its name, its model) prefers, case by case. `spent`: by this comparison, and earlier."""
    of = {case: of_case(trials) for case, trials in cases.items()}
    tally = Counter(of.values())
    counts = swaps(tally)
    swapped = swap_analysis(counts)
    return Preferred(
        grader=judge[0],
        model=judge[1],
        head=counts.head,
        base=counts.base,
        ties=counts.first + counts.second + counts.ties,
        first=counts.first,
        second=counts.second,
        unjudged=tally[Favoured.UNJUDGED],
        win_rate=swapped.win_rate,
        p_value=swapped.preference_p,
        consistency=swapped.consistency,
        unsteady=swapped.unsteady,
        position_p=swapped.position_p,
        judge_cost_usd=spent[0],
        cached_cost_usd=spent[1],
        head_cases=_where(of, Favoured.HEAD),
        base_cases=_where(of, Favoured.BASE),
        unjudged_cases=_where(of, Favoured.UNJUDGED),
        why_unjudged=why_unjudged,
    )


def of_case(trials: Sequence[Favoured]) -> Favoured:
    """Join the trials of one case: what most of them favour, if the missing ones could not turn it."""
    tally = Counter(trials)
    lead, missing = tally[Favoured.HEAD] - tally[Favoured.BASE], tally[Favoured.UNJUDGED]
    if missing and missing >= abs(lead):
        return Favoured.UNJUDGED
    if lead:
        return Favoured.HEAD if lead > 0 else Favoured.BASE
    if tally[Favoured.HEAD]:
        return Favoured.TIE
    by_place = tally[Favoured.FIRST] - tally[Favoured.SECOND]
    if by_place:
        return Favoured.FIRST if by_place > 0 else Favoured.SECOND
    return Favoured.TIE


def _where(of: Mapping[str, Favoured], which: Favoured) -> tuple[str, ...]:
    return tuple(case for case, favoured in of.items() if favoured is which)
