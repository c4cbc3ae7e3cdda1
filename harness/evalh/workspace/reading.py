"""Text of a workspace's files: UTF-8, no byte-order mark, every line ends in a line feed."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

from evalh.core.errors import WorkspaceError
from evalh.core.ports import Tree

_GZIP = b"\x1f\x8b"
# Not =======, which underlines a heading of Markdown.
_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|>{7})(?:[ \t].*)?$", re.MULTILINE)


def label(tree: Tree, path: str) -> str:
    """Return the file's name for messages, with the revision where it is read from one: `HEAD~2:evalh.toml`."""
    return path if tree.revision is None else f"{tree.revision}:{path}"


def read_text(tree: Tree, path: str) -> str:
    """Return a file's text. Raises WorkspaceError for a file that is missing, binary or not UTF-8."""
    name = label(tree, path)
    try:
        data = tree.read(path)
    except FileNotFoundError:
        raise WorkspaceError("no such file", where=name) from None
    except OSError as exc:
        raise WorkspaceError(f"cannot be read: {exc.strerror or exc}", where=name) from exc
    refuse_other_encodings(data, name)
    text = decode(data.removeprefix(BOM_UTF8), name)
    refuse_conflict(text, name)
    return text


def refuse_conflict(text: str, name: str, first_line: int = 1) -> None:
    """Raise WorkspaceError where git has left a conflict for a person to settle: both sides would be read as one."""
    if "<<<<<<<" not in text and ">>>>>>>" not in text and "|||||||" not in text:
        return
    found = _CONFLICT.search(text)
    if found is not None:
        where = f"{name}:{first_line + text.count(chr(10), 0, found.start())}"
        hint = "keep one side and delete the marker lines; a marker that is meant as text stands further in"
        raise WorkspaceError(f"a merge conflict is not settled: {found[0][:40]}", where=where, hint=hint)


def refuse_other_encodings(start: bytes, name: str) -> None:
    """Look at a file's first bytes. Raises WorkspaceError for gzip and UTF-16."""
    if start.startswith(_GZIP):
        raise WorkspaceError("is compressed", where=name, hint=f"unpack it: gunzip {name}")
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise WorkspaceError("is UTF-16, not UTF-8", where=name, hint="save it as UTF-8")


def decode(data: bytes, name: str, first_line: int = 1) -> str:
    """Read UTF-8 bytes that begin on a line of a file. Raises WorkspaceError with the line that is wrong."""
    if b"\0" in data:
        line = first_line + data[: data.index(b"\0")].count(b"\n")
        raise WorkspaceError(
            "is a binary file: it holds a NUL byte", where=f"{name}:{line}", hint="it must be text: UTF-8"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = first_line + data[: exc.start].count(b"\n")
        raise WorkspaceError(
            f"is not UTF-8: byte 0x{data[exc.start]:02x}", where=f"{name}:{line}", hint="save it as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
