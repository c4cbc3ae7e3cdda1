"""`evalh dataset`: what is in a dataset, parts of it, and a failure added to it."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from evalh.cli.app import App, Count, Group, Usd, verb
from evalh.cli.cost import Since
from evalh.core.errors import UsageError

if TYPE_CHECKING:
    from evalh.analysis.subsets import DatasetParts


class Shares(click.ParamType):  # type: ignore[type-arg]  # generic in newer clicks alone
    """Names of parts with their shares: dev=0.5,test=0.5."""

    name = "name=share,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Decimal]:
        """Read the shares. Raises click's BadParameter."""
        shares: dict[str, Decimal] = {}
        for one in str(value).split(","):
            part, _, share = (text.strip() for text in one.partition("="))
            if part in shares:
                self.fail(f"{part!r} comes twice.", param, ctx)
            try:
                shares[part] = Decimal(share)
            except InvalidOperation:
                self.fail(f"{one!r} is not a name and its share: write dev=0.5,test=0.5.", param, ctx)
        return shares


@click.group("dataset", cls=Group)
def command() -> None:
    """Show similar cases of a dataset, take parts of it, or add a failure to it."""


@command.command("clusters")
@click.argument("dataset", required=False)
@click.option("--write", is_flag=True, help="Write the clusters into the rows.")
@click.option("--force", is_flag=True, help="With --write: also if the file has uncommitted changes.")
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
    from evalh.report.terminal.datasets import show_proposals
    from evalh.report.text import plural

    if force and not write:
        raise UsageError("--force needs --write", hint="evalh dataset clusters NAME --write --force")
    found = proposals(app.workspace, dataset)
    written = write_clusters(app.workspace, found, force=force) if write else None
    if app.json:
        from evalh.report.documents.datasets import ClustersDocument
        from evalh.report.documents.document import document_of

        app.show_json(document_of(ClustersDocument, found, written=written))
        return
    show_proposals(app.console, found)
    if written is not None:
        rows, clusters = sum(len(one.cases) for one in found.proposed), plural(len(found.proposed), "cluster")
        app.console.print()
        app.console.print(StyledText(f"wrote {written}: {rows} rows now name {clusters}"), soft_wrap=True)
        app.hints.print(f"next: git diff {quote(str(written))}", style="dim", soft_wrap=True, markup=False)
    elif found.proposed:
        app.hints.print("next: add --write to put the clusters into the rows", style="dim")


@command.command("dedupe")
@click.argument("dataset", required=False)
@click.option("--write", is_flag=True, help="Remove rows that repeat an earlier one.")
@click.option("--force", is_flag=True, help="With --write: also if the file has uncommitted changes.")
@verb
def dedupe(app: App, *, dataset: str | None, write: bool, force: bool) -> None:
    """Show rows with equal inputs, and rows whose texts are nearly the same.

    --write removes rows that repeat an earlier one in everything but the id. If a row with equal inputs expects
    something else, differs in another key or has labels, nothing is written. Rows that are nearly the same stay.

    \b
      evalh dataset dedupe triage
      evalh dataset dedupe triage --write
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.datasets import duplicates, remove_duplicates
    from evalh.report.terminal.datasets import show_duplicates

    if force and not write:
        raise UsageError("--force needs --write", hint="evalh dataset dedupe NAME --write --force")
    found = duplicates(app.workspace, dataset)
    written = remove_duplicates(app.workspace, found, force=force) if write else None
    if app.json:
        from evalh.report.documents.datasets import DuplicatesDocument
        from evalh.report.documents.document import document_of

        app.show_json(document_of(DuplicatesDocument, found, written=written))
        return
    show_duplicates(app.console, found, written)
    if written is not None:
        app.hints.print(f"next: git diff {quote(str(written))}", style="dim", soft_wrap=True, markup=False)
    elif found.equal and all(one.spare for one in found.equal):  # otherwise --write refuses
        app.hints.print("next: add --write to remove the rows that repeat another", style="dim")


@command.command("sample")
@click.argument("dataset")
@click.option("-n", "number", type=Count(), required=True, metavar="N", help="Clusters to draw.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random draw.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--whole", is_flag=True, help="Take all cases of each cluster, not one.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@verb
def sample(  # noqa: PLR0913 (one parameter per option is click's contract)
    app: App, *, dataset: str, number: int, seed: int, output: Path, whole: bool, force: bool
) -> None:
    """Write N randomly drawn cases of a dataset into a file.

    Similar cases count once: of each cluster drawn, one case is taken. The draw depends on the seed and on names,
    not on the order of rows: a larger N takes the same cases and more.

    \b
      evalh dataset sample triage -n 50 --seed 7 -o datasets/triage-small.jsonl
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.analysis.subsets import SampleOptions
    from evalh.api.datasets import write_sample

    options = SampleOptions(clusters=number, seed=seed, whole=whole)
    _show_parts(app, write_sample(app.workspace, dataset, output, options, force=force))


