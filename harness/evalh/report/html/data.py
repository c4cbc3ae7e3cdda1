"""A run's samples as the rows that the page's script reads: short keys, clipped texts, a bounded size.

Every text is made inert here (`text.safe`) and is shown through `textContent` there. What is left out is counted.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct, field

from evalh.analysis.confusion import GivenLabel, LabelConfusion, column_of
from evalh.analysis.traffic import Traffic
from evalh.core.case import ABSENT
from evalh.core.log import DecisionRow, SampleStory, TracedAttempt, TracedCall
from evalh.core.run import RunRecord
from evalh.core.sample import Graded, SampleWord, Standing
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Outcome, Verdict, parts_of
from evalh.report.html.step_rows import RunSteps, kind_of, kinds, states
from evalh.report.text import inert, usd

GOOD_BYTES = 560
"""What the texts of one good sample may take together, and those of its steps: with its numbers it stays under 1 KB."""
BAD_BYTES = 20_000
"""What one text of a sample that is not good may take."""
ALL_BYTES = 24_000_000
"""What all texts may take together; beyond it, texts are left out."""

_REASON_BYTES = 300
_MOST_PARTS = 60  # of one verdict
_DEEPEST_PARTS = 8
_TOLD = ("c", "l")
STANDINGS = {Standing.BAD: 0, Standing.UNGRADED: 1, Standing.GOOD: 2}
_OUTCOMES = {Outcome.FAIL: 0, Outcome.ERROR: 1, Outcome.ABSTAIN: 2, Outcome.PASS: 3}


class Rows(Struct):
    """Builds the rows of a page, sample by sample."""

    linked: bool = False  # the viewer serves the page: the list of runs is above it
    rows: list[JsonValue] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    graders: dict[str, int] = field(default_factory=dict)  # of steps too
    of_samples: dict[str, None] = field(default_factory=dict)  # the graders of whole samples
    shapes: dict[int, RunSteps] = field(default_factory=dict)  # of the runs that have a pipeline
    labels: dict[str, int] = field(default_factory=dict)  # of the confusion matrices
    clipped: int = 0  # good samples whose texts are shortened
    dropped: int = 0  # samples whose texts are left out
    _bytes: int = 0
    _answered: list[tuple[dict[str, JsonValue], GivenLabel]] = field(default_factory=list)  # since the last `label`

    def begin(self, run: int, record: RunRecord) -> Traffic | None:
        """Begin with the run at this place in the page; return what counts its samples, where it has steps."""
        traffic = Traffic.of(record)
        if traffic is not None:
            self.shapes[run] = RunSteps(record, traffic)
        return traffic

    def add(
        self, run: int, story: SampleStory, calls: Sequence[TracedCall], answered: GivenLabel | None = None
    ) -> None:
        """Add one sample of the run at this place in the page; `answered`: its gold label and the output's."""
        sample = story.sample
        faultless = sample.story is None or sample.story.word is SampleWord.CLEAN
        good = faultless and sample.standing is Standing.GOOD
        row: dict[str, JsonValue] = {
            "i": inert(sample.case_id),
            "s": STANDINGS[sample.standing],
            "v": [self.verdict(graded, told=not good) for graded in sample.verdicts],
        }
        self.of_samples |= dict.fromkeys(inert(graded.grader) for graded in sample.verdicts)
        numbers: dict[str, JsonValue] = {
            "r": run,
            "t": sample.trial,
            "g": [self.tags.setdefault(inert(tag), len(self.tags)) for tag in sorted(story.case.tags)],
            "c": usd(
                None
                if sample.cost_usd is None or sample.cached_cost_usd is None
                else sample.cost_usd + sample.cached_cost_usd
            ),
            "l": None if sample.latency.total_ms is None else round(sample.latency.total_ms, 1),
            "n": story.usage.input_tokens,
            "m": story.usage.output_tokens,
            "h": int(sample.cache_hit),
        }
        # A cost or a latency that is left out is not known; nothing and none else go without saying.
        row |= {key: one for key, one in numbers.items() if one not in (None, 0, []) or (one == 0 and key in _TOLD)}
        if run in self.shapes:
            if not story.case.incident:
                self.shapes[run].traffic.add(sample)
            row |= self._with_steps(self.shapes[run], story, good=good)
        else:
            row |= self._texts(texts_of(story), good=good)
        if sample.finish not in (None, "stop"):
            row["f"] = sample.finish
        if not good or any(call.eventful for call in calls) or len(calls) > max(1, len(sample.steps)):
            row["k"] = [_call(call) for call in calls]
        self.rows.append(row)
        if answered is not None:
            self._answered.append((row, answered))

    def label(self, confusion: LabelConfusion | None) -> None:
        """Say of the samples that were added since the last time where in this confusion matrix they are."""
        if confusion is not None:
            for row, answered in self._answered:
                names = answered.gold, column_of(answered.said, confusion.said)
                row["u"] = [self.labels.setdefault(inert(name), len(self.labels)) for name in names]
        self._answered.clear()

    def beside(self, base: SampleStory | None, change: str) -> None:
        """Put base's side beside the sample that was added last, and what became of the case."""
        row = self.rows[-1]
        assert isinstance(row, dict)
        row["z"] = change
        if base is None:
            return
        told = texts_of(base)
        texts = self._texts({key: told[key] for key in ("o", "y") if key in told}, good=False)
        verdicts: JsonValue = [self.verdict(graded, told=True) for graded in base.sample.verdicts]
        row["b"] = {"s": STANDINGS[base.sample.standing], "l": base.sample.latency.total_ms, "v": verdicts} | texts

    def verdict(self, graded: Graded, *, told: bool) -> JsonValue:
        """Return what one grader said, with its reason where it is `told` or did not pass."""
        verdict = graded.verdict
        place = self.graders.setdefault(inert(graded.grader), len(self.graders))
        shown: list[JsonValue] = [place, _OUTCOMES[verdict.outcome], int(graded.required)]
        if told or verdict.outcome is not Outcome.PASS:
            shown += [verdict.score, clip(verdict.reason, _REASON_BYTES)]
            if parts := _parts(verdict):
                shown.append(parts)
        return shown

    def _with_steps(self, shape: RunSteps, story: SampleStory, *, good: bool) -> dict[str, JsonValue]:
        """Return the texts of a pipeline's sample, and its steps with theirs."""
        results = {one.step: one for one in story.sample.steps}
        of_steps, elsewhere = shape.texts(story.sample, story.case)
        texts = self._texts(texts_of(story), of_steps, good=good)
        steps: list[JsonValue] = []
        for place, (step, row) in enumerate(shape.rows(story.sample).items()):
            told = row | {key: texts.pop(f"{place}{key}") for key in ("i", "o") if f"{place}{key}" in texts}
            told |= {"u": dict(elsewhere[step])} if step in elsewhere else {}
            one = results.get(step)
            if one is not None and one.verdicts:
                told["v"] = [self.verdict(graded, told=not good) for graded in one.verdicts]
            if one is not None and one.reason and not (good and one.gave):
                told["w"] = clip(one.reason, _REASON_BYTES)
            steps.append(told)
        if story.sample.review is not None:
            texts["j"] = clip(story.sample.review, _REASON_BYTES)
        return texts | {"w": kind_of(story.sample), "q": shape.end(story.sample), "p": steps}

    def _texts(self, *parts: Mapping[str, Mapping[str, str]], good: bool) -> dict[str, JsonValue]:
        shown: dict[str, JsonValue] = {}
        for texts in parts:
            many = sum(map(len, texts.values())) or 1
            share = GOOD_BYTES // many if good else BAD_BYTES
            for key, group in texts.items():
                shown[key] = {inert(name)[:80]: clip(text, share) for name, text in group.items()}
        size = len(orjson.dumps(shown))
        if self._bytes + size > ALL_BYTES:
            self.dropped += 1
            return {"d": 1}
        self._bytes += size
        self.clipped += good and any(not isinstance(text, str) for group in shown.values() for text in group.values())
        return shown


