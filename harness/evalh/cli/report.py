"""`evalh report`: a run as a page, a table or a picture."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from shlex import quote

import click

from evalh.cli.app import App, verb
from evalh.cli.output import kilobytes, write_file
from evalh.core.errors import UsageError

_FORMS = ("html", "terminal", "markdown", "csv", "junit", "json")


@click.command("report")
@click.argument("runs", metavar="[RUN | COMPARISON | GATE]…", nargs=-1)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: reports/ID.html]"
)
@click.option("--format", "form", type=click.Choice(_FORMS), default="html", show_default=True)
@click.option(
    "--figure",
    "figures",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write only a picture; repeats. The file name selects it: tradeoff, history, fails, latency, tokens; .svg"
    " or .png.",
)
@verb
def command(app: App, *, runs: tuple[str, ...], output: Path | None, form: str, figures: tuple[Path, ...]) -> None:
    """Write a report as one HTML file. Default: the newest run.

    Without --output it is reports/ID.html in the workspace.

    \b
      evalh report
      evalh report last --output report.html
      evalh report last --format markdown
      evalh report --figure tradeoff.svg --figure v3-history.png
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api import report

    name = runs[0] if runs else "last"
    if figures:
        drawn = report.figures(app.workspace, name, [path.name for path in figures])
        _write(app, {path: [content] for path, content in zip(figures, drawn, strict=True)})
    elif form == "html":
        page = report.page(app.workspace, runs or ("last",))
        _write(app, {output or _kept(report.kept(app.workspace, name)): [page]})
    elif len(runs) > 1:
        raise UsageError(f"--format {form} needs one run", hint=f"evalh report {quote(name)} --format {form}")
    elif form in {"terminal", "json"}:
        if output is not None:
            raise UsageError(
                f"--format {form} is printed", hint=f"evalh report {quote(name)} --format {form} > {quote(str(output))}"
            )
        _show(app, name, form)
    elif output is not None:
        _write(app, {output: report.lines(app.workspace, name, form)})
    else:
        for piece in report.lines(app.workspace, name, form):
            click.echo(piece, nl=False, file=app.answer)


def _kept(target: Path) -> Path:
    """Make the default folder of a page; return its path relative to here."""
    try:
        target.parent.mkdir(exist_ok=True)
    except OSError as exc:
        hint = "name the file: evalh report --output FILE.html"
        raise UsageError(f"cannot write there: {exc.strerror}", where=str(target.parent), hint=hint) from exc
    return Path(os.path.relpath(target))


def _write(app: App, contents: Mapping[Path, Iterable[str | bytes]]) -> None:
    """Write a report's files and say so. Raises UsageError if one cannot be written."""
    from evalh.report.documents.report import ReportFile, ReportFileDocument

    files: list[ReportFile] = []
    for target, pieces in contents.items():
        write_file(app, target, pieces)
        files.append(ReportFile(output=str(target), bytes=target.stat().st_size))
        if not app.json:
            app.console.print(f"{target}: {kilobytes(target)}", soft_wrap=True)
    if app.json:
        app.show_json(ReportFileDocument(output=files[0].output, bytes=files[0].bytes, files=tuple(files)))


def _show(app: App, name: str, form: str) -> None:
    from evalh.api.report import told
    from evalh.report.documents.report import report_document
    from evalh.report.terminal.calibration import show_judges
    from evalh.report.terminal.story import show_story

    log = app.workspace.log
    if (decided := log.decided(name)) is not None:
        from evalh.report.documents.log import entry_document
        from evalh.report.terminal.log import SHOW

        kind, thing = app.workspace.log_entry(decided.id)
        if form == "json":
            app.show_json(entry_document(kind, thing))
        else:
            SHOW[kind](app.console, thing)
        return
    one = told(app.workspace, name)
    result = app.workspace.log.result(one.run.record.id)
    if form == "json":
        app.show_json(report_document(result, one))
    else:
        show_story(app.console, result, one)
        show_judges(app.console, one.judges)
