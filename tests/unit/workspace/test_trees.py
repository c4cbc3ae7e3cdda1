"""The work tree: what it reads, and what it refuses to."""

import os
from pathlib import Path

import pytest

from evalh.core.errors import WorkspaceError
from evalh.workspace.files import WorkTree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "prompts" / "triage").mkdir(parents=True)
    (folder / "prompts" / "triage" / "v1.prompt").write_bytes(b"one\r\n")
    (folder / "evalh.toml").write_bytes(b"")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


def test_bytes_come_as_they_lie_on_disk(root: Path) -> None:
    tree = WorkTree(root)

    assert tree.read("prompts/triage/v1.prompt") == b"one\r\n"
    with tree.open("prompts/triage/v1.prompt") as file:
        assert file.readline() == b"one\r\n"
    assert tree.revision is None


def test_names_are_sorted_files_and_folders(root: Path) -> None:
    tree = WorkTree(root)

    assert tree.names(".") == ["evalh.toml", "prompts"]
    assert tree.names("") == ["evalh.toml", "prompts"]
    assert tree.names("prompts/nothing") == []
    assert tree.names("evalh.toml") == []


def test_a_folder_is_no_file(root: Path) -> None:
    tree = WorkTree(root)

    assert tree.exists("evalh.toml")
    assert not tree.exists("prompts")
    assert not tree.exists("evalh.toml/x")
    for path in ("prompts", "nothing", "evalh.toml/x"):
        with pytest.raises(FileNotFoundError):
            tree.read(path)


@pytest.mark.parametrize("path", ["../secret.txt", "prompts/../../secret.txt", "/etc/passwd", "a\\b", "a\0b"])
def test_a_path_never_leaves_the_root(root: Path, path: str) -> None:
    tree = WorkTree(root)

    for ask in (tree.read, tree.exists, tree.names, tree.open):
        with pytest.raises(WorkspaceError, match="leaves the workspace"):
            ask(path)


def test_a_link_out_of_the_root_is_refused_and_one_inside_is_followed(root: Path) -> None:
    (root / "out").symlink_to("../secret.txt")
    (root / "outside").symlink_to("..")
    (root / "in").symlink_to("prompts")

    tree = WorkTree(root)

    assert tree.read("in/triage/v1.prompt") == b"one\r\n"
    for path in ("out", "outside/secret.txt"):
        with pytest.raises(WorkspaceError, match="symbolic link out of the workspace"):
            tree.read(path)


def test_a_loop_of_links_is_an_error_not_a_crash(root: Path) -> None:
    (root / "ring").symlink_to("ring")

    with pytest.raises(WorkspaceError, match="is a broken symbolic link"):
        WorkTree(root).read("ring")


def test_a_root_that_is_a_link_works(root: Path, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(root)

    assert WorkTree(tmp_path / "here").exists("evalh.toml")


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe")

    with pytest.raises(FileNotFoundError):
        WorkTree(root).read("pipe")


def test_a_name_that_no_file_can_have_is_an_error_not_a_crash(root: Path) -> None:
    with pytest.raises(WorkspaceError):
        WorkTree(root).exists("x" * 5000)
