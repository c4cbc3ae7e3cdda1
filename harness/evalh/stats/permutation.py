"""Permutation tests over cases: the distribution of a difference if the labels of the versions are exchangeable.

Exact if few cases differ, otherwise a seeded sample of relabellings. The order of the cases changes no digit.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import fsum
from typing import TYPE_CHECKING, Any

from evalh.stats.paired import Alternative

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 9999
_EXACT_CASES = 16  # 65,536 relabellings; one more case doubles them
_CELLS = 4_000_000  # relabelled values held at once
_ROUNDING = 1e-9  # sums that differ by less are the same sum in another order


def sign_flip_p(
    differences: Sequence[float],
    alternative: Alternative = Alternative.DIFFERENT,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> float:
    """Return the p-value of the mean difference (head - base) if each difference could equally have the other sign.

    One difference per case, or per cluster of cases. Differences of 0 have no effect.
    Exact up to 16 others, beyond that (x + 1) / (draws + 1) over seeded flips.
    """
    sizes = Counter(abs(value) for value in differences if value)
    if not sizes:
        return 1.0
    magnitudes = sorted(sizes)
    observed = fsum(differences)
    exact = sizes.total() <= _EXACT_CASES
    sums = _all_sums(magnitudes, sizes) if exact else _sampled_sums(magnitudes, sizes, seed, draws)
    slack = _ROUNDING * fsum(size * count for size, count in sizes.items())
    extreme = total = 0
    for chunk in sums:
        total += len(chunk)
        extreme += int((_directed(chunk, alternative) >= _directed(observed, alternative) - slack).sum())
    return extreme / total if exact else (extreme + 1) / (total + 1)


def _directed(value: Any, alternative: Alternative) -> Any:
    match alternative:
        case Alternative.DIFFERENT:
            return abs(value)
        case Alternative.BETTER:
            return value
        case Alternative.WORSE:
            return -value


def _all_sums(magnitudes: Sequence[float], sizes: Counter[float]) -> "Iterator[NDArray[np.float64]]":
    import numpy as np

    sums = np.zeros(1)
    for magnitude in magnitudes:
        for _ in range(sizes[magnitude]):
            sums = np.concatenate((sums + magnitude, sums - magnitude))
    yield sums


def _sampled_sums(
    magnitudes: Sequence[float], sizes: Counter[float], seed: int, draws: int
) -> "Iterator[NDArray[np.float64]]":
    """Flip signs at random; many equal magnitudes are flipped by one binomial draw."""
    import numpy as np

    rng = np.random.default_rng(seed)
    magnitude = np.array(magnitudes)
    count = np.array([sizes[one] for one in magnitudes])
    many_equal = 4 * len(magnitudes) <= sizes.total()  # a million differences of ±1 take as long as ten
    each = magnitude if many_equal else magnitude.repeat(count)
    for rows in _chunks(draws, len(each)):
        if many_equal:
            yield (2 * rng.binomial(count, 0.5, size=(rows, len(each))) - count) @ each
        else:
            yield 2 * (_coins(rng, rows, len(each)) @ each) - each.sum()


def _chunks(draws: int, width: int) -> Iterator[int]:
    rows = max(1, _CELLS // width)
    for start in range(0, draws, rows):
        yield min(rows, draws - start)


def cost_per_good_rise_p(
    base: tuple[Sequence[float], Sequence[float]],
    head: tuple[Sequence[float], Sequence[float]],
    may_rise: float = 0.0,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> float:
    """Return the one-sided p-value against R_head <= (1 + may_rise) R_base, R = sum(costs) / sum(goods).

    (costs, goods) of the same cases or clusters in the same order. Base's costs are raised to the bound, and the labels
    are swapped within cases. This keeps its level if a few costs are far larger than the rest, which an interval by
    logarithms does not. A side without a good counts as infinitely costly. Raises ValueError for sequences of unequal
    length.
    """
    import numpy as np

    if len({len(column) for column in (*base, *head)}) != 1:
        raise ValueError("two versions are compared over the same cases")
    columns = np.array([*base, *head], dtype=np.float64)
    if not (np.isfinite(columns) & (columns >= 0)).all():
        raise ValueError("costs and goods are finite and not negative")
    columns[0] *= 1 + may_rise
    columns = columns[:, np.lexsort(columns[::-1])]  # sorted, so that the order of cases changes nothing
    base_sums, head_sums = columns[:2].sum(axis=1), columns[2:].sum(axis=1)
    moves = (columns[2:] - columns[:2]).T
    moves = moves[(moves != 0).any(axis=1)]
    observed = _log_ratio(base_sums[None], head_sums[None])[0]
    exact = len(moves) <= _EXACT_CASES
    extreme = total = 0
    for shift in _all_shifts(moves) if exact else _sampled_shifts(moves, seed, draws):
        total += len(shift)
        extreme += int((_log_ratio(base_sums + shift, head_sums - shift) >= observed - _ROUNDING).sum())
    return extreme / total if exact else (extreme + 1) / (total + 1)


def _log_ratio(base: "NDArray[np.float64]", head: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return log((head cost / head good) / (base cost / base good)) for each row of (cost, good) sums."""
    import numpy as np

    # After a swap, sums that should be 0 can be rounding errors.
    floor = _ROUNDING * (abs(base) + abs(head))
    base, head = np.where(base > floor, base, 0.0), np.where(head > floor, head, 0.0)
    up, down = head[:, 0] * base[:, 1], base[:, 0] * head[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(up) - np.log(down)
    # If both products are 0 there is no evidence.
    return np.where((up == 0) & (down == 0), 0.0, ratio)


def _all_shifts(moves: "NDArray[np.float64]") -> "Iterator[NDArray[np.float64]]":
    import numpy as np

    shifts = np.zeros((1, 2))
    for move in moves:
        shifts = np.concatenate((shifts, shifts + move))
    yield shifts


def _sampled_shifts(moves: "NDArray[np.float64]", seed: int, draws: int) -> "Iterator[NDArray[np.float64]]":
    import numpy as np

    rng = np.random.default_rng(seed)
    for rows in _chunks(draws, len(moves)):
        yield _coins(rng, rows, len(moves)) @ moves


def _coins(rng: "np.random.Generator", rows: int, width: int) -> "NDArray[np.float64]":
    """Draw a fair 0 or 1 for every place, from single random bits."""
    import numpy as np

    octets = -(-width // 8)
    bits = np.frombuffer(rng.bytes(rows * octets), dtype=np.uint8).reshape(rows, octets)
    return np.unpackbits(bits, axis=1, count=width).astype(np.float64)
