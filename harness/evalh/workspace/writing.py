"""Writing a file: whole or not at all, and never through a link.

What is written gets no name before it is whole: a process that is killed leaves nothing behind. Where the system has no
files without a name, the new file lies beside the old one under a name that the next write takes over.
"""

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from errno import EACCES, EDQUOT, EFBIG, EIO, EISDIR, ENOSPC, ENOTDIR
from pathlib import Path
from typing import BinaryIO

from evalh.core.errors import CannotMeasure, EvalhError, UsageError

_DISK_FAILURES = frozenset({ENOSPC, EDQUOT, EFBIG, EIO})
_DESCRIPTOR = re.compile(r"/(?:dev/(?:fd/)?|proc/self/fd/)(stdin|stdout|stderr|\d+)")
_STANDARD = ("stdin", "stdout", "stderr")
_MARKS = (".git", "evalh.toml")  # what makes a folder a checkout or a workspace
_PASSED_S = 60.0
_LONGEST = 40  # of a file's name in that of the new file beside it: file systems take 255 bytes


@contextmanager
def new_file(target: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """Open a file that takes `target`'s place when the block ends without an error; missing folders are made.

    A device, a pipe and one of the process's own descriptors are written to directly. Raises UsageError for a name that
    cannot be written, CannotMeasure where the disk fails; FileExistsError where it is there and may not be replaced.
    """
    try:
        with _straight(target) or _beside(target, replace=replace) as file:
            yield file
    except OSError as exc:
        if isinstance(exc, FileExistsError) and not replace:
            raise
        raise unwritable(exc, target) from exc


def refuse_links(target: Path) -> None:
    """Refuse a name that is a link, or whose way leads over a link in a checkout: somebody else chose where it leads.

    Links outside of checkouts and workspaces, such as /tmp on some systems, are the machine's own. Raises UsageError.
    """
    place = target.absolute()
    for one in (place, *place.parents):
        if one.is_symlink() and (one == place or _checked_out(one.parent)):
            hint = "remove the link, or name the file that it leads to"
            raise UsageError("is a symbolic link; evalh does not write through links", where=str(one), hint=hint)


def check_target(target: Path) -> None:
    """Refuse early what `new_file` would refuse late. Raises UsageError."""
    try:
        if descriptor_of(target) is not None or _device(target):
            return
    except OSError as exc:
        raise unwritable(exc, target) from exc
    refuse_links(target)
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", where=str(target), hint=f"mkdir -p {target.parent}")
    if not os.access(target.parent, os.W_OK) or (target.exists() and not os.access(target, os.W_OK)):
        raise unwritable(PermissionError(EACCES, os.strerror(EACCES)), target)


def descriptor_of(target: Path) -> int | None:
    """Return which of the process's own descriptors a name such as /dev/stdout means, None for any other."""
    found = _DESCRIPTOR.fullmatch(str(target.absolute()))
    if found is None:
        return None
    return _STANDARD.index(found[1]) if found[1] in _STANDARD else int(found[1])


def unwritable(exc: OSError, target: Path) -> EvalhError:
    """Say why a file cannot be written, and what to do next."""
    what = f"cannot write: {exc.strerror or exc}"
    if exc.errno in _DISK_FAILURES:
        return CannotMeasure(what, where=str(target), hint="make room and run the same command again")
    folder = next((one for one in target.parents if one.exists()), target.parent)
    hint = "name a file in an existing folder that you can write to"
    return UsageError(what, where=str(target), hint=hint if folder.is_dir() else f"{folder} is not a folder")


def _checked_out(folder: Path) -> bool:
    real = folder.resolve()
    return any(os.path.lexists(one / mark) for one in (real, *real.parents) for mark in _MARKS)


def _straight(target: Path) -> BinaryIO | None:
    """Open what has no content to replace: a descriptor of ours, a device, a pipe."""
    descriptor = descriptor_of(target)
    if descriptor is not None:
        return os.fdopen(os.dup(descriptor), "wb")
    return target.open("wb") if _device(target) else None


def _device(target: Path) -> bool:
    """Whether a name is a device's or a pipe's. Raises OSError if it is a folder's, or cannot be one."""
    try:
        mode = target.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


@contextmanager
def _beside(target: Path, *, replace: bool) -> Iterator[BinaryIO]:
    refuse_links(target)
    if target.parent.exists() and not target.parent.is_dir():
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR))
    target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError), target.open("r+b"):  # a file that is protected stays
        pass
    with _nameless(target, replace=replace) or _named(target, replace=replace) as file:
        if hasattr(os, "fchmod"):
            with suppress(FileNotFoundError):  # what only its owner may read stays so
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
        yield file


def _nameless(target: Path, *, replace: bool) -> AbstractContextManager[BinaryIO] | None:
    """Open a file without a name in the target's folder; None if the system has none."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        descriptor = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except OSError:  # the file system has none; a reason that concerns every file shows when one is opened by name
        return None
    if Path(f"/proc/self/fd/{descriptor}").exists():
        return _to_be_named(descriptor, target, replace=replace)
    os.close(descriptor)
    return None


@contextmanager
def _to_be_named(descriptor: int, target: Path, *, replace: bool) -> Iterator[BinaryIO]:
    with os.fdopen(descriptor, "wb") as file:
        yield file
        _flush(file)
        if not replace:
            _link(descriptor, target)
            return
        passing = _passing(target)
        with suppress(OSError):
            if time.time() - passing.lstat().st_mtime > _PASSED_S:
                passing.unlink()  # of a process that was killed between the next two steps
        try:
            _link(descriptor, passing)
        except FileExistsError:  # another process is between them with the same file: a name of our own then
            passing = passing.with_suffix(f".{os.getpid()}-{descriptor}")
            _link(descriptor, passing)
        passing.replace(target)


def _link(descriptor: int, name: Path) -> None:
    # With a folder given, Python follows /proc's link to the file; which folder does not matter.
    os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor)


@contextmanager
def _named(target: Path, *, replace: bool) -> Iterator[BinaryIO]:
    passing = _passing(target)
    passing.unlink(missing_ok=True)  # of a process that was killed
    try:
        with passing.open("xb") as file:
            yield file
            _flush(file)
        if replace:
            passing.replace(target)
        else:
            _create(passing, target)
    finally:
        with suppress(OSError):
            passing.unlink()


def _passing(target: Path) -> Path:
    return target.with_name(f".{target.name[:_LONGEST]}.new")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _create(passing: Path, target: Path) -> None:
    try:
        os.link(passing, target)  # unlike a rename, a link never replaces what somebody else just wrote
    except FileExistsError:
        raise
    except OSError:  # file systems without links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        passing.rename(target)
