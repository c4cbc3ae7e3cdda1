"""Rows of a dataset that ask the same: which of them repeat an earlier one and can go, and which cannot."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import groupby

from evalh.analysis.near_duplicates import Proposal, propose
from evalh.core.case import Case
from evalh.core.digest import canonical
from evalh.core.ports import Cases
from evalh.core.values import Value


class Duplicate(Value, kw_only=True):
    """A row whose inputs an earlier row has."""

    id: str
    where: str  # file:line
    first: str  # the id of the earliest row with these inputs
    differs: tuple[str, ...]  # keys, other than the id, in which the two rows differ
    labelled: bool  # a person has labelled an output of it

    @property
    def spare(self) -> bool:
        """Whether nothing is lost without it."""
        return self.own is None

    @property
    def own(self) -> str | None:
        """What would be lost without it."""
        differs = [f"differs in {', '.join(self.differs)}"] if self.differs else []
        return " and ".join(differs + ["has labels"] * self.labelled) or None


class Duplicates(Value, kw_only=True):
    """What repeats in one dataset."""

    dataset: str
    digest: str  # of the rows that were compared
    cases: int
    equal: tuple[Duplicate, ...]  # in file order
    near: tuple[Proposal, ...]  # cases whose texts are nearly the same, and whose inputs are not; the largest first


def find_duplicates(dataset: str, cases: Cases, labelled: AbstractSet[str]) -> Duplicates:
    """Compare the rows of a dataset. `labelled`: the ids of rows that people have labelled."""
    equal = sorted(_repeated(cases), key=lambda one: one[0])
    return Duplicates(
        dataset=dataset,
        digest=cases.digest,
        cases=len(cases),
        equal=tuple(_duplicate(first, case, labelled) for _, first, case in equal),
        near=propose(dataset, cases).proposed,
    )


def _repeated(cases: Cases) -> Iterable[tuple[int, Case, Case]]:
    """Yield the place of each row with the inputs of an earlier one, that one, and the row itself."""
    # Equal inputs are one cluster: a row that is alone in its own is not read a second time.
    alike = [(cases.clusters[place], place, case) for place, case in enumerate(cases) if place in cases.clusters]
    for _, members in groupby(sorted(alike, key=lambda one: one[:2]), key=lambda one: one[0]):
        first: dict[bytes, Case] = {}
        for _, place, case in members:
            earlier = first.setdefault(canonical(case.inputs), case)
            if earlier is not case:
                yield place, earlier, case


def _duplicate(first: Case, case: Case, labelled: AbstractSet[str]) -> Duplicate:
    row, other = ({**one.document(), "source": one.source} for one in (case, first))
    keys = [key for key in {**other, **row} if key not in ("id", "inputs")]
    return Duplicate(
        id=case.id,
        where=case.where,
        first=first.id,
        differs=tuple(key for key in keys if _said(row, key) != _said(other, key)),
        labelled=case.id in labelled,
    )


def _said(row: dict[str, object], key: str) -> bytes | None:
    # As text: to Python 1, 1.0 and true are equal.
    return canonical(row[key]) if key in row else None