def texts_of(story: SampleStory) -> dict[str, dict[str, str]]:
    """Return the texts of a sample: x, what went in; e, what was expected; o, what came out; y, why, by the model."""
    texts = {"x": {name: _readable(value) for name, value in story.case.inputs.items()}}
    if story.case.expected is not ABSENT:
        expected = story.case.expected
        pairs = expected.items() if isinstance(expected, Mapping) else (("expected", expected),)
        texts["e"] = {name: _readable(value) for name, value in pairs}
    came = {} if story.output is None else {"output": story.output}
    came |= {f"tool call {call.name}": call.arguments for call in story.tool_calls}
    if story.sample.error is not None:
        came[f"no answer: {story.sample.error_kind}"] = story.sample.error
    return texts | {"o": came} | ({"y": {"reasoning": story.reasoning}} if story.reasoning else {})


def _readable(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parts(verdict: Verdict, level: int = 0) -> list[JsonValue]:
    """Return what the parts of a grader said: level, name, outcome, score, reason; as many as a reader looks at."""
    found: list[JsonValue] = []
    for part in parts_of(verdict)[:_MOST_PARTS]:
        said = part.verdict
        label = inert(part.label) if part.weight in (0, 1) else f"{inert(part.label)} ×{part.weight:g}"
        found.append([level, label, _OUTCOMES[said.outcome], said.score, clip(said.reason, _REASON_BYTES)])
        found += _parts(said, level + 1) if level < _DEEPEST_PARTS else []
    return found[:_MOST_PARTS]


def clip(text: str, most: int) -> JsonValue:
    """Make a text inert; where it takes more than `most` bytes, return its beginning and its length."""
    if len(text) * 4 <= most:
        return inert(text)
    shown = inert(text[: most + 1])
    encoded = shown.encode()
    if len(text) <= most and len(encoded) <= most:
        return shown
    return [encoded[:most].decode("utf-8", "ignore"), len(text)]


def _call(call: TracedCall) -> JsonValue:
    events = [call.attempts[0].started_at] if call.attempts else []
    events += [decision.at for decision in call.decisions]
    began = min(events, default=0.0)
    shown: dict[str, JsonValue] = {
        "id": call.id,
        "a": [_attempt(attempt, began) for attempt in call.attempts],
        "d": [_decision(decision, began) for decision in call.decisions],
    }
    extra = {"step": call.step, "draw": call.draw, "route": call.route, "hit": int(call.cache_hit)}
    extra["purpose"] = None if call.purpose == "task" else call.purpose
    return shown | {key: inert(value) if isinstance(value, str) else value for key, value in extra.items() if value}


def _attempt(attempt: TracedAttempt, began: float) -> JsonValue:
    shown: dict[str, JsonValue] = {
        "m": inert(attempt.model),
        "at": round(1000 * (attempt.started_at - began)),
        "l": None if attempt.latency_ms is None else round(attempt.latency_ms),
        "s": attempt.status,
        "w": attempt.reason,
        "c": usd(attempt.cost_usd),
        "u": int(attempt.estimated),
        "n": attempt.input_tokens,
        "o": attempt.output_tokens,
    }
    if attempt.error_kind:
        shown["e"] = clip(f"{attempt.error_kind}: {attempt.error or ''}", _REASON_BYTES)
    return {key: value for key, value in shown.items() if value is not None}


def _decision(decision: DecisionRow, began: float) -> JsonValue:
    told = decision.reason
    if decision.kind in {"fallback", "escalate"} and decision.detail.get("to"):
        told += f" → {decision.detail['to']}"
    if isinstance(wait := decision.detail.get("wait_s"), int | float):
        told += f" · waits {wait:.2g} s"
    return {"at": round(1000 * (decision.at - began)), "k": inert(decision.kind), "w": clip(told, _REASON_BYTES)}


def document(rows: Rows, runs: Iterable[str]) -> str:
    """Return the page's data as JSON text."""
    content: dict[str, Any] = {
        "runs": [inert(run) for run in runs],
        "tags": list(rows.tags),
        "graders": list(rows.graders),
        "rows": rows.rows,
    }
    if rows.labels:
        content["labels"] = list(rows.labels)
    if rows.shapes:
        shapes = (rows.shapes.get(place) for place in range(len(content["runs"])))
        content["flows"] = [None if shape is None else shape.document() for shape in shapes]
        content |= {"kinds": kinds(), "states": states()}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
