"""The file of one process's production: a line for each record, written by a thread of its own.

Nothing here raises into the program or holds it up. What cannot be written is counted, and the count is a record.
"""

import os
import secrets
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from evalh_trace.records import AnyRecord, Loss, encode

_MOST_WAITING = 20_000  # records
_TOGETHER_S = 0.02  # records of this time are written at once
_FOLDER = "production"


class ProductionFile:
    """`<store>/production/<start>-<pid>-<random>.jsonl`, begun with the first record."""

    def __init__(self, store_folder: Path) -> None:
        self.process = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}-{secrets.token_hex(4)}"
        self.path = store_folder / _FOLDER / f"{self.process}.jsonl"
        self._waiting: deque[AnyRecord] = deque()
        self._lost: dict[str, int] = {}
        self._counting = threading.Lock()
        self._file: int | None = None
        self._wake = threading.Event()
        self._written = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._writing = False
        self._torn = False  # whether the last line in the file may be half a line

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
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)

    def _write_waiting(self) -> None:
        lines, count = [], 0
        while self._waiting:
            record = self._waiting.popleft()
            try:
                lines.append(encode(record))
                count += 1
            except (TypeError, ValueError, OverflowError, RecursionError):
                self._lose("unreadable", 1)
        with self._counting:
            lost, self._lost = self._lost, {}
        for why, number in lost.items():
            loss = Loss(id=secrets.token_hex(8), count=number, why=why, at=time.time(), process=self.process)
            lines.append(encode(loss))
        if lines and not self._append(b"".join(lines)):
            self._lose("disk", count)
            for why, number in lost.items():
                self._lose(why, number)

    def _append(self, content: bytes) -> bool:
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            content = b"\n" + content if self._torn else content
            while content:
                content = content[os.write(self._file, content) :]
        except OSError:
            self._torn = True
            return False
        self._torn = False
        return True

    def _lose(self, why: str, count: int) -> None:
        with self._counting:
            self._lost[why] = self._lost.get(why, 0) + count
