"""`evalh import langfuse` and `evalh import phoenix`: what a service that keeps traces holds."""

from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, verb
from evalh.cli.cost import Since
from evalh.core.errors import ExitCode

if TYPE_CHECKING:
    from evalh.api.services import ServiceOptions

_SINCE = click.option("--since", type=Since(), metavar="AGE", help="Fetch traces since then: 24h, 7d or a date.")
_CONTENT = click.option(
    "--content", is_flag=True, help="Keep messages, inputs and outputs, even if [trace] content is off."
)
_VOTES = click.option(
    "--votes",
    multiple=True,
    metavar="NAME",
    help="Scores with this name are users' votes.  [default: people's, *feedback*]",
)
_FILES = click.argument("files", metavar="[FILE]…", nargs=-1)


@click.command("langfuse")
@_FILES
@_SINCE
@_VOTES
@_CONTENT
@verb
def langfuse(app: App, *, files: tuple[str, ...], since: str | None, votes: tuple[str, ...], content: bool) -> int:
    """Import Langfuse's traces, observations and scores: over its API, or from files that it exported.

    LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY and LANGFUSE_HOST name the server. What is fetched twice is
    counted once. Exit 1 if a line of a file could not be read; the others are kept.

    \b
      evalh import langfuse --since 24h
      evalh import langfuse traces.jsonl observations.jsonl scores.jsonl
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.services import ServiceOptions

    return _import(app, "langfuse", ServiceOptions(files=files, since=since, votes=votes, content=content))


@click.command("phoenix")
@_FILES
@_SINCE
@click.option(
    "--project",
    metavar="NAME",
    envvar=["PHOENIX_PROJECT", "PHOENIX_PROJECT_NAME"],
    default="default",
    show_default=True,
    help="Project to fetch.",
)
@_VOTES
@_CONTENT
@verb
def phoenix(
    app: App, *, files: tuple[str, ...], since: str | None, project: str, votes: tuple[str, ...], content: bool
) -> int:
    """Import Phoenix's spans and annotations: over its API, or from files of the same form.

    PHOENIX_COLLECTOR_ENDPOINT and PHOENIX_API_KEY name the server. What is fetched twice is counted once.
    Exit 1 if a line of a file could not be read; the others are kept.

    \b
      evalh import phoenix --since 24h --project shop
      evalh import phoenix spans.jsonl
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.services import ServiceOptions

    options = ServiceOptions(files=files, since=since, project=project, votes=votes, content=content)
    return _import(app, "phoenix", options)


def _import(app: App, name: str, options: "ServiceOptions") -> int:
    from evalh.api.event_loop import in_loop
    from evalh.api.services import import_service
    from evalh.cli.progress import counter_for
    from evalh.report.documents.document import document_of
    from evalh.report.documents.incoming import FetchedDocument
    from evalh.report.terminal.collected import show_fetched

    with counter_for("rows") as watch:
        found = in_loop(import_service(app.workspace, name, options, watch))
    document = document_of(FetchedDocument, found.arrived.tally, found.arrived, found, service=name)
    app.show(document, lambda one: one, show_fetched)
    if found.arrived.trouble:
        return ExitCode.CANNOT_MEASURE
    return ExitCode.NO if found.bad_lines else ExitCode.YES
