"""`evalh export`: results for other tools, and for evalh itself."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, takes, verb
from evalh.core.errors import UsageError

if TYPE_CHECKING:
    from evalh.api.options import OtelOptions
    from evalh.api.otel import Exported


@click.group("export")
def command() -> None:
    """Write results in other formats."""


@command.command("recorded")
@click.argument("run_id", metavar="[RUN]", default="last")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write; .gz compresses. Default: stdout.")
@verb
def recorded(app: App, run_id: str, output: Path | None) -> None:
    """Write RUN's answers as a recording that `provider = "replay"` reads."""
    from evalh.interop.recording import lines, write

    if app.json and output is None:
        raise UsageError("a recording is not one document: it has one line per answer", hint="--json -o FILE.jsonl")
    rows = app.workspace.recording(run_id)
    first = next(rows, None)
    if first is None:  # an empty file would replace a recording that holds some
        raise UsageError(f"run {run_id!r} holds no answer", hint="name another run; `evalh view` lists them")
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


@command.command("otel")
@click.argument("run_id", metavar="[RUN]", default="last")
@click.option(
    "--endpoint",
    metavar="URL",
    help="An OTLP/HTTP receiver; /v1/traces is added.  [default: $OTEL_EXPORTER_OTLP_ENDPOINT, else port 4318 here]",
)
@click.option(
    "--protocol",
    type=click.Choice(["http/json", "http/protobuf"]),
    help="Encoding.  [default: $OTEL_EXPORTER_OTLP_PROTOCOL, else http/json]",
)
@click.option("--content", is_flag=True, help="Send messages, outputs, reasons and error texts too.")
@verb
@takes("OtelOptions")
def otel(app: App, run_id: str, options: "OtelOptions") -> int:
    """Send RUN as spans to an OpenTelemetry collector: run, samples, calls, attempts.

    Ids are derived from the log's, so sending twice creates no duplicates. Headers come from
    OTEL_EXPORTER_OTLP_HEADERS and are never shown.
    """
    from evalh.cli.progress import counter_for
    from evalh.core.errors import ExitCode

    with counter_for("spans") as watch:
        exported = app.workspace.export_otel(run_id, options, watch)
    _show_exported(app, exported)
    return ExitCode.CANNOT_MEASURE if exported.sent.rejected else ExitCode.YES


def _show_exported(app: App, exported: "Exported") -> None:
    sent = exported.sent
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import SpansExport

        app.show_json(document_of(SpansExport, exported, sent, message=sent.message or None))
    else:
        app.console.print(f"{sent.spans} spans of {exported.run} at {exported.endpoint}", soft_wrap=True)
        if sent.rejected:
            app.console.print(f"{sent.rejected} spans were refused", soft_wrap=True)
    if sent.message:
        app.hints.print(f"the collector says: {sent.message}", soft_wrap=True)
