"""`evalh report`: a run to look at, to hand on, to paste."""

from pathlib import Path

import click

from evalh.cli.app import App, json_option


@click.command("report")
@click.argument("runs", metavar="[RUN | COMPARISON]…", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@json_option
@click.pass_obj
def command(app: App, *, runs: tuple[str, ...], output: Path | None) -> None:
    """Write a report: one HTML file that needs no server and no network. Default: about the newest run."""
    from evalh.api.report import page

    target = output or Path("report.html")
    text = page(app.workspace, runs or ("last",))
    target.write_text(text, encoding="utf-8")
    if app.json:
        app.show_json({"schema": "evalh.report-file/1", "output": str(target), "bytes": target.stat().st_size})
        return
    app.console.print(f"{target}: {target.stat().st_size / 1000:,.0f} kB", soft_wrap=True)
