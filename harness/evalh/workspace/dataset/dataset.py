"""Datasets: checked once from end to end while they are indexed, then read row by row."""

import io
from codecs import BOM_UTF8
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import PurePosixPath
from shlex import quote
from typing import BinaryIO

from evalh.core.case import Case
from evalh.core.digest import RowsDigest, canonical
from evalh.core.errors import NotFound, WorkspaceError, did_you_mean, nearest
from evalh.core.ports import Tree
from evalh.stats.clusters import ClusterIndex
from evalh.workspace.config import Config
from evalh.workspace.dataset.csv_rows import Csv
from evalh.workspace.dataset.index import Hashes, RowIndex, blocks
from evalh.workspace.dataset.jsonl_rows import JsonLines
from evalh.workspace.files import ByteRange, label, opener, refuse_hidden, refuse_other_encodings, unread

_SUFFIXES = (".jsonl", ".csv")
_MOST_IDS_COMPARED = 5_000


class Dataset:
    """The cases of one file, in file order. Rows stay in the file; what they were is known by their checksums."""

    def __init__(self, tree: Tree, path: str, hash_of: Callable[[str], int] = hash) -> None:
        """Check every row. Raises WorkspaceError with file and line."""
        self.path = path
        self._name = label(tree, path)
        self._tree, self._open = tree, opener(tree, path)
        self._index = RowIndex()
        digest = RowsDigest()
        hashes = Hashes(hash_of)
        alike = ClusterIndex()
        shapes: set[tuple[tuple[str, ...], tuple[type, ...]]] = set()
        with self._opened() as file:
            self._size = file.seek(0, io.SEEK_END)
            self._format = _format(file, self._name, path)
            for block in blocks(self._format.rows(file)):
                self._index.add(block)
                for span in block:
                    case = self._format.case(span)
                    hashes.add(case.id)
                    digest.add(case.document())
                    alike.add(canonical(case.inputs), case.cluster, joins=not case.incident)
                    shapes.add((tuple(case.inputs), tuple(map(type, case.inputs.values()))))
        if not self._index:
            raise WorkspaceError("has no rows", where=self._name, hint="a dataset needs at least one case")
        self._refuse_duplicates(hashes)
        self.digest = digest.value()
        self.clusters = alike.numbers()
        texts = [frozenset(n for n, kind in zip(*shape, strict=True) if kind is str) for shape in shapes]
        self.text_inputs = frozenset.intersection(*texts)
        self.some_inputs = frozenset().union(*(names for names, _ in shapes))

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[Case]:
        """Read the rows in file order. Raises WorkspaceError if the file has changed since it was indexed."""
        with self._unchanged() as file:
            yield from map(self._format.again, self._spans(file))

    def _spans(self, file: BinaryIO) -> Iterator[ByteRange]:
        for block in self._index.same(blocks(self._format.rows(file))):
            if block is None:
                raise self._changed()
            yield from block

    def with_clusters(self, clusters: Mapping[str, str]) -> Iterator[bytes]:
        """Return the file with a cluster for each of these cases, which name none; all else stays as it is.

        Raises WorkspaceError if the file has changed since it was indexed.
        """
        rows, place = self._format, 0
        with self._unchanged() as file, self._opened() as source:
            for span in chain([rows.heading] if rows.heading else [], self._spans(file)):
                cluster = None if span is rows.heading else clusters.get(rows.again(span).id)
                source.seek(place)
                yield source.read(span.offset - place)
                yield rows.with_cluster(span, cluster)
                place = span.offset + len(span.raw)
            source.seek(place)
            yield source.read()

    def only(self, ids: Container[str]) -> Iterator[bytes]:
        """Return the file with the rows of these cases alone, each as it is written, with what stands above the first.

        Raises WorkspaceError if the file has changed since it was indexed.
        """
        rows, place = self._format, 0
        with self._unchanged() as file, self._opened() as source:
            for span in chain([rows.heading] if rows.heading else [], self._spans(file)):
                kept = span is rows.heading or rows.again(span).id in ids
                if kept or place == 0:  # a byte-order mark, blank lines
                    source.seek(place)
                    yield source.read(span.offset - place)
                if kept:
                    yield span.raw
                place = span.offset + len(span.raw)
            source.seek(place)
            yield source.read()

    def find(self, case_id: str) -> Case:
        """Read the case with this id. Raises NotFound."""
        found = [case for case in self if case.id == case_id]  # to the end: a file that has changed is not believed
        if found:
            return found[0]
        close = nearest(case_id, (case.id for case in islice(self, _MOST_IDS_COMPARED)))
        raise NotFound(f"no case {case_id!r}", where=self._name, hint=f"did you mean {close!r}?" if close else None)

    def _refuse_duplicates(self, hashes: Hashes) -> None:
        may_repeat = hashes.repeated()
        if may_repeat is None:
            return
        first: dict[str, str] = {}
        for case in self:
            if not may_repeat(case.id):
                continue
            earlier = first.setdefault(case.id, case.where)
            if earlier is not case.where:
                raise WorkspaceError(
                    f"duplicate id {case.id!r}, first on line {earlier.rpartition(':')[2]}",
                    where=case.where,
                    hint="results are paired by id: each row needs its own",
                )

    @contextmanager
    def _unchanged(self) -> Iterator[BinaryIO]:
        with self._opened() as file:
            if file.seek(0, io.SEEK_END) != self._size:
                raise self._changed()
            yield file

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with self._open() as file:
                yield file
        except OSError as exc:
            raise unread(self._tree, self.path, exc) from None

    def _changed(self) -> WorkspaceError:
        return WorkspaceError("changed while evalh read it", where=self._name, hint="run the command again")


