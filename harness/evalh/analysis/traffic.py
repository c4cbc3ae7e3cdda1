"""How a run's samples went through its pipeline: the state of each step, and how many samples each line carried."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from evalh.core.log import SampleRow
from evalh.core.run import RunRecord
from evalh.core.sample import SampleWord, Standing, StepGrade, StepResult, StepState
from evalh.core.values import Value

RESULT = ""
"""The end of the lines from the steps that give the output. No step has this name."""

_ASKED = (StepState.RAN, StepState.FAILED)


class Handover(Value):
    """From a step to one that reads it, or to the result."""

    producer: str
    reader: str


class Travelled(Value):
    """How many samples went along a line, and how many of these carried something bad."""

    samples: int
    bad: int


class Traffic(Struct):
    """Counts a run's samples, one by one."""

    reads: Mapping[str, Sequence[str]]  # by step, in topological order
    outputs: Sequence[str]
    words: Counter[SampleWord] = field(default_factory=Counter)
    standings: Counter[Standing] = field(default_factory=Counter)  # of samples that came to the result
    first_bad: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    _states: dict[str, Counter[StepState]] = field(default_factory=lambda: defaultdict(Counter))
    _grades: dict[str, Counter[StepGrade]] = field(default_factory=lambda: defaultdict(Counter))
    _went: Counter[Handover] = field(default_factory=Counter)
    _bad: Counter[Handover] = field(default_factory=Counter)

    @classmethod
    def of(cls, record: RunRecord) -> "Traffic | None":
        """Begin with a run's steps; None if it has no pipeline."""
        if not record.steps:
            return None
        reads = {one.step: one.reads for one in record.steps}
        stated = record.prompt_document.get("output")
        outputs = [name for name in stated if name in reads] if isinstance(stated, Sequence) else []
        return cls(reads, [str(name) for name in outputs] or [record.steps[-1].step])

    @property
    def lines(self) -> dict[Handover, Travelled]:
        """Every line with its samples, unused lines included."""
        found = [Handover(one, step) for step, parents in self.reads.items() for one in parents]
        found += [Handover(one, RESULT) for one in self.outputs]
        return {line: Travelled(self._went[line], self._bad[line]) for line in found}

    def states(self, step: str) -> Counter[StepState]:
        """Return in how many samples a step ran, was skipped and so on."""
        return self._states[step]

    def grades(self, step: str) -> Counter[StepGrade]:
        """Return in how many samples a step ran and was good, bad or not known."""
        return self._grades[step]

    def add(self, sample: SampleRow) -> None:
        """Count one sample."""
        self.samples += 1
        steps = {one.step: one for one in sample.steps if one.step in self.reads}
        story = sample.story
        self.words[SampleWord.NOT_KNOWN if story is None else story.word] += 1
        if story is not None and story.first_bad is not None:
            self.first_bad[story.first_bad] += 1
        for name, one in steps.items():
            self._states[name][one.state] += 1
            if one.grade is not None and one.state is StepState.RAN:
                self._grades[name][one.grade] += 1
        bad = self.carriers(steps)
        for line in self._lines_of(sample, steps):
            self._went[line] += 1
            self._bad[line] += line.producer in bad
            if line.reader == RESULT:
                self.standings[sample.standing] += 1

    def carriers(self, steps: Mapping[str, StepResult]) -> set[str]:
        """Return the steps that handed on something bad: bad ones, and ungraded ones that received something bad."""
        found: set[str] = set()
        for name, parents in self.reads.items():
            one = steps.get(name)
            if one is None or one.state is not StepState.RAN:
                continue
            if one.grade is StepGrade.BAD or (one.grade is None and not found.isdisjoint(parents)):
                found.add(name)
        return found

    def _lines_of(self, sample: SampleRow, steps: Mapping[str, StepResult]) -> list[Handover]:
        asked = [name for name, one in steps.items() if one.state in _ASKED]
        gave = {name for name, one in steps.items() if one.gave}
        found = [Handover(parent, name) for name in asked for parent in self.reads[name] if parent in gave]
        end = self.end(sample)
        return found if end is None else [*found, Handover(end, RESULT)]

    def end(self, sample: SampleRow) -> str | None:
        """Return the step whose output is the sample's; None if the sample was stopped first, or failed."""
        gave = {one.step for one in sample.steps if one.gave}
        stopped = any(one.state is StepState.STOPPED for one in sample.steps)
        if stopped and sample.standing is not Standing.GOOD:
            return None
        return next((name for name in self.outputs if name in gave), None)
