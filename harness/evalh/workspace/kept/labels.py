"""Label files: `<datasets>/labels/<suite>/<author>.jsonl`, one answer on each line, kept in git.

A file for each author: two people who label at the same time meet in no merge.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import to_builtins

from evalh.core.calibration import Label
from evalh.core.digest import canonical
from evalh.core.errors import MOST_MISTAKES, EvalhError, UsageError, WorkspaceError
from evalh.core.ports import Tree
from evalh.core.strict_json import NotStrictJson, parse
from evalh.workspace.files import ByteRange, decode, label, refuse_conflict, text_lines
from evalh.workspace.writing import refuse_links

_SUFFIX = ".jsonl"
_LONGEST = 200  # characters of what is wrong with a line: it may hold a key of any length
_BEGIN, _END = b"<<<<<<<", b">>>>>>>"
_MIDDLES = (b"|||||||", b"=======", _END)


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    case: str
    case_digest: str
    output_digest: str
    about: str
    good: bool
    at: str
    note: str | None = None


def folder_of(datasets_dir: str, suite: str) -> str:
    """Return the folder of a suite's labels, relative to the root."""
    return f"{datasets_dir}/labels/{suite}"


def read_labels(tree: Tree, datasets_dir: str, suite: str) -> tuple[Label, ...]:
    """Read every author's labels. Of two answers of one author to the same, the newer counts. Raises WorkspaceError."""
    newest: dict[tuple[str, tuple[str, str, str]], Label] = {}
    for path in _files(tree, folder_of(datasets_dir, suite)):
        for one in _read(tree, path):
            newest[one.author, one.item] = one
    return tuple(newest.values())


def label_problems(tree: Tree, datasets_dir: str) -> Iterator[EvalhError]:
    """Read every label file of a workspace, whichever suite it is of; yield what is wrong with each."""
    try:
        files = [
            path
            for suite in tree.names(f"{datasets_dir}/labels")
            for path in _files(tree, folder_of(datasets_dir, suite))
        ]
    except WorkspaceError as exc:  # a folder that cannot be listed, a link that leads out
        yield exc
        return
    for path in files:
        try:
            deque(_read(tree, path), maxlen=0)
        except WorkspaceError as exc:
            yield from (exc, *exc.others)


def labelled_rows(tree: Tree, datasets_dir: str) -> frozenset[str]:
    """Return the digests of the rows of which people have labelled outputs, in any suite. Raises WorkspaceError."""
    suites = tree.names(f"{datasets_dir}/labels")
    return frozenset(one.case_digest for suite in suites for one in read_labels(tree, datasets_dir, suite))


def _files(tree: Tree, folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in tree.names(folder) if name.endswith(_SUFFIX)]


def _read(tree: Tree, path: str) -> Iterator[Label]:
    """Read one author's labels. Raises WorkspaceError at the file's end: all its wrong lines."""
    author = PurePosixPath(path).name.removesuffix(_SUFFIX)
    mistakes: list[WorkspaceError] = []
    in_conflict = False
    for line in text_lines(tree, path):
        if in_conflict and line.raw.startswith(_MIDDLES):  # the conflict is reported where it begins
            in_conflict = not line.raw.startswith(_END)
            continue
        try:
            row = _row(line, label(tree, path))
        except WorkspaceError as exc:
            in_conflict = in_conflict or line.raw.startswith(_BEGIN)
            mistakes.append(exc)
            if len(mistakes) > MOST_MISTAKES:  # more are not listed
                break
            continue
        yield Label(
            case_id=row.case,
            case_digest=row.case_digest,
            output_digest=row.output_digest,
            about=row.about,
            good=row.good,
            author=author,
            at=row.at,
            note=row.note,
        )
    WorkspaceError.raise_all(mistakes)


def _row(line: ByteRange, name: str) -> _Row:
    text = decode(line.raw, name, line.line).strip()
    refuse_conflict(text, name, line.line, hint="keep the labels of both sides: delete only the marker lines")
    try:
        return msgspec.convert(parse(text), _Row, strict=True)
    except NotStrictJson as exc:
        wrong = exc.in_line
    except msgspec.ValidationError as exc:
        wrong = str(exc)
    hint = "a label is written by `evalh label`; remove the line, or restore the file: git checkout"
    raise WorkspaceError(f"is not a label: {wrong[:_LONGEST]}", where=f"{name}:{line.line}", hint=hint)


class LabelFile:
    """One author's labels of one suite, written answer by answer: each is on the disk before the next is asked."""

    def __init__(self, root: Path, datasets_dir: str, suite: str, author: str) -> None:
        """Find the file. Raises UsageError for a name that makes none."""
        if not author or author.startswith(".") or not all(sign.isalnum() or sign in "._-@+" for sign in author):
            raise UsageError(f"{author!r} is not an author's name", hint="--author ada: letters, digits, . _ - @ +")
        self.path = root / folder_of(datasets_dir, suite) / f"{author}{_SUFFIX}"

    def add(self, given: Label) -> int:
        """Append a label; return where it begins, for `take_back`. Raises EvalhError if it cannot be written."""
        row = {name: value for name, value in to_builtins(given).items() if value is not None and name != "author"}
        row["case"] = row.pop("case_id")
        refuse_links(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                begins = file.tell()
                if begins:
                    file.seek(-1, os.SEEK_END)
                    torn = file.read(1) != b"\n"  # somebody's editor left no line end
                    file.write(b"\n" if torn else b"")
                file.write(canonical(row) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise self._unwritable(exc) from exc
        return begins

    def take_back(self, begins: int) -> None:
        """Remove what was added from there on. Raises WorkspaceError."""
        try:
            os.truncate(self.path, begins)
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def _unwritable(self, exc: OSError) -> WorkspaceError:
        return WorkspaceError(f"the label cannot be written: {exc.strerror}", where=str(self.path), hint="make room")
