"""git, on real repositories made with the git command."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalh.core.errors import NotFound, UsageError, WorkspaceError
from evalh.workspace.git import NoRepository, Repository, probe

Git = Callable[..., str]
V1 = "prompts/triage/v1.prompt"


def git_in(folder: Path) -> Git:
    def run(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return run


def write(folder: Path, path: str, text: str | bytes) -> None:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three commits; the workspace is the whole repository."""
    folder = tmp_path / "repo"
    folder.mkdir()
    git = git_in(folder)
    git("init", "-q", "-b", "main")
    for number, word in enumerate(("one", "two", "three"), start=1):
        write(folder, V1, word)
        write(folder, f"prompts/triage/draft{number}", word)
        git("add", "-A")
        git("commit", "-q", "-m", f"Say {word}")
    return folder


@pytest.fixture
def repository(folder: Path) -> Iterator[Repository]:
    yield from opened(folder)


def opened(folder: Path) -> Iterator[Repository]:
    found = probe(folder)
    assert isinstance(found, Repository), found
    yield found
    found.close()


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# -- reading a revision


def test_a_file_is_read_as_each_revision_holds_it(repository: Repository) -> None:
    assert [repository.tree(name).read(V1) for name in ("HEAD~2", "HEAD~1", "main")] == [b"one", b"two", b"three"]


def test_a_commit_lists_only_what_it_holds(repository: Repository) -> None:
    tree = repository.tree("HEAD~1")

    assert tree.names("prompts/triage") == ["draft1", "draft2", "v1.prompt"]
    assert tree.names("") == ["prompts"]
    assert tree.names("nothing") == []
    assert tree.names(V1) == []
    assert tree.exists(V1)
    assert not tree.exists("prompts")
    assert not tree.exists("prompts/triage/draft3")
    assert tree.revision == "HEAD~1"
    assert tree.commit == repository.commit("HEAD~1")


