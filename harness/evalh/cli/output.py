"""Files that a verb writes: its answer with `-o`, and files beside the answer."""

import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evalh.core.errors import UsageError
from evalh.workspace.writing import check_target, descriptor_of, new_file, refuse_links

if TYPE_CHECKING:
    from evalh.cli.app import App
    from evalh.core.errors import EvalhError
    from evalh.report.documents.workspace import Problem

F = TypeVar("F", bound=Callable[..., Any])

_BESIDE = {"gate": ("--comment", "--junit", "--report"), **dict.fromkeys(("run", "compare", "matrix"), ("--report",))}


def beside_option(name: str, told: str) -> Callable[[F], F]:
    """Add an option for a file beside the answer. A file that cannot be written is refused before the first request."""

    def look(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
        if value is not None:
            check_target(value)
        return value

    return click.option(name, type=click.Path(path_type=Path), metavar="FILE", callback=look, help=told)


def report_option(function: F) -> F:
    """Add `--report FILE`."""
    return beside_option("--report", "Also write the page of `evalh report`: FILE.html.")(function)


def clear_beside(arguments: Sequence[str]) -> None:
    """Remove what an earlier run left where this one writes, before anything can fail.

    Otherwise an old answer would be taken for that of a run that gave none. Raises UsageError if one was a link,
    when all of them are gone.
    """
    verb = next((word for word in arguments if word in _BESIDE), None)
    refused: list[UsageError] = []
    read = {path.absolute() for path in _named(arguments, ("--earlier",))}
    for target in _named(arguments, _BESIDE.get(verb or "", ())):
        if descriptor_of(target) is not None:
            continue
        if target.absolute() in read:
            hint = "write the new comment to another file"
            refused.append(UsageError("is the earlier comment, which is only read", where=str(target), hint=hint))
            continue
        try:
            refuse_links(target.parent)
            mode = target.lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                target.unlink()
            if stat.S_ISLNK(mode):
                hint = "the link was removed, its target was not: run the same command again"
                refused.append(
                    UsageError("was a symbolic link; evalh does not write through links", where=str(target), hint=hint)
                )
        except UsageError as exc:
            refused.append(exc)
        except (OSError, ValueError):  # reported when the option is read
            continue
    if refused:
        raise refused[0]


def _named(arguments: Sequence[str], options: Sequence[str]) -> Iterable[Path]:
    for position, word in enumerate(arguments):
        name, given, value = word.partition("=")
        if name in options and given:
            yield Path(value)
        elif name in options and position + 1 < len(arguments):
            yield Path(arguments[position + 1])


def print_problems(problems: "Iterable[EvalhError | Problem]") -> None:
    """Print on stderr what is wrong, where, and what to do."""
    from evalh.report.text import safe

    for one in problems:
        place = f"{one.where}: " if one.where else ""
        print(safe(f"error: {place}{one.what}"), file=sys.stderr)
        for line in (one.hint or "").splitlines():
            print(safe(f"  {line}"), file=sys.stderr)


def write_report(app: "App", target: Path, page: str) -> None:
    """Write a page; say so on stderr, since stdout holds the answer."""
    write_file(app, target, [page])
    app.hints.print(f"{target}: {kilobytes(target)}", soft_wrap=True)


def write_file(app: "App", target: Path, pieces: Iterable[str | bytes]) -> None:
    """Write a file. Raises EvalhError if it cannot be written."""
    check_target(target)
    stream = {1: app.answer, 2: sys.stderr}.get(descriptor_of(target) or 0)
    if stream is not None:
        stream.flush()
    with new_file(target) as file:
        for piece in pieces:
            if isinstance(piece, bytes):
                file.write(piece)
            elif stream is None:
                file.write(piece.encode())
            else:  # a log may be read there
                stream.write(piece)


def kilobytes(target: Path) -> str:
    """Say how large a file is."""
    return f"{target.stat().st_size / 1000:,.0f} kB"
