"""Text of a workspace's files, as any tree gives it."""

from pathlib import Path

import pytest

from evalh.core.errors import WorkspaceError
from evalh.workspace.files import WorkTree, label, read_text


class OneFile:
    """A commit that holds one file."""

    revision = "HEAD~2"

    def __init__(self, data: bytes | Exception) -> None:
        self.data = data

    def read(self, path: str) -> bytes:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data

    def exists(self, path: str) -> bool:
        return True

    def names(self, folder: str) -> list[str]:
        return []


def test_byte_order_mark_and_line_ends_are_normalised() -> None:
    tree = OneFile(b"\xef\xbb\xbfone\r\ntwo\rthree\n")

    assert read_text(tree, "f") == "one\ntwo\nthree\n"


def test_only_the_first_byte_order_mark_is_stripped() -> None:
    assert read_text(OneFile("\ufeff\ufeffx".encode()), "f") == "\ufeffx"


def test_unicode_line_separators_are_no_line_ends() -> None:
    assert read_text(OneFile("a\u2028b\x0bc\x85d".encode()), "f") == "a\u2028b\x0bc\x85d"


@pytest.mark.parametrize(
    ("data", "what", "where"),
    [
        (b"ok\nnot\xffok", "not UTF-8: byte 0xff", "HEAD~2:f:2"),
        (b"ok\n\n\0", "binary", "HEAD~2:f:3"),
        (b"\xff\xfea\0", "UTF-16", "HEAD~2:f"),
        (b"\x1f\x8b\x08", "compressed", "HEAD~2:f"),
        (b"\xed\xa0\x80", "not UTF-8", "HEAD~2:f:1"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(data: bytes, what: str, where: str) -> None:
    with pytest.raises(WorkspaceError, match=what) as caught:
        read_text(OneFile(data), "f")

    assert caught.value.where == where


def test_a_missing_file_is_a_workspace_error(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no such file") as caught:
        read_text(WorkTree(tmp_path), "evalh.toml")

    assert caught.value.where == "evalh.toml"


def test_a_file_that_cannot_be_read_is_a_workspace_error() -> None:
    with pytest.raises(WorkspaceError, match="cannot be read: denied"):
        read_text(OneFile(PermissionError(13, "denied")), "f")


def test_files_of_a_revision_are_named_with_it(tmp_path: Path) -> None:
    assert label(OneFile(b""), "evals/a.yaml") == "HEAD~2:evals/a.yaml"
    assert label(WorkTree(tmp_path), "evals/a.yaml") == "evals/a.yaml"


@pytest.mark.parametrize(
    "marker", ["<<<<<<< HEAD", ">>>>>>> topic/x", "||||||| merged common ancestors", "<<<<<<<", ">>>>>>>\ttheirs"]
)
def test_a_conflict_that_nobody_settled_is_refused_with_its_line(marker: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        read_text(OneFile(f"one\r\ntwo\r\n{marker}\r\nthree".encode()), "f")
    assert str(caught.value).startswith(f"HEAD~2:f:3: a merge conflict is not settled: {marker}")
    assert "keep one side" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("ours", "beside", "free"),
    [
        ("v2.prompt", "v3.prompt", "v4.prompt"),
        ("v2.pipeline.yaml", "v2.txt", "v3.pipeline.yaml"),
        ("v2.pipeline.yaml", "v3.prompt", "v4.pipeline.yaml"),
        ("v2.prompt", "v3.pipeline.yaml", "v4.prompt"),
    ],
)
def test_two_versions_of_one_number_are_settled_with_the_next_that_is_free(
    tmp_path: Path, ours: str, beside: str, free: str
) -> None:
    (tmp_path / ours).write_text("<<<<<<< HEAD\na\n=======\nb\n>>>>>>> theirs\n")
    (tmp_path / beside).write_text("c\n")

    with pytest.raises(WorkspaceError) as caught:
        read_text(WorkTree(tmp_path), ours)

    assert f"git show :2:./{ours} > {free}\ngit checkout --theirs {ours}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    ["A heading\n=======\n", " <<<<<<< HEAD\n", "<<<<<<<< x\n", "<<<<<<<x", "a <<<<<<< b", ">>>>>>>>>\n", "<<< x"],
)
def test_what_only_looks_like_one_is_text(text: str) -> None:
    assert read_text(OneFile(text.encode()), "f") == text
