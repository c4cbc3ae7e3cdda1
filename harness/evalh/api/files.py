"""Where a workspace's files lie: at one revision, in the user's cache, and its log's.

A log that came with a checkout may hold any answer that its author likes.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evalh.core.errors import CannotMeasure, EvalhError, WorkspaceError
from evalh.core.ports import Tree
from evalh.core.values import Value

if TYPE_CHECKING:
    from evalh.workspace.git import Repository

_STORE = ".evalh"


class Candidate(Value):
    """What is judged, where a stranger brings it: the prompts under test and the rows of datasets, nothing else."""

    tree: Tree
    live: Mapping[str, str]  # prompt → version
    holds: Callable[[Path], bool]  # whether its git tracks a file on disk
    base: Tree  # what it is merged into: it says which graders rows may bring


_SHAPE = (".pipeline.yaml", ".py")


class JudgedTree:
    """`core.ports.Tree`: what a stranger's prompts say, with the shape and the functions of pipelines from base."""

    def __init__(self, judged: Tree, base: Tree) -> None:
        self._judged = judged
        self._base = base
        self.revision = judged.revision

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError."""
        return self._holder(path).read(path)

    def exists(self, path: str) -> bool:
        """Return whether a file is there."""
        return self._holder(path).exists(path)

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in a folder."""
        judged = (name for name in self._judged.names(folder) if not name.endswith(_SHAPE))
        return sorted({*judged, *(name for name in self._base.names(folder) if name.endswith(_SHAPE))})

    def _holder(self, path: str) -> Tree:
        return self._base if path.endswith(_SHAPE) else self._judged


class WorkspaceFiles(Value):
    """Where a workspace is read from. `code` returns a folder on disk from which its Python files are executed."""

    tree: Tree
    code: Callable[[], Path]
    candidate: Candidate | None = None  # None: what is judged and what judges are one revision's


def cache_dir_of(env: Mapping[str, str]) -> Path:
    """Return the user cache, where weights are kept; EVALH_CACHE_DIR overrides it."""
    if override := env.get("EVALH_CACHE_DIR"):
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_cache_dir("evalh"))


def store_folder_of(env: Mapping[str, str], root: Path) -> Path:
    """Return the folder of the log: `.evalh` in the workspace, or the folder that EVALH_STORE names."""
    return Path(override).absolute() if (override := env.get("EVALH_STORE")) else root / _STORE


_HINT = "keep it out of git; or EVALH_STORE names a folder outside the checkout"
_NO_ANSWERS = ".gitignore"


def brought_log(folder: Path, root: Path, repository: "Repository | None") -> EvalhError | None:
    """Say why the log is not trusted: git tracks it, or it lies behind a link. Raises UsageError if git fails."""
    top = root if repository is None else repository.top
    try:
        link = next((place for place in _places(folder, top) if place.is_symlink()), None)
        lies = _as_it_lies(folder.resolve())
    except OSError as exc:
        return CannotMeasure(f"the folder of the log cannot be read: {exc.strerror}", where=str(folder), hint=_HINT)
    if link is not None:
        return WorkspaceError(
            "the log is a symbolic link, or in a linked folder", where=str(link), hint=f"remove it; {_HINT}"
        )
    if repository is None:
        return None
    found = repository.tracked(lies)
    tracked = [file for file in found if file.rpartition("/")[2] != _NO_ANSWERS]
    if not tracked:
        return None
    what = f"git tracks the log ({', '.join(tracked[:3])}): a commit could have put any answers into it"
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
