"""Where a workspace lay at the merge base: a folder that is moved, removed or put in front of it hides no suite."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evalh.core.errors import EvalhError
from evalh.core.ports import Tree
from evalh.core.values import Value
from evalh.workspace.config import CONFIG_NAME, load_config
from evalh.workspace.trees import WorkTree

if TYPE_CHECKING:
    from evalh.workspace.git import Repository


class Home(Value):
    """A workspace's folder at the merge base, from the repository's top; None: it had none."""

    folder: str | None
    notice: str | None = None
    gone: tuple[str, ...] = ()  # folders that were workspaces, and are not gated from here any more


def home_of(repository: "Repository", started: Path, merge_base: str, head: str | None) -> Home:
    """Find the workspace that is head's at `repository`'s folder; `started` is where a person looked for it."""
    here = repository.prefix.rstrip("/")
    nearest = next((one for one in _upwards(repository, started) if _holds(repository, one, merge_base)), None)
    if nearest == here:
        return Home(here)
    if nearest is not None and _holds(repository, here, merge_base):
        return _gone(nearest, here)
    known = [
        folder
        for file in repository.files(merge_base)
        for folder, _, name in [file.rpartition("/")]
        if name == CONFIG_NAME
    ]
    moved = {folder: _moved(repository, folder, here, merge_base, head) for folder in known}
    best = max(known, key=lambda folder: moved[folder], default=None)
    if best is not None and moved[best]:
        hidden = (nearest,) if nearest is not None and nearest != best else ()
        return Home(best, f"the workspace was moved: {_told(best)} → {_told(here)}", hidden)
    if nearest is not None and len(nearest) > len(here):
        return _gone(nearest, here)
    if nearest is not None:
        return Home(nearest, f"the workspace {_told(here)} is new, and stands in front of {_told(nearest)}")
    gone = tuple(folder for folder in known if not _tree(repository, folder, head).exists(CONFIG_NAME))
    return Home(None, gone=gone)


def _gone(old: str, here: str) -> Home:
    return Home(old, f"the workspace {_told(old)} is gone: {_told(here)} was found in its place")


def _upwards(repository: "Repository", started: Path) -> Iterator[str]:
    folder = started.resolve()
    for one in (folder, *folder.parents):
        if one.is_relative_to(repository.top):
            yield "" if one == repository.top else one.relative_to(repository.top).as_posix()


def _holds(repository: "Repository", folder: str, commit: str) -> bool:
    return repository.at(folder).tree(commit).exists(CONFIG_NAME)


def _moved(repository: "Repository", old: str, new: str, merge_base: str, head: str | None) -> int:
    """Count the workspace's own files that lay in `old` and lie in `new` now, under the same names."""
    before = repository.at(old).tree(merge_base)
    left, right = _tree(repository, old, head), _tree(repository, new, head)
    try:
        config = load_config(before)
    except EvalhError:
        return 0
    folders = tuple(f"{one}/" for one in (config.prompts_dir, config.evals_dir, config.datasets_dir))
    start = f"{old}/" if old else ""
    own = (file.removeprefix(start) for file in repository.files(merge_base, old))
    return sum(file.startswith(folders) and not left.exists(file) and right.exists(file) for file in own)


def _tree(repository: "Repository", folder: str, head: str | None) -> Tree:
    return WorkTree(repository.top / folder) if head is None else repository.at(folder).tree(head)


def _told(folder: str) -> str:
    return f"{folder}/" if folder else "at the repository's top"
