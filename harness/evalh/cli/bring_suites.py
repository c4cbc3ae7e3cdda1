"""`evalh import promptfoo` and the other formats of suites: files of a workspace, and a sheet of what was lost."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from evalh.cli.app import App, verb
from evalh.core.errors import ExitCode

if TYPE_CHECKING:
    from evalh.api.foreign import SuiteImportOptions

F = TypeVar("F", bound=Callable[..., Any])


def suite_options(function: F) -> F:
    """Add SOURCE and the options that every format has; the verb is handed a `source` and `options`."""

    @click.argument("source", metavar="SOURCE", type=click.Path(path_type=Path))
    @click.option(
        "--into", type=click.Path(path_type=Path), metavar="FOLDER", help="Folder to write into.  [default: here]"
    )
    @click.option("--name", metavar="NAME", help="Name of the prompt, dataset and suite.")
    @click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
    @click.option(
        "--allow-code",
        is_flag=True,
        help="Keep programs of the source as graders and providers; they run with your rights.",
    )
    def read(
        *given: Any, source: Path, into: Path | None, name: str | None, dry_run: bool, allow_code: bool, **more: Any
    ) -> Any:
        from evalh.api.foreign import SuiteImportOptions

        app: App = given[0]
        options = SuiteImportOptions(
            into=into if into is not None else Path(app.folder), name=name, dry_run=dry_run, allow_code=allow_code
        )
        return function(*given, source=source, options=options, **more)

    read.__name__, read.__doc__ = function.__name__, function.__doc__
    return cast("F", read)


@click.command("promptfoo")
@click.option("--verify", is_flag=True, help="Compare each prompt with the rendering of Nunjucks.")
@click.option(
    "--nunjucks", type=click.Path(path_type=Path), metavar="PATH", help="For --verify: the file or folder of Nunjucks."
)
@verb
@suite_options
def promptfoo(app: App, *, source: Path, options: "SuiteImportOptions", verify: bool, nunjucks: Path | None) -> int:
    """Import a promptfoo config: a file, or a folder that holds promptfooconfig.yaml.

    Writes prompts, datasets, a suite and the models, and IMPORT.md, which says of each part whether it is the same,
    near or left out. Nothing is run, fetched or asked; no key is copied; no file is overwritten. Exit 1 if something
    that decides was left out.

    \b
      evalh import promptfoo promptfooconfig.yaml
      evalh import promptfoo . --into ../evals --dry-run
      evalh import promptfoo . --verify --nunjucks node_modules/nunjucks
    """  # noqa: D301 (click's \b keeps the examples' lines)
    if verify or nunjucks is not None:
        from msgspec.structs import replace

        options = replace(options, engine=nunjucks if nunjucks is not None else Path())
    return show_imported_suite(app, "promptfoo", source, options)


def show_imported_suite(app: App, form: str, source: Path, options: "SuiteImportOptions") -> int:
    """Import a suite of this format and show what became of it; return the exit code."""
    from evalh.api.foreign import import_suite
    from evalh.report.terminal.imported import show_imported

    document = import_suite(form, source, options)
    app.show(document, lambda shown: shown, show_imported)
    if not options.dry_run or document.there:
        hint = options.elsewhere if document.there else "evalh check"
        app.hints.print(f"next: {hint}", style="dim", soft_wrap=True, markup=False)
    if document.there:
        return ExitCode.USAGE
    return ExitCode.NO if any(item.status == "not" for item in document.items) else ExitCode.YES
