"""`evalh export`: results for other tools, and for evalh itself."""

from pathlib import Path

import click

from evalh.cli.app import App, json_option
from evalh.core.errors import UsageError


@click.group("export")
def command() -> None:
    """Write results in other forms."""


@command.command("recorded")
@click.argument("run_id", metavar="[RUN]", default="last")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write; .gz is packed. Default: stdout.")
@json_option
@click.pass_obj
def recorded(app: App, run_id: str, output: Path | None) -> None:
    """Write RUN's answers as a recording that `provider = "replay"` reads."""
    from evalh.interop.recording import lines, write

    if app.json and output is None:
        raise UsageError("a recording is no JSON document: it has a line for each answer", hint="--json -o FILE.jsonl")
    rows = app.workspace.recording(run_id)
    if output is None:
        for line in lines(rows):
            click.echo(line, nl=False, file=app.answer)
        return
    count = write(rows, output)
    if app.json:
        app.show_json({"schema": "evalh.export/1", "output": str(output), "rows": count})
        return
    app.console.print(f"{count} answers in {output}", soft_wrap=True)
