"""Documents about graders and their judges: labels, trials of a grader, what is decided between the calls."""

from collections import Counter
from collections.abc import Mapping, Sequence

from evalh.analysis.explain import Statement
from evalh.analysis.orchestration import Observation
from evalh.core.calibration import Label, LabelCandidate
from evalh.core.log import GraderTrial
from evalh.core.production import WorkflowDetail
from evalh.core.totals import Tallies
from evalh.core.values import Value
from evalh.report.documents.document import Document, document_of


class StratumDocument(Value, kw_only=True):
    """Outputs of which evalh thinks the same."""

    stratum: str
    outputs: int
    labelled: int


class AuthorDocument(Value, kw_only=True):
    """A person who labelled."""

    author: str
    labels: int


class LabelsDocument(Document, tag="evalh.labels/1", kw_only=True):
    """`evalh label --json`."""

    suite: str
    about: str
    outputs: int
    labelled: int
    strata: tuple[StratumDocument, ...]
    authors: tuple[AuthorDocument, ...]
    of_other_outputs: int


class GraderTestDocument(Document, tag="evalh.grader-test/1", kw_only=True):
    """`evalh grader test --json`."""

    graders: tuple[GraderTrial, ...]


class DecisionStatement(Value, kw_only=True):
    """One decision: when it is taken, what follows; null where it cannot be counted."""

    topic: str
    when: str
    then: str
    taken: int | None
    cost_usd: float | None
    helped: str | None
    replayed: int
    replayed_usd: float | None


class RouteDocument(Value, kw_only=True):
    """What is decided on one route."""

    route: str
    runs: int | None
    calls: int | None
    decisions: tuple[DecisionStatement, ...]


class ExplainDocument(Document, tag="evalh.explain/1", kw_only=True):
    """`evalh explain --json`."""

    routes: tuple[RouteDocument, ...]


class ObservedDocument(Document, tag="evalh.observed/1", kw_only=True):
    """`evalh explain --workflow --json`."""

    workflows: tuple[str, ...]
    observations: tuple[Observation, ...]


def observed_document(observed: tuple[Sequence[WorkflowDetail], Sequence[Observation]]) -> ObservedDocument:
    details, observations = observed
    ids = tuple(detail.workflow.id for detail in details)
    return ObservedDocument(workflows=ids, observations=tuple(observations))


def labels_document(
    suite: str, about: str, candidates: Sequence[LabelCandidate], labels: Sequence[Label]
) -> LabelsDocument:
    """Return the document of `evalh label --json`: what is there to be labelled, and who labelled what."""
    shown = {candidate.shown: candidate.stratum for candidate in candidates}
    labelled = {label.item[1:] for label in labels}
    strata: Mapping[str, int] = Counter(shown.values())
    done = Counter(stratum for item, stratum in shown.items() if item in labelled)
    authors = Counter(label.author for label in labels)
    return LabelsDocument(
        suite=suite,
        about=about,
        outputs=len(shown),
        labelled=sum(done.values()),
        strata=tuple(
            StratumDocument(stratum=name, outputs=strata[name], labelled=done[name]) for name in sorted(strata)
        ),
        authors=tuple(AuthorDocument(author=name, labels=authors[name]) for name in sorted(authors)),
        of_other_outputs=len(labelled - set(shown)),
    )


def explain_document(routes: Sequence[tuple[str, Tallies | None, Sequence[Statement]]]) -> ExplainDocument:
    """Return the document of `evalh explain --json`; routes are (name, what was counted, statements)."""
    return document_of(
        ExplainDocument,
        routes=[
            {
                "route": name,
                "runs": None if tallies is None else tallies.runs,
                "calls": None if tallies is None else tallies.calls,
                "decisions": statements,
            }
            for name, tallies, statements in routes
        ],
    )
