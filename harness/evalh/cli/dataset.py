"""`evalh dataset`: what is in a dataset."""

import click

from evalh.cli.app import App, verb
from evalh.core.errors import UsageError


@click.group("dataset")
def command() -> None:
    """Inspect a dataset."""


@command.command("clusters")
@click.argument("dataset", required=False)
@click.option("--write", is_flag=True, help="Write the clusters into the dataset's rows.")
@click.option("--force", is_flag=True, help="With --write: even if the file has uncommitted changes.")
@verb
def clusters(app: App, *, dataset: str | None, write: bool, force: bool) -> None:
    """Show similar cases: the same text except for names and numbers.

    Similar cases are right or wrong together; if their rows name the same cluster, they count as one. The
    clusters shown are only a proposal. Review them, then add --write: it adds a key to each row, or a column,
    and changes nothing else in the file.

    \b
      evalh dataset clusters triage
      evalh dataset clusters triage --write
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.datasets import proposals, write_clusters
    from evalh.report.terminal.console import StyledText
    from evalh.report.terminal.power import show_proposals
    from evalh.report.text import plural

    if force and not write:
        raise UsageError("--force needs --write", hint="evalh dataset clusters NAME --write --force")
    found = proposals(app.workspace, dataset)
    written = write_clusters(app.workspace, found, force=force) if write else None
    if app.json:
        from evalh.report.documents.document import document_of
        from evalh.report.documents.workspace import ClustersDocument

        app.show_json(document_of(ClustersDocument, found, written=written))
        return
    show_proposals(app.console, found)
    if written is not None:
        rows, clusters = sum(len(one.cases) for one in found.proposed), plural(len(found.proposed), "cluster")
        app.console.print()
        app.console.print(StyledText(f"wrote {written}: {rows} rows now name {clusters}"), soft_wrap=True)
        app.hints.print(f"next: git diff {written}", style="dim", soft_wrap=True, markup=False)
    elif found.proposed:
        app.hints.print("next: add --write to put the clusters into the rows", style="dim")
