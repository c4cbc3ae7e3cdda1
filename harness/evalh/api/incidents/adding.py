"""Adding a failure to a suite: what is still needed, what is there already, whether it is red, the row itself."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import count, islice
from typing import Literal

from msgspec.structs import replace

from evalh.analysis.near_duplicates import near
from evalh.api.incidents.recorded import Recorded, find
from evalh.api.incidents.row import RowDraft, doubles, draft
from evalh.api.judges import asks_a_model
from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.api.runs import execute
from evalh.core.attempt import Completion
from evalh.core.case import ABSENT, INCIDENT, Absent, Case
from evalh.core.digest import canonical
from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.ports import Progress
from evalh.core.prompt import PromptRef, PromptVersion
from evalh.core.run import RunResult
from evalh.core.sample import Graded, Standing
from evalh.core.strict_json import JsonValue
from evalh.core.suite import Suite
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, StepOutput
from evalh.engine.runner import standing
from evalh.engine.selection import Selection
from evalh.graders.registry import build_all
from evalh.workspace.dataset.dataset import Dataset
from evalh.workspace.dataset.jsonl_rows import strict_case
from evalh.workspace.files import ByteRange
from evalh.workspace.writing import new_file
from evalh_trace.values import cut_in

_NEAR_SHOWN = 3
_ID_CHARACTERS = 16


class AddedCase(Value, kw_only=True):
    """A row that was added, and what is known of it."""

    id: str
    dataset: str  # the file
    line: int
    source: Mapping[str, JsonValue]
    inputs_from: str
    given: tuple[str, ...]  # the steps that have doubles
    replaced: Mapping[str, int]  # personal data, by its kind
    near: tuple[str, ...]  # cases whose texts are nearly the same
    verdicts: tuple[Graded, ...]  # on the recorded answer, of graders that ask nobody
    not_asked: tuple[str, ...]  # graders that would ask a model
    standing: Standing | None  # of the recorded answer; None: no answer was recorded
    notes: tuple[str, ...] = ()


class Adding:
    """Adds failures to the dataset of one suite."""

    def __init__(self, parts: Parts, suite: str) -> None:
        """Raise EvalhError for a suite that cannot take a case."""
        self._parts = parts
        self.suite: Suite = parts.suite(suite)
        self.version = self._live()
        self._graders = build_all(self.suite.graders, parts.grader_environment)
        if not self._dataset.path.endswith(".jsonl"):
            hint = "keep the dataset as JSON Lines: a row of CSV cannot say where it was found"
            raise UsageError("cases are added to JSON Lines only", where=self._dataset.path, hint=hint)

    @property
    def _dataset(self) -> Dataset:
        return self._parts.dataset_of(self.suite)

    @cached_property
    def needing(self) -> tuple[str, ...]:
        """The graders that compare with what is expected."""
        return tuple(grader.name for grader in self._graders if grader.needs_expected)

    def prepare(self, name: str) -> RowDraft:
        """Make a row of what an id names. Raises EvalhError, also where the dataset has a case with its inputs."""
        prepared = draft(self._parts, find(self._parts, name), self.version)
        if (cut := cut_in(prepared.fitting.inputs)) is not None:
            what = f"the inputs are not whole where they were recorded ({cut}); nothing was added"
            raise UsageError(what, hint="write the row by hand, with the whole inputs")
        inputs = canonical(prepared.fitting.inputs)
        for case in self._dataset:
            if canonical(case.inputs) == inputs:
                what = f"case {case.id!r} has these inputs already; nothing was added"
                raise UsageError(what, where=case.where, hint="edit that row, or add another failure")
        return prepared

    def add(self, prepared: RowDraft, expected: JsonValue | Literal[Absent.ABSENT]) -> AddedCase:
        """Judge the recorded answer and write the row. Raises EvalhError; nothing is written then."""
        if expected is ABSENT and self.needing:
            raise self.asks_for_expected(prepared)
        recorded, dataset = prepared.recorded, self._dataset
        case = Case(
            _new_id(recorded, dataset),
            prepared.fitting.inputs,
            expected,
            frozenset({INCIDENT}),
            source=recorded.source(),
        )
        given, notes = doubles(prepared, self.version, case)
        case = replace(case, given=given)
        alike = tuple(one.id for one in islice(near(case.inputs, dataset), _NEAR_SHOWN))
        completion = recorded.completion
        verdicts = () if completion is None else tuple(asyncio.run(self._judged(case, completion, recorded)))
        return AddedCase(
            id=case.id,
            dataset=dataset.path,
            line=self._write(dataset, case),
            source=recorded.source(),
            inputs_from=prepared.fitting.whose,
            given=tuple(given),
            replaced=prepared.replaced,
            near=alike,
            verdicts=verdicts,
            not_asked=tuple(grader.name for grader in self._graders if asks_a_model(grader)),
            standing=None if completion is None else standing(verdicts),
            notes=notes,
        )

    def guarded(self, case_id: str) -> bool:
        """Whether the suite's gate asks that an incident is answered well."""
        rule = self.suite.gate.must_pass
        return rule is not None and rule.takes(case_id, frozenset({INCIDENT}))

    def known_workflows(self) -> frozenset[str]:
        """Return the workflows of which the dataset has a case."""
        sources = (case.source for case in self._dataset if case.source is not None)
        return frozenset(str(source["workflow"]) for source in sources if "workflow" in source)

    def asks_for_expected(self, prepared: RowDraft) -> UsageError:
        """Return what says which graders need to know what is expected."""
        completion = prepared.recorded.completion
        said = "" if completion is None else f"; the recorded output: {completion.text[:200]}"
        one = "compares" if len(self.needing) == 1 else "compare"
        what = f"{', '.join(self.needing)} {one} with what is expected of {prepared.recorded.name}"
        return UsageError(what, hint=f"--expected JSON, as in other rows of {self._dataset.path}{said}")

    def tried(self, case_id: str, trials: int, budget: Decimal | None, progress: Progress) -> RunResult:
        """Ask the live version. Raises EvalhError."""
        options = RunOptions(
            target=self.suite.name,
            prompts=(self.version.label,),
            trials=trials,
            selection=Selection(case_ids=frozenset({case_id})),
            budget_usd=budget,
        )
        return execute(self._parts, self._parts.plans(options), options, progress)[0]

    def _live(self) -> PromptVersion:
        live = self._parts.under_test.live(self.suite.prompt)
        return self._parts.version_of(self.suite, PromptRef(self.suite.prompt, live))

    async def _judged(self, case: Case, completion: Completion, recorded: Recorded) -> Sequence[Graded]:
        pipeline = self.version.pipeline
        outputs = {step: StepOutput(output, {}) for step, output in recorded.outputs.items()}
        context = GradeContext(
            case=case,
            completion=completion,
            output_schema=self._output_schema(),
            step=None if pipeline is None else pipeline.output[0],
            steps=outputs,
        )
        return [
            Graded(grader.name, grader.required, await grader.check(context))
            for grader in self._graders
            if not asks_a_model(grader)
        ]

    def _output_schema(self) -> Mapping[str, JsonValue] | None:
        pipeline = self.version.pipeline
        return self.version.output_schema if pipeline is None else pipeline.step(pipeline.output[0]).output_schema

    def _write(self, dataset: Dataset, case: Case) -> int:
        """Put the row behind the others, which stay as they are, byte for byte. Return its line."""
        row = {**case.document(), "source": case.source}
        ordered = {key: row[key] for key in ("id", "inputs", "expected", "tags", "given", "source") if key in row}
        before = self._parts.tree.read(dataset.path)
        if before and not before.endswith((b"\n", b"\r")):
            before += b"\n"
        line = len(before.splitlines()) + 1
        try:
            raw = json.dumps(ordered, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:  # half a surrogate pair: refused in words below
            raw = json.dumps(ordered).encode() + b"\n"
        try:
            strict_case(ByteRange(len(before), line, raw), dataset.path)  # a row that cannot be read breaks the file
        except WorkspaceError as exc:
            what = f"what was recorded makes no row: {exc.what}; nothing was added"
            raise UsageError(what, where=exc.where, hint=exc.hint) from None
        with new_file(self._parts.root / dataset.path) as file:
            file.write(before)
            file.write(raw)
        return line


def _new_id(recorded: Recorded, dataset: Dataset) -> str:
    """Name a case after what it was made of, as no other is called."""
    taken = {case.id for case in dataset}
    bare = "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in recorded.id).strip("-")
    name = f"{INCIDENT}-{bare[-_ID_CHARACTERS:].strip('-') or '1'}"
    return next(one for one in _names(name) if one not in taken)


def _names(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}-{number}"
