"""The file of one process's production: a line for each record, written by a thread of its own.

Nothing here raises into the program or holds it up. What cannot be written is counted, and the count is a record.
"""

import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from evalh_trace.records import AnyRecord, Loss, encode
from evalh_trace.spool import Spool

_MOST_WAITING = 20_000  # records
_TOGETHER_S = 0.02  # records of this time are written at once


class ProductionFile:
    """The lines of one process, begun with the first record."""

    def __init__(self, store_folder: Path, keep: Callable[[AnyRecord], AnyRecord]) -> None:
        """Write what `keep` leaves of each record."""
        self.process = f"{int(time.time() * 1000):013d}-{os.getpid()}-{secrets.token_hex(4)}"
        self._keep = keep
        self._spool = Spool(store_folder, self.process)
        self._waiting: deque[AnyRecord] = deque()
        self._lost: dict[str, int] = {}
        self._counting = threading.Lock()
        self._wake = threading.Event()
        self._written = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._writing = False

    def write(self, record: AnyRecord) -> None:
        """Hand a record over. Returns at once."""
        if len(self._waiting) >= _MOST_WAITING:
            self._lose("full", 1)
            return
        self._waiting.append(record)
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="evalh-production", daemon=True)
                self._thread.start()

    def flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until what was handed over is written, or the time is over; return whether it is."""
        with self._written:
            return self._written.wait_for(lambda: not (self._wake.is_set() or self._writing), timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is left, and end."""
        self.flush(timeout_s)
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if not self._closing:
                time.sleep(_TOGETHER_S)
            self._writing = True
            self._wake.clear()
            self._write_waiting()
            self._writing = False
            with self._written:
                self._written.notify_all()
            if self._closing:
                break
        self._spool.close()

    def _write_waiting(self) -> None:
        lines: list[bytes] = []
        while self._waiting:
            record = self._waiting.popleft()
            try:
                lines.append(encode(self._keep(record)))
            except (TypeError, ValueError, OverflowError, RecursionError, LookupError, AttributeError):
                self._lose("unreadable", 1)
        self._lose("disk", len(lines) - self._spool.write(lines))
        with self._counting:
            lost, self._lost = {why: count for why, count in self._lost.items() if count}, {}
        for why, number in lost.items():
            loss = Loss(id=secrets.token_hex(8), count=number, why=why, at=time.time(), process=self.process)
            if not self._spool.write([encode(loss)]):
                self._lose(why, number)

    def _lose(self, why: str, count: int) -> None:
        with self._counting:
            self._lost[why] = self._lost.get(why, 0) + count
