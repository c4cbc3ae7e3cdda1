"""`evalh export`: results for other tools, and for evalh itself."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Group, takes, verb
from evalh.core.errors import UsageError

if TYPE_CHECKING:
    from evalh.api.exports import WrittenTable
    from evalh.api.options import OtelOptions
    from evalh.api.otel import Exported

_TABLES = ("samples", "verdicts", "attempts", "cases", "runs")


@click.group("export", cls=Group)
def command() -> None:
    """Write results in other formats."""


@command.command("recorded")
@click.argument("run_id", metavar="[RUN]", default="last")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write; .gz compresses.  [default: stdout]"
)
@verb
def recorded(app: App, run_id: str, output: Path | None) -> None:
    """Write RUN's answers as a recording that `provider = "replay"` reads."""
    from evalh.interop.recording import lines, write

    if app.json and output is None:
        raise UsageError(
            "a recording has one line per answer, so it cannot be one JSON document", hint="--json -o FILE.jsonl"
        )
    _refuse_file(run_id, "evalh export recorded -o {}")
    rows = app.workspace.recording(run_id)
    first = next(rows, None)
    if first is None:  # an empty file would replace a recording that holds some
        raise UsageError(f"run {run_id!r} has no answer", hint="name another run; `evalh view` lists them")
    rows = chain([first], rows)
    if output is None:
        for line in lines(rows):
            click.echo(line, nl=False, file=app.answer)
        return
    count = write(rows, output)
    if app.json:
        from evalh.report.documents.workspace import RecordedExport

        app.show_json(RecordedExport(output=str(output), rows=count))
        return
    app.console.print(f"{count} answers in {output}", soft_wrap=True)


@command.command("csv")
@click.argument("runs", metavar="[RUN]…", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for all tables.")
@click.option("--table", type=click.Choice(_TABLES), help="Print this table.  [default: samples, without --output]")
@verb
def csv_tables(app: App, *, runs: tuple[str, ...], output: Path | None, table: str | None) -> None:
    """Write the rows of runs as CSV: samples, verdicts, attempts, cases, runs.

    A cell that a spreadsheet would take for a formula begins with an apostrophe. For one run as people read it:
    evalh report RUN --format csv.

    \b
      evalh export csv > samples.csv
      evalh export csv last --table verdicts
      evalh export csv r20261124 r20261125 -o exported
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api import exports
    from evalh.core.tables import LogTable

    for name in runs:
        _refuse_file(name, "evalh export csv > {}")
    if output is not None and table is not None:
        raise UsageError("--output is a folder for all tables, --table prints one", hint=f"--table {table} > FILE.csv")
    if output is not None:
        _show_tables(app, exports.write_csv(app.workspace, runs, output))
        return
    if app.json:
        raise UsageError(
            "a CSV table cannot be one JSON document", hint="--json -o FOLDER, or evalh sql --json 'select …'"
        )
    for line in exports.csv_of(app.workspace, runs, LogTable(table or "samples")):
        click.echo(line, nl=False, file=app.answer)


@command.command("parquet")
@click.argument("runs", metavar="[RUN]…", nargs=-1)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the tables."
)
@verb
def parquet_tables(app: App, *, runs: tuple[str, ...], output: Path) -> None:
    """Write the rows of runs as Parquet: samples, verdicts, attempts, cases, runs.

    Default: the newest run. Needs pip install 'evalh[parquet]'. DuckDB and pandas read the log itself, too:
    docs/guide/numbers-elsewhere.md.
    """
    from evalh.api import exports

    _show_tables(app, exports.write_parquet(app.workspace, runs, output))


@command.command("inspect")
@click.argument("run_id", metavar="[RUN]", default="last")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("logs"),
    show_default=True,
    help="Folder for the log; `inspect view` shows what is in ./logs.",
)
@verb
def inspect_log(app: App, run_id: str, output: Path) -> None:
    """Write RUN as a log for Inspect (inspect view, read_eval_log).

    A run with more than 50,000 samples becomes several files.
    """
    from evalh.api import exports

    _show_tables(app, exports.write_inspect(app.workspace, run_id, output))


def _refuse_file(name: str, command: str) -> None:
    """Refuse a file's name in place of a run's, whose id has no dot. Raises UsageError."""
    if "." in name:
        raise UsageError(f"{name!r} is a file's name, not a run's", hint=command.format(quote(name)))


def _show_tables(app: App, written: "Sequence[WrittenTable]") -> None:
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import TablesExport

        app.show_json(document_of(TablesExport, files=written))
        return
    from evalh.report.text import plural

    for one in written:
        app.console.print(f"{one.output}: {plural(one.rows, 'row')}", soft_wrap=True)


@command.command("otel")
@click.argument("run_id", metavar="[RUN]", default="last")
@click.option(
    "--endpoint",
    metavar="URL",
    help="An OTLP/HTTP receiver; /v1/traces and /v1/logs are added."
    "  [default: $OTEL_EXPORTER_OTLP_ENDPOINT, else port 4318 here]",
)
@click.option(
    "--protocol",
    type=click.Choice(["http/json", "http/protobuf"]),
    help="Encoding.  [default: $OTEL_EXPORTER_OTLP_PROTOCOL, else http/json]",
)
@click.option("--content", is_flag=True, help="Send messages, outputs, reasons and error texts too.")
@click.option(
    "--verdicts",
    type=click.Choice(["both", "spans", "logs"]),
    default="both",
    show_default=True,
    help="Send verdicts as span events (deprecated by OpenTelemetry), as log records, or as both.",
)
@verb
@takes("OtelOptions")
def otel(app: App, run_id: str, options: "OtelOptions") -> int:
    """Send RUN to an OpenTelemetry collector: spans of run, samples, calls, attempts, and verdicts as log records.

    Ids are derived from the log's, so sending twice creates no duplicates. Headers come from
    OTEL_EXPORTER_OTLP_HEADERS and are never shown.
    """
    from evalh.cli.progress import counter_for
    from evalh.core.errors import ExitCode

    with counter_for("spans") as watch:
        exported = app.workspace.export_otel(run_id, options, watch)
    _show_exported(app, exported)
    return ExitCode.YES if exported.whole else ExitCode.CANNOT_MEASURE


def _show_exported(app: App, exported: "Exported") -> None:
    spans, logs = exported.spans, exported.logs
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import SpansExport

        message = spans.message or None
        app.show_json(document_of(SpansExport, exported, spans, spans=spans.taken, message=message))
    else:
        records = "" if logs is None or not logs.taken else f", {logs.taken} verdicts as log records"
        app.console.print(f"{spans.taken} spans of {exported.run} at {exported.endpoint}{records}", soft_wrap=True)
        for sent, what in ((spans, "spans"), (logs, "log records")):
            if sent is not None and sent.rejected:
                app.console.print(f"{sent.rejected} {what} were refused", soft_wrap=True)
    if spans.message:
        app.hints.print(f"the collector says: {spans.message}", soft_wrap=True)
    if logs is not None and logs.message:
        kept = "; the spans hold the verdicts too: --verdicts spans sends no records" if exported.spare else ""
        app.hints.print(f"log records: {logs.message}{kept}", soft_wrap=True)
