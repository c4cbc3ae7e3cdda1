"""The writer: one thread that owns the write connection and commits in batches.

The caller's thread is the event loop's, so it only appends to a queue; rows are built and written here, mostly with
the interpreter's lock released. What is handed over is committed within 50 ms: the batch gathers for 20, and the
writing of a busy run's batch takes a few.
"""

import atexit
import sqlite3
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from evalh.core.attempt import AttemptEnd
from evalh.store.batch import Batch, Item, Statement, WriterMemory
from evalh.store.checkpoint import Checkpoints
from evalh.store.database import StoreError, explained
from evalh.store.rows import together

if TYPE_CHECKING:
    from evalh.core.errors import EvalhError

GATHER_S = 0.02
_BATCH_LIMIT = 2000  # items in one transaction: another process wants its turn
_QUEUE_LIMIT = 8000  # items that may wait; beyond it the caller waits instead of filling memory
_QUEUE_CHARS = 16_000_000  # of outputs that may wait
_CLOSE_WITHIN_S = 20.0
_REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    UnicodeError,
)


class _Barrier(threading.Event):
    """Set when everything handed over before it is committed, or given up."""


class Writer:
    """Commits what it is handed, in order. A failure is kept in `failed` and raised at the caller's next word."""

    def __init__(self, connection: sqlite3.Connection, path: Path, gather_s: float = GATHER_S) -> None:
        self.failed: EvalhError | None = None
        self._connection = connection
        self._path = path
        self._gather_s = gather_s
        self._memory = WriterMemory()
        self._checkpoints = Checkpoints(connection, path)
        self._queue: SimpleQueue[Item | _Barrier | None] = SimpleQueue()
        self._chars_taken = 0  # counted by the caller's thread
        self._chars_written = 0  # counted by the writer's
        self._hurry = threading.Event()  # someone waits: do not gather
        self._room = threading.Event()
        self._closed = False
        # A daemon, so that a stuck disk cannot keep the process alive; `close` at exit saves what is queued.
        self._thread = threading.Thread(target=self._work, name="evalh-store", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, item: Item) -> None:
        """Hand something over. Raises EvalhError when the writer has failed; waits while too much is queued."""
        self.check()
        self._queue.put(item)
        if type(item) is AttemptEnd:
            self._chars_taken += _chars(item)
        if self._queue.qsize() > _QUEUE_LIMIT or self._chars_taken - self._chars_written > _QUEUE_CHARS:
            self._wait_for_room()

    def flush(self) -> None:
        """Return when everything handed over is committed. Raises EvalhError when it cannot be."""
        self.check()
        barrier = _Barrier()
        self._queue.put(barrier)
        self._hurry.set()
        barrier.wait()
        self.check()

    def check(self) -> None:
        """Raise the writer's failure, if it failed; StoreError after `close`."""
        if self.failed is not None:
            raise self.failed
        if self._closed:
            raise StoreError("the store is closed", where=str(self._path))

    def close(self) -> None:
        """Commit what is queued and close the connection. Waits a bounded time; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._queue.put(None)
        self._hurry.set()
        self._thread.join(_CLOSE_WITHIN_S)

    def _wait_for_room(self) -> None:
        while (
            self._queue.qsize() > _QUEUE_LIMIT // 2 or self._chars_taken - self._chars_written > _QUEUE_CHARS // 2
        ) and self._thread.is_alive():
            self._room.clear()
            self._hurry.set()
            self._room.wait(self._gather_s)

    # -- the writer's thread

    def _work(self) -> None:
        going = True
        while going:
            going, items, barriers = self._gather()
            if items and self.failed is None:
                self._write(items)
            self._chars_written += sum(_chars(item) for item in items if type(item) is AttemptEnd)
            self._room.set()
            for barrier in barriers:
                barrier.set()
        self._checkpoints.close()
        self._connection.close()

    def _gather(self) -> tuple[bool, list[Item], list[_Barrier]]:
        """Collect a batch: what comes within `gather_s` of its first entry. False: it is the last."""
        items: list[Item] = []
        barriers: list[_Barrier] = []
        entry = self._queue.get()
        if self._queue.qsize() < _BATCH_LIMIT:
            self._hurry.wait(self._gather_s)
            self._hurry.clear()
        while True:
            match entry:
                case None:
                    return False, items, barriers
                case _Barrier():
                    barriers.append(entry)
                case _:
                    items.append(entry)
            if len(items) == _BATCH_LIMIT:
                return True, items, barriers
            try:
                entry = self._queue.get_nowait()
            except Empty:
                return True, items, barriers

    def _write(self, items: list[Item]) -> None:
        refused: list[Exception] = []
        try:
            statements = self._statements(items, refused)
            try:
                self._transact(statements)
            except _REFUSALS:
                # One odd value must not cost the answers that came with it.
                self._transact([(sql, [row]) for sql, rows in statements for row in rows], refused)
            self._checkpoints.wrote(sum(len(rows) for _, rows in statements))
        except sqlite3.Error as exc:
            self.failed = explained(exc, self._path)
        except Exception as exc:  # noqa: BLE001 (the thread must live on: callers wait for its barriers)
            refused.append(exc)
        if refused and self.failed is None:
            self.failed = StoreError(
                f"a value could not be stored: {refused[0]!r}",
                where=str(self._path),
                hint="everything else is stored; a grader's or provider's plugin may have returned a wrong type",
            )

    def _statements(self, items: list[Item], refused: list[Exception]) -> list[Statement]:
        batch = Batch(self._memory)
        for item in items:
            try:
                batch.add(item)
            except Exception as exc:  # noqa: BLE001 (as above: one odd value)
                refused.append(exc)
        return list(batch.statements())

    def _transact(self, statements: list[Statement], refused: list[Exception] | None = None) -> None:
        """Execute in one transaction; with `refused`, collect what cannot be stored and store the rest."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, rows in statements:
                try:
                    for statement, parameters in together(sql, rows) if refused is None else ((sql, rows),):
                        connection.executemany(statement, parameters)
                except _REFUSALS as exc:
                    if refused is None:
                        raise
                    refused.append(exc)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _chars(end: AttemptEnd) -> int:
    completion = end.completion
    return 0 if completion is None else len(completion.text) + len(completion.raw or "")
