"""Labels: outputs of the log put before a person, blind to who made them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from itertools import islice
from shlex import quote

from evalh.analysis.calibration.outputs import ordered
from evalh.api.parts import Parts
from evalh.api.production import production
from evalh.core.calibration import GOOD, JudgeRubric, Label, LabelCandidate
from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.core.errors import NotFound, UsageError, WorkspaceError, did_you_mean, one_of
from evalh.core.production import Voted
from evalh.core.request import ToolCall
from evalh.core.run import RunKind
from evalh.core.suite import GraderSpec, Suite
from evalh.core.values import Value
from evalh.graders.judges.asking import Texts
from evalh.graders.judges.rubric import is_file, is_reference
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

    def rubrics(self) -> tuple[JudgeRubric, ...]:
        """Return the rubric of the judge that is labelled for; of all the suite's judges if it is about the output.

        Raises EvalhError.
        """
        judges = [one for one in self.suite.graders if "rubric" in one.params and self.about in (GOOD, one.name)]
        texts = self._parts.grader_environment.texts
        return tuple(_rubric(one, texts) for one in judges)

    @property
    def mine(self) -> frozenset[tuple[str, str]]:
        """What this author has labelled."""
        return frozenset((one.case_digest, one.output_digest) for one in self.labels if one.author == self.author)

    def questions(self, most: int, skipped: AbstractSet[str] = frozenset()) -> Iterator[LabelQuestion]:
        """Yield what to ask next, without those of these short names. Outputs are read one at a time."""
        seed = digest([self.suite.name, self.about])
        waiting = (one for one in ordered(self.candidates, self.mine, seed) if short_name(one) not in skipped)
        for candidate in islice(waiting, most):
            if (question := self._question(candidate)) is not None:
                yield question

    def question(self, case_digest: str, output_digest: str) -> LabelQuestion:
        """Return one output to be labelled. Raises NotFound if these runs have none such."""
        wanted = (case_digest, output_digest)
        found = (one for one in self.candidates if (one.case_digest, one.output_digest) == wanted)
        question = next((asked for one in found if (asked := self._question(one)) is not None), None)
        if question is None:
            raise NotFound("this output is no longer in the suite's newest runs", hint="reload the page")
        return question

    def _question(self, candidate: LabelCandidate) -> LabelQuestion | None:
        case = self._parts.log.case(candidate.case_id, candidate.run_id)
        sample = next(one for one in case.samples if one.sample.trial == candidate.trial)
        answer = next((call.answer for call in sample.calls if call.id == sample.sample.call_id), None)
        completion = None if answer is None else answer.completion
        if completion is None:
            return None
        return LabelQuestion(
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


def short_name(candidate: LabelCandidate) -> str:
    """Return a name for an output of a row, short enough for an address: 24 hexadecimal digits."""
    digests = (candidate.case_digest, candidate.output_digest)
    return "".join(one.removeprefix("sha256:")[:12] for one in digests)


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
        raise UsageError("which suite?", hint=one_of("evalh label {}", parts.suites()))
    found = parts.suite(name)
    graders = [grader.name for grader in found.graders]
    if about != GOOD and about not in graders:
        raise NotFound(f"suite {name!r} has no grader {about!r}", where=found.where, hint=did_you_mean(about, graders))
    by = author or who(parts)
    labels = read_labels(parts.tree, parts.config.datasets_dir, name)
    return Labelling(
        suite=found,
        about=about,
        author=by,
        candidates=tuple(_candidates(parts, found, about, source)),
        labels=tuple(label for label in labels if label.about == about),
        file=LabelFile(parts.root, parts.config.datasets_dir, name, by),
        _parts=parts,
    )


def labelled_by(parts: Parts, suite: str, author: str) -> Counter[str]:
    """Count an author's labels of a suite by what they are about; nothing where a file cannot be read."""
    try:
        labels = read_labels(parts.tree, parts.config.datasets_dir, suite)
    except WorkspaceError:  # the suite's own page tells it
        return Counter()
    return Counter(one.about for one in labels if one.author == author)


def _runs(parts: Parts, suite: Suite, source: LabelSource) -> Sequence[str]:
    """Return the runs whose outputs may be labelled. Raises NotFound, UsageError."""
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
            raise UsageError(f"run {record.id} is not a run over production", hint="leave out --production")
    kind = RunKind.PRODUCTION.value if source.production else None
    runs = [record.id for record in names] or log.runs_of(suite.name, _NEWEST_RUNS, kind)
    if source.production and not runs:
        raise _ungraded(suite)
    return runs


def _candidates(parts: Parts, suite: Suite, about: str, source: LabelSource) -> Iterator[LabelCandidate]:
    runs = _runs(parts, suite, source)
    voted = _voted(parts) if source.production else None
    for run_id in runs:
        for sample in parts.log.results(run_id):
            if sample.output_digest is None or sample.incident:  # an incident was chosen because it failed
                continue
            said = None if voted is None else voted(sample.case_id)
            if source.feedback in (None, said):
                verdict = str(sample.standing if about == GOOD else sample.outcomes.get(about, "not asked"))
                yield LabelCandidate(
                    case_id=sample.case_id,
                    case_digest=sample.row_digest or "",
                    output_digest=sample.output_digest,
                    stratum=verdict if said is None else f"{verdict}, {said}",
                    run_id=run_id,
                    trial=sample.trial,
                )


def _rubric(spec: GraderSpec, texts: Texts) -> JudgeRubric:
    stated = str(spec.params["rubric"]).strip()
    if is_reference(stated):
        return JudgeRubric(spec.name, None, stated)
    if is_file(stated):
        return JudgeRubric(spec.name, texts.rubric(stated, spec.where).text, stated)
    return JudgeRubric(spec.name, stated, None)


def _ungraded(suite: Suite) -> NotFound:
    what = f"no answer of production is graded by suite {suite.name!r} yet"
    return NotFound(what, hint=f"evalh grade {quote(suite.name)} --production")


def _voted(parts: Parts) -> Callable[[str], str]:
    """Return what says what users said of a graded answer: it has the id of its call or workflow."""
    traced = production(parts)
    workflow_of, votes = traced.workflow_of_calls(), traced.votes()
    return lambda case: str(Voted.of(votes.get(workflow_of.get(case, case))))


def who(parts: Parts) -> str:
    """Return who labels, as git knows the person. Raises UsageError where it does not."""
    repository = parts.repository
    email = None if repository is None else repository.author()
    if email is None:
        raise UsageError("who labels?", hint="--author ada; or git config user.email")
    return email
