"""Recordings: a run's answers as JSON Lines that the `replay` provider reads."""

import gzip
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from evalh.core.digest import JsonValue
from evalh.core.errors import UsageError


def lines(rows: Iterable[Mapping[str, JsonValue]]) -> Iterator[str]:
    """Write each row as one line of ASCII JSON: a lone surrogate survives as its escape."""
    return (json.dumps(row, allow_nan=False) + "\n" for row in rows)


def write(rows: Iterable[Mapping[str, JsonValue]], target: Path) -> int:
    """Write a recording whole or not at all, packed where the name ends in `.gz`; return the number of rows.

    Raises UsageError where it cannot be written. The same rows give the same bytes.
    """
    count = 0
    temporary: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as file:
            packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if target.suffix == ".gz" else file
            for line in lines(rows):
                packed.write(line.encode())
                count += 1
            if packed is not file:
                packed.close()
        Path(temporary).chmod(_readable())
        Path(temporary).replace(target)
        temporary = None
    except OSError as exc:
        parent = target.parent
        hint = f"{parent} is no folder" if parent.exists() and not parent.is_dir() else None
        raise UsageError(f"cannot write: {exc.strerror or exc}", where=str(target), hint=hint) from exc
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return count


def _readable() -> int:
    """Return the mode of a file that is made in the ordinary way: a temporary one is its owner's only."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
