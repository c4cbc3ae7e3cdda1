"""`evalh import otel`: spans and logs from a file."""

from pathlib import Path

import click

from evalh.cli.app import App, verb
from evalh.core.errors import ExitCode


@click.command("otel")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--content", is_flag=True, help="Keep messages, inputs and outputs, even if [trace] content is off.")
@verb
def otel(app: App, *, file: Path, content: bool) -> int:
    """Import spans and logs: OTLP in JSON, one request a line or one document, or in protobuf; .gz is unpacked.

    An OpenTelemetry collector's file exporter writes such files. A file that is imported twice is counted once.

    \b
      evalh import otel traces.jsonl
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.collecting import import_spans
    from evalh.report.documents.document import document_of
    from evalh.report.documents.workspace import CollectedDocument
    from evalh.report.terminal.collected import show_collected

    found = import_spans(app.workspace, file, content=content)
    app.show(document_of(CollectedDocument, found.tally, found), lambda document: document, show_collected)
    return ExitCode.CANNOT_MEASURE if found.trouble else ExitCode.YES
