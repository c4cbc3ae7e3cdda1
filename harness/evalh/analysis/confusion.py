"""The confusion matrix of a suite whose gold is a label: which label was expected, and which one was given."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from evalh.core.attempt import Completion
from evalh.core.log import SampleStory
from evalh.core.run import Estimate, RunRecord
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import EarlyVerdict, GradeContext
from evalh.graders.compare import Equals
from evalh.graders.paths import BadPath, JsonPath
from evalh.graders.reading import Expectation, OutputPlace
from evalh.stats.intervals import wilson

ANOTHER = "another text"
NO_LABEL = "no label"
_MOST_LABELS = 100
_MOST_OTHERS = 8  # texts that are not a gold label, each with a column of its own
_LONGEST = 60  # characters of a label
_LEAST_EACH = 2  # samples, on average: a gold that is another text in every case is not a label


class GivenLabel(Value):
    """One sample: the gold label, and what the output says; None: no such value is in the output."""

    gold: str
    said: str | None


class LabelConfusion(Value, kw_only=True):
    """How often each label was given for each gold label. Every sample with a gold label counts once."""

    grader: str
    golds: tuple[str, ...]  # the most frequent first
    said: tuple[str, ...]  # the gold labels, other frequent texts, ANOTHER and NO_LABEL where they occur
    counts: Mapping[tuple[str, str], int]

    def of_gold(self, gold: str) -> int:
        """Return how many samples have this gold label."""
        return sum(self.counts.get((gold, said), 0) for said in self.said)

    def found(self, gold: str) -> Estimate:
        """Return how many of a label's samples were given it: its recall."""
        return _share(self.counts.get((gold, gold), 0), self.of_gold(gold))

    def right(self, said: str) -> Estimate:
        """Return how many of the samples that were given a label have it: its precision."""
        return _share(self.counts.get((said, said), 0), sum(self.counts.get((gold, said), 0) for gold in self.golds))

    def mistakes(self) -> list[tuple[str, str, int]]:
        """Return (gold, said, count) where the two differ, the most frequent first."""
        wrong = [(gold, said, count) for (gold, said), count in self.counts.items() if gold != said and count]
        return sorted(wrong, key=lambda one: (-one[2], one[0], one[1]))


def _share(count: int, of: int) -> Estimate:
    if not of:
        return Estimate(None, None, None, "none")
    low, high = wilson(count, of)
    return Estimate(count / of, low, high, "wilson")


class Labels(Struct):
    """Folds the samples of a run into a confusion matrix, sample by sample."""

    grader: str
    equals: Equals
    place: OutputPlace
    expectation: Expectation
    _pairs: Counter[tuple[str, str | None]] = field(default_factory=Counter)

    @classmethod
    def of(cls, record: RunRecord) -> "Labels | None":
        """Begin with a run's first `equals` that compares with the case's gold; None if it has none."""
        for document in record.graders_document:
            params = document.get("params")
            if document.get("kind") != "equals" or not isinstance(params, Mapping) or "value" in params:
                continue
            try:
                equals = Equals.model_validate(dict(params))
                place = OutputPlace(_path(equals.path), equals.fenced)
                return cls(str(document.get("name")), equals, place, Expectation(path=_path(equals.expected)))
            except (BadPath, ValueError):  # an older version wrote it, or another one
                continue
        return None

    def add(self, story: SampleStory) -> GivenLabel | None:
        """Count one sample in; None if its case has no gold label."""
        context = GradeContext(case=story.case, completion=Completion(text=story.output or ""))
        try:
            wanted = self.expectation.resolve(context)
        except EarlyVerdict:
            return None
        gold = self._label(wanted)
        if gold is None:
            return None
        said: str | None = None
        if story.output is not None:
            try:
                got = self.equals.read(self.place, context, wanted)
                said = gold if self.equals.alike(got, wanted) else self._label(got)
            except EarlyVerdict:
                said = None
        self._pairs[gold, said] += 1
        return GivenLabel(gold, said)

    def _label(self, value: JsonValue) -> str | None:
        """Write a value as a label; None for what is not one: an object, a list, a long text."""
        folded = self.equals.fold(value)
        if isinstance(folded, bool):
            return "true" if folded else "false"
        text = str(folded) if isinstance(folded, str | int | float) else ""
        flat = " ".join(text.split())
        return flat if 0 < len(flat) <= _LONGEST else None

    def confusion(self) -> LabelConfusion | None:
        """Return the matrix; None where gold is not a label: one value only, or another one in nearly every case."""
        golds = Counter[str]()
        for (gold, _), count in self._pairs.items():
            golds[gold] += count
        if not 1 < len(golds) <= _MOST_LABELS or golds.total() < _LEAST_EACH * len(golds):
            return None
        ordered = sorted(golds, key=lambda label: (-golds[label], label))
        others = Counter[str]()
        for (_, said), count in self._pairs.items():
            if said is not None and said not in golds:
                others[said] += count
        shown = sorted(others, key=lambda label: (-others[label], label))[:_MOST_OTHERS]
        counts: Counter[tuple[str, str]] = Counter()
        for (gold, said), count in self._pairs.items():
            counts[gold, column_of(said, (*ordered, *shown))] += count
        rest = [name for name in (ANOTHER, NO_LABEL) if any(said == name for _, said in counts)]
        return LabelConfusion(
            grader=self.grader, golds=tuple(ordered), said=(*ordered, *shown, *rest), counts=dict(counts)
        )


def column_of(said: str | None, shown: Sequence[str]) -> str:
    """Return the column of what was said."""
    if said is None:
        return NO_LABEL
    return said if said in shown else ANOTHER


def _path(text: str | None) -> JsonPath | None:
    return None if text is None else JsonPath.parse(text)
