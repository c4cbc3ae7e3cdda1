"""The two sides of a merge: the workspace as it was where head branched off, and as head leaves it."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from evalh.api.files import WorkspaceFiles
from evalh.api.workspace import Workspace
from evalh.core.errors import UsageError
from evalh.workspace.config import CONFIG_NAME, load_config
from evalh.workspace.trees import Overlay

if TYPE_CHECKING:
    from evalh.workspace.git import Repository

_SHOWN = 12  # digits of a commit's id


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What is compared. `base` is None where the merge base holds no workspace yet."""

    base: Workspace | None
    head: Workspace
    base_revision: str  # as the user named it
    merge_base: str  # the commit
    head_revision: str | None  # None: the work tree
    head_commit: str | None
    notices: tuple[str, ...] = ()


def open_sides(workspace: Workspace, base: str | None, head: str | None, *, trust_base: bool, kept: ExitStack) -> Sides:
    """Find the merge base and open both sides; what is written to disk goes when `kept` closes.

    `head` None is the work tree. With `trust_base`, head gives prompts and datasets alone: configuration, suites and
    code are those of the merge base. Raises UsageError, NotFound, WorkspaceError.
    """
    repository = _repository(workspace)
    base = base or _default_base(repository, workspace)
    merge_base = _merge_base(repository, base, head or "HEAD")
    notices = _notices(repository, base, merge_base, head)
    before = _files(repository, merge_base, kept)
    after = workspace.files if head is None else _files(repository, repository.commit(head), kept)
    there = before.tree.exists(CONFIG_NAME)
    if trust_base:
        if not there:
            raise UsageError(f"--trust base: {base} holds no {CONFIG_NAME} here", hint="merge one first")
        config = load_config(before.tree)
        folders = (config.prompts_dir, config.datasets_dir)
        after = WorkspaceFiles(Overlay(before.tree, after.tree, folders), before.code)
    trusted = workspace.at(after) if trust_base or head is not None else workspace
    return Sides(
        base=trusted.at(before) if there else None,
        head=trusted,
        base_revision=base,
        merge_base=merge_base,
        head_revision=head,
        head_commit=repository.head_commit() if head is None else repository.commit(head),
        notices=tuple(notices),
    )


def _repository(workspace: Workspace) -> "Repository":
    if workspace.repository is None:
        reason, hint = workspace.no_git or ("", None)
        raise UsageError(f"a gate compares two commits: {reason}", hint=hint)
    if workspace.repository.head_commit() is None:
        raise UsageError("a gate compares two commits: there is none yet", hint="git add -A; git commit")
    return workspace.repository


def _default_base(repository: "Repository", workspace: Workspace) -> str:
    found = repository.base_revision(workspace.config.base)
    if found is None:
        raise UsageError(
            "which base? there is no remote, and evalh.toml names none",
            hint='evalh gate --base main; or [workspace] base = "main" in evalh.toml',
        )
    return found


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
