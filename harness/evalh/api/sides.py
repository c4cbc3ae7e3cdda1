"""The two sides of a merge: the workspace as it was where head branched off, and as head leaves it."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from evalh.api.files import Candidate, WorkspaceFiles
from evalh.api.homes import Home, home_of
from evalh.api.workspace import Workspace
from evalh.core.errors import CannotMeasure, EvalhError, UsageError
from evalh.core.values import Value
from evalh.workspace.config import CONFIG_NAME, load_config
from evalh.workspace.live import read_live
from evalh.workspace.trees import Watched

if TYPE_CHECKING:
    from evalh.core.ports import Tree
    from evalh.workspace.git import Repository

_SHOWN = 12  # digits of a commit's id
_HEAD = ("HEAD", "@")


class Stranger(Value, kw_only=True):
    """What `--trust base` knows of head: its files, read as data; what of base's was read in their place."""

    tree: "Tree"
    instead: Watched
    tip: "Tree | None"  # base's newest commit; None: it is the merge base
    code: Callable[[], Path]  # base's
    live: Mapping[str, str]
    config_differs: tuple[str, ...]  # other keys of evalh.toml


class Sides(Value, kw_only=True):
    """What is compared. `base` is None where the merge base holds no workspace yet."""

    base: Workspace | None
    head: Workspace
    base_revision: str  # as the user named it
    merge_base: str  # the commit
    head_revision: str | None  # None: the work tree
    head_commit: str | None
    home: Home
    stranger: Stranger | None = None  # None: head is trusted
    notices: tuple[str, ...] = ()


def open_sides(workspace: Workspace, base: str | None, head: str | None, *, trust_base: bool, kept: ExitStack) -> Sides:
    """Find the merge base and open both sides; what is written to disk goes when `kept` closes.

    `head` None is the work tree. With `trust_base`, head gives the prompts and the rows that are judged, and says which
    versions are live: configuration, suites, judges and code are those of the merge base. Raises UsageError, NotFound,
    WorkspaceError; CannotMeasure where git cannot answer.
    """
    repository = _repository(workspace)
    notices = []
    if base is None:
        base, notice = default_base(workspace, trust_base=trust_base)
        notices += [notice] if notice else []
    if base is None:
        hint = "evalh gate --base main" + ('; or [workspace] base = "main" in evalh.toml' if not trust_base else "")
        raise UsageError("which base? there is no remote, and evalh.toml names none", hint=hint)
    merge_base = _merge_base(repository, base, head or "HEAD")
    notices += _notices(repository, base, merge_base, head)
    commit = None if head is None else repository.commit(head)
    home = home_of(repository, workspace.started, merge_base, commit)
    notices += [home.notice] if home.notice else []
    lay = repository if home.folder is None else repository.at(home.folder)
    before = WorkspaceFiles(lay.tree(merge_base[:_SHOWN]), _exported(lay, merge_base, kept))
    after = workspace.files if commit is None else _files(repository, commit, kept)
    there = before.tree.exists(CONFIG_NAME)
    stranger = None
    if trust_base:
        if not there:
            raise UsageError(f"--trust base: {base} holds no {CONFIG_NAME} here", hint="merge one first")
        newest = repository.commit(base)
        tip = None if newest == merge_base else lay.tree(newest[:_SHOWN])
        trusted, stranger = _judging(workspace, before, after.tree, tip)
    else:
        trusted = workspace if commit is None else workspace.at(after)
    return Sides(
        base=trusted.at(before) if there else None,
        head=trusted,
        base_revision=base,
        merge_base=merge_base,
        head_revision=head,
        head_commit=repository.head_commit() if head is None else commit,
        home=home,
        stranger=stranger,
        notices=tuple(notices),
    )


def _judging(
    workspace: Workspace, before: WorkspaceFiles, head: "Tree", tip: "Tree | None"
) -> tuple[Workspace, Stranger]:
    """Return base's workspace, which judges what head brings. Nothing of head's is opened as a workspace."""
    repository = _repository(workspace)
    if repository.is_submodule():
        what = "--trust base: the workspace lies in a submodule, whose base head chooses by its address"
        raise UsageError(what, hint="run the gate in a clone of that repository")
    found = read_live(head, before.tree)
    watched = Watched(before.tree)
    candidate = Candidate(head, found.live, lambda place: bool(repository.tracked(place)))
    files = WorkspaceFiles(watched, before.code, candidate)
    judging = Workspace(workspace.root, workspace.env, workspace.cache_dir, files)
    return judging, Stranger(
        tree=head, instead=watched, tip=tip, code=before.code, live=found.live, config_differs=found.differs
    )


def default_base(workspace: Workspace, *, trust_base: bool = False) -> tuple[str | None, str | None]:
    """Return the revision that work is merged into, None if unknown, and what there is to say of it.

    It is what evalh.toml names on the remote's own branch, else that branch: a change does not choose what it is
    compared with. Without a remote it is what evalh.toml names here. Raises UsageError. There must be a repository.
    """
    repository = workspace.repository
    assert repository is not None
    here = None if trust_base else workspace.config.base
    remote = repository.base_revision(None)
    if remote is not None and (tree := repository.tree(remote)).exists(CONFIG_NAME):
        with suppress(EvalhError):  # what is broken there names nothing
            there = load_config(tree).base
            if trust_base or here == there:
                return there or remote, None
            told = f"evalh.toml names another base, {here}: {there or remote} holds until this is merged"
            return there or remote, told
    if here is not None and here.replace("^", "~").partition("~")[0] in _HEAD:
        where = workspace.config.where_of("workspace", "base")
        raise UsageError(f"base = {here!r} is head itself: nothing would differ", where=where, hint='base = "main"')
    return here or remote, None


def _repository(workspace: Workspace) -> "Repository":
    repository = workspace.repository
    if repository is None:
        assert workspace.no_git is not None
        kind = CannotMeasure if workspace.no_git.broken else UsageError
        raise kind(f"a gate compares two commits: {workspace.no_git.reason}", hint=workspace.no_git.hint)
    if repository.head_commit() is None:
        raise UsageError("a gate compares two commits: there is none yet", hint="git add -A; git commit")
    return repository


def _merge_base(repository: "Repository", base: str, head: str) -> str:
    found = repository.merge_base(base, head)
    if found is None:
        hint = "are they of one repository? git merge-base shows what they share"
        raise UsageError(f"{base} and {head} share no commit: there is no state to compare head with", hint=hint)
    return found


def _notices(repository: "Repository", base: str, merge_base: str, head: str | None) -> list[str]:
    tip = repository.commit(base)
    if tip == merge_base:
        return []
    behind = repository.commits_between(merge_base, tip)
    where = head or "HEAD"
    commits = f"{behind} commit{'s' * (behind > 1)}"
    if merge_base == repository.commit(where):
        return [f"{where} is part of {base} already, {commits} back: nothing that it holds is new"]
    apart = f"{where} is not a descendant of {base}, which is {commits} ahead"
    return [f"{apart}: compared with {merge_base[:_SHOWN]}, where it branched off"]


def _files(repository: "Repository", commit: str, kept: ExitStack) -> WorkspaceFiles:
    return WorkspaceFiles(repository.tree(commit[:_SHOWN]), _exported(repository, commit, kept))


def _exported(repository: "Repository", commit: str, kept: ExitStack) -> Callable[[], Path]:
    @cache
    def code() -> Path:
        folder = Path(tempfile.mkdtemp(prefix="evalh-code-"))
        kept.callback(shutil.rmtree, folder, ignore_errors=True)
        return repository.export(commit, folder)

    return code
