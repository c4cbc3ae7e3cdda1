"""`evalh gate`: decide a merge."""

import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, Usd, json_option
from evalh.cli.writing import report_option, write_report

if TYPE_CHECKING:
    from evalh.analysis.verdicts import GateDecision


@click.command("gate")
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@click.option("--base", metavar="REV", help="What it is merged into.  [default: the workspace's base]")
@click.option("--head", metavar="REV", help="What is merged.  [default: the work tree]")
@click.option("-m", "--model", metavar="NAME", help="Ask this model on both sides, instead of each suite's own.")
@click.option("--trust", type=click.Choice(["head", "base"]), default="head", help="Whose code and evalh.toml hold.")
@click.option("--allow-dataset-change", is_flag=True, help="Cases may be deleted, relabelled, rewritten.")
@click.option("--allow-suite-change", is_flag=True, help="Suites and graders may be removed, or eased.")
@click.option("--confirm", is_flag=True, help="Ask cases that got worse anew, 5 times a side: regressed or noise?")
@click.option("--fresh", is_flag=True, help="Ask again, whatever the log knows.")
@click.option("--concurrency", type=Count(most=4096), help="Most calls in flight on a side.  [default: 32]")
@click.option("--budget", type=Usd(), help="Most that each side of a suite may spend.")
@click.option("--comment", type=click.Path(dir_okay=False), metavar="FILE", help="Write a comment body, below 64 KB.")
@click.option(
    "--earlier",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="This pull request's earlier comment.",
)
@click.option("--junit", type=click.Path(dir_okay=False), metavar="FILE", help="Write JUnit XML.")
@report_option
@json_option
@click.pass_obj
def command(  # noqa: PLR0913 (one parameter per option is click's contract)
    app: App,
    *,
    suites: tuple[str, ...],
    base: str | None,
    head: str | None,
    model: str | None,
    trust: str,
    allow_dataset_change: bool,
    allow_suite_change: bool,
    confirm: bool,
    fresh: bool,
    concurrency: int | None,
    budget: float | None,
    comment: str | None,
    earlier: Path | None,
    junit: str | None,
    report: Path | None,
) -> int:
    """Decide a merge: accept (0), refuse (1), inconclusive (3), or not to be measured (4).

    Compares head with the commit where it branched off base, suite by suite, and only where something changed that
    can change an answer. Both sides are scored on head's cases with head's graders, and asked in batches until the
    answer is sure. In GitHub Actions the job's summary and notes on the prompt's lines are written too.

    \b
      evalh gate --base origin/main
      evalh gate --base origin/main --head HEAD --trust base --comment comment.md
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.api.gating import GateOptions, gate
    from evalh.cli.progress import progress_for

    options = GateOptions(
        base=base,
        head=head,
        suites=suites,
        model=model,
        trust_base=trust == "base",
        allow_dataset_change=allow_dataset_change,
        allow_suite_change=allow_suite_change,
        confirm=confirm,
        fresh=fresh,
        earlier=earlier,
        concurrency=concurrency,
        budget_usd=None if budget is None else Decimal(str(budget)),
    )
    decision = gate(app.workspace, options, progress_for(app))
    _write(app, decision, comment, junit)
    if report is not None:
        from evalh.api.report import gate_page
        from evalh.report.gate import gate_document

        write_report(app, report, gate_page(app.workspace, gate_document(decision)))
    _show(app, decision)
    return decision.exit


def _show(app: App, decision: "GateDecision") -> None:
    from evalh.report.gate import gate_document, show_gate

    if app.json:
        app.show_json(gate_document(decision))
    else:
        show_gate(app.console, gate_document(decision))
        if decision.id:
            app.hints.print(f"\nnext: evalh report {decision.id}   a page to look at", style="dim", soft_wrap=True)


def _write(app: App, decision: "GateDecision", comment: str | None, junit: str | None) -> None:
    from evalh.report.gate import gate_document
    from evalh.report.gate_markdown import COMMENT_BYTES, SUMMARY_BYTES, gate_markdown

    document = gate_document(decision)
    if comment is not None:
        Path(comment).write_text(gate_markdown(document, COMMENT_BYTES), encoding="utf-8")
    if junit is not None:
        from evalh.report.junit import gate_junit

        Path(junit).write_text(gate_junit(document), encoding="utf-8")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(gate_markdown(document, SUMMARY_BYTES))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from evalh.report.gate import annotations

        repository = app.workspace.repository
        for line in annotations(decision, "" if repository is None else repository.prefix):
            click.echo(line, err=True)
