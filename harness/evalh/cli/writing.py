"""Files that a verb writes beside its answer."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evalh.core.errors import UsageError

if TYPE_CHECKING:
    from evalh.cli.app import App

F = TypeVar("F", bound=Callable[..., Any])


def report_option(function: F) -> F:
    """Add `--report FILE`. A file that cannot be written is refused before anything is asked."""

    def look(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
        if value is not None and not value.parent.is_dir():
            raise click.BadParameter(f"there is no folder {value.parent}")
        return value

    file = click.Path(path_type=Path, dir_okay=False, writable=True)
    told = "Write the page of `evalh report` too: FILE.html."
    return click.option("--report", type=file, metavar="FILE", callback=look, help=told)(function)


def write_report(app: "App", target: Path, page: str) -> None:
    """Write a page; say so on stderr, for stdout has its answer."""
    write_file(target, [page])
    app.hints.print(f"{target}: {kilobytes(target)}", soft_wrap=True)


def write_file(target: Path, pieces: Iterable[str | bytes]) -> None:
    """Write a report's file. Raises UsageError where it cannot be written."""
    try:
        with target.open("wb") as file:
            file.writelines(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as exc:
        hint = "name a file in a folder that is there: report.html"
        raise UsageError(f"cannot write the report: {exc.strerror}", where=str(target), hint=hint) from exc


def kilobytes(target: Path) -> str:
    """Say how large a file is."""
    return f"{target.stat().st_size / 1000:,.0f} kB"
