"""Recordings: a run's answers as JSON Lines that the `replay` provider reads."""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from evalh.core.strict_json import JsonValue
from evalh.workspace.writing import new_file


def lines(rows: Iterable[Mapping[str, JsonValue]]) -> Iterator[str]:
    """Write each row as one line of ASCII JSON: a lone surrogate survives as its escape."""
    return (json.dumps(row, allow_nan=False) + "\n" for row in rows)


def write(rows: Iterable[Mapping[str, JsonValue]], target: Path) -> int:
    """Write a recording whole or not at all, packed where the name ends in `.gz`; return the number of rows.

    Raises EvalhError if it cannot be written. The same rows give the same bytes.
    """
    count = 0
    with new_file(target) as file:
        packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if target.suffix == ".gz" else file
        for line in lines(rows):
            packed.write(line.encode())
            count += 1
        if packed is not file:
            packed.close()
    return count
