"""`core.ports.Store` on one SQLite file."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from evalh.core.attempt import Answer, AttemptEnd, AttemptStart, Call, CallKey, Decision
from evalh.core.errors import EvalhError
from evalh.core.log import ComparisonRow, GateRow
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


class SqliteStore:
    """Where runs are kept. Called from one thread, the event loop's; `open_store` makes it."""

    def __init__(self, path: Path, clock: Clock, *, gather_s: float, busy_timeout_s: float, patience_s: float) -> None:
        """Open, migrate where needed, and close the runs of dead processes. Raises EvalhError."""
        self._path = path
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
        self._answers = AnswerLookup(self._reading, path)
        self._writer = Writer(connection, path, gather_s, patience_s)

    @property
    def failed(self) -> EvalhError | None:
        return self._writer.failed

    def check(self) -> None:
        self._writer.check()

    def blocked(self) -> str | None:
        return self._writer.blocked()

    @property
    def waits_in(self) -> Path | None:
        return self._writer.waits_in

    @property
    def left(self) -> str | None:
        return self._writer.left

    def begin(self, start: AttemptStart) -> None:
        """Record that a request leaves. Raises EvalhError when the store has failed; so do all that store."""
        self._writer.put(start)

    def end(self, end: AttemptEnd) -> None:
        self._writer.put(end)

    def decide(self, decision: Decision) -> None:
        self._writer.put(decision)

    def add_comparison(self, comparison: ComparisonRow) -> None:
        self._writer.put(comparison)

    def conclude(self, call: Call, *, cache_hit: bool) -> None:
        self._writer.put(Concluded(call, cache_hit))

    def add_gate(self, gate: GateRow) -> None:
        self._writer.put(gate)

    def start_run(self, record: RunRecord) -> None:
        """Open a run's row; samples may follow. Returns when it is committed, or the log is blocked."""
        self.check()
        try:
            # Before the row: a running run without a lock counts as one whose process died.
            self._locks[record.id] = RunLock(lock_path(self._path.parent / LIVE, record.id))
        except OSError as exc:
            raise StoreError(f"cannot lock the run: {exc.strerror}", where=str(self._path.parent / LIVE)) from exc
        self._writer.put(record)
        self._writer.flush(or_blocked=True)

    def find(self, request_digest: str, key: CallKey) -> Answer | None:
        return self._answers.find(request_digest, key)

    def find_all(self, wanted: Sequence[tuple[str, CallKey]], *, routed: bool = False) -> list[Answer | None]:
        return self._answers.find_all(wanted, routed=routed)

    def begun(self, request_digest: str, key: CallKey) -> bool:
        """Return whether such a request ever left, whatever became of it. Raises EvalhError."""
        self.flush()
        return self._answers.begun(request_digest, key)

    def add_sample(self, run_id: str, sample: Sample, call: Call | None) -> None:
        self._writer.put(NewSample(run_id, sample, call))

    def finish_run(self, run_id: str, status: RunStatus, summary: RunSummary, reason: str | None) -> None:
        """Close a run's row. Returns when everything is committed, or the log is blocked: then it is kept beside it."""
        self._writer.put(Finish(run_id, status, summary, reason, self._clock.now()))
        self._writer.flush(or_blocked=True)
        self._release(run_id)

    def failures(self, run_id: str, limit: int) -> tuple[FailedSample, ...]:
        self.flush()
        return Reader(self._reading, self._path).failures(run_id, limit)

    def flush(self, *, or_blocked: bool = False) -> None:
        """Return when everything handed over is durable. Raises EvalhError when it cannot be.

        `or_blocked`: return too when the log refuses for a second.
        """
        self._writer.flush(or_blocked=or_blocked)

    def close(self) -> None:
        """Store what is queued and let go; a run that was not finished is `interrupted`. Safe to call twice."""
        if self._writer.failed is None:
            for run_id in self._locks:
                left = Finish(run_id, RunStatus.INTERRUPTED, None, "the run was left unfinished", self._clock.now())
                self._writer.put(left)
        self._reading.close()
        self._writer.close()
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
    Raises WorkspaceError for a file that is not our store or too new, StoreError where it cannot be written.
    """
    return SqliteStore(prepare(folder), clock, gather_s=gather_s, busy_timeout_s=busy_timeout_s, patience_s=patience_s)
