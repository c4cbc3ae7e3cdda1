"""Cases that hang together (paraphrases of one question, turns of one talk): fewer independent answers than cases."""

from collections.abc import Hashable, Sequence
from math import fsum, sqrt

from evalh.core.values import dataclass
from evalh.stats.critical import t_critical, z_critical
from evalh.stats.intervals import ClusteredRate, wilson


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """The mean over cases, and what is known of it when whole clusters vary together."""

    mean: float
    low: float | None  # None: one cluster says nothing about another
    high: float | None
    se: float | None
    clusters: int


def clustered_mean(scores: Sequence[float], clusters: Sequence[Hashable], confidence: float = 0.95) -> ClusteredMean:
    """Bound the mean of per-case scores (or differences) whose clusters may be of unequal size (Miller 2024).

    SE^2 = n^-2 sum over clusters of (sum of its (score - mean))^2; mean ± t_{G-1} SE. Every case in a cluster of its
    own gives the ordinary standard error with ddof 0.
    """
    if not scores or len(scores) != len(clusters):
        raise ValueError("every case has a score and a cluster, and there is at least one")
    mean = fsum(scores) / len(scores)
    members: dict[Hashable, list[float]] = {}
    for score, cluster in zip(scores, clusters, strict=True):
        members.setdefault(cluster, []).append(score - mean)
    if len(members) == 1:
        return ClusteredMean(mean, None, None, None, 1)
    # Equal scores are asked for by name: computed, their standard error would be a rounding error, not 0.
    same = min(scores) == max(scores)
    se = 0.0 if same else sqrt(fsum(fsum(one) ** 2 for one in members.values())) / len(scores)
    half = t_critical(confidence, len(members) - 1) * se
    return ClusteredMean(mean, mean - half, mean + half, se, len(members))


def rate_of_clusters(rates: Sequence[float], clusters: Sequence[Hashable], confidence: float = 0.95) -> ClusteredRate:
    """Bound the mean of per-case good rates by Wilson's interval at n*, whole clusters varying together.

    n_eff = p(1 - p) / SE^2, clipped to [1, n]; the number of clusters where SE is 0; n* = n_eff (z / t_{G-1})^2.
    """
    if not all(0.0 <= rate <= 1.0 for rate in rates):
        raise ValueError("per-case rates lie in [0, 1]")
    known = clustered_mean(rates, clusters, confidence)
    mean = min(1.0, max(0.0, known.mean))
    if known.se is None:
        return ClusteredRate(mean, 0.0, 1.0, None, None, 1.0, 0.0)
    spread = mean * (1 - mean)
    n_eff = min(max(spread / known.se**2, 1.0), float(len(rates))) if known.se else float(known.clusters)
    n_star = n_eff * (z_critical(confidence) / t_critical(confidence, known.clusters - 1)) ** 2
    low, high = wilson(mean * n_star, n_star, confidence)
    deff = known.se**2 * len(rates) / spread if spread else None
    return ClusteredRate(mean, min(low, mean), max(high, mean), known.se, deff, n_eff, n_star)
