"""Where a workspace's files lie: at one revision, and in the user's cache."""

from collections.abc import Callable, Mapping
from pathlib import Path

from evalh.core.ports import Tree
from evalh.core.values import Value

_STORE = ".evalh"


class Candidate(Value):
    """What is judged, where a stranger brings it: the prompts under test and the rows of datasets, nothing else."""

    tree: Tree
    live: Mapping[str, str]  # prompt → version
    holds: Callable[[Path], bool]  # whether its git tracks a file on disk


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
