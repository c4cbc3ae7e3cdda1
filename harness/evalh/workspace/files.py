"""Files at one revision: the work tree here, commits in `git`. Paths never leave the root.

A link is followed, in the work tree and in commits alike, as far as it leads to what may be read anyway: never out of
the workspace, never to a hidden file such as `.git/config`, and never out of the folder in which it lies, so that a
prompt cannot show a model a file that is not a prompt. A link at the root may lead to any folder that is not hidden.

Text of a workspace's files: UTF-8, no byte-order mark, every line ends in a line feed.

Lines of a file that is too big to be read at once.
"""

import errno
import os
import re
import shlex
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from evalh.core.errors import WorkspaceError
from evalh.core.ports import Tree

_MAX_LINKS = 40
_COPY = "copy the file in"
_NO_LINK = (errno.EINVAL, errno.ENOENT, errno.ENOTDIR)
_POINTERS = {
    b"version https://git-lfs.github.com/spec/": ("Git LFS", "git lfs pull"),
    b"/annex/objects/": ("git-annex", "git annex get"),
}
_POINTER_BYTES = max(map(len, _POINTERS))


def parts_of(path: str) -> tuple[str, ...]:
    """Split a path in a tree into its names. Raises WorkspaceError for one that could leave the root."""
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    if path.startswith("/") or ".." in names or "\\" in path or "\0" in path:
        raise WorkspaceError(f"{path!r} leaves the workspace", hint="paths start at the workspace's root and use /")
    return names


def refuse_hidden(path: str, where: str) -> None:
    """Raise WorkspaceError for a hidden file, or one in a hidden folder: `.env`, `.git/config`."""
    if any(name.startswith(".") for name in parts_of(path)):
        raise WorkspaceError(f"{path!r} is hidden: it is not shown to a model", where=where)


def refuse_pointer(start: bytes, where: str) -> None:
    """Look at a file's first bytes. Raises WorkspaceError for what only says where the file itself is."""
    for mark, (keeper, fetch) in _POINTERS.items():
        if start.startswith(mark):
            raise WorkspaceError(f"is a pointer: the file itself lies in {keeper}", where=where, hint=fetch)


def follow(
    path: str, where: str, link_at: Callable[[Sequence[str]], str | None], *, fenced: bool = True
) -> tuple[str, ...] | None:
    """Return the names that a path comes to when its links are followed; None for links without end.

    `link_at` says where a link leads; None: what lies there is not a link. Without `fenced` a link may leave its
    folder, but not the workspace. Raises WorkspaceError.
    """
    todo = list(parts_of(path))
    walked: list[str] = []
    homes: set[str] = set()
    links = 0
    while todo:
        name = todo.pop(0)
        if name == "..":
            if not walked:
                raise WorkspaceError("is a symbolic link out of the workspace", where=where, hint=_COPY)
            walked.pop()
            continue
        target = link_at([*walked, name])
        if target is None:
            walked.append(name)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        homes.update(walked[:1] if fenced else ())
        todo[:0] = _names_of(target, where)
    for home in homes:
        if walked[:1] != [home]:
            raise WorkspaceError(f"is a symbolic link out of {home}/", where=where, hint=_COPY)
    return tuple(walked)


def _names_of(target: str, where: str) -> list[str]:
    """Return the names in a link's target. Raises WorkspaceError for one that leaves the workspace, or is hidden."""
    if target.startswith("/"):
        raise WorkspaceError("is a symbolic link out of the workspace", where=where, hint=_COPY)
    names = [name for name in target.split("/") if name not in ("", ".")]
    if any(name.startswith(".") and name != ".." for name in names):
        if "annex" in names:
            refuse_pointer(b"/annex/objects/", where)
        raise WorkspaceError("is a symbolic link to a hidden file", where=where, hint=_COPY)
    return names


