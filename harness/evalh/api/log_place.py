"""The log of a workspace: writing to it, and whether it is one's own.

A log that came with a checkout may hold any answer that its author likes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evalh.core.errors import CannotMeasure, EvalhError, WorkspaceError

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace
    from evalh.core.ports import Progress
    from evalh.store import SqliteStore

_HINT = "keep it out of git; or EVALH_STORE names a folder outside the checkout"
_NO_ANSWERS = ".gitignore"


@contextmanager
def writing(workspace: "Workspace", progress: "Progress | None") -> Iterator["SqliteStore"]:
    """Open the log for writing. What it does not take in the end is left beside it, and `progress` is told.

    Raises EvalhError.
    """
    store = workspace.open_store()
    try:
        yield store
    finally:
        store.close()
        if store.left is not None and progress is not None:
            progress.note(store.left)


def brought_log(workspace: "Workspace") -> EvalhError | None:
    """Say what speaks against the log: git tracks it, or it lies behind a link. Raises UsageError where git fails."""
    folder, repository = workspace.store_folder, workspace.repository
    top = workspace.root if repository is None else repository.top
    try:
        link = next((place for place in _places(folder, top) if place.is_symlink()), None)
        lies = _as_it_lies(folder.resolve())
    except OSError as exc:
        return CannotMeasure(f"the log cannot be looked at: {exc.strerror}", where=str(folder), hint=_HINT)
    if link is not None:
        return WorkspaceError("the log is a link, or lies behind one", where=str(link), hint=f"remove it; {_HINT}")
    if repository is None:
        return None
    found = repository.tracked(lies)
    tracked = [file for file in found if file.rpartition("/")[2] != _NO_ANSWERS]
    if not tracked:
        return None
    what = f"git tracks the log ({', '.join(tracked[:3])}): whoever committed it chose its answers"
    hint = f"git rm -r --cached {tracked[0].rpartition('/')[0] or tracked[0]}; delete it; {_HINT}"
    return WorkspaceError(what, where=str(folder), hint=hint)


def _as_it_lies(folder: Path) -> Path:
    """Return a folder under the disk's own name for it: some disks find `.EVALH` by `.evalh`, and git does not."""
    if not folder.is_dir():
        return folder
    return next((one for one in folder.parent.iterdir() if one.is_dir() and one.samefile(folder)), folder)


def _places(folder: Path, top: Path) -> Iterator[Path]:
    """Yield what may be a link that a commit brought: folders inside the checkout, and what lies in the log's own."""
    yield from (one for one in (folder, *folder.parents) if one.is_relative_to(top) and one != top)
    if folder.is_dir():
        yield from folder.iterdir()
