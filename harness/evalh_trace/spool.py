"""The files that this process appends its records to: one line of JSON each.

A file is locked as long as its process writes to it, so that a reader knows which workflows still run. A full or
read-only disk loses records, which are counted; a line that was half written is taken back.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

ROTATE_BYTES = 64 * 1024 * 1024
FOLDER = "production"


class Spool:
    """The files of one process, `<process>.jsonl`, then `<process>.2.jsonl`, …: opened when something is written."""

    def __init__(self, store: Path, process: str) -> None:
        self.store = store
        self.folder = store / FOLDER
        self.process = process
        self._file: int | None = None
        self._size = 0
        self._number = 0
        self._torn = False  # the file ends within a line that could not be taken back

    def write(self, lines: list[bytes]) -> int:
        """Append lines; return how many are on disk. Fewer than given: the disk is full or may not be written."""
        if not lines:
            return 0
        try:
            if self._file is not None and os.fstat(self._file).st_nlink == 0:  # somebody removed it
                self._next()
            file = self._open()
        except OSError:
            return 0
        data = b"".join(lines)
        if self._torn:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                written += os.write(file, data[written:])
        except OSError:
            return self._take_back(file, data, written)
        self._torn = False
        self._size += written
        if self._size >= ROTATE_BYTES:
            with suppress(OSError):
                self._next()
        return len(lines)

    def close(self) -> None:
        """Let go of the file and its lock."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _open(self) -> int:
        if self._file is None:
            self._next()
        assert self._file is not None
        return self._file

    def _next(self) -> None:
        """Open the next file before the last one is let go: this process is seen to live all the time."""
        make_folder(self.store)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        while True:
            number = self._number + 1
            name = f"{self.process}.jsonl" if number == 1 else f"{self.process}.{number}.jsonl"
            file = os.open(self.folder / name, flags, 0o600)
            _lock(file)
            self.close()
            self._file, self._number, self._size, self._torn = file, number, 0, False
            if os.fstat(file).st_nlink:  # a reader may have taken it for a dead process's, and removed it
                return

    def _take_back(self, file: int, data: bytes, written: int) -> int:
        """Cut the file at its last whole line; return how many lines are on disk."""
        whole = data.rfind(b"\n", 0, written) + 1
        try:
            end = os.fstat(file).st_size
            os.ftruncate(file, end - (written - whole))
            self._torn = False if whole else self._torn
            self._size += whole
        except OSError:
            self._torn = self._torn or whole < written
        return data.count(b"\n", 0, whole) - (1 if whole and data.startswith(b"\n") else 0)


def make_folder(store: Path) -> None:
    """Make the folder of the log; one that is made here is kept out of git."""
    if not store.is_dir():
        store.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            (store / ".gitignore").write_text("*\n", encoding="ascii")


def read_salt(folder: Path) -> bytes:
    """Return the salt that all processes of a store share, made by the first of them. Raises OSError."""
    file = folder / "salt"
    with suppress(FileNotFoundError):
        if len(salt := file.read_bytes()) >= 16:  # noqa: PLR2004 (evalh writes at least 16 bytes)
            return salt
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / f"salt.{os.getpid()}.{os.urandom(4).hex()}"
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(opened, os.urandom(32))
    finally:
        os.close(opened)
    try:
        os.link(draft, file)  # the first wins, whole
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        draft.replace(file)
        return file.read_bytes()
    draft.unlink()
    return file.read_bytes()


def _lock(file: int) -> None:
    """Lock a file as long as it is open. A reader holds it as long as it takes it over.

    On Windows it stays unlocked: a lock there would keep readers out.
    """
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