class WorkTree:
    """The files as they lie on disk under `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @property
    def revision(self) -> None:
        return

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError; WorkspaceError for what cannot be read."""
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading. Raises FileNotFoundError; WorkspaceError for what cannot be read."""
        place = self._locate(path)
        try:
            if place.is_file():  # a pipe or a device would block or never end
                file = place.open("rb")
                try:
                    refuse_pointer(file.read(_POINTER_BYTES), path)
                    file.seek(0)
                except BaseException:
                    file.close()
                    raise
                return file
        except OSError as exc:
            raise WorkspaceError(f"cannot be read: {exc.strerror}", where=path) from exc
        raise FileNotFoundError(path)

    def exists(self, path: str) -> bool:
        place = self._locate(path)
        try:
            return place.is_file()
        except OSError as exc:
            raise WorkspaceError(f"cannot be read: {exc.strerror}", where=path) from exc

    def names(self, folder: str) -> Sequence[str]:
        try:
            return sorted(entry.name for entry in self._locate(folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as exc:
            raise WorkspaceError(f"cannot be listed: {exc.strerror}", where=folder) from exc

    def _locate(self, path: str) -> Path:
        names = follow(path, path, self._link_at)
        if names is None:
            raise WorkspaceError("is a broken symbolic link", where=path)
        return self._root.joinpath(*names)

    def _link_at(self, names: Sequence[str]) -> str | None:
        place = self._root.joinpath(*names)
        try:
            target = str(place.readlink())
        except OSError as exc:
            if exc.errno in _NO_LINK:
                return None
            raise WorkspaceError(f"cannot be read: {exc.strerror}", where="/".join(names)) from exc
        if Path(target).is_absolute() and Path(target).is_relative_to(self._root):
            target = os.path.relpath(target, place.parent)
        return Path(target).as_posix()


class Watched:
    """A tree that remembers which of its files were asked for, whether they are there or not."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.asked: set[str] = set()

    @property
    def revision(self) -> str | None:
        return self._tree.revision

    def read(self, path: str) -> bytes:
        self.asked.add(path)
        return self._tree.read(path)

    def exists(self, path: str) -> bool:
        self.asked.add(path)
        return self._tree.exists(path)

    def names(self, folder: str) -> Sequence[str]:
        return self._tree.names(folder)


def content(tree: Tree, path: str) -> bytes | None:
    """Return a file's bytes; None if it is not there or may not be read."""
    try:
        return tree.read(path)
    except (OSError, WorkspaceError):
        return None


_GZIP = b"\x1f\x8b"
# Not =======, which underlines a heading of Markdown.
_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|>{7})(?:[ \t].*)?$", re.MULTILINE)


def label(tree: Tree, path: str) -> str:
    """Return the file's name for messages, with the revision where it is read from one: `HEAD~2:evalh.toml`."""
    return path if tree.revision is None else f"{tree.revision}:{path}"


def read_text(tree: Tree, path: str) -> str:
    """Return a file's text. Raises WorkspaceError for a file that is missing, binary or not UTF-8."""
    name = label(tree, path)
    try:
        data = tree.read(path)
    except OSError as exc:
        raise unread(tree, path, exc) from None
    refuse_other_encodings(data, name)
    text = decode(data.removeprefix(BOM_UTF8), name)
    refuse_conflict(text, name, hint=_two_versions(tree, path))
    return text


def unread(tree: Tree, path: str, exc: OSError) -> WorkspaceError:
    """Return the error of a file that cannot be opened."""
    name = label(tree, path)
    if not isinstance(exc, FileNotFoundError):
        return WorkspaceError(f"cannot be read: {exc.strerror or exc}", where=name)
    place = PurePosixPath(path)
    if place.name not in tree.names(str(place.parent)):
        return WorkspaceError("no such file", where=name)
    hint = "put the file in its place, or remove it"
    return WorkspaceError("is not a file: a folder, or a broken link", where=name, hint=hint)


def opener(tree: Tree, path: str) -> Callable[[], BinaryIO]:
    """Return what opens the file: streamed from the work tree, once in memory from a commit."""
    stream: Callable[[str], BinaryIO] | None = getattr(tree, "open", None)
    if tree.revision is None and stream is not None:
        return partial(stream, path)
    read = cache(partial(tree.read, path))
    return lambda: BytesIO(read())


def refuse_conflict(text: str, name: str, first_line: int = 1, hint: str | None = None) -> None:
    """Raise WorkspaceError where git has left a conflict for a person to settle: both sides would be read as one."""
    if "<<<<<<<" not in text and ">>>>>>>" not in text and "|||||||" not in text:
        return
    found = _CONFLICT.search(text)
    if found is not None:
        where = f"{name}:{first_line + text.count(chr(10), 0, found.start())}"
        hint = hint or "keep one side and delete the marker lines; if the marker is text, indent it"
        raise WorkspaceError(f"a merge conflict is not settled: {found[0][:40]}", where=where, hint=hint)


def _two_versions(tree: Tree, path: str) -> str | None:
    """Return how two branches' versions of one number are settled: theirs keeps it, ours gets the next free one."""
    place = PurePosixPath(path)
    number = _released(place.name)
    if tree.revision is not None or number is None:
        return None
    taken = max(filter(None, map(_released, tree.names(str(place.parent)))), default=0)
    ours = place.with_name(place.name.replace(f"v{number}", f"v{taken + 1}", 1))
    return (
        f"two branches released v{number}; in a merge, theirs keeps the number and yours becomes v{taken + 1}:\n"
        f"git show :2:./{shlex.quote(path)} > {shlex.quote(str(ours))}\n"
        f"git checkout --theirs {shlex.quote(path)}"
    )


