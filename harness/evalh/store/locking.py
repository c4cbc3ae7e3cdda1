"""A lock on a file that the operating system releases when the process ends.

A module of its own: it has two halves, one for Windows, and only one can be imported.
"""

import os
import sys

if sys.platform == "win32":
    import msvcrt

    def lock(file: int, *, wait: bool = True) -> None:
        """Lock an open file for this process. Raises BlockingIOError if another one holds it and `wait` is false."""
        while True:
            try:
                msvcrt.locking(file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError as exc:  # LK_LOCK gives up after ten seconds
                if not wait:
                    raise BlockingIOError(*exc.args) from exc
            else:
                return

    def held(file: int) -> bool:
        """Whether a process holds the lock of a file."""
        try:
            lock(file, wait=False)
        except BlockingIOError:
            return True
        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
        return False

else:
    import fcntl

    def lock(file: int, *, wait: bool = True) -> None:
        """Lock an open file for this process. Raises BlockingIOError if another one holds it and `wait` is false."""
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)

    def held(file: int) -> bool:
        """Whether a process holds the lock of a file."""
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