def open_dataset(tree: Tree, config: Config, name: str) -> Dataset:
    """Open `datasets/<name>.jsonl` or `.csv`, or a path that ends so. Raises NotFound and WorkspaceError."""
    if name.endswith(".gz"):
        raise _packed(name, name)
    refuse_hidden(name, label(tree, name))
    stem = f"{config.datasets_dir}/{name}"
    paths = [name] if name.endswith(_SUFFIXES) else [stem + suffix for suffix in _SUFFIXES]
    found = [path for path in paths if tree.exists(path)]
    if len(found) > 1:
        raise WorkspaceError(
            f"the dataset {name!r} may be {' or '.join(found)}",
            where=label(tree, found[0]),
            hint=f"dataset: {found[0]}",
        )
    if found:
        return Dataset(tree, found[0])
    packed = next((f"{path}.gz" for path in paths if tree.exists(f"{path}.gz")), None)
    if packed:
        raise _packed(packed, label(tree, packed))
    for lost in map(PurePosixPath, paths):
        if lost.name in tree.names(str(lost.parent)):
            raise WorkspaceError("is not a file: a folder, or a broken link", where=label(tree, str(lost)))
    if name.endswith(_SUFFIXES):
        hint = f"did you mean {stem}?" if tree.exists(stem) else "the path starts at the workspace's root"
        raise NotFound(f"no dataset {name!r}", where=label(tree, name), hint=hint)
    names = {PurePosixPath(file).stem for file in tree.names(config.datasets_dir) if file.endswith(_SUFFIXES)}
    hint = did_you_mean(name, names) if names else f"write {paths[0]}"
    raise NotFound(f"no dataset {name!r}", where=label(tree, config.datasets_dir), hint=hint)


def _packed(path: str, where: str) -> WorkspaceError:
    return WorkspaceError("compressed datasets are not read", where=where, hint=f"unpack it: gunzip {quote(path)}")


def _format(file: BinaryIO, name: str, path: str) -> Csv | JsonLines:
    file.seek(0)
    head = file.read(len(BOM_UTF8))
    refuse_other_encodings(head, name)
    start = len(BOM_UTF8) if head == BOM_UTF8 else 0
    return Csv(file, name, start) if path.endswith(".csv") else JsonLines(name, start)
