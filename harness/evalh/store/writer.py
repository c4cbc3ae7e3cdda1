"""The writer: one thread that owns the write connection and commits in batches.

The caller's thread is the event loop's, so it only appends to a queue; rows are built and written here, mostly with
the interpreter's lock released. What is handed over is committed within 50 ms: the batch gathers for 20, and the
writing of a busy run's batch takes a few.

While the log cannot be written (another process holds it, the disk is full) the writer tries again and again, and
keeps what it receives in a file beside the log meanwhile. `blocked` tells the caller, so that nothing more is bought.

`Checkpoints` moves SQLite's write-ahead log (WAL) into the database without making the writer wait for the disk.
SQLite's own automatic checkpoint runs inside a commit and syncs two files: on a laptop's disk 20 to 100 ms, in which
no answer becomes durable. So a second connection copies and syncs while commits go on. What they add meanwhile keeps
the WAL from starting over; now and then the writer itself copies that small rest between two batches.
"""

import atexit
import sqlite3
import threading
from collections import deque
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

from msgspec import Struct

from evalh.core.attempt import AttemptEnd
from evalh.core.errors import EvalhError
from evalh.store.batch import Batch, Item, Statement, WriterMemory
from evalh.store.database import REFUSALS, SLOW, StoreError, connect, explained, transact, why_blocked
from evalh.store.waiting import FOLDER, Waiting

_COPY_ROWS = 20_000  # about 15 MB of WAL
_FINISH_ROWS = 80_000
_NET_PAGES = 64_000  # SQLite's own threshold, 256 MB: for rows so large that counting them is not enough
_COPY = "PRAGMA wal_checkpoint(passive)"


