"""A run of the log as files that Inspect reads (`inspect view`, `read_eval_log`), written as a stream.

The form is that of inspect_ai 0.3.285 (log version 2); its own reader checks it in tests/exporting/test_inspect.py.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct, field

from evalh.core.log import RunRow, SampleDetail
from evalh.core.sample import SampleResult, Standing
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Outcome
from evalh.interop.inspect_samples import GOOD, instant, sample_document

MOST_SAMPLES = 50_000
"""A run with more becomes several files with one `run_id`: Inspect reads a file at once."""

_STATUS = {"complete": "success"}


class InspectTally(Struct):
    """What the samples of one file come to; the head of a file says it, before its samples."""

    samples: int = 0
    answered: int = 0
    ids: dict[str, None] = field(default_factory=dict)  # of cases, in order
    standings: dict[Standing, int] = field(default_factory=lambda: defaultdict(int))
    outcomes: dict[str, dict[Outcome, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def count(self, sample: SampleResult) -> None:
        """Count one sample."""
        self.samples += 1
        self.answered += sample.output_digest is not None
        self.ids[sample.case_id] = None
        self.standings[sample.standing] += 1
        for grader, outcome in sample.outcomes.items():
            self.outcomes[grader][outcome] += 1


def tallies(results: Iterable[SampleResult]) -> list[InspectTally]:
    """Count a run's samples, a tally for each file."""
    found = [InspectTally()]
    for sample in results:
        if found[-1].samples == MOST_SAMPLES:
            found.append(InspectTally())
        found[-1].count(sample)
    return found


class InspectFile(Struct, kw_only=True):
    """One file of a run."""

    run: RunRow
    document: Mapping[str, JsonValue]  # of the run, as `evalh run --json` prints it
    model: str  # <provider>/<model>
    tally: InspectTally
    part: int  # from 0
    parts: int

    @property
    def name(self) -> str:
        """The name as Inspect makes it: when, what, and an id."""
        record = self.run.record
        created = instant(round(record.started_at)).replace(":", "-")
        part = f"-{self.part + 1}" if self.parts > 1 else ""
        return f"{created}_evalh-{_plain(record.suite)}{part}_{self._id('eval')}.json"

    def pieces(self, samples: Iterable[SampleDetail]) -> Iterator[bytes]:
        """Yield the file."""
        head = {
            "version": 2,
            "status": _STATUS.get(str(self.run.status), "cancelled"),
            "eval": self._eval(),
            "plan": {"name": "plan", "steps": [], "config": {}},
            "results": self._results(),
            "stats": {"started_at": instant(self.run.record.started_at), "completed_at": self._ended()},
        }
        yield _text(head).removesuffix(b"}") + b', "samples": ['
        for number, detail in enumerate(samples):
            yield (b",\n" if number else b"\n") + _text(sample_document(detail, self.model))
        yield b"\n]}\n"

    def _ended(self) -> str:
        return "" if self.run.finished_at is None else instant(self.run.finished_at)

    def _id(self, what: str) -> str:
        part = f" {self.part}" if what == "eval" else ""
        return sha256(f"{what} {self.run.record.id}{part}".encode()).hexdigest()[:22]

    def _eval(self) -> dict[str, Any]:
        record = self.run.record
        revision = {"type": "git", "origin": "", "commit": record.commit, "dirty": record.dirty}
        return {
            "eval_id": self._id("eval"),
            "run_id": record.id,
            "created": instant(record.started_at),
            "task": f"evalh/{record.suite}",
            "task_id": self._id("task"),
            "task_version": record.prompt_digest or 0,
            "task_args": {"prompt": record.prompt, "model": record.model},
            "dataset": {
                "name": record.suite,
                "samples": len(self.tally.ids),
                "sample_ids": list(self.tally.ids),
                "shuffled": False,
            },
            "model": self.model,
            "config": {"epochs": record.trials},
            "revision": revision if record.commit is not None else None,
            "packages": {"evalh": record.evalh_version},
            "metadata": {"evalh": dict(self.document)},
        }

    def _results(self) -> dict[str, Any]:
        tally = self.tally
        standings = {Outcome.PASS: tally.standings[Standing.GOOD], Outcome.FAIL: tally.standings[Standing.BAD]}
        good = _score(GOOD, standings, tally.samples)
        summary = self.run.summary
        if summary is not None and self.parts == 1:
            # Ours has ungraded samples in its denominator; Inspect's accuracy leaves out what has no score.
            rate = summary.good_rate
            numbers = {"good_rate": rate.value, "ci_low": rate.low, "ci_high": rate.high}
            good["metrics"] |= {name: _metric(name, value) for name, value in numbers.items() if value is not None}
        graders = [_score(name, found, tally.samples) for name, found in tally.outcomes.items() if name != GOOD]
        return {"total_samples": tally.samples, "completed_samples": tally.answered, "scores": [good, *graders]}


def _score(name: str, outcomes: Mapping[Outcome, int], samples: int) -> dict[str, Any]:
    passed, failed = outcomes.get(Outcome.PASS, 0), outcomes.get(Outcome.FAIL, 0)
    scored = passed + failed
    metrics = {"accuracy": _metric("accuracy", passed / scored)} if scored else {}
    return {
        "name": name,
        "scorer": name,
        "params": {},
        "scored_samples": scored,
        "unscored_samples": samples - scored,
        "metrics": metrics,
    }


def _metric(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "value": value, "params": {}}


def provider_model(first: Sequence[SampleDetail], sent: str) -> str:
    """Return a model's name as Inspect writes it, by the provider of the first answer."""
    answers = (call.answer for detail in first for call in detail.calls if call.answer is not None)
    answer = next(answers, None)
    return sent if answer is None else f"{answer.provider}/{sent}"


def _plain(text: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in text)


def _text(value: JsonValue) -> bytes:
    # NaN is how Inspect writes "unscored". No reader takes a lone surrogate, which a model may write.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
