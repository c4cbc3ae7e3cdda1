"""In which order cases are asked, and after how many of them one looks."""

from collections.abc import Iterable
from hashlib import sha256

BATCH = 25


def order_seed(dataset_digest: str, base_prompt_digest: str, head_prompt_digest: str) -> str:
    """Return the seed of the order: what is compared decides it, so nobody can shop for a lucky one.

    No commit, no time: a rebase does not reshuffle.
    """
    return sha256(f"{dataset_digest}{base_prompt_digest}{head_prompt_digest}".encode()).hexdigest()


def look_order(seed: str, case_ids: Iterable[str]) -> list[int]:
    """Return the positions of the cases in the order in which they are asked: by sha256(seed + case id)."""
    keyed = [(sha256((seed + case_id).encode()).digest(), position) for position, case_id in enumerate(case_ids)]
    return [position for _, position in sorted(keyed)]


def next_look(seen: int, cases: int, batch: int = BATCH) -> int:
    """Return the number of cases at which to look next: 25, 50, ... and, last, all of them."""
    return min(cases, (seen // batch + 1) * batch)
