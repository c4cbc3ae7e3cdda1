"""Which cases of a dataset a run takes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from evalh.core.case import Case
from evalh.core.digest import RowsDigest, canonical
from evalh.core.errors import NotFound, UsageError, did_you_mean
from evalh.core.ports import Cases
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.stats.clusters import ClusterIndex, number_of_clusters
from evalh.stats.sequential import look_order


class Selection(Value, kw_only=True):
    """Cases by id, by tag (any of them), and at most `limit` of them in file order. Empty: all."""

    case_ids: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    limit: int | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.case_ids and not self.tags and self.limit is None

    def document(self) -> dict[str, JsonValue]:
        """Return the selection as a document; empty if nothing is left out."""
        asked = {"case": sorted(self.case_ids), "tag": sorted(self.tags), "limit": self.limit}
        return {name: value for name, value in asked.items() if value}

    def takes(self, case: Case) -> bool:
        """Whether a case is selected, apart from the limit."""
        by_id = not self.case_ids or case.id in self.case_ids
        return by_id and (not self.tags or not self.tags.isdisjoint(case.tags))


class SelectedCases:
    """A part of a dataset: its digest covers the selected rows, so results say what they measured."""

    def __init__(self, cases: Cases, selection: Selection) -> None:
        """Count and digest the selected rows in one pass. Raises UsageError if there are none."""
        self._cases = cases
        self._selection = selection
        self.text_inputs = cases.text_inputs  # what is true for all rows is true for these
        self.some_inputs = cases.some_inputs
        rows, alike = RowsDigest(), ClusterIndex()
        self._count = 0
        for case in self:
            rows.add(case.document())
            alike.add(canonical(case.inputs), case.cluster, joins=not case.incident)
            self._count += 1
        self.digest, self.clusters = rows.value(), alike.numbers()
        if not self._count or self._count < len(selection.case_ids):
            self._refuse()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Case]:
        taken = (case for case in self._cases if self._selection.takes(case))
        return islice(taken, self._selection.limit)

    def _refuse(self) -> None:
        known = [case.id for case in self._cases]
        for case_id in sorted(self._selection.case_ids.difference(known)):
            raise NotFound(f"no case {case_id!r}", hint=did_you_mean(case_id, known[:5000]))
        if self._count:
            return  # ids that exist, but are excluded by --limit or --tag
        tags = {tag for case in self._cases for tag in case.tags}
        asked = sorted(self._selection.tags)
        if asked and tags.isdisjoint(asked):
            named = " or ".join(map(repr, asked))
            raise NotFound(
                f"no case has the tag {named}", hint=did_you_mean(asked[0], tags) if tags else "no case has a tag"
            )
        raise UsageError("the selection leaves no case", hint="--case, --tag and --limit apply together")


def select(cases: Cases, selection: Selection) -> Cases:
    """Select from a dataset; return the dataset itself if nothing is left out."""
    return cases if selection.everything else SelectedCases(cases, selection)


class Listed:
    """Cases in memory, as a dataset of their own."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases
        rows, alike = RowsDigest(), ClusterIndex()
        for case in cases:
            rows.add(case.document())
            alike.add(canonical(case.inputs), case.cluster, joins=not case.incident)
        self.digest, self.clusters = rows.value(), alike.numbers()
        self.text_inputs: frozenset[str] = frozenset()  # unknown: the few cases are checked one by one
        self.some_inputs = frozenset(name for case in cases for name in case.inputs)

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases)


Cluster: TypeAlias = list[tuple[int, Case]]
"""A cluster of cases with their places in the dataset: they are asked and counted together."""


class Counted(Value):
    """The cases of a dataset that a rate may be over: all but its incidents."""

    cases: Sequence[tuple[int, Case]]  # with their places in the dataset
    incidents: Sequence[tuple[int, Case]]
    digest: str  # of the rows that count: incidents, of which there may be more each week, choose no order


def counted(cases: Cases) -> Counted:
    """Part a dataset's incidents from its other cases."""
    parts: dict[bool, list[tuple[int, Case]]] = {True: [], False: []}
    for place, case in enumerate(cases):
        parts[case.incident].append((place, case))
    if not parts[True]:
        return Counted(parts[False], (), cases.digest)
    rows = RowsDigest()
    for _, case in parts[False]:
        rows.add(case.document())
    return Counted(parts[False], parts[True], rows.value())


def counted_clusters(cases: Cases) -> tuple[int, int]:
    """Return how many cases a rate may be over, and in how many clusters they are."""
    incidents = {place for place, case in enumerate(cases) if case.incident}
    clusters = {place: number for place, number in cases.clusters.items() if place not in incidents}
    have = len(cases) - len(incidents)
    return have, number_of_clusters(have, clusters)


def in_clusters(cases: Iterable[tuple[int, Case]], clusters: Mapping[int, int]) -> list[Cluster]:
    """Return cases, cluster by cluster; a case without similar ones is a cluster of its own."""
    members: dict[int, Cluster] = {}
    for place, case in cases:
        members.setdefault(clusters.get(place, -1 - place), []).append((place, case))
    return list(members.values())


def in_order(seed: str, clusters: Sequence[Cluster]) -> list[Cluster]:
    """Put clusters into the order in which a gate asks them; the first id identifies a cluster."""
    return [clusters[at] for at in look_order(seed, (min(case.id for _, case in one) for one in clusters))]


def members(clusters: Iterable[Cluster]) -> Cluster:
    """Return the cases of clusters, cluster by cluster."""
    return [one for cluster in clusters for one in cluster]
