"""Exporting what the log holds of runs: its tables as CSV and Parquet, and a run as a log of Inspect."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from evalh.api.parts import Parts
from evalh.core.errors import UsageError
from evalh.core.run import RunStatus
from evalh.core.tables import LogTable
from evalh.core.values import Value
from evalh.report.documents.document import text_of
from evalh.report.documents.run import result_document, run_document
from evalh.report.files.spreadsheet import table_csv
from evalh.workspace.writing import new_file


class WrittenTable(Value):
    """A file that was written."""

    table: str
    output: str
    rows: int


def finished(parts: Parts, names: Sequence[str]) -> list[str]:
    """Return the whole ids of runs, each once; the newest run where none is named.

    Raises NotFound, UsageError for one that is running.
    """
    found = {}
    for name in names or ("last",):
        run = parts.log.run(name)
        if run.status is RunStatus.RUNNING:
            raise UsageError(f"run {run.record.id} is still running", hint="export it when it ends")
        found[run.record.id] = run
    return list(found)


def csv_of(parts: Parts, names: Sequence[str], table: LogTable) -> Iterator[str]:
    """Yield one table as lines of CSV. Raises NotFound, UsageError."""
    return table_csv(parts.log.table(table, finished(parts, names)))


def write_csv(parts: Parts, names: Sequence[str], folder: Path) -> list[WrittenTable]:
    """Write every table into a folder. Raises NotFound, UsageError, CannotMeasure."""
    runs = finished(parts, names)
    written = []
    for table in LogTable:
        target, rows = folder / f"{table}.csv", -1
        with new_file(target) as file:
            for line in table_csv(parts.log.table(table, runs)):
                file.write(line.encode())
                rows += 1
        written.append(WrittenTable(str(table), str(target), rows))
    return written


def write_parquet(parts: Parts, names: Sequence[str], folder: Path) -> list[WrittenTable]:
    """Write every table into a folder. Raises NotFound, CannotMeasure; UsageError, also without the library."""
    try:
        from evalh.interop import parquet_tables
    except ImportError:
        hint = "pip install 'evalh[parquet]', or evalh export csv, which needs nothing; DuckDB reads the log itself"
        raise UsageError("Parquet needs pyarrow, which is not installed", hint=hint) from None
    runs = finished(parts, names)
    about = {"evalh.run": _documents(parts, runs)}
    written = []
    for table in LogTable:
        target = folder / f"{table}.parquet"
        with new_file(target) as file:
            rows = parquet_tables.write_parquet(parts.log.table(table, runs), file, about)
        written.append(WrittenTable(str(table), str(target), rows))
    return written


def write_inspect(parts: Parts, name: str, folder: Path) -> list[WrittenTable]:
    """Write a run as logs of Inspect, 50,000 samples to a file. Raises NotFound, UsageError, CannotMeasure."""
    from evalh.interop import inspect_log

    (run_id,) = finished(parts, [name])
    run = parts.log.run(run_id)
    counted = inspect_log.tallies(parts.log.results(run_id))
    samples = parts.log.details(run_id)
    first = list(islice(samples, 1))
    samples = chain(first, samples)
    document = {} if run.summary is None else json.loads(text_of(result_document(parts.log.result(run_id, 0))))
    written = []
    for part, tally in enumerate(counted):
        one = inspect_log.InspectFile(
            run=run,
            document=document,
            model=inspect_log.provider_model(first, run.record.model_sent),
            tally=tally,
            part=part,
            parts=len(counted),
        )
        with new_file(folder / one.name) as file:
            file.writelines(one.pieces(islice(samples, inspect_log.MOST_SAMPLES)))
        written.append(WrittenTable("samples", str(folder / one.name), tally.samples))
    return written


def _documents(parts: Parts, runs: Sequence[str]) -> str:
    """Return the document of `evalh run --json` of those that have a summary: outputs are in the tables."""
    ended = [run for run in runs if parts.log.run(run).summary is not None]
    return text_of(run_document([parts.log.result(run, failures=0) for run in ended]))
