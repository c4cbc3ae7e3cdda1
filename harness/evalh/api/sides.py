"""The two sides of a merge: the workspace as it was where head branched off, and as head leaves it.

Where a workspace lay at the merge base: a folder that is moved, removed or put in front of it hides no suite.

Which suite on head is which one of base's: a suite that is renamed is still held to what it was.
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from evalh.api.files import Candidate, WorkspaceFiles
from evalh.api.parts import Parts
from evalh.core.errors import CannotMeasure, EvalhError, UsageError
from evalh.core.ports import Tree
from evalh.core.values import Value
from evalh.providers.registry import options_of
from evalh.workspace.config import CONFIG_NAME, load_config
from evalh.workspace.files import Watched, WorkTree, content
from evalh.workspace.live import read_live
from evalh.workspace.suites import suite_names, suite_path

if TYPE_CHECKING:
    from evalh.workspace.git import Repository


class WorkspaceHome(Value):
    """A workspace's folder at the merge base, from the repository's top; None: it had none."""

    folder: str | None
    notice: str | None = None
    gone: tuple[str, ...] = ()  # folders that were workspaces, and are not gated from here any more


def home_of(repository: "Repository", started: Path, merge_base: str, head: str | None) -> WorkspaceHome:
    """Find the workspace that is head's at `repository`'s folder; `started` is where a person looked for it."""
    here = repository.prefix.rstrip("/")
    nearest = next((one for one in _upwards(repository, started) if _holds(repository, one, merge_base)), None)
    if nearest == here:
        return WorkspaceHome(here)
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
        return WorkspaceHome(best, f"the workspace was moved: {_told(best)} → {_told(here)}", hidden)
    if nearest is not None and len(nearest) > len(here):
        return _gone(nearest, here)
    if nearest is not None:
        return WorkspaceHome(nearest, f"the workspace {_told(here)} is new, and hides {_told(nearest)}")
    gone = tuple(folder for folder in known if not _tree(repository, folder, head).exists(CONFIG_NAME))
    return WorkspaceHome(None, gone=gone)


def _gone(old: str, here: str) -> WorkspaceHome:
    return WorkspaceHome(old, f"the workspace {_told(old)} is gone: {_told(here)} was found in its place")


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
        config = load_config(before, options_of)
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


_SHOWN = 12  # digits of a commit's id
_HEAD = ("HEAD", "@")


class Stranger(Value, kw_only=True):
    """What `--trust base` knows of head: its files, read as data; what of base's was read in their place."""

    tree: Tree
    instead: Watched
    tip: Tree | None  # base's newest commit; None: it is the merge base
    code: Callable[[], Path]  # base's
    live: Mapping[str, str]
    config_differs: tuple[str, ...]  # other keys of evalh.toml


class Sides(Value, kw_only=True):
    """What is compared. `base` is None if the merge base holds no workspace yet."""

    base: Parts | None
    head: Parts
    base_revision: str  # as the user named it
    merge_base: str  # the commit
    head_revision: str | None  # None: the work tree
    head_commit: str | None
    home: WorkspaceHome
    stranger: Stranger | None = None  # None: head is trusted
    notices: tuple[str, ...] = ()


