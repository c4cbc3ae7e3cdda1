"""`evalh explain`: what is decided on the user's behalf."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding

from evalh.analysis.explain import Statement
from evalh.analysis.orchestration import Observation, Sighting, is_asked
from evalh.core.production import WorkflowDetail
from evalh.core.totals import Tallies
from evalh.report.terminal.console import BREAK, StyledText
from evalh.report.text import dollars, one_line, plural, show_command


def show_explained(console: Console, routes: Sequence[tuple[str, Tallies | None, Sequence[Statement]]]) -> None:
    """Print every route's decisions, heading by heading; routes are (name, what was counted, statements)."""
    for number, (name, tallies, statements) in enumerate(routes):
        if number:
            console.print()
        _show_route(console, name, tallies, statements)


def _show_route(console: Console, name: str, tallies: Tallies | None, statements: Sequence[Statement]) -> None:
    runs = 0 if tallies is None else tallies.runs
    seen = "part of the above, and counted there" if tallies is None else "it did not run yet"
    if tallies is not None and runs:
        seen = f"last {runs} run{'s' * (runs > 1)}: {tallies.calls} calls sent, {tallies.from_log} answered by the log"
    console.print(StyledText.assemble((name, "bold"), (f"  {seen}", "dim")))
    for topic, group in groupby(statements, key=lambda statement: statement.topic):
        console.print()
        console.print(StyledText(topic, "bold"))
        for one in group:
            console.print(Padding(StyledText(one.when, "cyan"), (0, 0, 0, 2), expand=False))
            then = StyledText(one.then)
            if runs and one.taken is not None:
                then.append(BREAK).append(_counted(one), "dim")
            console.print(Padding(then, (0, 0, 0, 4), expand=False))


def _counted(one: Statement) -> str:
    if not one.taken:
        return "never"
    parts = [f"{one.taken} time{'s' * (one.taken > 1)}"]
    if one.replayed:
        which = "all" if one.replayed == one.taken else f"{one.replayed}"
        parts.append(f"{which} answered by the log, {dollars(one.replayed_usd)} when they were bought")
    if one.cost_usd is not None and one.replayed < one.taken:
        parts.append(dollars(one.cost_usd))
    if one.helped:
        parts.append(one.helped)
    return " · ".join(parts)


def show_observed(console: Console, observed: tuple[Sequence[WorkflowDetail], Sequence[Observation]]) -> None:
    """Print what a program does between its calls; first what cannot be seen."""
    details, observations = observed
    names = ", ".join(dict.fromkeys(one_line(detail.workflow.name, 40) for detail in details))
    seen_here = [detail for detail in details if not is_asked(detail)]
    calls = sum(len(detail.calls) for detail in seen_here)
    counted = (
        f"  {plural(len(seen_here), 'workflow')}, {plural(calls, 'call')}; evalh did not run it" if seen_here else ""
    )
    console.print(StyledText.assemble((names, "bold"), (counted, "dim")))
    if len(seen_here) < len(details):
        asked = plural(len(details) - len(seen_here), "workflow")
        console.print(StyledText(f"{asked} of evalh.ask left out: evalh explain shows how its route decides", "dim"))
    for seen, group in groupby(observations, key=lambda one: one.seen is Sighting.NOT_VISIBLE):
        console.print()
        console.print(StyledText("not visible" if seen else "seen", "bold"))
        for one in group:
            console.print(Padding(StyledText(one.what, "dim" if seen else ""), (0, 0, 0, 2), expand=False))
            if not seen:
                _show_observation(console, one)
    if seen_here and all(one.seen is Sighting.NOT_VISIBLE for one in observations):
        console.print()
        seen_well = "no request was sent again, and every answer that was used was checked"
        console.print(StyledText(f"nothing {'in what is visible' if observations else 'else'}: {seen_well}"))


def _show_observation(console: Console, one: Observation) -> None:
    counted = [f"{one.times:,} time{'s' * (one.times != 1)}", f"in {plural(one.workflows, 'workflow')}"]
    counted += [dollars(one.cost_usd) if one.cost_usd is not None else "cost unknown"]
    counted += [show_command(one.examples[0], 60)] if one.examples else []
    console.print(Padding(StyledText(" · ".join(counted), "dim"), (0, 0, 0, 4), expand=False))
    if one.instead:
        console.print(Padding(StyledText.assemble(("evalh: ", "dim"), one.instead), (0, 0, 0, 4), expand=False))
