"""Writing to `production.db`: records of every door, and the lines that running programs left in their own files."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import time
from typing import IO, Any, Self, TypeAlias

from msgspec import Struct

from evalh.core.attempt import MAYBE_BILLED
from evalh.core.errors import CannotMeasure
from evalh.core.strict_json import JsonValue
from evalh.store.columns import Instants, json_text, read_json, restored, stored
from evalh.store.database import REFUSALS, StoreError, connect, explained, prepare, purge, transaction
from evalh.store.locking import held
from evalh.store.production.rows import TABLES, UPSERTS, record_of, row_of
from evalh.store.production.schema import FILE, ensure_schema
from evalh_trace.records import AnyRecord, Attempt, Call, Loss, Record, Workflow, decode

SPOOL = "production"
"""The folder of the lines, beside the file."""

PriceOf: TypeAlias = Callable[[Attempt, JsonValue], float | None]
"""Returns what an attempt cost in USD by its tokens and the settings of its call; None: unknown."""

_STUBBED = "delete from {table} where workflow_id in (select id from workflows where kept = 'stub')"
_WHOSE = {
    "user": "select id, status from workflows where user = ?",
    "session": "select id, status from workflows where session = ?",
}
_UNPRICED = """select a.*, c.settings as settings from attempts a join calls c on c.id = a.call_id
where a.call_id in (select value from json_each(?)) and a.cost_usd is null and a.input_tokens is not null"""
_BY_THE_DOOR = """update attempts set cost_from = 'door'
where call_id in (select value from json_each(?)) and cost_usd is not null and cost_from is null"""
_REFUSED = f"""update attempts set cost_usd = 0, cost_from = 'refused'
where call_id in (select value from json_each(?)) and cost_usd is null and status = 'error' and http_status >= 400
and number is not null and input_tokens is null
and coalesce(error_kind, '') not in ({", ".join(f"'{kind.value}'" for kind in sorted(MAYBE_BILLED))})"""  # noqa: S608
_CALL_COSTS = """update calls set cost_usd = (
  select case when count(*) = count(cost_usd) then sum(cost_usd) end from attempts where call_id = calls.id
) where id in (select value from json_each(?))"""
_BATCH = 2_000
_CHUNK = 8 << 20  # bytes
_RECORD = b'{"record":'
_FORGOTTEN = "forgotten "  # begins the notes of workflows that ran when they were forgotten
_DAY_S = 86_400.0
_STUBS_S = 7 * _DAY_S


class Merged(Struct):
    """What a merge did."""

    records: int = 0
    unreadable: int = 0


class ProductionWriter:
    """Writes to one folder's `production.db`. Raises StoreError, WorkspaceError."""

    def __init__(self, folder: Path, price_of: PriceOf, *, keep_s: float | None = None) -> None:
        """Open it, made if need be. What is older than `keep_s` seconds is deleted at each merge."""
        self.folder = folder
        self._path = prepare(folder).with_name(FILE)
        self._price_of = price_of
        self._keep_s = keep_s
        with self._telling():
            self._connection = connect(self._path)
            ensure_schema(self._connection, self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self, records: Iterable[AnyRecord]) -> int:
        """Store records; those that are there are completed. Return how many."""
        written = 0
        pending = iter(records)
        while batch := list(islice(pending, _BATCH)):
            with self._telling(), transaction(self._connection):
                self._store(batch)
            written += len(batch)
        return written

    def merge(self, now: float | None = None) -> Merged:
        """Take over what programs wrote into files of their own; mark what was interrupted; delete what is too old.

        A file that may not be read keeps nothing else from being taken over; then CannotMeasure is raised.
        """
        now, merged = time() if now is None else now, Merged()
        live, unread = set(), list[CannotMeasure]()
        for file in _files(self.folder / SPOOL):
            try:
                finished = self._take(file, merged, now)
            except CannotMeasure as exc:
                if isinstance(exc, StoreError):
                    raise
                unread.append(exc)
                finished = False
            if not finished:
                live.add(file.name.partition(".")[0])
        with self._telling(), transaction(self._connection):
            for (process,) in self._connection.execute(
                "select distinct process from workflows where status is null and process is not null"
            ).fetchall():
                if restored(process) not in live:
                    self._connection.execute(
                        "update workflows set status = 'interrupted' where status is null and process = ?", (process,)
                    )
            for table in ("workflow_steps", "calls", "attempts"):  # a child process may have written them
                self._connection.execute(_STUBBED.format(table=table))
            self._delete_old(now)
        if unread:
            raise unread[0]
        return merged

    def forget(self, whose: str, name: str) -> int:
        """Delete the workflows of a `user` or a `session` from every file, bytes too. Return how many there were.

        Of one that still runs, nothing that comes later is stored.
        """
        self.merge()
        with self._telling():
            self._connection.execute("PRAGMA secure_delete = on")
            with transaction(self._connection):
                found = self._connection.execute(_WHOSE[whose], (stored(name),)).fetchall()
                ids = [one for one, _ in found]
                self._refuse_later(one for one, status in found if status is None)
                if whose == "user":
                    self._connection.execute("delete from feedback where user = ?", (stored(name),))
                self._delete(ids)
        late = set[str]()  # what a program wrote meanwhile
        for file in _files(self.folder / SPOOL):
            late |= _blank(file, set(map(restored, ids)), whose, name)
        with self._telling(), transaction(self._connection):
            self._refuse_later(map(stored, late))
            self._delete(list(map(stored, late)))
        with self._telling():
            purge(self._connection, self._path)
        return len({*ids, *map(stored, late)})

    def _refuse_later(self, workflows: Iterable[str]) -> None:
        now = Instants().text(time())
        rows = [(f"{_FORGOTTEN}{one}", now) for one in workflows]
        self._connection.executemany("insert or replace into notes values (?, ?)", rows)

    def _refused(self) -> set[str]:
        query = "select substr(name, ?) from notes where substr(name, 1, ?) = ?"
        values = (len(_FORGOTTEN) + 1, len(_FORGOTTEN), _FORGOTTEN)
        return {restored(one) for (one,) in self._connection.execute(query, values)}

    def names_of(self, whose: str, name: str) -> list[str]:
        """Return the ids of the workflows of a `user` or a `session`, and of their calls."""
        self.merge()
        with self._telling():
            ids = [one for one, _ in self._connection.execute(_WHOSE[whose], (stored(name),))]
            calls = "select id from calls where workflow_id in (select value from json_each(?))"
            ids += [one for (one,) in self._connection.execute(calls, (json_text(ids),)).fetchall()]
        return list(map(restored, ids))

    # -- which versions answered

    def forget_fits(self, versions: str) -> None:
        """Look at all calls again if the versions are not those of the last look; `versions` is their digest."""
        with self._telling(), transaction(self._connection):
            found = self._connection.execute("select value from notes where name = 'versions'").fetchone()
            if found is None or found[0] != versions:
                self._connection.execute("insert or replace into notes values ('versions', ?)", (versions,))
                self._connection.execute("update calls set versions = null where versions is not null")

    def without_fits(self) -> list[tuple[str, JsonValue]]:
        """Return some calls that were not looked at yet, with their messages."""
        query = "select id, messages from calls where versions is null and messages is not null limit ?"
        with self._telling():
            return [(call, read_json(text)) for call, text in self._connection.execute(query, (_BATCH,))]

    def set_fits(self, fits: Iterable[tuple[str, list[str]]]) -> None:
        """Write which versions calls fit."""
        rows = [(json_text(versions), call) for call, versions in fits]
        with self._telling(), transaction(self._connection):
            self._connection.executemany("update calls set versions = ? where id = ?", rows)

    # -- one file of lines

    def _take(self, file: Path, merged: Merged, now: float) -> bool:
        """Store what was added to a file. Return whether its process has ended; then it is deleted."""
        with _lines(file) as lines:
            if lines is None:
                return True
            alive = held(lines.fileno())
            while self._take_chunk(file, lines, merged, now, alive=alive):
                pass
            if alive or not _is_of_a_program(lines):
                return not alive
            try:  # while it is locked: its process, if it has only begun, then makes another
                file.unlink(missing_ok=True)
            except OSError:  # in a folder that is read-only: what was taken is noted
                return True
        with self._telling():
            self._connection.execute("delete from spool where file = ?", (stored(file.name),))
        return True

    def _take_chunk(self, file: Path, lines: IO[bytes], merged: Merged, now: float, *, alive: bool) -> bool:
        name = stored(file.name)
        with self._telling(), transaction(self._connection):
            found = self._connection.execute("select offset from spool where file = ?", (name,)).fetchone()
            offset = 0 if found is None else int(found[0])
            lines.seek(offset)
            chunk = lines.read(_CHUNK)
            whole = chunk.rfind(b"\n") + 1
            if whole == 0 and len(chunk) < _CHUNK and alive:
                return False
            taken = chunk[:whole] if whole else chunk  # a line that is cut off, or longer than any may be
            records = list(decode(taken))
            good = [one for one in records if one is not None]
            lost = len(records) - len(good)
            if lost:
                good.append(Loss(id=f"{file.stem}@{offset}", count=lost, why="unreadable", at=now, process=file.stem))
            self._store(good)
            self._connection.execute(
                "insert into spool values (?, ?) on conflict (file) do update set offset = excluded.offset",
                (name, offset + len(taken)),
            )
            merged.records += len(good)
            merged.unreadable += lost
            return len(chunk) == _CHUNK or (not alive and 0 < whole < len(chunk))

    # -- rows

    def _store(self, records: list[AnyRecord]) -> None:
        if refused := self._refused():
            records = [one for one in records if getattr(one, "workflow_id", one.id) not in refused]
        calls = {one.call_id for one in records if isinstance(one, Attempt)}
        calls |= {one.id for one in records if isinstance(one, Call)}
        for kind in TABLES:
            rows = [row_of(one) for one in records if type(one) is kind]
            try:
                self._connection.executemany(UPSERTS[kind], rows)
            except REFUSALS:  # a value that no column can hold
                for row in rows:
                    self._store_or_count(kind, row)
        if calls:
            self._price(json_text(sorted(calls)))

    def _store_or_count(self, kind: type[Record], row: list[Any]) -> None:
        try:
            self._connection.execute(UPSERTS[kind], row)
        except REFUSALS:
            loss = Loss(id=f"refused {row[0]}"[:200], count=1, why="unreadable", at=time())
            self._connection.execute(UPSERTS[Loss], row_of(loss))

    def _price(self, calls: str) -> None:
        """Write what attempts of these calls cost, where it can be known; `calls` is a JSON list of ids."""
        cursor = self._connection.cursor()
        cursor.row_factory = sqlite3.Row
        rows = cursor.execute(_UNPRICED, (calls,)).fetchall()
        priced = [(self._price_of(record_of(Attempt, row), read_json(row["settings"])), row["id"]) for row in rows]
        known = [one for one in priced if one[0] is not None]
        self._connection.executemany("update attempts set cost_usd = ?, cost_from = 'prices' where id = ?", known)
        self._connection.execute(_BY_THE_DOOR, (calls,))
        self._connection.execute(_REFUSED, (calls,))
        self._connection.execute(_CALL_COSTS, (calls,))

    def _delete_old(self, now: float) -> None:
        instants = Instants()
        stubs = instants.text(now - _STUBS_S)
        old = ["select id from workflows where kept = 'stub' and started_at < ?"]
        values = [stubs]
        if self._keep_s is not None:
            old.append("select id from workflows where started_at < ?")
            values.append(instants.text(max(0.0, now - self._keep_s)))
        for query, value in zip(old, values, strict=True):
            ids = [name for (name,) in self._connection.execute(query, (value,))]
            self._delete(ids)
        late = "delete from notes where substr(name, 1, ?) = ? and value < ?"
        self._connection.execute(late, (len(_FORGOTTEN), _FORGOTTEN, stubs))

    def _delete(self, workflows: list[str]) -> None:
        ids = json_text(workflows)
        for table in TABLES.values():
            if table != "losses":
                column = "id" if table == "workflows" else "workflow_id"
                which = f"delete from {table} where {column} in (select value from json_each(?))"  # noqa: S608 (names of our own)
                self._connection.execute(which, (ids,))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise explained(exc, self._path) from exc


