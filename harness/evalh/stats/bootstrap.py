"""Resampling cases, for what has no formula. Seeded; the order of the cases moves no digit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
_CELLS = 4_000_000  # drawn cases held at once
_MOST_DRAWN = 40_000_000  # drawn cases in all: of a large dataset fewer resamples are drawn, which it can afford
_FEWEST_RESAMPLES = 200


def resampled_sums(columns: "NDArray[np.float64]", seed: int, resamples: int = RESAMPLES) -> "NDArray[np.float64]":
    """Sum each column (a row of `columns`, one number per case) over resampled cases: one line a resample."""
    import numpy as np

    return np.concatenate([rows @ columns.T for rows in _weights(columns.shape[1], seed, resamples)])


def _weights(count: int, seed: int, resamples: int) -> "Iterator[NDArray[np.float64]]":
    """Draw how often each case stands in each resample."""
    import numpy as np

    rng = np.random.default_rng(seed)
    wanted = min(resamples, max(_FEWEST_RESAMPLES, _MOST_DRAWN // count))
    step = max(1, _CELLS // count)
    for start in range(0, wanted, step):
        rows = min(step, wanted - start)
        drawn = rng.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)
