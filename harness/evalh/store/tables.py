"""The log's tables for other programs: all columns of some runs, with types, a row at a time.

Text stays as the log keeps it: a format such as Parquet cannot hold more than UTF-8 either.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from evalh.core.money import from_stored
from evalh.core.tables import Cell, ColumnKind, LogTable, TableColumn, TableRows
from evalh.store.log_reader import LogReader

# A run's rows are ranges of a primary key, as in `samples.py`. `cross join` keeps the runs outside: SQLite would
# otherwise read whole tables.
_RUNS = "from json_each(:runs) n cross join"
_SAMPLES = f"{_RUNS} samples s on s.id > n.value || '/' and s.id < n.value || '0'"
_BOUGHT = f"""select c.answered_by {_RUNS} calls c on c.id > n.value || ':' and c.id < n.value || ';'
  where c.answered_by is not null
  and substr(c.answered_by, 1, instr(c.answered_by, ':') - 1) not in (select value from json_each(:runs))"""  # noqa: S608 (ours)
_ROWS: Mapping[LogTable, str] = {
    LogTable.RUNS: f"select r.* {_RUNS} runs r on r.id = n.value",
    LogTable.SAMPLES: f"""select s.*, r.suite, r.prompt, r.model, coalesce(s.step_output, a.text) as output
      {_SAMPLES} join runs r on r.id = n.value left join attempts a on a.id = s.answered_by""",
    LogTable.VERDICTS: f"""select v.* {_RUNS} verdicts v
      on v.sample_id > n.value || '/' and v.sample_id < n.value || '0'""",
    # Answers of the log too, which earlier runs bought: without them a sample would have no output.
    LogTable.ATTEMPTS: f"""select a.* {_RUNS} attempts a on a.id > n.value || ':' and a.id < n.value || ';'
      union all select a.* from attempts a where a.id in ({_BOUGHT})""",  # noqa: S608 (ours)
    LogTable.CASES: f"""select c.* from cases c
      where (c.id, c.digest) in (select s.case_id, s.case_digest {_SAMPLES})""",  # noqa: S608 (ours)
}
_ADDED = {LogTable.SAMPLES: ("suite", "prompt", "model", "output")}
_INSTANTS = frozenset({"started_at", "finished_at"})
_YES_NO = frozenset({"cache_hit", "required", "estimated", "git_dirty"})
_DECLARED = {"INTEGER": ColumnKind.WHOLE, "REAL": ColumnKind.NUMBER}


class TableReader(LogReader):
    """Reads whole tables."""

    def table(self, table: LogTable, runs: Sequence[str]) -> TableRows:
        """Return a table's rows that belong to these runs, by their whole ids. Rows raise as other reads do."""
        columns = [*self._columns(table), *(TableColumn(name, ColumnKind.TEXT) for name in _ADDED.get(table, ()))]
        return TableRows(columns, self.table_rows(table, runs, columns))

    def table_rows(
        self, table: LogTable, runs: Sequence[str], columns: Sequence[TableColumn]
    ) -> Iterator[tuple[Cell, ...]]:
        """Yield a table's rows. Raises WorkspaceError for a value that its column cannot hold."""
        reads = [_READ[column.kind] for column in columns]
        for row in self._stream(_ROWS[table], {"runs": json.dumps(list(runs))}):
            yield tuple(None if value is None else read(value) for read, value in zip(reads, tuple(row), strict=True))

    def _columns(self, table: LogTable) -> Iterator[TableColumn]:
        for row in self._rows(f"pragma table_info({table})"):
            yield TableColumn(row["name"], _kind(row["name"], row["type"]))


def _kind(name: str, declared: str) -> ColumnKind:
    if name in _INSTANTS:
        return ColumnKind.INSTANT
    if name in _YES_NO:
        return ColumnKind.YES_NO
    if name.endswith("_usd"):
        return ColumnKind.USD
    return _DECLARED.get(declared.upper(), ColumnKind.TEXT)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not text")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r:.40} is not a whole number")
    return value


def _usd(value: Any) -> Decimal | None:
    return from_stored(float(value))


_READ: Mapping[ColumnKind, Callable[[Any], Cell]] = {
    ColumnKind.TEXT: _text,
    ColumnKind.WHOLE: _whole,
    ColumnKind.NUMBER: float,
    ColumnKind.YES_NO: bool,
    ColumnKind.INSTANT: datetime.fromisoformat,
    ColumnKind.USD: _usd,
}
