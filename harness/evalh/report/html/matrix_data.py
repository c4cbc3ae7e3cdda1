"""The cells of a matrix as the page's script reads them: equal texts and equal verdicts stand there once."""

import json
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from evalh.analysis.matrix import MatrixColumn, matrix_columns
from evalh.core.log import RunRow, SampleStory
from evalh.core.money import plus
from evalh.core.sample import Standing
from evalh.core.strict_json import JsonValue
from evalh.report.html.data import ALL_BYTES, BAD_BYTES, STANDINGS, Rows, clip, texts_of
from evalh.report.html.step_rows import kinds, states
from evalh.report.text import inert, limits, milliseconds, percent, short_cost_per_good, usd

_LEAST_BYTES = 200
MOST_CELLS = 600_000
"""As many cells as a browser holds with ease; rows beyond are counted."""


class MatrixRows(Struct):
    """Builds the data of a matrix, sample by sample; a column is a run."""

    runs: Sequence[RunRow]
    linked: bool = False  # the viewer serves the page: runs have pages of their own
    left_out: int = 0  # samples of cases beyond the last row that is shown
    clipped: int = 0  # texts
    _rows: dict[tuple[str, str], list[JsonValue]] = field(default_factory=dict)
    _texts: dict[str, int] = field(default_factory=dict)
    _shown: list[JsonValue] = field(default_factory=list)  # by the places in `_texts`
    _verdicts: dict[str, int] = field(default_factory=dict)
    _inside: Rows = field(default_factory=Rows)  # the steps of pipelines, the names of graders and tags
    _bytes: int = 0
    _most: int = 0

    def __post_init__(self) -> None:
        for place, run in enumerate(self.runs):
            self._inside.begin(place, run.record)
        planned = sum(run.record.planned for run in self.runs)
        self._most = min(BAD_BYTES, max(_LEAST_BYTES, ALL_BYTES // max(1, planned + planned // len(self.runs))))

    def add(self, place: int, story: SampleStory) -> None:
        """Add a sample of the run at this place."""
        row = self._row(story)
        if row is None:
            self.left_out += 1
            return
        sample = story.sample
        good = sample.standing is Standing.GOOD
        cost = usd(plus(sample.cost_usd, sample.cached_cost_usd))
        self._inside.of_samples |= dict.fromkeys(inert(graded.grader) for graded in sample.verdicts)
        said = [self._inside.verdict(graded, told=not good) for graded in sample.verdicts]
        trial: list[JsonValue] = [
            STANDINGS[sample.standing],
            self._output(story),
            self._verdicts.setdefault(json.dumps(said, ensure_ascii=False), len(self._verdicts)),
            None if sample.latency.total_ms is None else round(sample.latency.total_ms),
            cost,
        ]
        more = self._more(place, story)
        cells = row[4]
        assert isinstance(cells, list)
        cells[place] = cells[place] or []
        cells[place].append([*trial, more] if more else trial)

    def _row(self, story: SampleStory) -> list[JsonValue] | None:
        key = story.sample.case_id, story.sample.case_digest
        row = self._rows.get(key)
        if row is None and len(self._rows) * len(self.runs) < MOST_CELLS:
            texts = texts_of(story)
            tags = self._inside.tags
            row = self._rows[key] = [
                inert(key[0]),
                [tags.setdefault(inert(tag), len(tags)) for tag in sorted(story.case.tags)],
                self._named(texts["x"]),
                self._named(texts.get("e", {})),
                [0] * len(self.runs),
            ]
        return row

    def _named(self, texts: Mapping[str, str]) -> list[JsonValue]:
        return [[inert(name)[:80], self._text(text)] for name, text in texts.items()]

    def _output(self, story: SampleStory) -> int:
        """Return the place of an output; -1: there is none."""
        came = texts_of(story)["o"]
        if story.sample.error is not None or not came:
            return -1
        return self._text("\n".join(text if name == "output" else f"{name} {text}" for name, text in came.items()))

    def _more(self, place: int, story: SampleStory) -> dict[str, JsonValue]:
        sample = story.sample
        more: dict[str, JsonValue] = {}
        if sample.trial:
            more["t"] = sample.trial
        if sample.error is not None:
            more["e"] = self._text(f"{sample.error_kind}: {sample.error}")
        if sample.finish not in (None, "stop"):
            more["f"] = sample.finish
        if story.reasoning:
            more["y"] = self._text(story.reasoning)
        if place in self._inside.shapes:
            self._inside.add(place, story, ())
            steps = self._inside.rows.pop()
            assert isinstance(steps, dict)
            more["k"] = {key: steps[key] for key in ("w", "q", "p", "j") if key in steps}
        return more

    def _text(self, text: str) -> int:
        found = self._texts.get(text)
        if found is None:
            found = self._texts[text] = len(self._shown)
            shown = clip(text, self._most if self._bytes < ALL_BYTES else _LEAST_BYTES)
            self.clipped += not isinstance(shown, str)
            self._bytes += len(shown if isinstance(shown, str) else str(shown[0]) if isinstance(shown, list) else "")
            self._shown.append(shown)
        return found

    @property
    def cases(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def standing(self, row: Sequence[JsonValue]) -> list[bool]:
        """Return whether each column that has a row's case is good on it: all its trials are."""
        cells = row[4]
        assert isinstance(cells, list)
        return [all(trial[0] == STANDINGS[Standing.GOOD] for trial in cell) for cell in cells if cell]

    def counts(self) -> dict[str, int]:
        """Return how many cases there are of each kind that the page filters by."""
        good = [self.standing(row) for row in self._rows.values()]
        return {"differs": sum(len(set(one)) > 1 for one in good), "none": sum(not any(one) for one in good)}

    def tags(self) -> list[str]:
        """Return the tags of the cases."""
        return sorted(self._inside.tags)

    def graders(self) -> list[str]:
        """Return the graders of whole samples."""
        return list(self._inside.of_samples)

    def document(self) -> str:
        """Return the page's data as JSON text."""
        content: dict[str, JsonValue] = {
            "columns": [_column(column) for column in matrix_columns(self.runs)],
            "linked": int(self.linked),
            "tags": list(self._inside.tags),
            "graders": list(self._inside.graders),
            "texts": self._shown,
            "verdicts": [json.loads(one) for one in self._verdicts],
            "rows": list(self._rows.values()),
        }
        shapes = self._inside.shapes
        if shapes:
            found = (shapes.get(place) for place in range(len(self.runs)))
            content["flows"] = [None if shape is None else shape.document() for shape in found]
            content |= {"kinds": kinds(), "states": list(states())}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _column(column: MatrixColumn) -> JsonValue:
    record, summary = column.run.record, column.run.summary
    told: dict[str, JsonValue] = {"p": inert(record.prompt), "m": inert(column.model), "r": record.id}
    if summary is not None and summary.samples:
        told |= {
            "g": percent(summary.good_rate.value),
            "i": limits(summary.good_rate),
            "n": f"{summary.good:,} of {summary.samples:,}",
            "c": short_cost_per_good(summary.cost_per_good_usd),
            "l": milliseconds(summary.latency_p50_ms),
        }
    return told
