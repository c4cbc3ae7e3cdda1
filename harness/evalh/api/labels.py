"""Labels: outputs of the log put before a person, blind to who made them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from evalh.analysis.calibration.outputs import ordered
from evalh.api.parts import Parts
from evalh.api.production import production
from evalh.core.calibration import GOOD, Label, LabelCandidate
from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.core.errors import NotFound, UsageError, did_you_mean
from evalh.core.production import Voted
from evalh.core.request import ToolCall
from evalh.core.run import RunKind
from evalh.core.suite import Suite
from evalh.core.values import Value
from evalh.workspace.kept.labels import LabelFile, read_labels

_NEWEST_RUNS = 20


class LabelQuestion(Value, kw_only=True):
    """One output to be labelled, as the person sees it: no version, no model, no verdict."""

    candidate: LabelCandidate
    case: Case
    text: str
    tool_calls: tuple[ToolCall, ...]


class Labelling(Value, kw_only=True):
    """A suite's outputs of the log, and what people said of them."""

    suite: Suite
    about: str
    author: str
    candidates: tuple[LabelCandidate, ...]
    labels: tuple[Label, ...]  # of every author, about this
    file: LabelFile
    _parts: Parts

    @property
    def mine(self) -> frozenset[tuple[str, str]]:
        """What this author has labelled."""
        return frozenset((one.case_digest, one.output_digest) for one in self.labels if one.author == self.author)

    def questions(self, most: int) -> Iterator[LabelQuestion]:
        """Yield what to ask next. Outputs are read one at a time."""
        seed = digest([self.suite.name, self.about])
        for candidate in ordered(self.candidates, self.mine, seed)[:most]:
            case = self._parts.log.case(candidate.case_id, candidate.run_id)
            sample = next(one for one in case.samples if one.sample.trial == candidate.trial)
            answer = next((call.answer for call in sample.calls if call.id == sample.sample.call_id), None)
            completion = None if answer is None else answer.completion
            if completion is not None:
                yield LabelQuestion(
                    candidate=candidate, case=sample.case, text=completion.text, tool_calls=completion.tool_calls
                )

    def answer(self, question: LabelQuestion, *, good: bool, note: str | None) -> int:
        """Write what the person said; return where it stands, for `file.take_back`. Raises WorkspaceError."""
        label = Label(
            case_id=question.candidate.case_id,
            case_digest=question.candidate.case_digest,
            output_digest=question.candidate.output_digest,
            about=self.about,
            good=good,
            author=self.author,
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            note=note,
        )
        return self.file.add(label)


class LabelSource(Value, kw_only=True):
    """Which outputs may be labelled."""

    runs: tuple[str, ...] = ()  # none: the suite's newest ones
    production: bool = False  # only what `evalh grade --production` judged
    feedback: str | None = None  # of production: good, bad or none, as users said


def labelling(
    parts: Parts,
    suite: str | None,
    *,
    about: str = GOOD,
    author: str | None = None,
    source: LabelSource = LabelSource(),  # noqa: B008 (a value)
) -> Labelling:
    """Gather what may be labelled: the outputs of these runs, or of the suite's newest ones. Raises EvalhError."""
    name = suite or parts.config.default_suite
    if name is None:
        raise UsageError("which suite?", hint=f"evalh label {' | '.join(parts.suites())}")
    found = parts.suite(name)
    graders = [grader.name for grader in found.graders]
    if about != GOOD and about not in graders:
        raise NotFound(f"suite {name!r} has no grader {about!r}", where=found.where, hint=did_you_mean(about, graders))
    who = author or _who(parts)
    labels = read_labels(parts.tree, parts.config.datasets_dir, name)
    return Labelling(
        suite=found,
        about=about,
        author=who,
        candidates=tuple(_candidates(parts, found, about, source)),
        labels=tuple(label for label in labels if label.about == about),
        file=LabelFile(parts.root, parts.config.datasets_dir, name, who),
        _parts=parts,
    )


def _candidates(parts: Parts, suite: Suite, about: str, source: LabelSource) -> Iterator[LabelCandidate]:
    try:
        log = parts.log
    except NotFound:
        if source.production:
            raise _ungraded(suite) from None
        raise
    names = [log.run(run).record for run in source.runs]
    for record in names:
        if record.suite != suite.name:
            raise UsageError(f"run {record.id} is of suite {record.suite!r}, not {suite.name!r}")
        if source.production and record.kind is not RunKind.PRODUCTION:
            raise UsageError(f"run {record.id} is not of production", hint="leave out --production")
    kind = RunKind.PRODUCTION.value if source.production else None
    runs = [record.id for record in names] or log.runs_of(suite.name, _NEWEST_RUNS, kind)
    if source.production and not runs:
        raise _ungraded(suite)
    voted = _voted(parts) if source.production else None
    for run_id in runs:
        for sample in log.results(run_id):
            said = None if voted is None else voted(sample.case_id)
            if sample.output_digest is not None and source.feedback in (None, said):
                verdict = str(sample.standing if about == GOOD else sample.outcomes.get(about, "not asked"))
                yield LabelCandidate(
                    case_id=sample.case_id,
                    case_digest=sample.row_digest or "",
                    output_digest=sample.output_digest,
                    stratum=verdict if said is None else f"{verdict}, {said}",
                    run_id=run_id,
                    trial=sample.trial,
                )


def _ungraded(suite: Suite) -> NotFound:
    what = f"none of production's answers is graded by suite {suite.name!r} yet"
    return NotFound(what, hint=f"evalh grade {suite.name} --production")


def _voted(parts: Parts) -> Callable[[str], str]:
    """Return what says what users said of a graded answer: it has the id of its call or workflow."""
    traced = production(parts)
    workflow_of, votes = traced.workflow_of_calls(), traced.votes()
    return lambda case: str(Voted.of(votes.get(workflow_of.get(case, case))))


def _who(parts: Parts) -> str:
    repository = parts.repository
    email = None if repository is None else repository.author()
    if email is None:
        raise UsageError("who is labelling?", hint="--author ada; or git config user.email")
    return email
