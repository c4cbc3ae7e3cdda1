"""Documents of `evalh dataset`: what is alike in a dataset, and what was written of it."""

from decimal import Decimal

from evalh.core.values import Value
from evalh.report.documents.document import Document


class ClusterDocument(Value, kw_only=True):
    """Cases that look alike."""

    cluster: str
    cases: tuple[str, ...]


class ClustersDocument(Document, tag="evalh.clusters/1", kw_only=True):
    """`evalh dataset clusters --json`."""

    dataset: str
    cases: int
    clusters: int
    proposed: tuple[ClusterDocument, ...]
    written: str | None


class DuplicateDocument(Value, kw_only=True):
    """A row whose inputs an earlier row has."""

    id: str
    where: str
    first: str
    differs: tuple[str, ...]
    labelled: bool


class DuplicatesDocument(Document, tag="evalh.duplicates/1", kw_only=True):
    """`evalh dataset dedupe --json`."""

    dataset: str
    cases: int
    equal: tuple[DuplicateDocument, ...]
    near: tuple[ClusterDocument, ...]
    written: str | None


class PartDocument(Value, kw_only=True):
    """A file with some of a dataset's rows."""

    part: str | None
    share: Decimal | None
    path: str
    cases: int
    clusters: int


class PartsDocument(Document, tag="evalh.dataset-parts/1", kw_only=True):
    """`evalh dataset sample --json` and `evalh dataset split --json`."""

    dataset: str
    cases: int
    clusters: int
    untied: int
    seed: int
    parts: tuple[PartDocument, ...]
