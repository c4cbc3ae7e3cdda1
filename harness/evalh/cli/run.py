"""`evalh run`: evaluate versions on models."""

import sys
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, RateType, asking_options, selection_options, takes, verb
from evalh.cli.output import report_option, write_report

if TYPE_CHECKING:
    from evalh.api.options import RunOptions
    from evalh.core.run import Incidents, RunResult, RunSummary


@click.command("run")
@click.argument("target", required=False, metavar="[SUITE | PROMPT@VERSION]")
@click.option(
    "-p",
    "--prompt",
    "prompts",
    multiple=True,
    metavar="REF",
    help="Version to run; repeats.  [default: the draft, else live]",
)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Model to ask; repeats. STEP=NAME: the model of one step.",
)
@click.option(
    "--step", "steps", multiple=True, metavar="STEP=VERSION", help="Use this version in a step of the pipeline."
)
@click.option(
    "--given", multiple=True, metavar="STEP=SOURCE", help="Take a step's outputs from gold (expected) or from a run."
)
@click.option("--allow-effects", is_flag=True, help="Call functions of a pipeline that have effects.")
@click.option("--trials", type=Count(most=1000), help="Repetitions of each case.")
@selection_options
@asking_options()
@click.option("--dry-run", is_flag=True, help="Show the plan and the worst-case cost; send nothing.")
@click.option("--watch", is_flag=True, help="Run again at each save of a file, until Ctrl-C.")
@click.option(
    "--at-least",
    type=RateType(),
    metavar="RATE",
    help="Exit 1 if the good rate, or the share of good incidents, is lower.",
)
@report_option
@verb
@takes("RunOptions")
def command(
    app: App, *, options: "RunOptions", dry_run: bool, watch: bool, at_least: float | None, report: Path | None
) -> int:
    """Run a prompt version over a suite: how many outputs are good, and what one costs.

    Default: the workspace's default suite. Answers in the log are not asked for again.

    \b
      evalh run --prompt v3
      evalh run triage --prompt v2 --prompt v3 --model small
      evalh run triage@draft --limit 20
      evalh run --watch
    """  # noqa: D301 (click's \b keeps the examples' lines)
    if watch:
        return _watch(app, dry_run=dry_run, fresh=options.fresh)
    if dry_run:
        from evalh.report.documents.run import plan_document
        from evalh.report.terminal.run import show_plans

        app.show(app.workspace.plan_all(options), plan_document, show_plans)
        return 0
    from evalh.cli.progress import progress_for

    results = app.workspace.run_all(options, progress_for(app))
    if report is not None:
        from evalh.api.report import page

        write_report(app, report, page(app.workspace, [result.record.id for result in results]))
    _show(app, results)
    if at_least is not None:
        _tell_missed(app, results, at_least)
    return _exit_code(results, at_least)


def _watch(app: App, *, dry_run: bool, fresh: bool) -> int:
    """Hand the whole command to `watch`, without its `--watch`. Raises UsageError for what does not fit it."""
    from evalh.cli.watch import watch
    from evalh.core.errors import UsageError

    if app.json:
        raise UsageError("--watch prints more than one document", hint="evalh run --json")
    if dry_run or fresh:
        what = "--dry-run sends nothing" if dry_run else "--fresh would pay for every answer again at each save"
        raise UsageError(f"--watch repeats the run, and {what}", hint="leave one of the two out")
    return watch(app, [word for word in sys.argv[1:] if word != "--watch"])


def _show(app: App, results: "list[RunResult]") -> None:
    if app.json:
        from evalh.report.documents.run import run_document
        from evalh.report.text import unmeasured_lines

        app.show_json(run_document(results))
        for line in unmeasured_lines(results):
            app.hints.print(line, style="red", soft_wrap=True)
        return
    from evalh.report.terminal.run import show_run, show_table

    if len(results) == 1:
        show_run(app.console, results[0])
    else:
        show_table(app.console, results)
    _suggest(app, results)


def _suggest(app: App, results: "list[RunResult]") -> None:
    from evalh.core.run import RunStatus
    from evalh.report.text import typable

    last = results[-1]
    lines = []
    if last.status is not RunStatus.COMPLETE:
        spent = (last.stopped_because or "").startswith("the budget")
        goes_on = "continues where this stopped"
        if _forgets(app, last):
            goes_on = (
                f"asks everything again: only with a `revision` in [models.{last.record.model}] are answers kept for it"
            )
        lines.append(f"the same command{' with a larger --budget' if spent else ''} {goes_on}")
    if last.failures:
        name = typable(last.failures[0].case_id) or last.record.id
        lines.append(f"evalh show {name}   what was sent, what came back, which grader failed")
    if len(results) == 1:
        lines.append(f"evalh show {last.record.id}   this run again")
        ungraded = any(failure.standing == "ungraded" for failure in last.failures)
        if ungraded and _has_calls(app, last, "errors"):  # none if a function of a pipeline raised
            lines.append("evalh calls --errors   the failed requests")
    lines += _of_escalations(app, results)
    lines.append(_to_look_at(results))
    app.hints.print()
    if any(app.is_recorded(result.record.model) for result in results):
        note = "note: recorded answers were used, the model was not asked"
        if any("not_recorded" in result.summary.all_errors for result in results):
            note += "; they match only the prompt, inputs and params of the recording"
            lines[:0] = _askable(app)
        app.hints.print(note, style="yellow", soft_wrap=True)
    _note_prices(app, results)
    for line in lines:
        app.hints.print(f"next: {line}", style="dim", soft_wrap=True)


