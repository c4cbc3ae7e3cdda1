"""`evalh collect`: what programs send over OpenTelemetry, received and kept."""

import sys
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, verb
from evalh.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from evalh.api.collecting import Arrived
    from evalh.collector.session import Collected

_STANDARD_PORT = 4318


@click.command("collect", context_settings={"allow_interspersed_args": False})
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on.  [default: a free one for COMMAND, else 4318]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. If other machines reach it, --token is needed.",
)
@click.option(
    "--token",
    metavar="T",
    envvar="EVALH_COLLECT_TOKEN",
    help="Accept only requests with this bearer token.  [default: $EVALH_COLLECT_TOKEN]",
)
@click.option("--content", is_flag=True, help="Keep messages, inputs and outputs, even if [trace] content is off.")
@click.option("--forward", metavar="URL", help="Forward everything unchanged to this OTLP/HTTP receiver.")
@click.argument("command_line", metavar="[-- COMMAND…]", nargs=-1, type=click.UNPROCESSED)
@verb
def command(  # noqa: PLR0913 (click's contract)
    app: App,
    *,
    port: int | None,
    host: str,
    token: str | None,
    content: bool,
    forward: str | None,
    command_line: tuple[str, ...],
) -> int:
    """Receive spans and logs over OTLP/HTTP, and store their workflows, steps and model calls.

    With COMMAND it starts that program with OTEL_EXPORTER_OTLP_ENDPOINT set, returns its exit code and prints what
    arrived. Without one it receives until Ctrl-C. POST /feedback takes {"workflow": ID, "good": false}.

    \b
      evalh collect -- python app.py
      evalh collect --content --forward https://otel.example -- uvicorn app:app
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.collecting import arrived, collection_for, environment_of
    from evalh.api.event_loop import in_loop
    from evalh.collector.session import CollectOptions, collect, listen, protocol
    from evalh.interop.otlp_collector import Protocol

    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
        raise UsageError("a token must be ASCII, without blanks around it", hint="--token $(openssl rand -hex 16)")
    options = CollectOptions(
        host=host,
        port=port if port is not None else 0 if command_line else _STANDARD_PORT,
        token=token,
        forward=forward,
        command=command_line,
        quiet=app.json,
    )
    if command_line and protocol() is Protocol.JSON:
        hint = "pip install 'evalh[otel]'   Python's exporters send only protobuf"
        print(f"protobuf cannot be read here, so the program is told to send JSON: {hint}", file=sys.stderr)
    collection = collection_for(app.workspace, content=content)

    def ready(url: str) -> None:
        if not command_line:
            print(f"{url}/v1/traces, /v1/logs and /feedback; Ctrl-C stops it", file=sys.stderr, flush=True)

    with listen(options) as listening:
        collected = in_loop(collect(listening, collection, options, environment_of(app.workspace), ready))
    _tell(app, arrived(app.workspace, collection, content=content), collected)
    return ExitCode.INTERRUPTED if collected.code is None else collected.code


def _tell(app: App, found: "Arrived", collected: "Collected") -> None:
    from evalh.report.documents.document import document_of
    from evalh.report.documents.workspace import CollectedDocument
    from evalh.report.terminal.collected import show_collected

    document = document_of(CollectedDocument, found.tally, found, exit=collected.code, forwarding=collected.forwarding)
    if app.json:
        app.show_json(document)
    else:  # stdout is the program's
        show_collected(app.hints, document)
