"""`core.ports.Store` on one SQLite file."""

import sqlite3
from pathlib import Path

from evalh.core.attempt import AttemptEnd, AttemptStart, Call, CallKey, Decision
from evalh.core.ports import Clock
from evalh.core.run import FailedSample, RunRecord, RunStatus, RunSummary
from evalh.core.sample import Sample
from evalh.store.answers import AnswerLookup
from evalh.store.batch import Concluded, Finish, NewSample
from evalh.store.database import BUSY_TIMEOUT_S, LIVE, StoreError, connect, connect_reading, explained, prepare
from evalh.store.liveness import RunLock, lock_path
from evalh.store.reader import Reader
from evalh.store.schema import ensure_schema
from evalh.store.waiting import recover
from evalh.store.writer import GATHER_S, PATIENCE_S, Writer


class SqliteStore(Writer):
    """Where runs are kept. Called from one thread, the event loop's; `open_store` makes it."""

    def __init__(self, path: Path, clock: Clock, *, gather_s: float, busy_timeout_s: float, patience_s: float) -> None:
        """Open, migrate if needed, and close the runs of dead processes. Raises EvalhError."""
        self._clock = clock
        self._locks: dict[str, RunLock] = {}
        try:
            connection = connect(path, busy_timeout_s)
            ensure_schema(connection, path)
            recover(connection, path.parent)
            self._reading = connect_reading(path, busy_timeout_s)
        except sqlite3.Error as exc:
            raise explained(exc, path) from exc
        except OSError as exc:
            raise StoreError(f"cannot use the store: {exc.strerror}", where=str(path.parent)) from exc
        answers = AnswerLookup(self._reading, path)
        self.find, self.find_all, self._begun = answers.find, answers.find_all, answers.begun
        super().__init__(connection, path, gather_s, patience_s)

    def begin(self, start: AttemptStart) -> None:
        """Record a request that is being sent. Raises EvalhError if the store has failed, as all methods that store."""
        self.put(start)

    def end(self, end: AttemptEnd) -> None:
        self.put(end)

    def decide(self, decision: Decision) -> None:
        self.put(decision)

    def conclude(self, call: Call, *, cache_hit: bool) -> None:
        self.put(Concluded(call, cache_hit))

    def start_run(self, record: RunRecord) -> None:
        """Add a run's row; samples may follow. Returns when it is committed, or the log is blocked."""
        self.check()
        try:
            # Before the row: a running run without a lock counts as dead.
            self._locks[record.id] = RunLock(lock_path(self._path.parent / LIVE, record.id))
        except OSError as exc:
            raise StoreError(f"cannot lock the run: {exc.strerror}", where=str(self._path.parent / LIVE)) from exc
        self.put(record)
        self.flush(or_blocked=True)

    def begun(self, request_digest: str, key: CallKey) -> bool:
        """Return whether such a request ever left, whatever became of it. Raises EvalhError."""
        self.flush()
        return self._begun(request_digest, key)

    def add_sample(self, run_id: str, sample: Sample, call: Call | None) -> None:
        self.put(NewSample(run_id, sample, call))

    def finish_run(self, run_id: str, status: RunStatus, summary: RunSummary, reason: str | None) -> None:
        """Complete a run's row. Returns when everything is committed, or kept beside a blocked log."""
        self.put(Finish(run_id, status, summary, reason, self._clock.now()))
        self.flush(or_blocked=True)
        self._release(run_id)

    def failures(self, run_id: str, limit: int) -> tuple[FailedSample, ...]:
        self.flush()
        return Reader(self._reading, self._path).failures(run_id, limit)

    def close(self) -> None:
        """Store what is queued and close; an unfinished run becomes `interrupted`. Safe to call twice."""
        if self.failed is None:
            for run_id in self._locks:
                left = Finish(run_id, RunStatus.INTERRUPTED, None, "the run was left unfinished", self._clock.now())
                self.put(left)
        self._reading.close()
        self.stop()
        for run_id in tuple(self._locks):
            self._release(run_id)

    def _release(self, run_id: str) -> None:
        lock = self._locks.pop(run_id, None)
        if lock is not None:
            lock.release()


def open_store(
    folder: Path,
    *,
    clock: Clock,
    gather_s: float = GATHER_S,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    patience_s: float = PATIENCE_S,
) -> SqliteStore:
    """Open the store in a folder such as `.evalh`, for writing; create it where there is none.

    `gather_s` is how long a batch gathers, `busy_timeout_s` how long opening and reading wait for another program's
    lock, `patience_s` how long the writer does.
    Raises WorkspaceError for a file that is not our store or too new, StoreError if it cannot be written.
    """
    return SqliteStore(prepare(folder), clock, gather_s=gather_s, busy_timeout_s=busy_timeout_s, patience_s=patience_s)
