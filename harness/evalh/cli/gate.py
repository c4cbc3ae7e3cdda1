"""`evalh gate`: decide a merge."""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalh.cli import streams
from evalh.cli.app import App, asking_options, takes, verb
from evalh.cli.output import beside_option, report_option, write_file, write_report
from evalh.core.errors import CannotMeasure, EvalhError, KeyMissing, worst
from evalh.workspace.writing import unwritable

if TYPE_CHECKING:
    from evalh.analysis.gate.decision import GateDecision
    from evalh.api.options import GateOptions
    from evalh.report.documents.gate import GateDocument

_TO_MAINTAINERS = """a pull request from a fork gets no key: read its changes, then run the gate where it has one
GitHub: Actions > evalh > Run workflow, with the full id of the commit that you have read
GitLab: open the merge request's Pipelines tab and run the pipeline in the parent project
on your own machine: export the variable and run the same command"""
"""What a maintainer can do next."""


@click.command("gate")
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@click.option("--base", metavar="REV", help="Branch or commit to merge into.  [default: the workspace's base]")
@click.option("--head", metavar="REV", help="Branch or commit to merge.  [default: the work tree]")
@click.option("-m", "--model", metavar="NAME", help="Ask this model on both sides, instead of each suite's own.")
@click.option(
    "--trust",
    "trust_base",
    type=click.Choice(["head", "base"]),
    default="head",
    callback=lambda _ctx, _param, side: side == "base",
    help="Whose code and evalh.toml to use.",
)
@click.option("--allow-dataset-change", is_flag=True, help="Allow deleted, relabelled and rewritten cases.")
@click.option("--allow-suite-change", is_flag=True, help="Allow removed or eased suites and graders.")
@click.option("--confirm", is_flag=True, help="Ask again, 5 times a side, what got worse: regressed or noise?")
@asking_options(
    calls="Most calls in flight on a side.", budget="Most that each side of a suite may spend.", fresh_first=True
)
@beside_option("--comment", "Write a comment for the pull request, below 64 KB.")
@click.option(
    "--earlier", type=click.Path(path_type=Path), metavar="FILE", help="The earlier comment of this pull request."
)
@beside_option("--junit", "Write JUnit XML.")
@report_option
@verb
@takes("GateOptions")
def command(app: App, *, options: "GateOptions", comment: Path | None, junit: Path | None, report: Path | None) -> int:
    """Decide a merge: accept (exit 0), refuse (1), inconclusive (3) or not measured (4).

    Compares head with the commit where it branched off base. Only suites whose answers or verdicts can change
    are run. Both sides are scored on head's cases with head's graders, in batches, until the decision is sure.
    In GitHub Actions the gate also writes the job's summary and notes on the prompt's lines.

    \b
      evalh gate --base origin/main
      evalh gate --base origin/main --head HEAD --trust base --comment comment.md
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from evalh.report.documents.gate import gate_document

    decision = _decide(app, options, comment, junit)
    document = gate_document(decision)
    failed = [*_write(app, document, comment, junit, options), *_write_page(app, document, report)]
    _annotate(app, decision)
    _show(app, document, report)
    for failure in failed:
        app.hints.print(f"error: {failure.where}: {failure.what}", style="red", soft_wrap=True)
    return worst([decision.exit, *(failure.exit_code for failure in failed)])


def _decide(app: App, options: "GateOptions", comment: Path | None, junit: Path | None) -> "GateDecision":
    """Decide; without a decision, comment and JUnit state the reason. Raises EvalhError."""
    from evalh.api.gate import gate
    from evalh.cli.progress import progress_for
    from evalh.report.documents.gate import undecided_document

    try:
        return gate(app.workspace, options, progress_for(app))
    except EvalhError as exc:
        told = CannotMeasure(exc.what, where=exc.where, hint=_TO_MAINTAINERS) if isinstance(exc, KeyMissing) else exc
        document = undecided_document(told, options.base or "base", options.head or "the work tree")
        for failure in _write(app, document, comment, junit, options):
            app.hints.print(f"error: {failure.where}: {failure.what}", style="red", soft_wrap=True)
        raise told from exc


def _show(app: App, document: "GateDocument", report: Path | None) -> None:
    from evalh.report.terminal.gate import may_confirm, next_commands, show_gate

    if app.json:
        app.show_json(document)
        return
    show_gate(app.console, document)
    lines = []
    if may_confirm(document):
        lines.append(
            ("the same command with --confirm", "asks what got worse again: is it shown again, or was it chance?")
        )
    lines += next_commands(document)
    if document.gate and report is None:
        lines.append((f"evalh report {document.gate}", "a page of this decision"))
    if lines:
        app.hints.print()
    for command, what in lines:
        app.hints.print(f"next: {command}   {what}", style="dim", soft_wrap=True)


def _annotate(app: App, decision: "GateDecision") -> None:
    """Put notes on a pull request's lines, where GitHub's runner reads what is printed."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from evalh.report.terminal.gate import annotations

        repository = app.workspace.repository
        streams.to_runner(annotations(decision, "" if repository is None else repository.prefix))


def _write(
    app: App, document: "GateDocument", comment: Path | None, junit: Path | None, options: "GateOptions"
) -> "list[EvalhError]":
    """Write a decision wherever it is wanted; return what could not be written."""
    from evalh.report.files.junit import gate_junit
    from evalh.report.markdown.gate import COMMENT_BYTES, SUMMARY_BYTES, gate_markdown

    failed = []
    for target, text in (
        (comment, partial(gate_markdown, document, COMMENT_BYTES, _heads(options.earlier))),
        (junit, partial(gate_junit, document)),
    ):
        try:
            if target is not None:
                write_file(app, target, [text()])
        except EvalhError as exc:
            failed.append(exc)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(gate_markdown(document, SUMMARY_BYTES))
        except OSError as exc:
            failed.append(unwritable(exc, Path(summary)))
    return failed


def _heads(earlier: Path | None) -> Sequence[str]:
    """Return the heads that an earlier comment names. An unreadable one has already ended the gate."""
    from evalh.api.gate import read_earlier

    with suppress(EvalhError):
        return () if earlier is None else read_earlier(earlier).heads
    return ()


def _write_page(app: App, document: "GateDocument", report: Path | None) -> "list[EvalhError]":
    if report is None:
        return []
    from evalh.api.report import gate_page

    try:
        write_report(app, report, gate_page(app.workspace, document))
    except EvalhError as exc:
        return [exc]
    return []