class Checkpoints:
    """Decides when to checkpoint. Used by the writer's thread only."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._to_copy = 0
        self._to_finish = 0
        self._thread: threading.Thread | None = None
        connection.execute(f"PRAGMA wal_autocheckpoint = {_NET_PAGES}")

    def wrote(self, rows: int) -> None:
        """Count what was committed; copy in the background, or finish, when it is time."""
        self._to_copy += rows
        self._to_finish += rows
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            if self._to_finish >= _FINISH_ROWS:
                self._to_finish = 0
                with suppress(sqlite3.Error):  # nothing is lost while the WAL exists; a full disk fails a commit
                    self._connection.execute(_COPY)
        elif self._to_copy >= _COPY_ROWS and self._thread is None:
            self._to_copy = 0
            self._thread = threading.Thread(target=self._copy, name="evalh-checkpoint", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait for a copy that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _copy(self) -> None:
        with suppress(sqlite3.Error), closing(connect(self._path)) as connection:
            connection.execute(_COPY)


GATHER_S = 0.02
PATIENCE_S = 600.0
_PAUSE_AFTER_S = 1.0  # without a commit
_RETRY_S = 0.25
_BATCH_LIMIT = 2000  # items in one transaction: another process may wait
_QUEUE_LIMIT = 8000  # most items in the queue; then the caller waits instead of filling memory
_QUEUE_CHARS = 16_000_000  # most bytes of outputs in the queue
_CLOSE_WITHIN_S = 20.0


class _Barrier(threading.Event):
    """Set when everything queued before it is committed, or given up."""


class _Unstored(Struct):
    """A batch that is not committed yet."""

    statements: list[Statement]
    items: int
    chars: int
    in_file: bool = False  # beside the log


class Writer:
    """Commits what it receives, in order. A failure is kept in `failed` and raised at the caller's next call.

    `patience_s` is how long it retries if the log cannot be written.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        gather_s: float = GATHER_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.failed: EvalhError | None = None
        self._connection = connection
        self._path = path
        self._gather_s = gather_s
        self._patience_s = patience_s
        self._memory = WriterMemory()
        self._waiting = Waiting(path.parent / FOLDER)
        self._unstored: deque[_Unstored] = deque()  # oldest first
        self._since: float | None = None  # when the oldest of them was tried first
        self._because = SLOW
        self._broken = False  # the log accepts nothing more
        self._checkpoints = Checkpoints(connection, path)
        connection.execute(f"PRAGMA busy_timeout = {_RETRY_S * 1000:.0f}")
        self._queue: SimpleQueue[Item | _Barrier | None] = SimpleQueue()
        self._chars_taken = 0  # counted by the caller's thread
        self._chars_written = 0  # counted by the writer's
        self._hurry = threading.Event()  # a caller waits: commit at once
        self._room = threading.Event()
        self._closed = False
        # A daemon, so that a stuck disk cannot keep the process alive; `stop` at exit saves what is queued.
        self._thread = threading.Thread(target=self._work, name="evalh-store", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def put(self, item: Item) -> None:
        """Queue an item. Raises EvalhError if the writer has failed; waits while too much is queued."""
        self.check()
        self._queue.put(item)
        if type(item) is AttemptEnd:
            self._chars_taken += _chars(item)
        if self._queue.qsize() > _QUEUE_LIMIT or self._chars_taken - self._chars_written > _QUEUE_CHARS:
            self._wait_for_room()

    def flush(self, *, or_blocked: bool = False) -> None:
        """Return when everything queued is committed. Raises EvalhError if it cannot be.

        `or_blocked`: return also if the log refuses for a second; the queue is then kept beside it.
        """
        self.check()
        barrier = _Barrier()
        self._queue.put(barrier)
        self._hurry.set()
        while not barrier.wait(_RETRY_S):
            if or_blocked and self.blocked() not in (None, SLOW):
                return
        self.check()

    def blocked(self) -> str | None:
        """Return why nothing could be stored for at least a second; None while all is well. Raises EvalhError."""
        self.check()
        since = self._since
        return None if since is None or monotonic() - since < _PAUSE_AFTER_S else self._because

    @property
    def waits_in(self) -> Path | None:
        """The file beside the log with all that could not be written to it; None without one, or if it is not whole."""
        return self._waiting.path if all(one.in_file for one in tuple(self._unstored)) else None

    @property
    def left(self) -> str | None:
        """What happened to unwritten rows when the log was closed; None if all were written, or if it failed."""
        if not self._closed or not self._unstored:
            return None
        kept = f"waits in {self.waits_in} and is stored at the next start"
        lost = "could not be kept beside it either, and is asked again"
        return f"{self._because}: what was not written {lost if self.waits_in is None else kept}"

    def check(self) -> None:
        """Raise the writer's failure, if any; StoreError after `stop`."""
        if self.failed is not None:
            raise self.failed
        if self._closed:
            raise StoreError("the store is closed", where=str(self._path))

    def stop(self) -> None:
        """Commit what is queued and close the connection. Waits a bounded time; safe to call twice.

        What the log does not accept within a second stays in the file beside it, for the next start.
        """
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.stop)
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
        barriers: list[_Barrier] = []
        while going or self._trying_since(_PAUSE_AFTER_S):
            more, items, waiting = self._gather()
            going = going and more
            barriers += waiting
            if items:
                self._take(items)
            if self._unstored:
                self._store()
            self._room.set()
            if not self._unstored:
                for barrier in barriers:
                    barrier.set()
                barriers.clear()
        self._waiting.leave()
        self._checkpoints.close()
        self._connection.close()

    def _gather(self) -> tuple[bool, list[Item], list[_Barrier]]:
        """Collect a batch: what comes within `gather_s` of its first entry. False: it is the last.

        While older batches wait it returns for another try; if they are many, newer items stay in the queue.
        """
        items: list[Item] = []
        barriers: list[_Barrier] = []
        if sum(one.items for one in self._unstored) >= _QUEUE_LIMIT and not self._closed:
            self._hurry.wait(_RETRY_S)
            return True, items, barriers
        try:
            entry = self._queue.get(timeout=_RETRY_S if self._unstored else None)
        except Empty:
            return True, items, barriers
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

    def _take(self, items: list[Item]) -> None:
        refused: list[Exception] = []
        batch = Batch(self._memory)
        for item in items:
            try:
                batch.add(item)
            except Exception as exc:  # noqa: BLE001 (one odd value must not cost what came with it)
                refused.append(exc)
        chars = sum(_chars(item) for item in items if type(item) is AttemptEnd)
        self._unstored.append(_Unstored(list(batch.statements()), len(items), chars))
        self._tell(refused)

    def _store(self) -> None:
        """Commit what is not stored, oldest first. What cannot be written is kept beside the log."""
        if self._since is None:
            self._since = monotonic()
        try:
            while self._unstored and not self._broken:
                self._commit(self._unstored[0].statements)
                self._chars_written += self._unstored.popleft().chars
        except sqlite3.Error as exc:
            self._keep()
            why = why_blocked(exc)
            if why is not None and self._trying_since(self._patience_s):
                self._because = why
                return
            self._break(explained(exc, self._path))
        except Exception as exc:  # noqa: BLE001 (the thread must live on: callers wait for its barriers)
            self._keep()
            self._break(StoreError(f"the log failed: {exc!r}", where=str(self._path), hint="evalh doctor"))
        if self._broken:
            self._keep()
            self._chars_written += sum(one.chars for one in self._unstored)
            self._unstored.clear()
        else:
            with suppress(OSError):  # storing it again does no harm
                self._waiting.discard()
        self._since = None
        self._because = SLOW

    def _commit(self, statements: list[Statement]) -> None:
        refused: list[Exception] = []
        try:
            transact(self._connection, statements)
        except REFUSALS:
            # One bad value must not lose the answers that came with it.
            transact(self._connection, [(sql, [row]) for sql, rows in statements for row in rows], refused)
        self._checkpoints.wrote(sum(len(rows) for _, rows in statements))
        self._tell(refused)

    def _keep(self) -> None:
        """Keep unstored rows in the file beside the log: a killed process loses nothing."""
        with suppress(OSError):  # the same disk may be full: then they wait in memory only
            for one in self._unstored:
                if not one.in_file:
                    self._waiting.keep(one.statements)
                    one.in_file = True

    def _trying_since(self, seconds: float) -> bool:
        """Whether the log refuses, and has for less than `seconds`."""
        return self._since is not None and monotonic() - self._since < seconds

    def _break(self, error: EvalhError) -> None:
        kept = self.waits_in
        if kept is not None:
            told = f"what was not written waits in {kept} and is stored at the next start"
            error = type(error)(error.what, where=error.where, hint=f"{error.hint}; {told}")
        self._broken, self.failed = True, error

    def _tell(self, refused: list[Exception]) -> None:
        if refused and self.failed is None:
            self.failed = StoreError(
                f"a value could not be stored: {refused[0]!r}",
                where=str(self._path),
                hint="everything else is stored; a grader's or provider's plugin may have returned a wrong type",
            )


def _chars(end: AttemptEnd) -> int:
    completion = end.completion
    return 0 if completion is None else len(completion.text) + len(completion.raw or "")
