"""Where a sample went wrong: compare each step's grade with the grades of the steps that it reads.

A step without a grade is left out: its readers are connected to the steps that it reads.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from evalh.core.prompt import INPUTS, Pipeline, StepSpec
from evalh.core.sample import SampleWord, Standing, StepGrade, StepResult, StepState, StepWord, Story
from evalh.core.values import Value

_OF_SAMPLE = {
    Standing.GOOD: StepGrade.GOOD,
    Standing.BAD: StepGrade.BAD,
    Standing.UNGRADED: StepGrade.UNKNOWN,
}


class StepGraph(Value):
    """What each step reads, in topological order; and the steps that may give the output, in order."""

    parents: Mapping[str, tuple[str, ...]]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, pipeline: Pipeline) -> "StepGraph":
        """Build the graph from a pipeline's references. `after` orders steps but hands nothing on."""
        return cls({one.name: tuple(_read(one, pipeline)) for one in pipeline.steps}, pipeline.output)


def _read(step: StepSpec, pipeline: Pipeline) -> dict[str, None]:
    """Return the steps that a step reads, in order. `else: X` reads what the condition of X reads."""
    found = {one.source: None for expression in step.expressions for one in expression.references}
    other = step.otherwise
    while other is not None:
        before = pipeline.step(other)
        if before.when is not None:
            found |= {one.source: None for one in before.when.references}
        other = before.otherwise
    found.pop(INPUTS, None)
    return found


def mark(
    graph: StepGraph, results: Sequence[StepResult], standing: Standing, stopped_at: str | None = None
) -> tuple[tuple[StepResult, ...], Story]:
    """Return the steps of a sample with their words and their taint, and the sample's story.

    Only grades of steps that ran count. If nothing grades the step that gave the output, it gets the sample's grade. A
    sample that was stopped ends at the step that stopped it, whatever other steps gave.
    """
    judged = _Judged(graph, results, standing, stopped_at)
    tainted = judged.tainted()
    marked = (
        replace(
            one,
            grade=judged.grades.get(one.step, one.grade),
            word=judged.word(one.step) if one.step in judged.grades else None,
            tainted=one.step in tainted,
        )
        for one in results
    )
    return tuple(marked), judged.story()


