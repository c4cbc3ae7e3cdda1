"""The steps of a pipeline's samples as the page's script reads them: short keys, and defaults left out."""

from collections.abc import Mapping, Sequence
from itertools import chain

from evalh.analysis.traffic import Traffic
from evalh.core.case import Case
from evalh.core.log import SampleRow
from evalh.core.run import RunRecord
from evalh.core.sample import SampleWord, StepGrade, StepResult, StepState
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.report.html.parts import shown_json
from evalh.report.terminal.pipeline import WORDS
from evalh.report.terminal.steps import STORIES
from evalh.report.text import inert, one_line, usd

_LONG = 60  # characters from which a text that stands on the page already is named instead
_STATES = {state: place for place, state in enumerate(StepState)}
_GRADES = {StepGrade.BAD: 0, StepGrade.UNKNOWN: 1, StepGrade.GOOD: 2}
_KINDS = {word: place for place, word in enumerate(WORDS)}
_TAINTED, _FIRST, _RESPONSIBLE, _CARRIES = 1, 2, 4, 8  # what the script finds in `f`


class RunSteps(Value):
    """A run's steps, and how its samples went through them."""

    record: RunRecord
    traffic: Traffic

    def document(self) -> JsonValue:
        """Return what the page holds once: each step's name, references, prompt or function, and inputs."""
        places = {one.step: place for place, one in enumerate(self.record.steps)}
        return [
            {
                "n": inert(one.step),
                "r": [places[name] for name in one.reads if name in places],
                "a": inert(one.function or f"{one.prompt} on {one.model}"),
                "e": self._expressions(one.step),
            }
            for one in self.record.steps
        ]

    def _expressions(self, step: str) -> dict[str, JsonValue]:
        """Return the expressions of a step's inputs, by name, as the file states them."""
        steps = self.record.prompt_document.get("steps")
        stated = steps.get(step) if isinstance(steps, Mapping) else None
        inputs = stated.get("inputs") if isinstance(stated, Mapping) else None
        if not isinstance(inputs, Mapping):
            return {}
        return {inert(str(name))[:80]: one_line(_readable(source), 80) for name, source in inputs.items()}

    def tokens(self) -> dict[str, dict[str, str]]:
        """Return the filters by step and by line, in groups: what the script reads, and what a person does."""
        found: dict[str, dict[str, str]] = {}
        for step in self.traffic.reads:
            counts = chain(self.traffic.states(step).items(), self.traffic.grades(step).items())
            told = {f"{step}.{one.value}": f"{step}: {one.value}" for one, count in counts if count}
            if self.traffic.first_bad[step]:
                told[f"{step}.first"] = f"{step}: first bad here"
            found[step] = {step: f"{step}: reached"} | told
        lines: dict[str, str] = {}
        for line, travelled in self.traffic.lines.items():
            token, ends = f"{line.producer}>{line.reader}", f"{line.producer} → {line.reader or 'result'}"
            lines |= {token: ends} if travelled.samples else {}
            lines |= {f"{token}.bad": f"{ends}: something bad"} if travelled.bad else {}
        return found | {"handed on": {">": "came to a result"} | lines}

    def end(self, sample: SampleRow) -> int | None:
        """Return the place of the step whose output is the sample's."""
        end = self.traffic.end(sample)
        return None if end is None else list(self.traffic.reads).index(end)

    def rows(self, sample: SampleRow) -> dict[str, dict[str, JsonValue]]:
        """Return a sample's steps without their texts, in the order of `document`."""
        steps = {one.step: one for one in sample.steps}
        bad = self.traffic.carriers(steps)
        return {step: self._row(sample, steps.get(step), carries=step in bad) for step in self.traffic.reads}

    def _row(self, sample: SampleRow, one: StepResult | None, *, carries: bool) -> dict[str, JsonValue]:
        if one is None:
            return {"s": _STATES[StepState.STOPPED]}
        story = sample.story
        flags = _TAINTED * one.tainted | _CARRIES * carries
        if story is not None:
            flags |= _FIRST * (story.first_bad == one.step) | _RESPONSIBLE * (one.step in story.responsible)
        asked = one.state is StepState.RAN
        cost = None if one.cost_usd is None or one.cached_cost_usd is None else one.cost_usd + one.cached_cost_usd
        told: dict[str, JsonValue] = {
            "s": _STATES[one.state] or None,
            "g": None if one.grade is None else _GRADES[one.grade],
            "f": flags or None,
            "c": usd(cost) if one.call_id is not None else None,
            "l": None if not asked or one.latency.total_ms is None else round(one.latency.total_ms, 1),
            "h": int(one.cache_hit) or None,
        }
        return {key: value for key, value in told.items() if value is not None}

    def texts(self, sample: SampleRow, case: Case) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
        """Return what each step was handed (`0i`) and gave (`0o`); by step, what is elsewhere on the page."""
        steps = {one.step: one for one in sample.steps}
        texts: dict[str, dict[str, str]] = {}
        elsewhere: dict[str, dict[str, str]] = {}
        for place, (name, parents) in enumerate(self.traffic.reads.items()):
            one = steps.get(name)
            if one is None:
                continue
            handed = one.inputs if isinstance(one.inputs, Mapping) else {}
            known = {_readable(value): f"as “{key}” of the case" for key, value in case.inputs.items()}
            gave = [steps[parent] for parent in parents if parent in steps and steps[parent].gave]
            known |= {_readable(before.output): f"as “{before.step}” gave it" for before in gave}
            for key, value in handed.items():
                text = _readable(value)
                if text in known and len(text) > _LONG:
                    elsewhere.setdefault(name, {})[inert(str(key))[:80]] = inert(known[text])
                else:
                    texts.setdefault(f"{place}i", {})[str(key)] = text
            if one.gave:
                texts[f"{place}o"] = {"output": _readable(one.output)}
        return texts, elsewhere


def kinds() -> list[JsonValue]:
    """Return each kind of sample: its value in the page's address, its name, its story."""
    return [[word.value, name, STORIES[word]] for word, name in WORDS.items()]


def kind_of(sample: SampleRow) -> int:
    """Return the place of a sample's kind."""
    return _KINDS[SampleWord.NOT_KNOWN if sample.story is None else sample.story.word]


def states() -> Sequence[str]:
    """Return the names of a step's states."""
    return [state.value for state in StepState]


def _readable(value: JsonValue) -> str:
    return value if isinstance(value, str) else shown_json(value)