def open_sides(parts: Parts, base: str | None, head: str | None, *, trust_base: bool, kept: ExitStack) -> Sides:
    """Find the merge base and open both sides; what is written to disk goes when `kept` closes.

    `head` None is the work tree. With `trust_base`, head gives the prompts and the rows that are judged, and says which
    versions are live: configuration, suites, judges and code are those of the merge base. Raises UsageError, NotFound,
    WorkspaceError; CannotMeasure where git cannot answer.
    """
    repository = _repository(parts)
    notices = []
    if base is None:
        base, notice = default_base(parts, trust_base=trust_base)
        notices += [notice] if notice else []
    if base is None:
        named = repository.likely_base() or "BRANCH"
        stated = f"; or [workspace] base = {json.dumps(named, ensure_ascii=False)} in evalh.toml"
        hint = f"evalh gate --base {quote(named)}{'' if trust_base else stated}"
        raise UsageError("which base? there is no remote, and evalh.toml names none", hint=hint)
    merge_base = _merge_base(repository, base, head or "HEAD")
    notices += _notices(repository, base, merge_base, head)
    commit = None if head is None else repository.commit(head)
    home = home_of(repository, parts.started, merge_base, commit)
    notices += [home.notice] if home.notice else []
    lay = repository if home.folder is None else repository.at(home.folder)
    before = WorkspaceFiles(lay.tree(merge_base[:_SHOWN]), _exported(lay, merge_base, kept))
    after = parts.files
    if commit is not None:
        after = WorkspaceFiles(repository.tree(commit[:_SHOWN]), _exported(repository, commit, kept))
    there = before.tree.exists(CONFIG_NAME)
    stranger = None
    if trust_base:
        if not there:
            raise UsageError(
                f"--trust base: {base} has no {CONFIG_NAME} here", hint="merge a pull request that adds it"
            )
        newest = repository.commit(base)
        tip = None if newest == merge_base else lay.tree(newest[:_SHOWN])
        trusted, stranger = _judging(parts, before, after.tree, tip)
    else:
        trusted = parts if commit is None else parts.at(after)
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


def _judging(parts: Parts, before: WorkspaceFiles, head: Tree, tip: Tree | None) -> tuple[Parts, Stranger]:
    """Return base's workspace, which judges what head brings. Nothing of head's is opened as a workspace."""
    repository = _repository(parts)
    if repository.is_submodule():
        what = "--trust base: the workspace lies in a submodule, whose base is chosen by head"
        raise UsageError(what, hint="run the gate in a clone of that repository")
    found = read_live(head, before.tree)
    watched = Watched(before.tree)
    candidate = Candidate(head, found.live, lambda place: bool(repository.tracked(place)), before.tree)
    files = WorkspaceFiles(watched, before.code, candidate)
    judging = Parts(parts.root, parts.env, parts.cache_dir, files)
    return judging, Stranger(
        tree=head, instead=watched, tip=tip, code=before.code, live=found.live, config_differs=found.differs
    )


def default_base(parts: Parts, *, trust_base: bool = False) -> tuple[str | None, str | None]:
    """Return the revision that work is merged into, None if unknown, and what there is to say of it.

    It is what evalh.toml names on the remote's own branch, else that branch: a change does not choose what it is
    compared with. Without a remote it is what evalh.toml names here. Raises UsageError. There must be a repository.
    """
    repository = parts.repository
    assert repository is not None
    here = None if trust_base else parts.config.base
    remote = repository.base_revision(None)
    if remote is not None and (tree := repository.tree(remote)).exists(CONFIG_NAME):
        with suppress(EvalhError):  # what is broken there names nothing
            there = load_config(tree, options_of).base
            if trust_base or here == there:
                return there or remote, None
            told = f"evalh.toml names another base, {here}: {there or remote} holds until this is merged"
            return there or remote, told
    if here is not None and here.replace("^", "~").partition("~")[0] in _HEAD:
        where = parts.config.where_of("workspace", "base")
        hint = f"base = {json.dumps(repository.likely_base() or 'BRANCH', ensure_ascii=False)}"
        raise UsageError(f"base = {here!r} is head itself: there is nothing to compare", where=where, hint=hint)
    return here or remote, None


def base_of_frozen(parts: Parts) -> tuple[str | None, str | None]:
    """Return the revision that frozen versions are compared with, None before the first commit, and what to say of it.

    Raises UsageError. There must be a repository.
    """
    base, notice = default_base(parts)
    if base is not None:
        return base, notice
    assert parts.repository is not None
    last = parts.repository.last_commit()
    to = f"{last} alone" if last else "nothing: there is no commit"
    return last, f"no remote and no [workspace] base: frozen versions are compared with {to}"


def _repository(parts: Parts) -> "Repository":
    repository = parts.repository
    if repository is None:
        assert parts.no_git is not None
        kind = CannotMeasure if parts.no_git.broken else UsageError
        raise kind(f"a gate compares two commits: {parts.no_git.reason}", hint=parts.no_git.hint)
    if repository.head_commit() is None:
        raise UsageError("a gate compares two commits: there is none yet", hint="git add -A; git commit")
    return repository