@pytest.mark.parametrize("path", ["prompts", "nothing", "prompts/triage/draft3", f"{V1}/deeper"])
def test_what_a_commit_does_not_hold_is_not_found(repository: Repository, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        repository.tree("HEAD~1").read(path)


def test_reading_touches_no_file_and_runs_no_hook(folder: Path, tmp_path: Path) -> None:
    alarm = tmp_path / "alarm"
    script = f"#!/bin/sh\necho ran >> {alarm}\n"
    for name in ("post-index-change", "post-checkout", "reference-transaction", "monitor", "pager"):
        write(folder, f".git/hooks/{name}", script)
        (folder / ".git/hooks" / name).chmod(0o755)
    git = git_in(folder)
    git("config", "core.fsmonitor", str(folder / ".git/hooks/monitor"))
    git("config", "core.pager", str(folder / ".git/hooks/pager"))
    write(folder, V1, "edited, not committed")
    os.utime(folder / "prompts/triage/draft1")  # git would like to refresh its index
    alarm.unlink(missing_ok=True)
    before = snapshot(folder)

    for repository in opened(folder):
        assert repository.tree("HEAD~2").read(V1) == b"one"
        assert repository.dirty(["prompts"])
        repository.log(V1)
        repository.file_state(V1)
        repository.merge_base("HEAD~1", "HEAD")
        repository.base_revision(None)

    assert snapshot(folder) == before
    assert not alarm.exists()


def test_the_workspace_may_be_a_folder_deep_in_the_repository(folder: Path) -> None:
    write(folder, "apps/bot/prompts/greet/v1.prompt", "hello")
    git_in(folder)("add", "-A")
    git_in(folder)("commit", "-q", "-m", "Greet")

    for repository in opened(folder / "apps" / "bot"):
        tree = repository.tree("HEAD")
        assert tree.read("prompts/greet/v1.prompt") == b"hello"
        assert tree.names("") == ["prompts"]
        assert not repository.dirty(["prompts"])
        assert [entry.subject for entry in repository.log("prompts/greet/v1.prompt")] == ["Greet"]
        assert repository.file_state("prompts/greet/v1.prompt").blob is not None
        earlier = repository.tree("HEAD~1")  # before the folder was there
        assert earlier.names("prompts") == []
        assert not earlier.exists("prompts/greet/v1.prompt")


def test_links_in_a_commit_are_followed_inside_the_workspace_only(folder: Path) -> None:
    bot = folder / "bot"
    write(folder, "secret", "secret")
    write(bot, "prompts/a", "a")
    for name, target in {
        "in": "prompts/a",
        "folder": "prompts",
        "up": "prompts/../prompts/a",
        "out": "../secret",
        "absolute": "/etc/passwd",
        "ring": "ring",
        "nowhere": "prompts/b",
    }.items():
        (bot / name).symlink_to(target)
    git_in(folder)("add", "-A")
    git_in(folder)("commit", "-q", "-m", "Links")

    for repository in opened(bot):
        tree = repository.tree("HEAD")
        assert [tree.read(path) for path in ("in", "folder/a", "up")] == [b"a"] * 3
        for path in ("out", "absolute"):
            with pytest.raises(WorkspaceError, match="symbolic link out of the workspace"):
                tree.read(path)
        for path in ("ring", "nowhere"):
            assert not tree.exists(path)


@pytest.mark.parametrize("path", ["../repo/secret", "/etc/passwd", "prompts/../../x"])
def test_a_path_in_a_commit_never_leaves_the_root(repository: Repository, path: str) -> None:
    with pytest.raises(WorkspaceError, match="leaves the workspace"):
        repository.tree("HEAD").read(path)


def test_a_big_file_is_streamed_and_seekable(folder: Path) -> None:
    rows = b"".join(b'{"id": "%d"}\n' % number for number in range(900_000))
    assert len(rows) > 8 * 2**20
    write(folder, "datasets/big.jsonl", rows)
    git_in(folder)("add", "-A")
    git_in(folder)("commit", "-q", "-m", "Big")

    for repository in opened(folder):
        with repository.tree("HEAD").open("datasets/big.jsonl") as file:
            assert file.readline() == b'{"id": "0"}\n'
            file.seek(-13, os.SEEK_END)
            assert file.read().endswith(b'899999"}\n')


def test_a_pointer_to_large_file_storage_is_named(folder: Path) -> None:
    write(folder, "datasets/lfs.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    git_in(folder)("add", "-A")
    git_in(folder)("commit", "-q", "-m", "LFS")

    for repository in opened(folder):
        with pytest.raises(WorkspaceError, match="Git LFS"):
            repository.tree("HEAD").read("datasets/lfs.jsonl")


# -- revisions


def test_an_unknown_revision_names_the_nearest(repository: Repository) -> None:
    with pytest.raises(NotFound, match="'mian'") as caught:
        repository.tree("mian")

    assert caught.value.hint == "did you mean 'main'?"


@pytest.mark.parametrize("revision", ["--all", "-h", "", "a b", "HEAD:prompts", "HEAD^{tree}", "x\0y", "HEAD~99"])
def test_a_revision_that_names_no_commit_is_not_found(repository: Repository, revision: str) -> None:
    with pytest.raises(NotFound):
        repository.tree(revision)


def test_a_tag_and_a_short_id_name_a_commit(folder: Path, repository: Repository) -> None:
    git_in(folder)("tag", "-a", "released", "-m", "x", "HEAD~1")

    assert repository.commit("released") == repository.commit("HEAD~1")
    assert repository.commit(repository.commit("HEAD~1")[:10]) == repository.commit("HEAD~1")


def test_a_shallow_clone_says_how_to_deepen_it(folder: Path, tmp_path: Path) -> None:
    git_in(tmp_path)("clone", "-q", "--depth", "1", f"file://{folder}", "shallow")

    for repository in opened(tmp_path / "shallow"):
        assert repository.is_shallow
        with pytest.raises(NotFound, match="HEAD~2") as caught:
            repository.tree("HEAD~2")
        assert "git fetch --unshallow" in str(caught.value.hint)
        assert "fetch-depth: 0" in str(caught.value.hint)


def test_no_shared_commit_in_a_shallow_clone_says_how_to_deepen_it(folder: Path, tmp_path: Path) -> None:
    git = git_in(folder)
    git("branch", "topic", "HEAD~1")
    git_in(tmp_path)("clone", "-q", "--depth", "1", "--no-single-branch", f"file://{folder}", "shallow")

    for repository in opened(tmp_path / "shallow"):
        with pytest.raises(UsageError, match="share no commit") as caught:
            repository.merge_base("origin/topic", "HEAD")
        assert "git fetch --unshallow" in str(caught.value.hint)


def test_head_may_be_detached(folder: Path, repository: Repository) -> None:
    git_in(folder)("checkout", "-q", "--detach", "HEAD~1")

    assert repository.head_commit() == repository.commit("main~1")
    assert not repository.dirty(["prompts"])


def test_before_the_first_commit_there_is_no_head_and_everything_is_dirty(tmp_path: Path) -> None:
    git_in(tmp_path)("init", "-q")
    write(tmp_path, V1, "one")

    for repository in opened(tmp_path):
        assert repository.head_commit() is None
        assert repository.dirty(["prompts"])
        assert not repository.dirty(["datasets"])
        assert repository.log(V1) == []
        assert repository.file_state(V1).dirty
        assert repository.base_revision(None) is None
        with pytest.raises(NotFound):
            repository.tree("HEAD")


# -- the work tree against HEAD


def test_dirty_sees_edited_new_staged_and_removed_files_under_the_paths_only(
    folder: Path, repository: Repository
) -> None:
    paths = ["prompts", "evalh.toml"]
    assert not repository.dirty(paths)

    write(folder, "notes.txt", "elsewhere")
    assert not repository.dirty(paths)

    write(folder, V1, "edited")
    assert repository.dirty(paths)
    git_in(folder)("add", "-A")
    assert repository.dirty(paths)
    git_in(folder)("reset", "-q", "--hard")
    assert not repository.dirty(paths)

    write(folder, "evalh.toml", "new")
    assert repository.dirty(paths)
    (folder / "evalh.toml").unlink()
    (folder / V1).unlink()
    assert repository.dirty(paths)


def test_a_path_is_no_pattern(folder: Path, repository: Repository) -> None:
    write(folder, "prompts/new", "x")

    assert not repository.dirty(["*", ":(glob)**"])


def test_file_state_says_where_a_file_lives(folder: Path, repository: Repository) -> None:
    clean = repository.file_state(V1)
    write(folder, V1, "edited")
    edited = repository.file_state(V1)
    write(folder, "prompts/triage/v2.prompt", "new")
    new = repository.file_state("prompts/triage/v2.prompt")

    assert (clean.dirty, edited.dirty, new.dirty) == (False, True, True)
    assert clean.blob == edited.blob == git_in(folder)("rev-parse", f"HEAD:{V1}")
    assert new.blob is None


def test_log_is_newest_first(repository: Repository) -> None:
    entries = repository.log(V1)

    assert [entry.subject for entry in entries] == ["Say three", "Say two", "Say one"]
    assert entries[0].commit == repository.head_commit()
    assert entries[0].author == "Test"
    assert entries[0].date[4] == "-"
    assert len(repository.log(V1, limit=1)) == 1
    assert [entry.subject for entry in repository.log("prompts/triage/draft2")] == ["Say two"]


# -- base and merge base


def test_the_base_is_as_configured(repository: Repository) -> None:
    assert repository.base_revision("release/1") == "release/1"


def test_without_a_remote_the_base_is_unknown(repository: Repository) -> None:
    assert repository.base_revision(None) is None


def test_the_base_is_the_remotes_head(folder: Path, tmp_path: Path) -> None:
    git_in(folder)("branch", "-m", "main", "trunk")
    git_in(tmp_path)("clone", "-q", str(folder), "clone")

    for repository in opened(tmp_path / "clone"):
        assert repository.base_revision(None) == "origin/trunk"


def test_without_a_remote_head_the_base_is_its_main_branch(folder: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git_in(tmp_path)("clone", "-q", "-o", "upstream", str(folder), "clone")
    git_in(clone)("remote", "set-head", "upstream", "--delete")
    for repository in opened(clone):
        assert repository.base_revision(None) == "upstream/main"

    git_in(clone)("symbolic-ref", "refs/remotes/upstream/HEAD", "refs/remotes/upstream/gone")
    for repository in opened(clone):
        assert repository.base_revision(None) == "upstream/main"


def test_merge_base_is_where_two_lines_part(folder: Path, repository: Repository) -> None:
    git = git_in(folder)
    git("checkout", "-q", "-b", "topic", "HEAD~1")
    write(folder, "x", "x")
    git("add", "-A")
    git("commit", "-q", "-m", "Topic")

    assert repository.merge_base("main", "topic") == repository.commit("main~1")
    with pytest.raises(NotFound):
        repository.merge_base("nothing", "topic")


def test_unrelated_lines_share_no_commit(folder: Path, repository: Repository) -> None:
    git = git_in(folder)
    git("checkout", "-q", "--orphan", "other")
    git("commit", "-q", "-m", "Other")

    assert repository.merge_base("main", "other") is None


# -- git in a bad mood


def test_without_a_repository_everything_else_works(tmp_path: Path) -> None:
    found = probe(tmp_path)

    assert isinstance(probe(tmp_path), NoRepository)
    assert found == NoRepository("this folder is not in a git repository", "git init")


def test_without_the_git_command_the_reason_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    found = probe(folder)

    assert isinstance(found, NoRepository)
    assert "not on PATH" in found.reason


def test_a_repository_of_someone_else_is_refused_with_what_to_type(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    found = probe(folder)

    assert isinstance(found, NoRepository)
    assert "dubious ownership" in found.reason
    assert found.hint == f"git config --global --add safe.directory {folder}"


@pytest.mark.parametrize(
    ("path", "content"),
    [("HEAD", b"nonsense\xff"), ("config", b"[core\nnonsense = = ["), ("HEAD", None), ("objects", None)],
)
def test_a_damaged_repository_is_a_reason_not_a_crash(folder: Path, path: str, content: bytes | None) -> None:
    place = folder / ".git" / path
    if content is not None:
        place.write_bytes(content)
    elif place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()

    found = probe(folder)

    assert isinstance(found, NoRepository)
    assert found.reason
    assert isinstance(probe(folder), NoRepository)


def test_a_missing_object_is_a_clear_error(folder: Path, repository: Repository) -> None:
    blob = git_in(folder)("rev-parse", f"HEAD:{V1}")
    (folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()

    tree = repository.tree("HEAD")

    with pytest.raises(UsageError, match="git cannot read an object"):
        tree.read(V1)
    assert repository.tree("HEAD~1").read(V1) == b"two"  # the next answer is not out of step


@pytest.mark.parametrize("content", [b"garbage", None])
def test_a_damaged_commit_is_a_clear_error(folder: Path, repository: Repository, content: bytes | None) -> None:
    commit = git_in(folder)("rev-parse", "HEAD")
    place = folder / ".git" / "objects" / commit[:2] / commit[2:]
    place.unlink()
    if content is not None:
        place.write_bytes(content)

    for ask in (
        repository.head_commit,
        lambda: repository.dirty(["prompts"]),
        lambda: repository.log(V1),
        lambda: repository.tree("HEAD"),
        lambda: repository.merge_base("HEAD", "HEAD~1"),
    ):
        with pytest.raises(UsageError):
            ask()


def test_a_damaged_line_of_commits_is_a_clear_error(folder: Path, repository: Repository) -> None:
    git = git_in(folder)
    commit = git("rev-parse", "HEAD~1")
    git("branch", "first", "HEAD~2")
    (folder / ".git" / "objects" / commit[:2] / commit[2:]).unlink()

    with pytest.raises(UsageError, match="git failed"):
        repository.merge_base("HEAD", "first")


def test_a_bare_repository_holds_no_workspace(tmp_path: Path) -> None:
    git_in(tmp_path)("init", "-q", "--bare", ".git")

    found = probe(tmp_path)

    assert isinstance(found, NoRepository)
    assert "bare" in found.reason


def test_a_linked_work_tree_is_a_repository_too(folder: Path, tmp_path: Path) -> None:
    git_in(folder)("worktree", "add", "-q", str(tmp_path / "linked"), "HEAD~1")

    for repository in opened(tmp_path / "linked"):
        assert repository.head_commit() == repository.commit("main~1")
        assert repository.tree("main").read(V1) == b"three"


def test_inside_a_hook_the_repository_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", ".git")  # as git sets it for its hooks
    monkeypatch.chdir(folder)

    for repository in opened(folder):
        assert repository.tree("HEAD~1").read(V1) == b"two"


def test_git_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, evalh.workspace.git, evalh.workspace.prompt.prompts; assert 'git' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
