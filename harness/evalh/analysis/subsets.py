"""Parts of a dataset: drawn by chance, whole clusters at a time, and the same again tomorrow.

What is drawn depends on the seed and on names alone: the cluster's, or the smallest id of cases with equal inputs.
The order of the rows does not count, and rows that are added leave the others where they were.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.core.ports import Cases
from evalh.core.values import Value

_DRAWS = 2**256  # as many as there are digests


class CaseCluster(Value):
    """Cases that are alike, by what the rows say: the same cluster, or equal inputs."""

    name: tuple[str, str]  # what kind of name, and a cluster's or an id
    ids: tuple[str, ...]  # in file order

    def place(self, purpose: str, seed: int) -> Fraction:
        """Return where the cluster stands between 0 and 1; each purpose has an order of its own."""
        drawn = int(digest([purpose, seed, *self.name]).removeprefix("sha256:"), 16)
        return Fraction(drawn, _DRAWS)


class SampleOptions(Value, kw_only=True):
    """How a sample is drawn."""

    clusters: int  # how many
    seed: int
    whole: bool  # all cases of each, not one


class CaseSubset(Value, kw_only=True):
    """Some cases of a dataset."""

    ids: frozenset[str]
    clusters: int

    @property
    def cases(self) -> int:
        """How many cases."""
        return len(self.ids)


class DatasetPart(Value, kw_only=True):
    """A file with some of a dataset's rows."""

    part: str | None  # its name; None: a sample
    path: str
    cases: int
    clusters: int
    share: Decimal | None = None  # of the clusters, as asked for; None: a sample


class DatasetParts(Value, kw_only=True):
    """What was written of a dataset."""

    dataset: str
    seed: int
    cases: int
    clusters: int
    untied: int  # groups of cases that look alike and lie in several clusters
    parts: tuple[DatasetPart, ...]


def clusters_of(cases: Cases) -> list[CaseCluster]:
    """Gather a dataset's clusters; a case without similar ones is one of its own."""
    members: defaultdict[int, list[Case]] = defaultdict(list)
    for place, case in enumerate(cases):
        members[cases.clusters.get(place, -1 - place)].append(case)
    return [CaseCluster(_name(alike), tuple(case.id for case in alike)) for alike in members.values()]


def _name(alike: Iterable[Case]) -> tuple[str, str]:
    named = [case.cluster for case in alike if case.cluster is not None]
    if named:
        return "cluster", min(named)
    # Ids are often numbered: a copy that comes later as t-10 must not take the place of t-9.
    return "case", min((case.id for case in alike), key=lambda one: (len(one), one))


def sample(clusters: Sequence[CaseCluster], options: SampleOptions) -> CaseSubset:
    """Draw clusters: all of them if there are no more than asked for."""
    drawn = sorted(clusters, key=lambda one: one.place("sample", options.seed))[: options.clusters]
    ids = (
        one.ids if options.whole else (min(one.ids, key=lambda case: digest(["case", options.seed, case])),)
        for one in drawn
    )
    return CaseSubset(ids=frozenset(case for some in ids for case in some), clusters=len(drawn))


def split(clusters: Sequence[CaseCluster], shares: Mapping[str, Decimal], seed: int) -> dict[str, CaseSubset]:
    """Give each cluster to one of the parts, whose shares sum to 1."""
    ends = list(accumulate(map(Fraction, shares.values())))
    parts: dict[str, list[CaseCluster]] = {part: [] for part in shares}
    for one in clusters:
        place = one.place("split", seed)
        parts[next(part for part, end in zip(shares, ends, strict=True) if place < end)].append(one)
    return {
        part: CaseSubset(ids=frozenset(case for one in some for case in one.ids), clusters=len(some))
        for part, some in parts.items()
    }
