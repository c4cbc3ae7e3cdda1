"""Multiple testing: adjusted p-values."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values (1979), in the order given.

    Rejecting those <= alpha keeps the family-wise error rate at alpha, under any dependence of the tests.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    running = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (count - rank) * _checked(p_values[index])))
        adjusted[index] = running
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return Benjamini and Hochberg's adjusted p-values (1995), in the order given.

    Rejecting those <= q keeps the false discovery rate at q. For exploration (slices, single cases), not for blocking.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    running = 1.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: -p_values[i])):
        running = min(running, _checked(p_values[index]) * (count / (count - rank)))
        adjusted[index] = running
    return adjusted


def _checked(p_value: float) -> float:
    if not 0.0 <= p_value <= 1.0:
        raise ValueError(f"a p-value lies between 0 and 1, not at {p_value}")
    return p_value
