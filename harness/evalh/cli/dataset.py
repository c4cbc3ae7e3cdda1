"""`evalh dataset`: what is in a dataset."""

import click

from evalh.cli.app import App, json_option
from evalh.core.errors import UsageError


@click.group("dataset")
def command() -> None:
    """Look into a dataset."""


@command.command("clusters")
@click.argument("dataset", required=False)
@click.option("--write", is_flag=True, help="Write the clusters into the dataset's rows.")
@click.option("--force", is_flag=True, help="With --write: though the file differs from the last commit.")
@json_option
@click.pass_obj
def clusters(app: App, *, dataset: str | None, write: bool, force: bool) -> None:
    """Show cases that look alike: the same text but for names and numbers.

    Cases that are alike are right or wrong together, and count as one once their rows name the same
    cluster. What is shown here is a proposal: nothing is assumed. Read it, then --write puts it into
    the file: a key in each row, or a column; all else in the file stays as it is.

    \b
      evalh dataset clusters triage
      evalh dataset clusters triage --write
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.datasets import proposals, write_clusters
    from evalh.report.terminal.near_duplicates import show_proposals
    from evalh.report.text import StyledText, safe

    if force and not write:
        raise UsageError("--force does nothing without --write", hint="evalh dataset clusters NAME --write --force")
    found = proposals(app.workspace, dataset)
    written = write_clusters(app.workspace, found, force=force) if write else None
    if app.json:
        from evalh.report.documents.workspace import clusters_document

        app.show_json(clusters_document(found, written))
        return
    show_proposals(app.console, found)
    if written is not None:
        rows, groups = sum(len(one.cases) for one in found.proposed), len(found.proposed)
        clusters = "1 cluster" if groups == 1 else f"{groups} clusters"
        app.console.print()
        app.console.print(StyledText(f"wrote {safe(written)}: {rows} rows now name {clusters}"), soft_wrap=True)
        app.hints.print(f"next: git diff {written}", style="dim", soft_wrap=True, markup=False)
    elif found.proposed:
        app.hints.print("next: the same with --write puts the clusters into the rows", style="dim")
