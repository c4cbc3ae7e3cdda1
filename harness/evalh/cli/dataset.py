"""`evalh dataset`: what is in a dataset, and a failure added to it."""

from decimal import Decimal

import click

from evalh.cli.app import App, Count, Usd, verb
from evalh.cli.cost import Since
from evalh.core.errors import UsageError


@click.group("dataset")
def command() -> None:
    """Inspect a dataset, or add a failure to it."""


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


@command.command("add")
@click.argument("suite")
@click.option("--from", "names", multiple=True, metavar="ID", help="A workflow, call or sample that failed; repeats.")
@click.option("--feedback", type=click.Choice(["bad"]), help="Ask about the workflows that users said were bad.")
@click.option("--since", type=Since(), metavar="AGE", help="With --feedback: 30d, 12h, 4w or a date.")
@click.option("--expected", metavar="JSON", help="What graders compare with. On a terminal, it is asked for.")
@click.option("--accept-match", is_flag=True, help="Take inputs that were read back from the messages.")
@click.option("--trials", type=Count(most=1000), help="Ask the live version so often whether the case fails.")
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
    """Make a case of a failure: its inputs, what functions returned, what should have come out.

    Personal data becomes a like value. The row says where it was found and has the tag `incident`. The recorded
    answer is judged by the graders that ask nobody. A case with the same inputs is refused.

    \b
      evalh dataset add triage --from last --expected '{"label": "refund"}'
      evalh dataset add triage --feedback bad --since 24h --trials 5
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.cli.incidents import Questions

    if bool(names) == (feedback is not None):
        raise UsageError("what is added?", hint=f"evalh dataset add {suite} --from ID, or --feedback bad")
    if expected is not None and len(names) != 1:
        raise UsageError("--expected is about one case", hint="name one with --from")
    if since is not None and feedback is None:
        raise UsageError("--since needs --feedback", hint=f"evalh dataset add {suite} --feedback bad --since 24h")
    questions = Questions(app, suite, accept_match=accept_match, trials=trials, budget_usd=budget_usd)
    if feedback is None:
        questions.add_all(names, expected)
    else:
        questions.ask_about_votes(since or "")
    if app.json:
        app.show_json(questions.document())
