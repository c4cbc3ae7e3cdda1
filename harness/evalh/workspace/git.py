"""The only door to git: files, commits and history, read without touching the work tree.

GitPython is imported when a repository is first looked at, never before: a plain run does not need it.
"""

import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, BinaryIO, cast

from evalh.core.errors import EvalhError, NotFound, UsageError, WorkspaceError, did_you_mean
from evalh.core.values import Value
from evalh.workspace.files import follow, parts_of, refuse_pointer

if TYPE_CHECKING:
    import git
    from git.objects.base import IndexObject

# Reading must neither write (index locks), run what the repository configures (monitors, hooks, pagers, signature
# checks), nor ask a person.
_OPTIONS = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "log.showSignature=false", "core.quotePath=false")
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_IN_MEMORY_BYTES = 8 * 2**20
_DEEPER = "this clone is shallow: git fetch --unshallow (in CI: fetch-depth: 0)"


class NoRepository(Value):
    """Why there is no usable repository, and what to type to get one."""

    reason: str
    hint: str | None = None
    broken: bool = False  # there is a `.git`, and git cannot answer


class LogEntry(Value):
    """One commit that touched a file; `date` is ISO 8601 with its zone."""

    commit: str
    date: str
    author: str
    subject: str


class FileState(Value):
    """Where a file lives in git. `blob` is its object at HEAD, None if HEAD does not hold it."""

    blob: str | None
    dirty: bool  # the work tree's file is not the one at HEAD


class _GitFailed(Exception):
    def __init__(self, status: int, stderr: str) -> None:
        lines = [line for line in stderr.splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("fatal: ")), lines[0] if lines else "")
        self.status = status
        self.reason = said.removeprefix("fatal: ").removeprefix("error: ")
        super().__init__(self.reason)


def probe(root: Path) -> "Repository | NoRepository":
    """Look for a usable repository around `root`."""
    if _home(root := root.resolve()) is None:
        return NoRepository("this folder is not in a git repository", "git init")
    if shutil.which(os.environ.get("GIT_PYTHON_GIT_EXECUTABLE", "git")) is None:
        return NoRepository("the git command is not on PATH", "install git", broken=True)
    try:
        return Repository(root)
    except _GitFailed as exc:
        trust = f"git config --global --add safe.directory {root}" if "ownership" in exc.reason else "git fsck"
        return NoRepository(f"git refuses this repository: {exc.reason}", trust, broken=True)
    except Exception as exc:  # noqa: BLE001 (a damaged .git folder raises whatever its parser trips over)
        return NoRepository(f"the git repository cannot be read: {exc or type(exc).__name__}", "git fsck", broken=True)


def _home(root: Path) -> Path | None:  # no commit can bring a `.git`
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)


