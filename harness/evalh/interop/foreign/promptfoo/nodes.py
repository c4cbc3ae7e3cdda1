"""A value of a promptfoo config with its place: what it refers to (`$ref`, `file://`) is read when it is looked at."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from evalh.core.errors import WorkspaceError
from evalh.core.located import Located
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.interop.foreign.promptfoo.sources import SourceFiles

_DEEPEST = 30  # files and references inside each other
_CODE = (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".py", ".rb")
_DATA = (".yaml", ".yml", ".json")


class Node(Value):
    """A value, the document that holds it, and its path in that."""

    value: JsonValue
    document: Located
    path: tuple[str | int, ...]
    files: SourceFiles
    base: Path  # what names of files in it are relative to
    trail: tuple[str, ...] = ()  # the references that led here

    @property
    def where(self) -> str:
        """The value's `file:line`."""
        return self.document.where(*self.path)

    def child(self, key: str | int) -> "Node":
        """Return what stands under a key or at a place; null if there is nothing."""
        return self._at(key).resolved()

    def raw(self, key: str | int) -> "Node":
        """Return the same, and read no file that it names."""
        return self._at(key)._referred()  # noqa: SLF001 (another of this class)

    def has(self, key: str) -> bool:
        """Whether a mapping holds a key."""
        return isinstance(self.value, Mapping) and self.value.get(key) is not None

    @property
    def names(self) -> tuple[str, ...]:
        """A mapping's keys."""
        return tuple(self.value) if isinstance(self.value, Mapping) else ()

    def items(self) -> Iterator["Node"]:
        """Yield a list's items, each read if it names a file; nothing if it is not a list."""
        for number in range(len(self.value) if isinstance(self.value, list) else 0):
            yield self.child(number)

    def text(self, key: str) -> str | None:
        """Return a text under a key; None if there is none."""
        value = self.child(key).value
        return value if isinstance(value, str) else None

    def resolved(self) -> "Node":
        """Return what a reference or the name of a data file stands for. Raises WorkspaceError."""
        node = self._referred()
        value = node.value
        if not (isinstance(value, str) and value.startswith("file://")) or "\n" in value:
            return node
        name = value.removeprefix("file://")
        if not name.endswith(_DATA) or "*" in name:
            return node
        return node.opened(name)

    def opened(self, name: str) -> "Node":
        """Return the content of a data file that this value names. Raises WorkspaceError."""
        path = self.files.place(name, self.where, self.base)
        trail = self._next(str(path))
        document = self.files.document(path, self.where)
        return Node(document.value, document, (), self.files, self.base, trail)

    def _at(self, key: str | int) -> "Node":
        if isinstance(self.value, Mapping):
            value = self.value.get(key)
        else:
            listed = isinstance(self.value, list) and isinstance(key, int) and key < len(self.value)
            value = self.value[key] if listed else None
        return Node(value, self.document, (*self.path, key), self.files, self.base, self.trail)

    def _referred(self) -> "Node":
        node = self
        while isinstance(node.value, Mapping) and isinstance(ref := node.value.get("$ref"), str):
            if not ref.startswith("#/"):
                raise WorkspaceError(f"$ref {ref!r} points out of the file", where=node.where, hint="write it out here")
            trail = node._next(f"{node.document.where()}{ref}")
            found = Node(node.document.value, node.document, (), node.files, node.base, trail)
            for part in ref[2:].split("/"):
                key = part.replace("~1", "/").replace("~0", "~")
                found = found._at(int(key) if isinstance(found.value, list) and key.isdecimal() else key)
            if found.value is None:
                raise WorkspaceError(f"$ref {ref!r} points to nothing", where=node.where)
            node = found
        return node

    def _next(self, step: str) -> tuple[str, ...]:
        if step in self.trail:
            raise WorkspaceError("refers to itself through other files or references", where=self.where)
        if len(self.trail) >= _DEEPEST:
            raise WorkspaceError(
                f"more than {_DEEPEST} files or references lead from one to the next", where=self.where
            )
        return (*self.trail, step)


def is_code(name: str) -> bool:
    """Whether a file's name, or one with a function behind a colon, is that of a program."""
    path = name.removeprefix("file://")
    return path.endswith(_CODE) or any(f"{ending}:" in path for ending in _CODE)


def root_of(path: Path, files: SourceFiles) -> Node:
    """Return a config as a whole. Raises WorkspaceError."""
    document = files.document(path)
    files.forget(document)
    document = files.document(path)
    return Node(document.value, document, (), files, path.parent)
