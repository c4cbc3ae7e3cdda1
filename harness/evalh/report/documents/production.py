"""Documents about production: what was traced, and what its answers were worth."""

from collections.abc import Mapping

from evalh.analysis.production import GradedProduction, ProductionChange, ProductionRate
from evalh.report.documents.document import Document, document_of


class GradedDocument(Document, tag="evalh.graded/1", kw_only=True):
    """`evalh grade --production --json`."""

    suite: str
    versions: tuple[ProductionRate, ...]
    whole: ProductionRate
    change: ProductionChange | None
    left_out: Mapping[str, int]
    without_gold: tuple[str, ...]
    doubtful: int


def graded_document(graded: GradedProduction) -> GradedDocument:
    return document_of(GradedDocument, graded)
