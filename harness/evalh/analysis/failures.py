"""Where a run fails: by grader and tag, for which reasons, how slow and how long its answers are."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from evalh.core.log import SampleStory
from evalh.core.sample import Graded, Standing
from evalh.core.values import Value
from evalh.core.verdict import Outcome

ANY_TAG = ""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_MOST_TAGS = 12
_MOST_REASONS = 10


class Reason(Value):
    """A reason that several samples share; numbers stand as `#` where they differ."""

    grader: str  # empty: no answer came
    text: str
    count: int
    exact: bool  # the text stands so in every one of them


class Failings(Struct):
    """Folds a run's samples, one by one; of incidents, which are in no rate, only who answered."""

    tags: Counter[str] = field(default_factory=Counter)  # samples by tag
    samples: int = 0
    missed: Counter[tuple[str, str]] = field(default_factory=Counter)  # samples by (grader, tag) that did not pass
    graded_by: dict[str, None] = field(default_factory=dict)  # in the suite's order
    latencies_ms: list[float] = field(default_factory=list)
    output_tokens: list[float] = field(default_factory=list)
    finishes: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    _reasons: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, story: SampleStory) -> None:
        """Count one sample in."""
        sample = story.sample
        if story.model_answered:
            self.models[story.model_answered] += 1
        if story.case.incident:
            return
        self.samples += 1
        tags = (ANY_TAG, *story.case.tags)
        self.tags.update(story.case.tags)
        took = sample.latency.total_ms
        if took is not None:
            self.latencies_ms.append(took)
        if story.usage.output_tokens is not None:
            self.output_tokens.append(float(story.usage.output_tokens))
        if sample.finish is not None:
            self.finishes[sample.finish] += 1
        if sample.error is not None:
            self._reasons["", _masked(sample.error)][sample.error] += 1
        for graded in sample.verdicts:
            self.graded_by.setdefault(graded.grader)
            if graded.verdict.outcome is not Outcome.PASS:
                self.missed.update((graded.grader, tag) for tag in tags)
        if sample.standing is not Standing.GOOD and sample.error is None:
            self._count_reasons(sample.verdicts)

    def _count_reasons(self, verdicts: Sequence[Graded]) -> None:
        for graded in verdicts:
            if graded.required and graded.verdict.outcome is not Outcome.PASS:
                reason = graded.verdict.reason
                self._reasons[graded.grader, _masked(reason)][reason] += 1

    def reasons(self) -> list[Reason]:
        """Return the commonest reasons, commonest first."""
        reasons = [
            Reason(grader, next(iter(texts)) if len(texts) == 1 else masked, texts.total(), len(texts) == 1)
            for (grader, masked), texts in self._reasons.items()
        ]
        return sorted(reasons, key=lambda reason: (-reason.count, reason.grader, reason.text))[:_MOST_REASONS]

    def heat(self) -> "Heat":
        """Return how often each grader did not pass, by tag; the commonest tags where there are many."""
        common = sorted(self.tags, key=lambda tag: (-self.tags[tag], tag))
        tags = (ANY_TAG, *common[:_MOST_TAGS])
        totals = {tag: self.tags[tag] if tag else self.samples for tag in tags}
        return Heat(tuple(self.graded_by), tags, totals, self.missed, max(0, len(common) - _MOST_TAGS))


def _masked(reason: str) -> str:
    return _NUMBER.sub("#", reason)


def why(story: SampleStory) -> str:
    """Say why a sample is not good: its error, or what the required graders that did not pass say."""
    if story.sample.error is not None:
        return f"{story.sample.error_kind}: {story.sample.error}"
    return "; ".join(
        f"{graded.grader}: {graded.verdict.reason}"
        for graded in story.sample.verdicts
        if graded.required and graded.verdict.outcome is not Outcome.PASS
    )


class Heat(Value):
    """Grader × tag: samples that did not pass, of all with that tag."""

    graders: tuple[str, ...]
    tags: tuple[str, ...]  # the first stands for all samples
    totals: Mapping[str, int]
    missed: Mapping[tuple[str, str], int]
    tags_left_out: int

    def worst(self) -> tuple[str, str, int, int] | None:
        """Return (grader, tag, missed, of) where a tag fails clearly more often than the whole; None: nowhere."""
        worse = []
        for grader in self.graders:
            whole = self.missed.get((grader, ANY_TAG), 0) / max(1, self.totals[ANY_TAG])
            for tag in self.tags[1:]:
                missed, total = self.missed.get((grader, tag), 0), self.totals[tag]
                if missed >= 3 and missed / total > 1.25 * whole:  # noqa: PLR2004 (worth a look, no test)
                    worse.append((missed / total - whole, grader, tag, missed, total))
        return max(worse)[1:] if worse else None