def _released(name: str) -> int | None:
    number = name.removeprefix("v").removesuffix(".prompt").removesuffix(".pipeline.yaml")
    is_version = number.isascii() and number.isdigit() and name in (f"v{number}.prompt", f"v{number}.pipeline.yaml")
    return int(number) if is_version else None


def refuse_other_encodings(start: bytes, name: str) -> None:
    """Look at a file's first bytes. Raises WorkspaceError for gzip and UTF-16."""
    if start.startswith(_GZIP):
        raise WorkspaceError("is compressed", where=name, hint=f"unpack it: gunzip {shlex.quote(name)}")
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise WorkspaceError("is UTF-16, not UTF-8", where=name, hint="save it as UTF-8")


def decode(data: bytes, name: str, first_line: int = 1) -> str:
    """Read UTF-8 bytes that begin on a line of a file. Raises WorkspaceError with the line that is wrong."""
    if b"\0" in data:
        line = first_line + data[: data.index(b"\0")].count(b"\n")
        raise WorkspaceError(
            "is a binary file: it holds a NUL byte", where=f"{name}:{line}", hint="it must be text: UTF-8"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = first_line + data[: exc.start].count(b"\n")
        raise WorkspaceError(
            f"is not UTF-8: byte 0x{data[exc.start]:02x}", where=f"{name}:{line}", hint="save it as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


FIRST_CHUNK_BYTES, CHUNK_BYTES = 2**13, 2**18  # one row alone needs little
LONGEST_BYTES = 64 * 2**20
"""A row may not be longer: one file without line ends would otherwise fill the memory."""


class ByteRange(NamedTuple):
    """Some bytes of a file: where they begin, on which line (from 1), and themselves, line ends included."""

    offset: int
    line: int
    raw: bytes


def read_lines(file: BinaryIO, name: str, offset: int, line: int) -> Iterator[ByteRange]:
    r"""Read the lines from `offset` on, which is on line `line`. They end in \n, \r\n or \r.

    Raises WorkspaceError for a line that is longer than LONGEST_BYTES.
    """
    file.seek(offset)
    pieces: list[bytes] = []  # pieces of one line: joined once, or a line of 50 MB would be copied 200 times
    pieces_bytes = 0
    size = FIRST_CHUNK_BYTES
    while chunk := file.read(size):
        size = min(2 * size, CHUNK_BYTES)
        if pieces and (pieces[-1].endswith(b"\n") or (pieces[-1].endswith(b"\r") and not chunk.startswith(b"\n"))):
            yield ByteRange(offset, line, b"".join(pieces))
            offset, line = offset + pieces_bytes, line + 1
            pieces, pieces_bytes = [], 0
        *whole, last = chunk.splitlines(keepends=True)
        for piece in whole:
            raw = b"".join((*pieces, piece)) if pieces else piece
            pieces, pieces_bytes = [], 0
            yield ByteRange(offset, line, raw)
            offset, line = offset + len(raw), line + 1
        pieces.append(last)  # it may go on in the next chunk; a final \r may be half of \r\n
        pieces_bytes += len(last)
        if pieces_bytes > LONGEST_BYTES:
            raise too_long(f"{name}:{line}")
    if pieces:
        yield ByteRange(offset, line, b"".join(pieces))


def text_lines(tree: Tree, path: str) -> Iterator[ByteRange]:
    """Read the lines of a text file one by one, whatever its size; blank ones are skipped.

    Raises WorkspaceError for a file that is missing, compressed or UTF-16, or has a line that is too long.
    """
    name = label(tree, path)
    try:
        with opener(tree, path)() as file:
            head = file.read(len(BOM_UTF8))
            refuse_other_encodings(head, name)
            start = len(BOM_UTF8) if head == BOM_UTF8 else 0
            yield from (line for line in read_lines(file, name, start, 1) if not line.raw.isspace())
    except OSError as exc:
        raise unread(tree, path, exc) from exc


def line_ends(raw: bytes) -> int:
    r"""Count the ends of lines: \n, \r\n and \r."""
    return raw.count(b"\n") + (raw.count(b"\r") - raw.count(b"\r\n") if b"\r" in raw else 0)


def too_long(where: str) -> WorkspaceError:
    """Return the refusal of a row."""
    return WorkspaceError(f"a row is longer than {LONGEST_BYTES // 2**20} MB", where=where)