def _has_calls(app: App, result: "RunResult", which: str) -> bool:
    """Whether the log has such calls of a run; a log that could not be written does not have the run."""
    from evalh.core.errors import EvalhError

    with suppress(EvalhError):
        return bool(app.workspace.calls(which, result.record.id, 1))
    return False


def _of_escalations(app: App, results: "list[RunResult]") -> list[str]:
    """Return the command that says what escalations were worth, if there were any."""
    from evalh.report.text import typable

    routes = app.workspace.config.routes
    escalated = next((one.record for one in results if routes and _has_calls(app, one, "escalated")), None)
    if escalated is None:
        return []
    if escalated.model in routes and (name := typable(escalated.model)):
        return [f"evalh explain {name}   how often it escalated, what that cost, and whether it helped"]
    return [f"evalh calls --escalated --run {escalated.id}   what a stronger model answered"]


def _note_prices(app: App, results: "list[RunResult]") -> None:
    """Say why a cost is not known, and what to type."""
    for name in dict.fromkeys(result.record.model for result in results if _unpriced(app, result)):
        note = f"note: {name} has no price; `price` in [models.{name}] of evalh.toml gives the cost per good output"
        app.hints.print(note, style="dim", soft_wrap=True)
    if any(_bought_unpriced(app, result) for result in results):
        note = "note: answers in the log were bought when the model had no price, so the cost is not known"
        app.hints.print(f"{note}; --fresh asks again, at the price", style="dim", soft_wrap=True)


def _to_look_at(results: "list[RunResult]") -> str:
    """Return the command that shows these runs: several of one suite side by side."""
    from evalh.report.text import typable

    suites = {result.record.suite for result in results}
    if len(results) > 1 and len(suites) == 1:
        names = [result.record.id for result in results]
        if not results[0].record.selection and (suite := typable(suites.pop())):
            names = [suite]  # its newest runs over the whole dataset are these
        return f"evalh matrix {' '.join(names)} --report matrix.html   every case under each run, on one page"
    reported = " ".join(result.record.id for result in results)
    return f"evalh report {reported}   a page: every sample, and what to ship"


def _unpriced(app: App, result: "RunResult") -> bool:
    """Whether the answers have no price because the workspace gives its model none."""
    from evalh.providers.registry import traits_of

    spec = app.workspace.config.models.get(result.record.model)
    if spec is None or spec.price is not None:
        return False
    traits = traits_of(spec.provider)
    if traits.recorded or traits.function_in:
        return False
    return None in (result.summary.cost_usd, result.summary.cached_cost_usd)


def _bought_unpriced(app: App, result: "RunResult") -> bool:
    """Whether the total is unknown only because the log's answers are older than the price of the models."""
    from evalh.routing.target import models_of

    config, name = app.workspace.config, result.record.model
    names = models_of(config.routes[name], config.routes, config.models) if name in config.routes else (name,)
    priced = all(name in config.models and config.models[name].price is not None for name in names)
    return priced and result.summary.cached_cost_usd is None


def _forgets(app: App, result: "RunResult") -> bool:
    """Whether an application answered whose answers no other run uses."""
    from evalh.providers.registry import traits_of

    spec = app.workspace.config.models.get(result.record.model)
    return spec is not None and traits_of(spec.provider).runs_code and "revision" not in spec.options


def _askable(app: App) -> list[str]:
    """Return the command that asks a model, if one is configured."""
    from evalh.providers.registry import traits_of

    for name, spec in app.workspace.config.models.items():
        traits = traits_of(spec.provider)
        if not traits.recorded and not traits.function_in:
            return [f"evalh run -m {quote(name)}   ask a model"]
    return []


def _tell_missed(app: App, results: "list[RunResult]", at_least: float) -> None:
    """Say why the answer is no: the exit code names neither the version nor the required rate."""
    from evalh.report.text import percent, safe

    for result in results:
        if _misses(result, at_least):
            whose, found = result.record, result.summary
            counted: RunSummary | Incidents = found if found.samples else found.apart
            what = "" if found.samples else "incidents: "
            told = f"{what}{counted.good} of {counted.samples} good ({percent(_share(result))})"
            line = f"no: {whose.prompt} on {whose.model}: {told}, at least {100 * at_least:g} % required"
            app.hints.print(safe(line), style="red", soft_wrap=True)


def _share(result: "RunResult") -> float | None:
    """Return what --at-least is about: the good rate, or where incidents alone were selected, their share of good."""
    from evalh.core.run import RunStatus

    summary = result.summary
    alone = summary.of_incidents_alone and result.status is RunStatus.COMPLETE  # not: the others were still to come
    return summary.apart.share if alone else summary.good_rate.value


def _misses(result: "RunResult", at_least: float) -> bool:
    share = _share(result)
    return share is not None and share < at_least


def _exit_code(results: "list[RunResult]", at_least: float | None) -> int:
    from evalh.core.errors import ExitCode, worst
    from evalh.core.run import RunStatus

    codes = []
    for result in results:
        summary = result.summary
        if result.status is RunStatus.INTERRUPTED:
            codes.append(ExitCode.INTERRUPTED)
        unmeasured = result.record.unmeasured(summary) or result.record.unmeasured(summary.apart)
        if result.status is RunStatus.STOPPED or unmeasured:
            codes.append(ExitCode.CANNOT_MEASURE)
        if at_least is not None and _share(result) is None:
            codes.append(ExitCode.CANNOT_MEASURE)
        if at_least is not None and _misses(result, at_least):
            codes.append(ExitCode.NO)
    return worst(codes)
