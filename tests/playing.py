"""Bets and looks over answers that are all there already."""

from collections.abc import Iterable

from evalh.stats.eprocess import Bets, mixed
from evalh.stats.sequential import LookState, PairedDifference, SequentialDesign, advance, next_look


def log_e_of_counts(bets: Bets, wins: int, ties: int, losses: int) -> float:
    """Return log E of cases that were won, tied and lost outright: only their numbers matter, not their order."""
    return mixed(
        [
            wins * bets.gain(1.0, fraction) + ties * bets.gain(0.0, fraction) + losses * bets.gain(-1.0, fraction)
            for fraction in bets.fractions
        ]
    )


def run_through(design: SequentialDesign, differences: Iterable[PairedDifference]) -> LookState:
    """Look at answers that are all there already, in their order, as if they came in one after the other."""
    state, batch = LookState(), list[PairedDifference]()
    for difference in differences:
        batch.append(difference)
        if state.seen + len(batch) == next_look(state.seen, design.cases, design.batch):
            state, batch = advance(design, state, batch), []
            if state.stop is not None:
                return state
    return state
