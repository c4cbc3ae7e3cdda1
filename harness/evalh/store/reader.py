"""Reading the log: what `show`, `calls`, `export recorded` and the reports ask. Never writes."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from evalh.core.case import Case
from evalh.core.errors import NotFound, UsageError, WorkspaceError, did_you_mean, nearest, some_of
from evalh.core.log import (
    CallFilter,
    CallRow,
    CaseDetail,
    CaseTally,
    ComparisonRow,
    FirstAnswer,
    GateRow,
    RunRow,
    SampleDetail,
    SampleRow,
    SampleStory,
    Shown,
    TracedCall,
    TracedSample,
)
from evalh.core.run import FailedSample, RunResult, RunStatus
from evalh.core.sample import SampleResult, Standing
from evalh.core.totals import Spend, SpendBy, Tallies
from evalh.core.verdict import Outcome
from evalh.store.calls import CallReader
from evalh.store.columns import restored, stored, tells_damage
from evalh.store.database import LIVE, StoreError, connect, connect_reading, existing, explained
from evalh.store.liveness import LOST, alive
from evalh.store.query import Rows, query
from evalh.store.restore import case_from, comparison_from, completion_from, run_from, sample_from, verdict_from
from evalh.store.samples import planned, recording, results, stories, traced, traces
from evalh.store.schema import SCHEMA, ensure_schema, schema_version
from evalh.store.totals import (
    Overview,
    case_tallies,
    comparison_rows,
    count_runs,
    first_answers,
    gate_rows,
    run_rows,
    spending,
    suite_state,
    tallies,
)
from evalh.store.waiting import left_behind, recover

LAST = "last"
_MEND_WITHIN_S = 2.0  # a reader waits no longer than this for another's lock

_RUNS = """select r.*, v.content from runs r
  left join versions v on v.prompt = r.prompt and v.digest = r.prompt_digest"""

# A sample's id is <run>/<case>/<trial>: a run's samples are a range of the primary key ('0' follows '/').
_SAMPLES = """select * from samples
  where id > :run || '/' and id < :run || '0' and (:standing is null or standing = :standing)
  order by case_index, trial limit :limit"""
_FAILURES = """select * from samples
  where id > :run || '/' and id < :run || '0' and standing <> 'good'
  order by standing, case_index, trial limit :limit"""

_ANSWERING = """select model_answered from attempts
  where model = ? and started_at >= ? and status = 'ok' and purpose = 'task' and model_answered is not null
  order by started_at desc limit 1"""


@tells_damage
class Reader:
    """The log, read-only. Methods that take a run's id want it whole; `run` finds it by what a person types."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._calls = CallReader(self._rows)

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        self._connection.close()

    # -- runs

    def runs(self, limit: int = 20) -> list[RunRow]:
        """Return the newest runs, newest first."""
        return [run_from(row) for row in self._rows(f"{_RUNS} order by started_at desc, r.id desc limit ?", limit)]

    def run(self, name: str) -> RunRow:
        """Find a run by its id, a beginning of it, or `last`. Raises NotFound; UsageError where several fit."""
        found = self.runs(1) if name == LAST else self._runs_called(name)
        if len(found) == 1:
            return self.as_it_is(found[0])
        known = [run.record.id for run in found or self.runs(5)]
        if found:
            raise UsageError(f"{name!r} is the beginning of several runs", hint=f"have: {', '.join(known)}")
        raise NotFound(f"no run {name!r}", hint=f"newest: {', '.join(known)}" if known else "evalh run")

    def _runs_called(self, name: str) -> list[RunRow]:
        exact = self._rows(f"{_RUNS} where r.id = ?", name)
        found = exact or self._rows(f"{_RUNS} where substr(r.id, 1, ?) = ? limit 5", len(name), name)
        return [run_from(row) for row in found] if name else []

    def result(self, run_id: str, failures: int = 3) -> RunResult:
        """Return a finished run as it was reported. Raises NotFound where there is no summary."""
        run = self.run(run_id)
        if run.summary is None:
            raise NotFound(
                f"run {run.record.id} is {run.status}: it has no summary",
                hint="the same evalh run finishes it; what it has so far is in the view cost_per_good",
            )
        return RunResult(
            record=run.record,
            status=run.status,
            summary=run.summary,
            failures=self.failures(run.record.id, failures),
            stopped_because=run.reason,
        )

    def answering_model(self, model: str, since: str) -> str | None:
        """Return by which name a model of the workspace gave its newest answer since a time; None: it gave none."""
        rows = self._rows(_ANSWERING, stored(model), since)
        return restored(rows[0]["model_answered"]) if rows else None

    # -- samples

    def samples(self, run_id: str, standing: Standing | None = None, limit: int | None = None) -> Iterator[SampleRow]:
        """Yield a run's samples in dataset order, with their verdicts."""
        rows = self._stream(
            _SAMPLES, {"run": run_id, "standing": standing and str(standing), "limit": -1 if limit is None else limit}
        )
        return (self._with_verdicts(row) for row in rows)

    def failures(self, run_id: str, limit: int) -> tuple[FailedSample, ...]:
        """Return samples that are not good, with input and output: bad ones first, then in dataset order."""
        rows = self._rows(_FAILURES, {"run": run_id, "limit": limit})
        return tuple(self._failure(self._with_verdicts(row)) for row in rows)

    def results(self, run_id: str) -> Iterator[SampleResult]:
        """Yield a run's samples in dataset order, as they are compared."""
        return results(self._stream, run_id)

    def _with_verdicts(self, row: sqlite3.Row) -> SampleRow:
        verdicts = self._rows("select * from verdicts where sample_id = ? order by position", row["id"])
        return sample_from(row, tuple(verdict_from(verdict) for verdict in verdicts))

    def _failure(self, sample: SampleRow) -> FailedSample:
        answer = self._rows("select * from attempts where id = ?", sample.answered_by)
        missed = (
            graded for graded in sample.verdicts if graded.required and graded.verdict.outcome is not Outcome.PASS
        )
        return FailedSample(
            case_id=sample.case_id,
            trial=sample.trial,
            standing=str(sample.standing),
            inputs=self._case_of(sample).inputs,
            output=completion_from(answer[0]).text if answer else None,
            reasons=tuple((graded.grader, graded.verdict.reason) for graded in missed),
            error=sample.error,
        )

    def _case_of(self, sample: SampleRow) -> Case:
        key = (stored(sample.case_id), sample.case_digest)
        return case_from(self._rows("select * from cases where id = ? and digest = ?", *key)[0])

    # -- one thing, whole

    def case(self, case_id: str, run_id: str | None = None) -> CaseDetail:
        """Return a case with its samples, calls, attempts and verdicts in a run; None: the newest run that has it.

        Raises NotFound.
        """
        found = self._find_case(case_id, run_id)
        if found is None:
            place = f" in run {run_id}" if run_id else ""
            known = [restored(row["id"]) for row in self._rows("select distinct id from cases limit 5000")]
            raise NotFound(f"no case {case_id!r}{place}", hint=did_you_mean(case_id, known))
        return found

    def _find_case(self, case_id: str, run_id: str | None) -> CaseDetail | None:
        runs = (
            [self.run(run_id).record.id]
            if run_id
            else [row["id"] for row in self._rows("select id from runs order by started_at desc, id desc")]
        )
        case_key = stored(case_id)
        for run in runs:
            # A sample's id is <run>/<case>/<trial>, so this reads the primary key; '0' follows '/'.
            low, high = f"{run}/{case_key}/", f"{run}/{case_key}0"
            samples = self._rows(
                "select * from samples where id > ? and id < ? and case_id = ? order by trial", low, high, case_key
            )
            if samples:
                details = tuple(self._sample_detail(row) for row in samples)
                return CaseDetail(case_id=case_id, run=self.run(run), samples=details)
        return None

    def _sample_detail(self, row: sqlite3.Row) -> SampleDetail:
        sample = self._with_verdicts(row)
        calls = self._calls.of_sample(sample)
        return SampleDetail(sample=sample, case=self._case_of(sample), calls=calls)

    def calls(self, which: CallFilter = CallFilter.ALL, run_id: str | None = None, limit: int = 20) -> list[CallRow]:
        """Return calls with their attempts: those of one run in its order, or of all runs, newest run first."""
        return self._calls.find(which, run_id, limit)

    def show(self, name: str) -> Shown:
        """Return what an id names: a run, comparison, gate, sample, call, its attempt, or a case. Raises NotFound."""
        found = self._runs_called(name) if self._rows("select 1 from runs where id = ?", name) else []
        if found or name == LAST:
            return self.run(name)
        decided = self.comparison(name) or self.gate(name)
        if decided is not None:
            return decided
        call = self._calls.one(name)
        if call is not None:
            return call
        sample = self._rows("select * from samples where id = ?", stored(name))
        if sample:
            return self._sample_detail(sample[0])
        return self._find_case(name, None) or self._run_or_nothing(name)

    def _run_or_nothing(self, name: str) -> RunRow:
        if self._runs_called(name):
            return self.run(name)
        cases = [restored(row["id"]) for row in self._rows("select distinct id from cases order by id limit 5000")]
        runs = [run.record.id for run in self.runs()]
        guess = nearest(name, [*cases, *runs])
        have = f"newest run: {runs[0] if runs else 'none'}; cases: {some_of(cases, most=8) or 'none'}"
        raise NotFound(
            f"{name!r} names no run, sample, call, attempt, comparison, gate or case",
            hint=f"did you mean {guess!r}?" if guess else have,
        )

    # -- what was decided

    def runs_of(self, suite: str, limit: int) -> list[str]:
        """Return the ids of a suite's newest runs, newest first."""
        sql = "select id from runs where suite = ? order by started_at desc, id desc limit ?"
        return [row["id"] for row in self._rows(sql, stored(suite), limit)]

    def last_runs(self, target: str, suite: str | None, limit: int) -> list[str]:
        """Return the ids of the newest runs of a model or route, newest first; None: of any suite."""
        sql = """select id from runs where model = ? and (? is null or suite = ?)
          order by started_at desc, id desc limit ?"""
        suite = None if suite is None else stored(suite)
        return [row["id"] for row in self._rows(sql, stored(target), suite, suite, limit)]

    def tallies(self, run_ids: Sequence[str]) -> Tallies:
        """Count what was decided in these runs, and what it cost."""
        return tallies(self._rows, run_ids)

    def first_answers(self, run_ids: Sequence[str]) -> Iterator[FirstAnswer]:
        """Yield what the first models said where their cascades escalated."""
        return first_answers(self._stream, run_ids)

    def comparison(self, name: str) -> ComparisonRow | None:
        """Return the comparison with this id; None: there is none."""
        found = self._rows("select * from comparisons where id = ?", name)
        return comparison_from(found[0]) if found else None

    def comparisons(self, suite: str, limit: int = 20) -> list[ComparisonRow]:
        """Return the newest comparisons over a suite, newest first."""
        sql = "select * from comparisons where suite = ? order by at desc, id desc limit ?"
        return [comparison_from(row) for row in self._rows(sql, stored(suite), limit)]

    def spending(self, by: SpendBy, since: str) -> list[Spend]:
        """Sum what every attempt since an instant (UTC, as the log writes it) cost, in groups."""
        return spending(self._rows, by, since)

    # -- reports

    def suite_runs(self, suite: str) -> list[RunRow]:
        """Return every run of a suite, newest first."""
        rows = self._stream(f"{_RUNS} where r.suite = ? order by started_at desc, r.id desc", stored(suite))
        return [run_from(row) for row in rows]

    def stories(self, run_id: str) -> Iterator[SampleStory]:
        """Yield a run's samples with what was asked and answered, in dataset order."""
        return stories(self._stream, run_id)

    def traces(self, run_id: str) -> Mapping[tuple[str, int], tuple[TracedCall, ...]]:
        """Return how the answers of a run came about, by (case id, trial)."""
        return traces(self._stream, run_id)

    # -- looking on

    def overview(self, most: int) -> Overview:
        """Return what was run, compared and decided: the newest `most` of each, newest first."""
        compared, decided = comparison_rows(self._stream, most), gate_rows(self._stream, None, most)
        return Overview(run_rows(self._stream, most), count_runs(self._stream), compared, decided)

    def running(self) -> list[RunRow]:
        """Return the runs whose row says that they run, oldest first; `alive` tells which do."""
        return [run_from(row) for row in self._rows(f"{_RUNS} where r.status = 'running' order by started_at, r.id")]

    def alive(self, run_id: str) -> bool:
        """Tell whether the process that executes a run lives."""
        return alive(self._path.parent / LIVE, run_id)

    def as_it_is(self, run: RunRow) -> RunRow:
        """Return a run whose process is gone as `interrupted`, though nobody has written that yet."""
        if run.status is not RunStatus.RUNNING or self.alive(run.record.id):
            return run
        # It may have ended, or have been deleted, in between.
        again = next(map(run_from, self._rows(f"{_RUNS} where r.id = ?", run.record.id)), run)
        if again.status is not RunStatus.RUNNING:
            return again
        return replace(again, status=RunStatus.INTERRUPTED, reason=LOST)

    def case_tallies(self, run_id: str) -> Iterator[CaseTally]:
        """Yield what is known of each case of a run so far."""
        return case_tallies(self._stream, run_id)

    def gate(self, gate_id: str) -> GateRow | None:
        """Return the decision with this id; None: there is none."""
        found = gate_rows(self._stream, gate_id, 1)
        return found[0] if found else None

    def suite_state(self, suite: str) -> str:
        """Return a digest of the runs that a report about the suite depends on: equal while it would say the same."""
        return suite_state(self._stream, suite)

    def interrupt(self) -> None:
        """Let what is being read elsewhere end with an error, now."""
        self._connection.interrupt()

    # -- out of the house

    def recording(self, run_id: str) -> Iterator[dict[str, Any]]:
        """Yield a run's answers in dataset order, as rows of a recording that `replay` reads."""
        return recording(self._stream, run_id)

    def traced(self, run_id: str) -> Iterator[TracedSample]:
        """Yield a run's samples with all their calls, one at a time, ordered by case and trial."""
        return traced(self._stream, self._calls.one, self._with_verdicts, run_id)

    def planned(self, run_id: str) -> int | None:
        """Return how many samples a run was to have; None: the log does not hold it."""
        return planned(self._stream, run_id)

    def query(self, sql: str, deadline_s: float | None = None) -> tuple[tuple[str, ...], Rows]:
        """Run a person's SQL: the columns' names, and the rows as they are read.

        Only reading is allowed. Raises UsageError with SQLite's message, and past the deadline; so does the iterator.
        """
        return query(self._path, sql, deadline_s)

    # -- inside

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return list(self._stream(sql, *values))

    def _stream(self, sql: str, *values: Any) -> Iterator[sqlite3.Row]:
        try:
            cursor = self._connection.cursor()
            cursor.row_factory = sqlite3.Row
            yield from cursor.execute(sql, values[0] if values and isinstance(values[0], dict) else values)
        except sqlite3.Error as exc:
            raise explained(exc, self._path) from exc


def open_reader(folder: Path, *, mend: bool = True) -> Reader:
    """Open the store in a folder such as `.evalh`, for reading.

    An older schema is brought up to date and what `kill -9` left behind is closed first; without `mend` nothing is
    written at all. Raises NotFound where there is none, WorkspaceError for a file that is no store or a newer evalh's,
    and without `mend` for an older one's.
    """
    path = existing(folder)
    try:
        connection = connect_reading(path)
        if schema_version(connection, path) < SCHEMA:
            if not mend:
                connection.close()
                hint = "any other command brings it up to date: evalh show"
                raise WorkspaceError("this log was written by an older evalh", where=str(path), hint=hint)
            with closing(connect(path)) as writable:
                ensure_schema(writable, path)
        if mend and left_behind(connection, folder):
            # Where that cannot be written now, or ever, the log is told as it is.
            with suppress(sqlite3.Error, OSError, StoreError), closing(connect(path, _MEND_WITHIN_S)) as writable:
                recover(writable, folder)
    except sqlite3.Error as exc:
        raise explained(exc, path) from exc
    return Reader(connection, path)
