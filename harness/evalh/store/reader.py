"""Reading the log for `show`, `calls`, `export recorded` and the reports. Never writes."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from msgspec.structs import replace

from evalh.core.errors import NotFound, UsageError, WorkspaceError, did_you_mean, nearest, some_of
from evalh.core.log import CaseDetail, ComparisonRow, GateRow, RunRow, Shown
from evalh.core.production import WorkflowGrade
from evalh.core.run import RunResult, RunStatus
from evalh.core.sample import Standing
from evalh.core.values import Value
from evalh.store.columns import restored, stored
from evalh.store.database import LIVE, StoreError, connect, connect_reading, existing, explained
from evalh.store.liveness import LOST, alive
from evalh.store.query import Query, Rows
from evalh.store.restore import comparison_from, gate_from, run_from, story_from
from evalh.store.samples import SampleReader
from evalh.store.schema import SCHEMA, ensure_schema, schema_version
from evalh.store.tables import TableReader
from evalh.store.totals import TotalsReader
from evalh.store.waiting import left_behind, recover

LAST = "last"
"""The newest run that a person made; of a gate or another experiment only where there is no other."""

_MEND_WITHIN_S = 2.0  # a reader waits no longer than this for another's lock

_RUNS = """select r.*, v.content from runs r
  left join versions v on v.prompt = r.prompt and v.digest = r.prompt_digest"""
# Without prompt and graders: a thousand rows are read at once.
_NEWEST_RUNS = """select id, suite, prompt, prompt_digest, model, model_sent, status, reason, started_at, finished_at,
  planned, trials, owner, git_commit, git_dirty, evalh_version, max_ungraded, fingerprint_prompt, fingerprint_dataset,
  fingerprint_graders, fingerprint_model, fingerprint_route, selection, '{}' as settings, null as graders,
  kind, null as content, summary from runs where kind in ('run', 'compare') order by started_at desc, id desc limit ?"""
_NEWEST_ADDED = _NEWEST_RUNS.replace("kind in ('run', 'compare')", "kind not in ('run', 'compare', 'production')")
# Without its content, which holds every case that changed.
_COMPARISONS = """select id, at, suite, base, head, base_model, head_model, base_run, head_run, verdict, comparable, n,
  wins, losses, difference, low, high, p_value, '' as content from comparisons order by at desc, id desc limit ?"""
_NEWEST_FIRST = "select id from runs order by kind not in ('run', 'compare'), started_at desc, id desc"
_ANSWERING = """select model_answered from attempts
  where model = ? and started_at >= ? and status = 'ok' and purpose = 'task' and model_answered is not null
  order by started_at desc limit 1"""


class Overview(Value):
    """What the log holds, newest first."""

    runs: Sequence[RunRow]  # that a person asked for, and the sides of comparisons
    runs_in_all: int
    added: Sequence[RunRow]  # that gates, baselines and other verbs made
    comparisons: Sequence[ComparisonRow]
    gates: Sequence[GateRow]


class Reader(SampleReader, TableReader, TotalsReader):
    """The log, read-only. Methods that take a run's id want it whole; `run` finds it by what a person types.

    Lists of runs, and the newest one, are of the runs that a person made (`RunKind.RUN`, `RunKind.COMPARE`). Where
    outputs are wanted, all kinds count but BLAME: its samples were changed on purpose.
    """

    def runs(self, limit: int = 20) -> list[RunRow]:
        """Return the newest runs, newest first."""
        sql = f"{_RUNS} where r.kind in ('run', 'compare') order by started_at desc, r.id desc limit ?"
        return [run_from(row) for row in self._rows(sql, limit)]

    def run(self, name: str) -> RunRow:
        """Find a run by its id, a beginning of it, or `last`. Raises NotFound; UsageError where several fit."""
        found = self._last() if name == LAST else self._runs_called(name)
        if len(found) == 1:
            return self._with_steps(self.as_it_is(found[0]))
        known = [run.record.id for run in found or self.runs(5)]
        if found:
            raise UsageError(f"{name!r} is the beginning of several runs", hint=f"have: {', '.join(known)}")
        raise NotFound(f"no run {name!r}", hint=f"have: {', '.join(known)}" if known else "evalh run")

    def _last(self) -> list[RunRow]:
        sql = f"{_RUNS} order by r.kind not in ('run', 'compare'), started_at desc, r.id desc limit 1"
        return [run_from(row) for row in self._rows(sql)]

    def _with_steps(self, run: RunRow) -> RunRow:
        steps = self._asked(run.record.id)
        return replace(run, record=replace(run.record, steps=steps)) if steps else run

    def _runs_called(self, name: str) -> list[RunRow]:
        exact = self._rows(f"{_RUNS} where r.id = ?", name)
        found = exact or self._rows(f"{_RUNS} where substr(r.id, 1, ?) = ? limit 5", len(name), name)
        return [run_from(row) for row in found] if name else []

    def result(self, run_id: str, failures: int = 3) -> RunResult:
        """Return a finished run as it was reported. Raises NotFound if there is no summary."""
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
        """Return the name by which a model called itself in its newest answer since a time, or None."""
        found = self._first(_ANSWERING, stored(model), since)
        return None if found is None else restored(found["model_answered"])

    def suite_runs(self, suite: str) -> list[RunRow]:
        """Return every run of a suite that a person made, newest first."""
        sql = f"{_RUNS} where r.suite = ? and r.kind in ('run', 'compare') order by started_at desc, r.id desc"
        rows = self._stream(sql, stored(suite))
        return [run_from(row) for row in rows]

    def runs_of(self, suite: str, limit: int, kind: str | None = None) -> list[str]:
        """Return the ids of a suite's newest runs of one kind, or of any but BLAME; the newest first."""
        sql = """select id from runs where suite = ?1 and kind <> 'blame' and (?2 is null or kind = ?2)
          order by started_at desc, id desc limit ?3"""
        return [row["id"] for row in self._rows(sql, stored(suite), kind, limit)]

    def last_runs(self, target: str, suite: str | None, limit: int) -> list[str]:
        """Return the ids of a model's or route's newest runs that asked it for answers, newest first.

        BLAME changes outputs, PRODUCTION asks nobody. Of any suite if `suite` is None.
        """
        sql = """select id from runs where model = ? and (? is null or suite = ?)
          and kind not in ('blame', 'production') order by started_at desc, id desc limit ?"""
        suite = None if suite is None else stored(suite)
        return [row["id"] for row in self._rows(sql, stored(target), suite, suite, limit)]

    def running(self) -> list[RunRow]:
        """Return the runs with the status `running`, oldest first; `alive` says which really are."""
        return [run_from(row) for row in self._rows(f"{_RUNS} where r.status = 'running' order by started_at, r.id")]

    def alive(self, run_id: str) -> bool:
        return alive(self._path.parent / LIVE, run_id)

    def as_it_is(self, run: RunRow) -> RunRow:
        """Return a run whose process is gone as `interrupted`, even if its row does not say so yet."""
        if run.status is not RunStatus.RUNNING or self.alive(run.record.id):
            return run
        # It may have ended, or have been deleted, in between.
        again = next(map(run_from, self._rows(f"{_RUNS} where r.id = ?", run.record.id)), run)
        if again.status is not RunStatus.RUNNING:
            return again
        return replace(again, status=RunStatus.INTERRUPTED, reason=LOST)

    # -- by id

    def case(self, case_id: str, run_id: str | None = None) -> CaseDetail:
        """Return a case with its samples, calls, attempts and verdicts in a run; the newest run that has it if None.

        Raises NotFound.
        """
        found = self._find_case(case_id, run_id)
        if found is None:
            place = f" in run {run_id}" if run_id else ""
            known = [restored(row["id"]) for row in self._rows("select distinct id from cases limit 5000")]
            raise NotFound(f"no case {case_id!r}{place}", hint=did_you_mean(case_id, known))
        return found

    def _find_case(self, case_id: str, run_id: str | None) -> CaseDetail | None:
        runs = [self.run(run_id).record.id] if run_id else [row["id"] for row in self._rows(_NEWEST_FIRST)]
        case_key = stored(case_id)
        for run in runs:
            # A sample's id is <run>/<case>/<trial>, so this reads the primary key; '0' follows '/'.
            low, high = f"{run}/{case_key}/", f"{run}/{case_key}0"
            samples = self._rows(
                "select * from samples where id > ? and id < ? and case_id = ? order by trial", low, high, case_key
            )
            if samples:
                details = tuple(self._detail(row) for row in samples)
                return CaseDetail(case_id=case_id, run=self.run(run), samples=details)
        return None

    def show(self, name: str) -> Shown:
        """Return what an id names: a run, comparison, gate, sample, call, its attempt, or a case. Raises NotFound."""
        if name == LAST or self._first("select 1 from runs where id = ?", name):
            return self.run(name)
        decided = self.comparison(name) or self.gate(name)
        if decided is not None:
            return decided
        call = self._call(name)
        if call is not None:
            return call
        sample = self._first("select * from samples where id = ?", stored(name))
        if sample is not None:
            return self._detail(sample)
        return self._find_case(name, None) or self._run_or_nothing(name)

    def decided(self, name: str) -> ComparisonRow | GateRow | None:
        """Return the comparison or gate of an id, or of a beginning that no run has; None if there is none.

        Raises UsageError where several fit.
        """
        exact = self.comparison(name) or self.gate(name)
        if exact is not None or name in {"", LAST} or self._runs_called(name):
            return exact
        sql = "select id from comparisons where substr(id, 1, :n) = :name union select id from gates"
        sql += " where substr(id, 1, :n) = :name order by id limit 5"
        ids = [row["id"] for row in self._rows(sql, {"n": len(name), "name": name})]
        if len(ids) > 1:
            raise UsageError(
                f"{name!r} is the beginning of several comparisons or gates", hint=f"have: {', '.join(ids)}"
            )
        return self.comparison(ids[0]) or self.gate(ids[0]) if ids else None

    def _run_or_nothing(self, name: str) -> RunRow | ComparisonRow | GateRow | CaseDetail:
        if self._runs_called(name):
            return self.run(name)
        if (decided := self.decided(name)) is not None:
            return decided
        cases = [restored(row["id"]) for row in self._rows("select distinct id from cases order by id limit 5000")]
        begun = [case for case in cases if name and case.startswith(name)]
        if len(begun) == 1 and (found := self._find_case(begun[0], None)) is not None:
            return found
        if begun:
            raise NotFound(f"{name!r} is the beginning of several cases", hint=f"have: {some_of(begun, most=8)}")
        runs = [run.record.id for run in self.runs()]
        guess = nearest(name, [*cases, *runs])
        have = f"newest run: {runs[0] if runs else 'none'}; cases: {some_of(cases, most=8) or 'none'}"
        raise NotFound(
            f"no run, sample, call, attempt, comparison, gate or case {name!r}",
            hint=f"did you mean {guess!r}?" if guess else have,
        )

    # -- comparisons and gates

    def comparison(self, name: str) -> ComparisonRow | None:
        found = self._first("select * from comparisons where id = ?", name)
        return None if found is None else comparison_from(found)

    def comparisons(self, suite: str, limit: int = 20) -> list[ComparisonRow]:
        """Return the newest comparisons over a suite, newest first."""
        sql = "select * from comparisons where suite = ? order by at desc, id desc limit ?"
        return [comparison_from(row) for row in self._rows(sql, stored(suite), limit)]

    def gate(self, gate_id: str) -> GateRow | None:
        found = self._first("select * from gates where id = ?", gate_id)
        return None if found is None else gate_from(found)

    def overview(self, most: int) -> Overview:
        """Return what people ran, compared and decided: the newest `most` of each, newest first.

        A run comes without its prompt and graders, a comparison without its content.
        """
        return Overview(
            [run_from(row) for row in self._stream(_NEWEST_RUNS, most)],
            self._rows("select count(*) from runs where kind in ('run', 'compare')")[0][0],
            [run_from(row) for row in self._stream(_NEWEST_ADDED, most)],
            [comparison_from(row) for row in self._stream(_COMPARISONS, most)],
            self.gates(most),
        )

    def gates(self, limit: int) -> list[GateRow]:
        """Return the newest decisions, newest first."""
        return [gate_from(row) for row in self._stream("select * from gates order by at desc, id desc limit ?", limit)]

    def production_outcomes(self, suite: str, grader: str) -> Iterator[tuple[str, str, str]]:
        """Yield what a grader said of production's answers, oldest first: (run id, case id, outcome)."""
        sql = """select s.run_id, s.case_id, v.outcome from verdicts v join samples s on s.id = v.sample_id
        join runs r on r.id = s.run_id where r.kind = 'production' and r.suite = ? and v.grader = ?
        order by r.started_at, r.id"""
        for row in self._stream(sql, stored(suite), stored(grader)):
            yield row["run_id"], restored(row["case_id"]), row["outcome"]

    def poisoned_workflows(self) -> frozenset[str]:
        """Return the workflows of production that their newest grading found poisoned."""
        rows = self._rows(
            """select case_id from (
              select s.case_id, s.word, row_number() over (partition by s.case_id order by r.started_at desc, r.id desc)
                as newest from samples s join runs r on r.id = s.run_id
              where r.kind = 'production' and s.word is not null)
            where newest = 1 and word = 'poisoned'"""
        )
        return frozenset(restored(row["case_id"]) for row in rows)

    def workflow_grades(self, workflow: str) -> tuple[WorkflowGrade, ...]:
        """Return what each suite's newest grading found of a workflow of production, by suite."""
        rows = self._rows(
            """select * from (
              select r.suite, r.prompt, r.id as run_id, s.id as sample_id, s.standing, s.word, s.first_bad,
                s.responsible, row_number() over (partition by r.suite order by r.started_at desc, r.id desc) as newest
              from runs r join samples s on s.id > r.id || '/' || ?1 || '/' and s.id < r.id || '/' || ?1 || '0'
              where r.kind = 'production' and s.case_id = ?1)
            where newest = 1 order by suite""",
            stored(workflow),
        )
        return tuple(
            WorkflowGrade(
                suite=row["suite"],
                prompt=row["prompt"],
                run_id=row["run_id"],
                sample_id=row["sample_id"],
                standing=Standing(row["standing"]),
                story=None if row["word"] is None else story_from(row),
            )
            for row in rows
        )

    def query(self, sql: str, deadline_s: float | None = None) -> tuple[tuple[str, ...], Rows]:
        """Run a user's SQL; return the columns' names, and the rows as they are read.

        Only reading is allowed. Raises UsageError with SQLite's message, and past the deadline; so does the iterator.
        """
        query = Query(self._path, sql, deadline_s)
        return query.start(), query.rows()


def open_reader(folder: Path, *, mend: bool = True) -> Reader:
    """Open the store in a folder such as `.evalh`, for reading.

    An older schema is migrated and runs that `kill -9` ended are closed first; without `mend` nothing is
    written at all. Raises NotFound if there is none; WorkspaceError for a file that is not a store, for a newer
    version's, and without `mend` for an older version's.
    """
    path = existing(folder)
    try:
        connection = connect_reading(path)
        if (version := schema_version(connection, path)) < SCHEMA:
            if not mend:
                connection.close()
                if version == 0:  # another process is creating it at this moment
                    raise NotFound("no runs yet", where=str(path), hint="evalh run")
                hint = "any other command brings it up to date: evalh show"
                raise WorkspaceError("this log was written by an older evalh", where=str(path), hint=hint)
            with closing(connect(path)) as writable:
                ensure_schema(writable, path)
        if mend and left_behind(connection, folder):
            # If the log cannot be written, it is shown as it is.
            with suppress(sqlite3.Error, OSError, StoreError), closing(connect(path, _MEND_WITHIN_S)) as writable:
                recover(writable, folder)
    except sqlite3.Error as exc:
        raise explained(exc, path) from exc
    return Reader(connection, path)
