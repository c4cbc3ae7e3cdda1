"""Files at one revision: the work tree here, commits in `git`. Paths never leave the root."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from evalh.core.errors import WorkspaceError
from evalh.core.ports import Tree


def parts_of(path: str) -> tuple[str, ...]:
    """Split a path in a tree into its names. Raises WorkspaceError for one that could leave the root."""
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    if path.startswith("/") or ".." in names or "\\" in path or "\0" in path:
        raise WorkspaceError(f"{path!r} leaves the workspace", hint="paths start at the workspace's root and use /")
    return names


class WorkTree:
    """The files as they lie on disk under `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @property
    def revision(self) -> None:
        """The work tree has no revision."""
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
                return place.open("rb")
        except OSError as exc:
            raise WorkspaceError(f"cannot be read: {exc.strerror}", where=path) from exc
        raise FileNotFoundError(path)

    def exists(self, path: str) -> bool:
        """Tell whether a file is there."""
        place = self._locate(path)
        try:
            return place.is_file()
        except OSError as exc:
            raise WorkspaceError(f"cannot be read: {exc.strerror}", where=path) from exc

    def names(self, folder: str) -> Sequence[str]:
        """Return the sorted names of the files and folders in a folder; empty where there is none."""
        try:
            return sorted(entry.name for entry in self._locate(folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as exc:
            raise WorkspaceError(f"cannot be listed: {exc.strerror}", where=folder) from exc

    def _locate(self, path: str) -> Path:
        try:
            place = self._root.joinpath(*parts_of(path)).resolve()
        except (OSError, RuntimeError) as exc:  # a loop of links
            raise WorkspaceError("is a symbolic link that leads nowhere", where=path) from exc
        if not place.is_relative_to(self._root):
            raise WorkspaceError("is a symbolic link out of the workspace", where=path, hint="copy the file in")
        return place


class Overlay:
    """One tree, with some of its folders as another tree holds them: what a stranger may change, and nothing else."""

    def __init__(self, under: Tree, over: Tree, folders: Sequence[str]) -> None:
        self._under = under
        self._over = over
        self._folders = tuple(tuple(parts_of(folder)) for folder in folders)

    @property
    def revision(self) -> str | None:
        """The revision of what lies over."""
        return self._over.revision

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError; WorkspaceError for what cannot be read."""
        return self._at(path).read(path)

    def exists(self, path: str) -> bool:
        """Tell whether a file is there."""
        return self._at(path).exists(path)

    def names(self, folder: str) -> Sequence[str]:
        """Return the sorted names of the files and folders in a folder; empty where there is none."""
        return self._at(folder).names(folder)

    def _at(self, path: str) -> Tree:
        parts = tuple(parts_of(path))
        return self._over if any(parts[: len(folder)] == folder for folder in self._folders) else self._under
