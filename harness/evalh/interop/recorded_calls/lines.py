"""The lines of a file that somebody else wrote: each is an object, or a mistake that is told and counted.

One bad line does not end the reading, whatever it holds: a line of any length takes bounded memory.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, BinaryIO, TypeAlias

from evalh.core.errors import WorkspaceError
from evalh.core.located import kind_of
from evalh.core.strict_json import NotStrictJson, parse
from evalh.core.values import Value
from evalh.workspace.dataset.jsonl_rows import refuse_unholdable
from evalh.workspace.files import decode, refuse_other_encodings

LONGEST_BYTES = 16 * 2**20
_CHUNK_BYTES = 2**18
_MOST_SKIPPED = 2**30  # of one line: what has no line ends may have no end either

Row: TypeAlias = dict[str, Any]


class Mistake(Value):
    """A line that could not be read. `where` is `file:line`."""

    where: str
    what: str


class RecordedFile(Value, kw_only=True):
    """What is known of a file besides its lines."""

    name: str
    at: float  # when it was written: the time of what says none
    workflow: str | None = None  # what its workflows are called, where a line does not say
    requests: Mapping[str, Row] = {}  # of a batch, by custom_id

    @property
    def default_name(self) -> str:
        """What a workflow is called."""
        return self.workflow or PurePath(self.name).name.partition(".")[0] or "import"


class NotRead(ValueError):
    """A line's content is not what its form asks for; the text says what is wrong."""


def rows(file: BinaryIO, name: str) -> Iterator[tuple[int, Row | Mistake]]:
    """Yield each line's number and object. Blank lines are skipped.

    Raises WorkspaceError for UTF-16, gzip, and a line without end.
    """
    first = True
    for number, raw in _lines(file, name):
        if first and raw is not None:
            refuse_other_encodings(raw, name)
            raw = raw.removeprefix(BOM_UTF8)  # noqa: PLW2901 (the mark is not the line's)
        first = False
        where = f"{name}:{number}"
        if raw is None:
            yield number, Mistake(where, f"is longer than {LONGEST_BYTES // 2**20} MB")
        elif raw.strip():
            yield number, _row(raw, name, number)


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line; None for one that is too long, whose rest is skipped."""
    number = 0
    while raw := file.readline(LONGEST_BYTES + 1):
        number += 1
        if len(raw) <= LONGEST_BYTES:
            yield number, raw
            continue
        skipped = len(raw)
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(_CHUNK_BYTES)
            skipped += len(raw)
            if skipped > _MOST_SKIPPED:
                raise WorkspaceError("has a line without end", where=f"{name}:{number}", hint="is it text?")
        yield number, None


def _row(raw: bytes, name: str, number: int) -> Row | Mistake:
    where = f"{name}:{number}"
    try:
        row = parse(decode(raw, name, number).strip())
        if not isinstance(row, dict):
            return Mistake(where, f"must be an object, not {kind_of(row)}")
        refuse_unholdable(row, where)
    except NotStrictJson as exc:
        return Mistake(where, f"is not JSON: {exc.in_line}")
    except WorkspaceError as exc:
        return Mistake(where, exc.what)
    return row


def text_at(row: Mapping[str, Any], key: str) -> str | None:
    """Return a text; None where it is missing or null. Raises NotRead for anything else."""
    value = row.get(key)
    if value is None or isinstance(value, str):
        return value
    raise NotRead(f"{key!r} must be text, not {kind_of(value)}")


def object_at(row: Mapping[str, Any], key: str) -> Row | None:
    """Return an object; None where it is missing or null. Raises NotRead for anything else."""
    value = row.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise NotRead(f"{key!r} must be an object, not {kind_of(value)}")


def number_at(row: Mapping[str, Any], key: str) -> float | None:
    """Return a number; None where it is missing or null. Raises NotRead for anything else."""
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotRead(f"{key!r} must be a number, not {kind_of(value)}")
    try:
        return float(value)
    except OverflowError:
        raise NotRead(f"{key!r} is too large") from None
