"""`evalh import`: what other programs recorded, read from files into `production.db`."""

import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import BinaryIO

from msgspec import structs

from evalh.api.content import KeptContent
from evalh.api.parts import Parts
from evalh.api.production import production, production_writer
from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.values import Value
from evalh.interop.recorded_calls.lines import Mistake, NotRead, RecordedFile, Row, object_at, rows
from evalh.interop.recorded_calls.reading import VOTES, FileReading
from evalh_trace.records import AnyRecord, Feedback, Workflow

_STDIN = "-"
_CALLS = "evalh import calls FILE.jsonl, or - for standard input"
_VOTES = "evalh import feedback FILE.jsonl, or - for standard input"
_REQUESTS = "evalh import calls OUTPUT.jsonl --requests INPUT.jsonl"
_UNKNOWN_SHOWN = 3


class Imported(Value, kw_only=True):
    """What came of one file."""

    file: str
    form: str
    counts: dict[str, int]  # workflow, step, call, attempt, score, feedback
    repeated: int  # lines that stood in the file before
    bad_lines: int
    mistakes: tuple[Mistake, ...]  # the first of them
    content: bool  # whether messages, inputs and outputs were kept
    dropped: int = 0  # contents that the redactor could not read
    newest: str | None = None  # a workflow
    unknown: tuple[str, ...] = ()  # of votes: the first workflows that are not here
    not_here: int = 0  # how many votes name one of them


def import_calls(parts: Parts, path: str, *, name: str | None = None, requests: str | None = None) -> Imported:
    """Store the calls or workflows of a file. `name`: what its workflows are called. Raises EvalhError.

    `requests`: the input file of a batch, whose output `path` is.
    """
    asked = {} if requests is None else _requests(requests)
    with opened(path, _CALLS) as (file, label, at):
        reading = FileReading(file, RecordedFile(name=label, at=at, workflow=name, requests=asked))
        newest: list[Workflow] = []
        kept = KeptContent(parts)
        with production_writer(parts) as writer:
            writer.write(_remembered(kept.of(reading), newest))
        return _imported(reading, label, kept, newest=newest[0].id if newest else None)


def import_feedback(parts: Parts, path: str) -> Imported:
    """Store the votes of a file. Raises EvalhError."""
    named: Counter[str] = Counter()
    with opened(path, _VOTES) as (file, label, at):
        reading = FileReading(file, RecordedFile(name=label, at=at), VOTES)
        kept = KeptContent(parts)
        with production_writer(parts) as writer:
            writer.write(_named(kept.of(reading), production(parts).own_ids(), named))
    unknown = _strangers(parts, named)
    told = _imported(reading, label, kept, newest=None)
    return structs.replace(told, unknown=tuple(unknown[:_UNKNOWN_SHOWN]), not_here=sum(named[one] for one in unknown))


def _imported(reading: FileReading, label: str, kept: KeptContent, newest: str | None) -> Imported:
    return Imported(
        file=label,
        form=reading.form.name,
        counts=dict(sorted(reading.counts.items())),
        repeated=reading.repeated,
        bad_lines=reading.bad_lines,
        mistakes=tuple(reading.mistakes),
        content=kept.on,
        dropped=kept.dropped,
        newest=newest,
    )


def _remembered(records: Iterable[AnyRecord], newest: list[Workflow]) -> Iterator[AnyRecord]:
    """Pass records on; `newest` holds the workflow that began last."""
    for record in records:
        if isinstance(record, Workflow) and (not newest or record.started_at >= newest[0].started_at):
            newest[:] = [record]
        yield record


def _named(records: Iterable[AnyRecord], ids: Mapping[str, str], named: Counter[str]) -> Iterator[AnyRecord]:
    """Pass votes on, each under the id of its workflow here: the line may name the one that a service gave it."""
    for record in records:
        if isinstance(record, Feedback):
            workflow = ids.get(record.workflow_id, record.workflow_id)
            named[workflow] += 1
            yield structs.replace(record, workflow_id=workflow)


def _strangers(parts: Parts, named: Iterable[str]) -> list[str]:
    """Return the workflows that votes name and that are not here."""
    reader = production(parts)
    return [one for one in named if not reader.holds(one)]


def _requests(path: str) -> dict[str, Row]:
    """Return the requests of a batch's input file, by their custom_id. Raises EvalhError at a line that is none."""
    found: dict[str, Row] = {}
    with opened(path, _REQUESTS) as (file, label, _):
        for number, row in rows(file, label):
            if isinstance(row, Mistake):
                raise WorkspaceError(row.what, where=row.where)
            name = row.get("custom_id")
            try:
                body = object_at(row, "body")
            except NotRead as exc:
                raise WorkspaceError(str(exc), where=f"{label}:{number}") from None
            if not isinstance(name, str) or body is None:
                hint = '{"custom_id": …, "method": "POST", "url": …, "body": {…}} on each line'
                raise WorkspaceError("is not a line of a batch's input", where=f"{label}:{number}", hint=hint)
            if name in found:
                raise WorkspaceError(f"the custom_id {name!r} came before", where=f"{label}:{number}")
            found[name] = body
    return found


@contextmanager
def opened(path: str, hint: str) -> Iterator[tuple[BinaryIO, str, float]]:
    """Open a file, or standard input for `-`: its bytes, its name, and when it was written. Raises UsageError.

    A pipe is read as a file is. A device has no end, so none is read.
    """
    if path == _STDIN:
        yield sys.stdin.buffer, "stdin", time()
        return
    try:
        about = Path(path).stat()
        refuse_devices(about.st_mode, path, hint)
        found = Path(path).open("rb")  # noqa: SIM115 (what fails inside it is not a mistake of opening it)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError("no such file", where=path, hint=hint) from None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise UsageError(f"cannot be read: {reason}", where=path) from None
    with found as file:
        yield file, path, about.st_mtime


def refuse_devices(mode: int, path: str, hint: str) -> None:
    """Raise UsageError for what is neither a file nor a pipe: a folder, or a device, which may have no end."""
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device"
        raise UsageError(f"is {kind}, not a file", where=path, hint=hint)