@command.command("split")
@click.argument("dataset")
@click.option("--parts", "shares", type=Shares(), required=True, help="Names and shares; the shares sum to 1.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random draw.")
@click.option("--force", is_flag=True, help="Replace existing files.")
@verb
def split(app: App, *, dataset: str, shares: dict[str, Decimal], seed: int, force: bool) -> None:
    """Split a dataset into parts, each in its file: NAME-dev.jsonl, NAME-test.jsonl.

    Similar cases stay together. Where a case goes depends on the seed and on its cluster's name or its id: after rows
    were added, the others are where they were.

    \b
      evalh dataset split triage --parts dev=0.5,test=0.5
      evalh dataset split triage --parts dev=0.8,test=0.2 --seed 7 --force
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.datasets import refuse_shares, write_split

    refuse_shares(shares)
    _show_parts(app, write_split(app.workspace, dataset, shares, seed=seed, force=force))


def _show_parts(app: App, written: "DatasetParts") -> None:
    from evalh.report.documents.datasets import PartsDocument
    from evalh.report.documents.document import document_of
    from evalh.report.terminal.datasets import show_parts
    from evalh.report.text import plural

    app.show(written, lambda found: document_of(PartsDocument, found), show_parts)
    if written.untied:
        told = plural(written.untied, "group of similar cases is", "groups of similar cases are")
        hint = f"{told} in no common cluster: see evalh dataset clusters {quote(written.dataset)}"
        app.hints.print(hint, style="yellow", soft_wrap=True, markup=False)


@command.command("add")
@click.argument("suite")
@click.option("--from", "names", multiple=True, metavar="ID", help="A workflow, call or sample that failed; repeats.")
@click.option("--feedback", type=click.Choice(["bad"]), help="Ask about each workflow that users voted bad.")
@click.option("--since", type=Since(), metavar="AGE", help="With --feedback: 30d, 12h, 4w or a date.")
@click.option("--expected", metavar="JSON", help="What graders compare with. On a terminal, evalh asks for it.")
@click.option("--accept-match", is_flag=True, help="Accept inputs that were read back from the messages.")
@click.option("--trials", type=Count(most=1000), help="Run the case N times with the live version: does it fail?")
@click.option("--budget", "budget_usd", type=Usd(), help="Most that the trials may spend.")
@verb
def add(  # noqa: PLR0913 (one parameter per option is click's contract)
    app: App,
    *,
    suite: str,
    names: tuple[str, ...],
    feedback: str | None,
    since: str | None,
    expected: str | None,
    accept_match: bool,
    trials: int | None,
    budget_usd: Decimal | None,
) -> None:
    """Add a case to the dataset from a failure: its inputs, results of functions, the expected output.

    Personal data is replaced by similar values. The row has its source and the tag `incident`. The recorded
    answer is judged by the graders that ask no model. A case with the same inputs is refused.

    \b
      evalh dataset add triage --from last --expected '{"label": "refund"}'
      evalh dataset add triage --feedback bad --since 24h --trials 5
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.cli.incidents import Questions

    if bool(names) == (feedback is not None):
        raise UsageError("which failure?", hint=f"evalh dataset add {quote(suite)} --from ID, or --feedback bad")
    if expected is not None and len(names) != 1:
        raise UsageError("--expected needs one case", hint="name one with --from")
    if since is not None and feedback is None:
        raise UsageError(
            "--since needs --feedback", hint=f"evalh dataset add {quote(suite)} --feedback bad --since 24h"
        )
    questions = Questions(app, suite, accept_match=accept_match, trials=trials, budget_usd=budget_usd)
    if feedback is None:
        questions.add_all(names, expected)
    else:
        questions.ask_about_votes(since or "")
    if app.json:
        app.show_json(questions.document())