def _files(folder: Path) -> list[Path]:
    """Return the files of programs, in order. Raises CannotMeasure for a folder that cannot be read."""
    if folder.is_symlink():
        hint = "move what it points to here, or name its folder: [trace] store"
        raise CannotMeasure("is a symbolic link: evalh reads and deletes nothing outside", where=str(folder), hint=hint)
    try:
        return sorted(one for one in folder.iterdir() if one.name.endswith(".jsonl"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise _unreadable(exc, folder) from exc


@contextmanager
def _lines(file: Path, flags: int = os.O_RDONLY) -> Iterator[IO[bytes] | None]:
    """Open a program's file; None for what is not one: a link, a folder, a pipe, or gone. Raises CannotMeasure."""
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            yield None
            return
        # It may have become another kind of file since.
        careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        opened = os.open(file, flags | careful | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:  # another process merged it
        yield None
        return
    except OSError as exc:
        raise _unreadable(exc, file) from exc
    with os.fdopen(opened, "rb" if flags == os.O_RDONLY else "r+b") as lines:
        yield lines


def _unreadable(exc: OSError, path: Path) -> CannotMeasure:
    hint = "run this as the user of the program that wrote it, or let yours read it"
    return CannotMeasure(f"what a program wrote cannot be read: {exc.strerror}", where=str(path), hint=hint)


def _is_of_a_program(lines: IO[bytes]) -> bool:
    """Whether a file begins as those of the tracer do: another one is never deleted."""
    lines.seek(0)
    begin = lines.read(_CHUNK).lstrip()
    return not begin or begin.startswith(_RECORD[: len(begin)])


def _blank(file: Path, workflows: set[str], whose: str, name: str) -> set[str]:
    """Overwrite the lines of workflows with blanks: a running program goes on appending to the same file.

    Return those of this user or session that it found.
    """
    with _lines(file, os.O_RDWR) as lines:
        if lines is None:
            return set()
        records = (one for line in lines for one in decode(line))
        own = {one.id for one in records if isinstance(one, Workflow) and getattr(one, whose) == name}
        lines.seek(0)
        place, found = 0, list[tuple[int, int]]()
        for line in lines:
            for one in decode(line):
                theirs = getattr(one, whose, None) == name
                if theirs and isinstance(one, Workflow):  # it may have come since the first look
                    own.add(one.id)
                workflow = getattr(one, "workflow_id", getattr(one, "id", None))
                if theirs or workflow in own or workflow in workflows:
                    found.append((place, len(line) - 1))
            place += len(line)
        for begin, length in found:
            lines.seek(begin)
            lines.write(b" " * length)
        lines.flush()
        os.fsync(lines.fileno())
    return own