def _merge_base(repository: "Repository", base: str, head: str) -> str:
    found = repository.merge_base(base, head)
    if found is None:
        hint = "git merge-base shows whether they share a commit; a shallow clone needs git fetch --unshallow"
        raise UsageError(f"{base} and {head} share no commit: there is nothing to compare head with", hint=hint)
    return found


def _notices(repository: "Repository", base: str, merge_base: str, head: str | None) -> list[str]:
    tip = repository.commit(base)
    if tip == merge_base:
        return []
    behind = repository.commits_between(merge_base, tip)
    where = head or "HEAD"
    commits = f"{behind} commit{'s' * (behind > 1)}"
    if merge_base == repository.commit(where):
        return [f"{where} is part of {base} already, {commits} behind: it has nothing new"]
    apart = f"{where} is not a descendant of {base}, which is {commits} ahead"
    return [f"{apart}: compared with {merge_base[:_SHOWN]}, where it branched off"]


def _exported(repository: "Repository", commit: str, kept: ExitStack) -> Callable[[], Path]:
    @cache
    def code() -> Path:
        folder = Path(tempfile.mkdtemp(prefix="evalh-code-"))
        kept.callback(shutil.rmtree, folder, ignore_errors=True)
        return repository.export(commit, folder)

    return code


_ALIKE = 0.5  # of the lines: git's own measure of a rename
_SAME_BOTH, _SAME_PROMPT = 2.0, 0.1  # a prompt and a dataset in common go before any likeness


class SuitePairs(Value, kw_only=True):
    """Suites by name. `kept` says for each suite on head which one of base's it is."""

    kept: Mapping[str, str]
    new: tuple[str, ...]
    removed: tuple[str, ...]

    def named(self, names: Iterable[str]) -> "SuitePairs":
        """Return those that are meant by names on either side; all for none."""
        wanted = frozenset(names)
        if not wanted:
            return self
        return SuitePairs(
            kept={head: base for head, base in self.kept.items() if wanted & {head, base}},
            new=tuple(name for name in self.new if name in wanted),
            removed=tuple(name for name in self.removed if name in wanted),
        )


def suite_pairs(sides: "Sides") -> SuitePairs:
    """Pair the suites of both sides: by name, else by prompt and dataset, else by what their files say."""
    before = sides.base
    on_base = () if before is None else before.suites()
    tree = sides.head.tree if sides.stranger is None else sides.stranger.tree
    config = sides.head.config
    on_head = suite_names(tree, config)
    kept = {name: name for name in on_head if name in on_base}
    gone = [name for name in on_base if name not in kept]
    new = [name for name in on_head if name not in kept]
    if before is not None:
        texts = {
            "base": {name: _lines(before.tree, suite_path(before.config, name)) for name in gone},
            "head": {name: _lines(tree, suite_path(config, name)) for name in new},
        }
        trusted = sides.head if sides.stranger is None else None
        alike = [
            (_likeness(before, base, trusted, head, texts["base"][base], texts["head"][head]), base, head)
            for base in gone
            for head in new
        ]
        for likeness, base, head in sorted(alike, reverse=True):
            if likeness > 0 and base in gone and head in new:
                kept[head] = base
                gone.remove(base)
                new.remove(head)
    return SuitePairs(kept=kept, new=tuple(new), removed=tuple(gone))


def _likeness(
    before: Parts,
    base: str,
    after: Parts | None,
    head: str,
    old: Counter[bytes],
    new: Counter[bytes],
) -> float:
    shared = (old & new).total() / max(old.total(), new.total(), 1)
    share = shared if shared >= _ALIKE else 0.0
    if after is None:  # a stranger's suite is text, and nothing else
        return share
    try:
        was, now = before.suite(base), after.suite(head)
    except EvalhError:
        return share
    if was.prompt != now.prompt:
        return share
    return shared + (_SAME_BOTH if was.dataset == now.dataset else _SAME_PROMPT)


def _lines(tree: Tree, path: str) -> Counter[bytes]:
    return Counter(line.strip() for line in (content(tree, path) or b"").splitlines() if line.strip())
