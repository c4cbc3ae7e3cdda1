"""`evalh report`: a run to look at, to hand on, to paste."""

from collections.abc import Iterable
from pathlib import Path

import click

from evalh.cli.app import App, json_option
from evalh.core.errors import UsageError

_FORMS = ("html", "terminal", "markdown", "csv", "junit", "json")


@click.command("report")
@click.argument("runs", metavar="[RUN | COMPARISON]…", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@click.option("--format", "form", type=click.Choice(_FORMS), default="html", show_default=True)
@click.option("--figure", type=click.Path(path_type=Path, dir_okay=False), help="Write the trade-off chart: FILE.svg.")
@json_option
@click.pass_obj
def command(app: App, *, runs: tuple[str, ...], output: Path | None, form: str, figure: Path | None) -> None:
    """Write a report: one HTML file that needs no server and no network. Default: about the newest run.

    \b
      evalh report --output report.html
      evalh report last --format markdown
      evalh report --figure tradeoff.svg
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api import report

    name = runs[0] if runs else "last"
    if figure is not None:
        if figure.suffix != ".svg":
            raise UsageError(f"{figure}: the figure is an SVG", hint="--figure tradeoff.svg")
        _write(app, figure, [report.figure(app.workspace, name)])
    elif form == "html":
        _write(app, output or Path("report.html"), [report.page(app.workspace, runs or ("last",))])
    elif len(runs) > 1:
        raise UsageError(f"--format {form} is about one run", hint=f"evalh report {name} --format {form}")
    elif form in {"terminal", "json"}:
        _show(app, name, form)
    elif output is not None:
        _write(app, output, report.lines(app.workspace, name, form))
    else:
        for piece in report.lines(app.workspace, name, form):
            click.echo(piece, nl=False, file=app.answer)


def _write(app: App, target: Path, pieces: Iterable[str]) -> None:
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as exc:
        hint = "name a file in a folder that is there: --output report.html"
        raise UsageError(f"cannot write the report: {exc.strerror}", where=str(target), hint=hint) from exc
    if app.json:
        app.show_json({"schema": "evalh.report-file/1", "output": str(target), "bytes": target.stat().st_size})
        return
    app.console.print(f"{target}: {target.stat().st_size / 1000:,.0f} kB", soft_wrap=True)


def _show(app: App, name: str, form: str) -> None:
    from evalh.api.report import told
    from evalh.report.run_story import show_story, story_document

    one = told(app.workspace, name)
    result = app.workspace.log.result(one.run.record.id)
    if form == "json":
        from evalh.report.calibration import judges_document

        judges = judges_document(one.judges)
        app.show_json({**story_document(result, one.run, one.failings, one.chosen), "judges": judges})
    else:
        from evalh.report.calibration import show_judges

        show_story(app.console, result, one.failings, one.chosen)
        show_judges(app.console, one.judges)