class _Judged:
    """One sample's graded steps: their grades, and which graded steps each one reads."""

    def __init__(
        self, graph: StepGraph, results: Sequence[StepResult], standing: Standing, stopped_at: str | None
    ) -> None:
        self._standing = standing
        ran = {one.step: one.grade for one in results if one.state is StepState.RAN}
        given = {one.step for one in results if one.state is StepState.GIVEN}
        # A double's output does not depend on what its step reads.
        self._all_parents = {step: () if step in given else parents for step, parents in graph.parents.items()}
        self.grades = {step: grade for step, grade in ran.items() if grade is not None}
        output = next((step for step in graph.outputs if step in ran or step in given), None)
        if output in ran and stopped_at is None:
            self.grades.setdefault(output, _OF_SAMPLE[standing])
        self._parents: dict[str, tuple[str, ...]] = {}  # graded parents only
        for step, parents in self._all_parents.items():
            self._parents[step] = tuple(self._graded(parents))
        # A sample without an output ends at the steps that could have given it.
        end = stopped_at or output
        ends = graph.outputs if end is None else (end,)
        self._ends = tuple(self._graded(ends))

    def _graded(self, steps: Iterable[str]) -> dict[str, None]:
        """Return these steps; replace each step without a grade by the graded steps that it reads."""
        found: dict[str, None] = {}
        for step in steps:
            found |= dict.fromkeys((step,) if step in self.grades else self._parents[step])
        return found

    def _in_order(self) -> Iterator[str]:
        return (step for step in self._parents if step in self.grades)

    def word(self, step: str) -> StepWord | None:
        """Return the word of a graded step."""
        grade = self.grades[step]
        if grade is StepGrade.UNKNOWN:
            return None
        bad = grade is StepGrade.BAD
        if self._reads(step, StepGrade.BAD):
            return StepWord.PROPAGATED if bad else StepWord.RECOVERED
        if self._reads(step, StepGrade.UNKNOWN):
            return StepWord.POSSIBLE
        return StepWord.ORIGIN if bad else None

    def _reads(self, step: str, grade: StepGrade) -> bool:
        return any(self.grades[parent] is grade for parent in self._parents[step])

    def tainted(self) -> set[str]:
        """Return the steps that are bad or read a tainted step, those without a grade included."""
        found: set[str] = set()
        for step, parents in self._all_parents.items():
            if self.grades.get(step) is StepGrade.BAD or not found.isdisjoint(parents):
                found.add(step)
        return found

    def story(self) -> Story:
        """Return the sample's story."""
        words = self._possible_words()
        word = words.pop() if len(words) == 1 else SampleWord.NOT_KNOWN
        known = word is not SampleWord.NOT_KNOWN
        return Story(word=word, first_bad=self._first_bad(), responsible=self._responsible() if known else ())

    def _possible_words(self) -> set[SampleWord]:
        """Return every word that the sample may have, over all possible grades of the unknown steps."""
        match self._standing:
            case Standing.GOOD:
                return self._words_of_good()
            case Standing.BAD:
                return self._words_of_bad()
            case Standing.UNGRADED:
                return self._words_of_good() | self._words_of_bad()

    def _words_of_good(self) -> set[SampleWord]:
        found = set()
        if self._may_end(StepGrade.BAD):
            found.add(SampleWord.LATENT)
        if self._may_end(StepGrade.GOOD):
            grades = {grade for step, grade in self.grades.items() if step not in self._ends}
            if grades.isdisjoint({StepGrade.BAD}):
                found.add(SampleWord.CLEAN)
            if not grades <= {StepGrade.GOOD}:
                found.add(SampleWord.RECOVERED)
        return found

    def _words_of_bad(self) -> set[SampleWord]:
        found = set()
        if self._may_end(StepGrade.GOOD):
            found.add(SampleWord.UNEXPLAINED)
        may_be_bad = [step for step in self._ends if self.grades[step] is not StepGrade.GOOD]
        bad = [step for step in self._ends if self.grades[step] is StepGrade.BAD]
        if any(self._reads(step, StepGrade.BAD) or self._reads(step, StepGrade.UNKNOWN) for step in may_be_bad):
            found.add(SampleWord.POISONED)
        if not any(self._reads(step, StepGrade.BAD) for step in bad) and any(
            not self._reads(step, StepGrade.BAD) for step in may_be_bad
        ):
            found.add(SampleWord.FAILED_AT_END)
        return found

    def _may_end(self, grade: StepGrade) -> bool:
        """Whether the sample may end well (no end is bad), or badly."""
        grades = {self.grades[step] for step in self._ends}
        return StepGrade.BAD not in grades if grade is StepGrade.GOOD else not grades <= {StepGrade.GOOD}

    def _first_bad(self) -> str | None:
        """Return the earliest origin; None if there is none, or if an unknown step may be earlier."""
        may_be = (
            step
            for step in self._in_order()
            if self.grades[step] is not StepGrade.GOOD and not self._reads(step, StepGrade.BAD)
        )
        first = next(may_be, None)
        return first if first is not None and self.word(first) is StepWord.ORIGIN else None

    def _responsible(self) -> tuple[str, ...]:
        """Return the origins at the start of the bad paths to the output; none if a path contains an unknown step."""
        if any(self.grades[step] is StepGrade.UNKNOWN for step in self._ends):
            return ()
        waiting = [step for step in self._ends if self.grades[step] is StepGrade.BAD]
        reached = set(waiting)
        while waiting:
            step = waiting.pop()
            if self._reads(step, StepGrade.UNKNOWN):
                return ()
            bad = {one for one in self._parents[step] if self.grades[one] is StepGrade.BAD} - reached
            reached |= bad
            waiting += bad
        return tuple(step for step in self._in_order() if step in reached and not self._reads(step, StepGrade.BAD))