class Repository:
    """The repository around a workspace. Paths are the workspace's, whose folder may lie deep in the repository."""

    def __init__(self, root: Path) -> None:
        """Open it; `probe` is the door that says what is wrong instead of raising."""
        import git

        # not searched for by GitPython, to which a folder with HEAD, objects and refs is one: a commit may bring that
        repo = git.Repo(_home(root.resolve()) or root, expand_vars=False)
        if repo.working_tree_dir is None:
            raise _GitFailed(0, "it is bare: it has no files")
        repo.git.update_environment(**_ENVIRONMENT)
        repo.git.set_persistent_git_options(no_pager=True, c=list(_OPTIONS))
        self._repo = repo
        self._lock = RLock()  # one `git cat-file` answers all reads, in turn
        self.top = Path(repo.working_tree_dir).resolve()
        self._prefix = root.resolve().relative_to(self.top).parts
        self.is_shallow = self._ask("rev_parse", "--is-shallow-repository") == "true"

    def close(self) -> None:
        """End the git process that reads objects; safe to call twice."""
        self._repo.close()

    @property
    def prefix(self) -> str:
        """Where the workspace lies in the repository: `` or `apps/support/`."""
        return "".join(f"{name}/" for name in self._prefix)

    def at(self, folder: str) -> "Repository":
        """Return the same repository, seen from another folder of it: where a workspace lay before it was moved."""
        other = copy(self)
        other._prefix = parts_of(folder)  # noqa: SLF001 (its own class)
        return other

    def files(self, commit: str, path: str = "") -> list[str]:
        """Return the files that a commit holds under a path, as paths from the top. Raises UsageError."""
        found = self._run("ls_tree", "-rz", "--full-tree", "--name-only", commit, *([path] if path else []))
        return [file for file in found.split("\0") if file]

    def tracked(self, place: Path) -> tuple[str, ...]:
        """Return the files that git tracks at a place on disk, in the index or at HEAD. Raises UsageError."""
        if not place.is_relative_to(self.top):
            return ()
        found = {*self._run("ls_files", "-z", "--full-name", "--", str(place)).split("\0")}
        if self.head_commit() is not None:
            found.update(self.files("HEAD", place.relative_to(self.top).as_posix()))
        return tuple(sorted(found - {""}))

    def tree(self, revision: str) -> "CommitTree":
        """Return the files at a revision. Raises NotFound."""
        return CommitTree(self, self.commit(revision), revision)

    def commit(self, revision: str) -> str:
        """Return the full id of the commit that a revision names. Raises NotFound."""
        # A remote's branch goes before a tag of its name, which anybody may have pushed.
        names = (f"refs/remotes/{revision}", revision) if "/" in revision else (revision,)
        commit = None if revision.startswith("-") else next(filter(None, map(self._commit_or_none, names)), None)
        if commit is None:
            hint = _DEEPER if self.is_shallow else did_you_mean(revision, self._references())
            raise NotFound(f"git does not know the revision {revision!r}", hint=hint)
        return commit

    def head_commit(self) -> str | None:
        """Return the id of the commit that is checked out; None before the first one. Raises UsageError."""
        commit = self._commit_or_none("HEAD")
        if commit is None:
            with suppress(_GitFailed):
                named = self._ask("rev_parse", "--verify", "--quiet", "HEAD")
                raise UsageError(f"git cannot read the commit that is checked out, {named[:10]}", hint="git fsck")
        return commit

    def last_commit(self) -> str | None:
        """Return the name of what the work tree goes on from: in a merge, theirs. None before the first commit.

        Raises UsageError. A tag may be called MERGE_HEAD, too: git's own file says whether a merge is under way.
        """
        if self.head_commit() is None:
            return None
        return "MERGE_HEAD" if (Path(self._repo.git_dir) / "MERGE_HEAD").is_file() else "HEAD"

    def author(self) -> str | None:
        """Return the e-mail address that git puts on commits here; None: not configured."""
        try:
            return self._ask("config", "user.email").strip() or None
        except _GitFailed:
            return None

    def dirty(self, paths: Iterable[str]) -> bool:
        """Whether any file under these paths differs from HEAD, new files included."""
        places = [self._path(path) for path in paths]
        status = self._run("status", "--porcelain=v1", "-z", "--ignore-submodules=all", "--", *places)
        return bool(status)

    def is_submodule(self) -> bool:
        """Whether another repository has this one checked out, at a commit and from an address that it names."""
        return bool(self._run("rev_parse", "--show-superproject-working-tree"))

    def file_state(self, path: str) -> FileState:
        """Compare a file with HEAD."""
        try:
            blob = self._ask("rev_parse", "--verify", "--quiet", f"HEAD:{self._path(path)}")
        except _GitFailed:
            blob = None
        return FileState(blob, blob is None or self.dirty([path]))

    def base_revision(self, configured: str | None) -> str | None:
        """Return the revision that work is merged into: as configured, else the remote's HEAD; None if unknown."""
        if configured is not None:
            return configured
        remotes = self._run("remote").splitlines()
        if "origin" not in remotes and len(remotes) != 1:
            return None
        remote = "origin" if "origin" in remotes else remotes[0]
        candidates = [f"{remote}/main", f"{remote}/master"]
        with suppress(_GitFailed):
            named = self._ask("symbolic_ref", "--quiet", f"refs/remotes/{remote}/HEAD")
            candidates.insert(0, named.removeprefix("refs/remotes/"))
        return next((name for name in candidates if self._commit_or_none(f"refs/remotes/{name}")), None)

    def likely_base(self) -> str | None:
        """Return a branch that is there, to be named in a hint: the remote's HEAD, main, master, the current one."""
        current = None
        with suppress(_GitFailed):
            current = self._ask("symbolic_ref", "--quiet", "--short", "HEAD")
        local = (name for name in ("main", "master", current) if name and self._commit_or_none(f"refs/heads/{name}"))
        return self.base_revision(None) or next(local, None)

    def merge_base(self, base: str, head: str) -> str | None:
        """Return the newest commit that both revisions hold; None if they share none. Raises NotFound, UsageError."""
        try:
            return self._ask("merge_base", self.commit(base), self.commit(head))
        except _GitFailed as exc:
            if exc.reason:
                raise UsageError(f"git failed: {exc.reason}", hint="git fsck") from exc
            if self.is_shallow:
                raise UsageError(f"{base} and {head} share no commit that is here", hint=_DEEPER) from exc
            return None

    def commits_between(self, old: str, new: str) -> int:
        """Count the commits that `new` holds and `old` does not. Raises NotFound, UsageError."""
        return int(self._run("rev_list", "--count", f"{self.commit(old)}..{self.commit(new)}"))

    def export(self, commit: str, folder: Path) -> Path:
        """Write the workspace's files as a commit holds them under `folder`; return where they lie. Raises UsageError.

        Read from objects, not checked out: filters, hooks and links out of the folder come from the commit's author.
        """
        tree = CommitTree(self, commit, commit, fenced=False)  # code may lie behind any link that stays inside
        home = folder / "workspace"
        home.mkdir(parents=True)
        pending = [""]
        while pending:
            below = pending.pop()
            for name in tree.names(below):
                path = f"{below}/{name}".lstrip("/")
                with suppress(WorkspaceError):  # files in Git LFS are not code; links that lead out are left out
                    if tree.exists(path):
                        place = home.joinpath(*parts_of(path))
                        place.parent.mkdir(parents=True, exist_ok=True)
                        place.write_bytes(tree.read(path))
                    else:
                        pending.append(path)
        return home

    def log(self, path: str, *, limit: int | None = None) -> list[LogEntry]:
        """Return the commits that touched a file, newest first; empty before the first commit."""
        if self.head_commit() is None:
            return []
        bound = () if limit is None else (f"--max-count={limit}",)
        form = ("--encoding=UTF-8", "--no-color", "--format=%H%x1f%aI%x1f%an%x1f%s")
        text = self._run("log", *form, *bound, "--", self._path(path))
        return [LogEntry(*line.split("\x1f", 3)) for line in text.split("\n") if line]

    def _path(self, path: str) -> str:
        return "/".join((*self._prefix, *parts_of(path))) or "."

    def _references(self) -> list[str]:
        return self._run("for_each_ref", "--format=%(refname:short)").splitlines()

    def _commit_or_none(self, revision: str) -> str | None:
        try:
            return self._ask("rev_parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        except _GitFailed as exc:
            if "corrupt" in exc.reason:
                raise UsageError(f"git failed: {exc.reason}", hint="git fsck") from exc
            return None

    def _run(self, verb: str, *arguments: str) -> str:
        """Ask git what it must be able to answer. Raises UsageError."""
        try:
            return self._ask(verb, *arguments)
        except _GitFailed as exc:
            raise UsageError(f"git failed: {exc.reason}", hint="git fsck") from exc

    def _ask(self, verb: str, *arguments: str) -> str:
        import git

        try:
            status, stdout, stderr = getattr(self._repo.git, verb)(
                *arguments, with_extended_output=True, with_exceptions=False
            )
        except git.GitCommandNotFound as exc:
            raise UsageError("the git command is not on PATH", hint="install git") from exc
        except (ValueError, OSError) as exc:  # a NUL in a name, a folder that went away
            raise _GitFailed(128, str(exc)) from exc
        if status != 0:
            raise _GitFailed(status, stderr)
        return str(stdout)

    @contextmanager
    def objects(self) -> Iterator["git.Repo"]:
        """Lend the repository for reading objects, to one reader at a time. Raises UsageError for damaged objects."""
        from git.exc import ODBError

        with self._lock:
            try:
                yield self._repo
            except (EvalhError, FileNotFoundError):
                raise
            except (ODBError, ValueError, OSError) as exc:
                self._repo.git.clear_cache()  # its answers may be out of step
                raise UsageError(f"git cannot read an object: {exc}", hint="git fsck") from exc


class CommitTree:
    """The workspace's files as one commit holds them."""

    def __init__(self, repository: Repository, commit: str, revision: str, *, fenced: bool = True) -> None:
        self.commit = commit
        self._fenced = fenced
        self._repository = repository
        self._revision = revision
        self._listings: dict[str, Mapping[str, IndexObject]] = {}

    @property
    def revision(self) -> str:
        return self._revision

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError; WorkspaceError for what git does not hold."""
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading, seekable; a big one lies in a temporary file, not in memory."""
        with self._repository.objects():
            blob = self._find(path)
            if blob is None or blob.type != "blob":
                raise FileNotFoundError(f"{self._revision}:{path}")
            if blob.size > _IN_MEMORY_BYTES:
                file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
                blob.stream_data(file)
                file.seek(0)
                return file
            data: bytes = blob.data_stream.read()
        refuse_pointer(data, f"{self._revision}:{path}")
        return io.BytesIO(data)

    def exists(self, path: str) -> bool:
        with self._repository.objects():
            found = self._find(path)
        return found is not None and found.type == "blob"

    def names(self, folder: str) -> Sequence[str]:
        with self._repository.objects():
            found = self._find(folder)
            return sorted(self._entries(found)) if found is not None and found.type == "tree" else []

    @cached_property
    def _root(self) -> "IndexObject | None":
        with self._repository.objects() as repo:
            place: IndexObject = repo.commit(self.commit).tree
            for name in self._repository._prefix:  # noqa: SLF001 (the two classes are one module's secret)
                found = self._entries(place).get(name) if place.type == "tree" else None
                if found is None:
                    return None
                place = found
            return place

    def _entries(self, folder: "IndexObject") -> "Mapping[str, IndexObject]":
        known = self._listings.get(folder.hexsha)
        if known is None:
            known = {str(entry.path).rpartition("/")[2]: entry for entry in cast("git.Tree", folder)}
            self._listings[folder.hexsha] = known
        return known

    def _find(self, path: str) -> "IndexObject | None":
        """Walk from the workspace's root, following the links that may be followed."""
        names = follow(path, f"{self._revision}:{path}", self._link_at, fenced=self._fenced)
        return None if names is None else self._entry(names)

    def _entry(self, names: Sequence[str]) -> "IndexObject | None":
        place = self._root
        for name in names:
            if place is None or place.type != "tree":
                return None
            place = self._entries(place).get(name)
        return place

    def _link_at(self, names: Sequence[str]) -> str | None:
        entry = self._entry(names)
        if entry is None or not stat.S_ISLNK(entry.mode):
            return None
        return os.fsdecode(entry.data_stream.read())
