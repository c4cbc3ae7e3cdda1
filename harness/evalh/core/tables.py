"""The log's tables as other programs want them: columns with types, and rows."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from evalh.core.values import Value

Cell: TypeAlias = str | int | float | bool | datetime | Decimal | None


class LogTable(StrEnum):
    """A table that is exported."""

    RUNS = "runs"
    SAMPLES = "samples"
    VERDICTS = "verdicts"
    ATTEMPTS = "attempts"
    CASES = "cases"


class ColumnKind(StrEnum):
    """What a column holds. Every column may hold None."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    YES_NO = "yes or no"
    INSTANT = "instant"  # UTC
    USD = "USD"


class TableColumn(Value):
    """One column of a table."""

    name: str
    kind: ColumnKind


class TableRows(Value):
    """A table that is read: its columns, and its rows as they come from the log."""

    columns: Sequence[TableColumn]
    rows: Iterator[tuple[Cell, ...]]
