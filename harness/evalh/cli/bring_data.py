"""`evalh import rows` and the other formats that are data, or files of one program: the rest is as for promptfoo."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from evalh.cli.app import App, verb
from evalh.cli.bring_suites import show_imported_suite

if TYPE_CHECKING:
    from evalh.api.foreign import SuiteImportOptions

F = TypeVar("F", bound=Callable[..., Any])


_data_only = click.option("--data-only", is_flag=True, help="Write only the dataset, no prompt and suite.")


def _source_options(function: F) -> F:
    """Add SOURCE and where it is written; the verb is handed a `source` and `options`."""

    @click.argument("source", metavar="SOURCE", type=click.Path(path_type=Path))
    @click.option(
        "--into", type=click.Path(path_type=Path), metavar="FOLDER", help="Folder to write into.  [default: here]"
    )
    @click.option("--name", metavar="NAME", help="Name of the prompt, dataset and suite.")
    @click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
    def read(app: App, *, source: Path, into: Path | None, **more: Any) -> Any:
        from evalh.api.foreign import SuiteImportOptions

        mapping = more.pop("mapping", ())
        options = SuiteImportOptions(into=into if into is not None else Path(app.folder), mapping=mapping, **more)
        return function(app, source=source, options=options)

    read.__name__, read.__doc__ = function.__name__, function.__doc__
    return cast("F", read)


@click.command("rows")
@verb
@click.option("--map", "mapping", multiple=True, metavar="NAME=COLUMN,…", help="Names of columns; see above.")
@_data_only
@_source_options
def rows(app: App, *, source: Path, options: "SuiteImportOptions") -> int:
    """Import rows: JSON Lines, JSON, CSV or Parquet, a file or a folder of files.

    --map says which column becomes what: id, expected (or expected.label), tags, cluster, output (what a model
    answered already), skip; any other name is an input of the prompt. A column may be a path: answers.text[0].
    What --map does not name is guessed and shown. Writes the dataset, and a first prompt and suite to be changed.

    \b
      evalh import rows faq.csv --map question=Question,expected=Answer
      evalh import rows train.parquet --map text=text,expected.label=label,id=idx,tags=source
      evalh import rows answers.csv --map output=gpt4 --map output=claude
    """  # noqa: D301 (click's \b keeps the examples' lines)
    return show_imported_suite(app, "rows", source, options)


@click.command("langfuse-dataset")
@verb
@_data_only
@_source_options
def langfuse_dataset(app: App, *, source: Path, options: "SuiteImportOptions") -> int:
    """Import a dataset of Langfuse: its items, exported as JSON, JSON Lines or CSV.

    An input that is an object becomes the inputs, a list of messages the conversation, all else `input`. Archived items
    are left out. Traces are imported by another command: evalh import langfuse.

    \b
      evalh import langfuse-dataset items.csv --name support
    """  # noqa: D301 (click's \b keeps the examples' lines)
    return show_imported_suite(app, "langfuse-dataset", source, options)


@click.command("inspect")
@verb
@_data_only
@_source_options
def inspect(app: App, *, source: Path, options: "SuiteImportOptions") -> int:
    """Import a dataset of Inspect (JSON, JSON Lines, CSV), or a log (.eval, .json) with its answers.

    Of a log the answers become a recording, so that graders judge them without asking a model. Solvers and scorers are
    programs, and are not imported.

    \b
      evalh import inspect logs/2026-11-28T10-00-00_arithmetic.eval
    """  # noqa: D301 (click's \b keeps the examples' lines)
    return show_imported_suite(app, "inspect", source, options)


@click.command("github-prompt")
@verb
@_source_options
def github_prompt(app: App, *, source: Path, options: "SuiteImportOptions") -> int:
    """Import .prompt.yml files of GitHub Models: a file, or all files in a folder.

    Each becomes a prompt, a dataset and a suite. Exit 1 if something that decides was left out.

    \b
      evalh import github-prompt .github/prompts
    """  # noqa: D301 (click's \b keeps the examples' lines)
    return show_imported_suite(app, "github-prompt", source, options)


@click.command("openai-evals")
@verb
@click.option("--allow-code", is_flag=True, help="Keep programs of the source as graders; they run with your rights.")
@_data_only
@_source_options
def openai_evals(app: App, *, source: Path, options: "SuiteImportOptions") -> int:
    """Import an export of OpenAI Evals: results of runs (JSON Lines), items, a dump of its API, a promptfoo config.

    Answers of runs become recordings: today's graders judge them, and no model is asked. Exit 1 if something that
    decides was left out.

    \b
      evalh import openai-evals results.jsonl
      evalh import openai-evals dump.json --into evals-of-openai
    """  # noqa: D301 (click's \b keeps the examples' lines)
    return show_imported_suite(app, "openai-evals", source, options)


@click.command("oaieval")
@verb
@_source_options
def oaieval(app: App, *, source: Path, options: "SuiteImportOptions") -> int:
    """Import an eval of the open registry openai/evals: its YAML file, or a file of samples.

    Match, Includes and FuzzyMatch are graders here; other classes are programs, and are left out.

    \b
      evalh import oaieval evals/registry/evals/arithmetic.yaml
    """  # noqa: D301 (click's \b keeps the examples' lines)
    return show_imported_suite(app, "oaieval", source, options)


@click.command("auto")
@verb
@click.option("--map", "mapping", multiple=True, metavar="NAME=COLUMN,…", help="Names of columns, as in import rows.")
@click.option(
    "--allow-code",
    is_flag=True,
    help="Keep programs of the source as graders and providers; they run with your rights.",
)
@_data_only
@_source_options
def auto(app: App, *, source: Path, options: "SuiteImportOptions") -> int:
    """Find out the format of SOURCE, print it, and import SOURCE.

    \b
      evalh import auto whatever.json --dry-run
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.interop.foreign.detect import form_of

    form, why = form_of(source)
    app.hints.print(f"read as {form}: {why}", style="dim", soft_wrap=True, markup=False)
    return show_imported_suite(app, form, source, options)
