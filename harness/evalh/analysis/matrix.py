"""The matrix: every case under every version and model of a suite, and where these differ."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from msgspec import Struct, field

from evalh.analysis.failures import why
from evalh.analysis.tradeoff import run_tag
from evalh.core.case import ABSENT, Case
from evalh.core.log import RunRow, SampleStory
from evalh.core.sample import Standing, StepGrade, StepResult
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

_GRADES = {StepGrade.GOOD: Standing.GOOD, StepGrade.BAD: Standing.BAD, StepGrade.UNKNOWN: Standing.UNGRADED}


class MatrixColumn(Value):
    """A version on a model as one run measured it, or one step of its pipeline."""

    run: RunRow
    step: str | None = None  # None: the sample's result
    tag: str = ""  # the end of the run's id, where another column has the same version and model

    @property
    def model(self) -> str:
        """`small`; `small (1f3a)` where a changed recording or other settings make two columns of it."""
        return f"{self.run.record.model}{f' ({self.tag})' if self.tag else ''}"

    @property
    def name(self) -> str:
        """`triage@v3 on small`, with its step where it is one."""
        return f"{self.run.record.prompt} on {self.model}{f' · {self.step}' if self.step else ''}"


def matrix_columns(runs: Sequence[RunRow], step: str | None = None) -> list[MatrixColumn]:
    """Return a column for each run; no two have the same name."""
    seen = Counter((run.record.prompt, run.record.model) for run in runs)
    return [
        MatrixColumn(run, step, run_tag(run.record) if seen[run.record.prompt, run.record.model] > 1 else "")
        for run in runs
    ]


class Cell(Struct, kw_only=True):
    """A case under one column: its trials, and the output and the reason of the worst of them."""

    trials: int = 0
    good: int = 0
    bad: int = 0
    ungraded: int = 0
    output: str | None = None  # None: no answer
    reason: str = ""  # why that one is not good
    told: Standing | None = None  # of the trial whose output is here

    @property
    def standing(self) -> Standing | None:
        """Good if every graded trial is, bad if one is; None if no grader looked."""
        if self.bad:
            return Standing.BAD
        if self.ungraded:
            return Standing.UNGRADED
        return Standing.GOOD if self.good else None


class MatrixRow(Struct, kw_only=True):
    """A case and its cells; None where a column does not have the case."""

    case: Case
    cells: list[Cell | None]

    @property
    def differs(self) -> bool:
        """Whether it is good under one column and not under another."""
        return len({cell.standing is Standing.GOOD for cell in self.cells if cell is not None and cell.standing}) > 1

    @property
    def outputs(self) -> int:
        """How many different outputs there are."""
        return len({cell.output for cell in self.cells if cell is not None})

    @property
    def disagreement(self) -> tuple[int, int]:
        """Pairs of columns of which one is good and the other is not; then the number of different outputs."""
        good = sum(cell is not None and cell.standing is Standing.GOOD for cell in self.cells)
        judged = sum(cell is not None and cell.standing is not None for cell in self.cells)
        return good * (judged - good), self.outputs


class MatrixOrder(StrEnum):
    """In which order the rows stand."""

    DISAGREEMENT = "disagreement"
    DATASET = "dataset"
    WORST = "worst"


_ORDERS: dict[MatrixOrder, Callable[[MatrixRow], tuple[int, ...]]] = {
    MatrixOrder.DISAGREEMENT: lambda row: tuple(-part for part in row.disagreement),
    MatrixOrder.DATASET: lambda _row: (),
    MatrixOrder.WORST: lambda row: (sum(cell is not None and cell.standing is Standing.GOOD for cell in row.cells),),
}


class Matrix(Struct):
    """Folds the samples of several runs, sample by sample, into rows by case."""

    columns: Sequence[MatrixColumn]
    rows: dict[tuple[str, str], MatrixRow] = field(default_factory=dict)  # an edited row is another case
    _texts: dict[str, str] = field(default_factory=dict)  # equal outputs are kept once

    def add(self, place: int, story: SampleStory) -> None:
        """Count one sample of the column at this place in."""
        case, step = story.case, self.columns[place].step
        key = story.sample.case_id, story.sample.case_digest
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = MatrixRow(case=case, cells=[None] * len(self.columns))
        cell = row.cells[place]
        if cell is None:
            cell = row.cells[place] = Cell()
        if step is None:
            self._count(cell, story.sample.standing, story.output, why(story))
            return
        found = next((one for one in story.sample.steps if one.step == step), None)
        if found is not None:
            graded = None if found.grade is None else _GRADES[found.grade]
            self._count(cell, graded, _given(found), found.reason or "")

    def _count(self, cell: Cell, standing: Standing | None, output: str | None, reason: str) -> None:
        cell.trials += 1
        cell.good += standing is Standing.GOOD
        cell.bad += standing is Standing.BAD
        cell.ungraded += standing is Standing.UNGRADED
        first_miss = standing is not Standing.GOOD and cell.told in (None, Standing.GOOD)
        if cell.trials == 1 or first_miss:
            cell.told, cell.reason = standing, reason
            cell.output = None if output is None else self._texts.setdefault(output, output)

    def chosen(self, order: MatrixOrder, fits: Iterable[Callable[[MatrixRow], bool]] = ()) -> list[MatrixRow]:
        """Return the rows that fit every filter, in this order; equal ones as the dataset has them."""
        tests = tuple(fits)
        found = [row for row in self.rows.values() if all(test(row) for test in tests)]
        return sorted(found, key=_ORDERS[order])


def holds(row: MatrixRow, words: str) -> bool:
    """Whether a row has these words, in its id, its inputs, what is expected, an output or a reason."""
    texts = [row.case.id, *map(text_of, row.case.inputs.values())]
    texts += [text for cell in row.cells if cell is not None for text in (cell.output or "", cell.reason)]
    if row.case.expected is not ABSENT:
        texts.append(text_of(row.case.expected))
    return words.casefold() in "\n".join(texts).casefold()


def text_of(value: JsonValue) -> str:
    """Write a value as a reader sees it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _given(step: StepResult) -> str | None:
    return text_of(step.output) if step.gave else None
