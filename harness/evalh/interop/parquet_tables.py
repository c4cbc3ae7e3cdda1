"""A table of the log as a Parquet file, by pyarrow (the extra `parquet`).

A row group holds 50,000 rows, or fewer with long texts: memory does not grow with the log.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from evalh.core.tables import Cell, ColumnKind, TableColumn, TableRows

GROUP_ROWS = 50_000
GROUP_BYTES = 64 << 20  # of texts, before they are compressed
_CHUNK_ROWS = 500  # Python objects at a time; a chunk that is Arrow's takes a tenth of the memory

_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.WHOLE: pa.int64(),
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.YES_NO: pa.bool_(),
    ColumnKind.INSTANT: pa.timestamp("us", tz="UTC"),
    ColumnKind.USD: pa.decimal128(28, 12),  # the log's amounts are exact to 1e-12
}


def write_parquet(table: TableRows, file: BinaryIO, about: Mapping[str, str]) -> int:
    """Write a table; `about` becomes the schema's metadata. Returns the number of rows."""
    fields = [pa.field(column.name, _TYPES[column.kind]) for column in table.columns]
    schema = pa.schema(fields, metadata=dict(about))
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        group = _Group(schema, writer)
        while rows := list(islice(table.rows, _CHUNK_ROWS)):
            group.add(rows, table.columns)
        group.end()
    return group.rows


class _Group:
    """The row group that is being gathered."""

    def __init__(self, schema: Any, writer: Any) -> None:
        self.rows = 0  # of the whole table
        self._schema, self._writer = schema, writer
        self._chunks: list[Any] = []
        self._rows = self._bytes = 0

    def add(self, rows: Sequence[tuple[Cell, ...]], columns: Sequence[TableColumn]) -> None:
        arrays = [
            pa.array(values, type=_TYPES[column.kind])
            for column, values in zip(columns, zip(*rows, strict=True), strict=True)
        ]
        chunk = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._chunks.append(chunk)
        self.rows += len(rows)
        self._rows += len(rows)
        self._bytes += chunk.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self.end()

    def end(self) -> None:
        """Write what was gathered, if anything was."""
        if self._chunks:
            self._writer.write_table(
                pa.Table.from_batches(self._chunks, schema=self._schema), row_group_size=GROUP_ROWS
            )
        self._chunks, self._rows, self._bytes = [], 0, 0
