"""What every verb is handed: the workspace, where to print, and whether the answer is JSON."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from evalh.api.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


class App:
    """Opened lazily: `--help` costs nothing."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.json = False

    @cached_property
    def workspace(self) -> "Workspace":
        """The workspace round the folder. Raises WorkspaceError where there is none."""
        from evalh.api.workspace import Workspace

        return Workspace.open(self.folder)

    @cached_property
    def console(self) -> "Console":
        """Where the answer goes: stdout."""
        return _console(stderr=False)

    @cached_property
    def hints(self) -> "Console":
        """Where progress and hints go: stderr."""
        return _console(stderr=True)

    def show_json(self, document: Mapping[str, Any]) -> None:
        """Print a document, the whole answer of a verb under `--json`."""
        import json

        click.echo(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False))


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal and "COLUMNS" not in console._environ:  # noqa: SLF001 (rich has no public reading)
        console.width = 100
    return console


def json_option(function: F) -> F:
    """Add `--json`; the verb reads it as `app.json`."""

    def remember(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 (click's signature)
        ctx.find_root().obj.json = value

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=remember, help="Print one JSON document."
    )
    return option(function)
