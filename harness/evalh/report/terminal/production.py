"""What production's answers were worth, in a terminal."""

from rich.console import Console

from evalh.analysis.production import GradedProduction, ProductionChange, ProductionRate
from evalh.core.production import Voted
from evalh.report.terminal.console import StyledText, columns
from evalh.report.terminal.pipeline import show_pipeline
from evalh.report.text import dollars, limits, one_line, p_text, percent, plural

_VOTED = {Voted.GOOD: "  voted good", Voted.BAD: "  voted bad", Voted.NONE: "  no vote"}


def show_graded(console: Console, graded: GradedProduction) -> None:
    """Print the rate of each version, what changed, and what was left out."""
    console.print(StyledText.assemble((graded.suite, "bold"), ": production's answers, only judges were asked"))
    console.print()
    _show_rates(console, graded)
    for one in graded.versions:
        if one.pipeline is not None:
            console.print()
            show_pipeline(console, one.pipeline)
    if graded.change is not None:
        console.print()
        _show_change(console, graded.change)
    _show_rest(console, graded)


def _show_rates(console: Console, graded: GradedProduction) -> None:
    table = columns("version", ">good", "", ">answers", ">stand for", ">bad", ">ungraded", ">sessions", ">a good one")
    several = len(graded.versions) > 1
    for one in (*graded.versions, *([graded.whole] if several else [])):
        table.add_row(*_cells(one))
    for voted, one in graded.by_feedback.items():
        table.add_row(*_cells(one, _VOTED[voted]))
    console.print(table)
    if graded.by_feedback:
        console.print(StyledText("users who vote do not represent those who do not", "dim"))


def _show_rest(console: Console, graded: GradedProduction) -> None:
    for why, count in graded.left_out.items():
        console.print(
            StyledText(f"left out: {plural(count, 'workflow')} {_of_one(why) if count == 1 else why}", "yellow")
        )
    if graded.doubtful:
        told = f"{plural(graded.doubtful, 'answer')} may be of another version too: the texts are the same"
        console.print(StyledText(told, "yellow"))
    if graded.without_gold:
        names = ", ".join(one_line(name, 30) for name in graded.without_gold)
        console.print(StyledText(f"not used, because production has no gold: {names}", "dim"))
    for one in graded.versions:
        if one.run is not None:
            console.print(StyledText(f"evalh show {one.run}   {one.version}: what failed, and why", "dim"))


def _of_one(why: str) -> str:
    return why.replace("have ", "has ", 1).replace("are ", "is ", 1)


def _cells(one: ProductionRate, name: str | None = None) -> tuple[str, ...]:
    stands_for = "" if round(one.stands_for) == one.answers else f"{one.stands_for:,.0f}"
    return (
        name or one_line(one.version, 30),
        percent(one.good_rate.value),
        limits(one.good_rate),
        f"{one.answers:,}",
        stands_for,
        f"{one.bad:,}",
        f"{one.ungraded:,}",
        f"{one.sessions:,}",
        "none good" if one.cost_usd is not None and not one.good else dollars(one.cost_per_good_usd),
    )


def _show_change(console: Console, change: ProductionChange) -> None:
    difference, before = change.difference, change.base
    if difference.value is None or difference.low is None or difference.high is None:
        console.print("the window before could not be graded: there is nothing to compare")
        return
    shown = "changed" if difference.low > 0 or difference.high < 0 else "no change shown"
    points = f"{100 * difference.value:+.1f} points [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    console.print(
        StyledText.assemble(
            (f"{shown}: ", "bold" if shown == "changed" else ""),
            f"{points} since {percent(before.good_rate.value)} of {plural(before.answers, 'answer')} before",
        )
    )
    if change.cost_p_value is not None:
        costs = f"{dollars(before.cost_per_good_usd)} → {dollars(change.head.cost_per_good_usd)}"
        console.print(StyledText(f"a good one: {costs}, p = {p_text(change.cost_p_value)}", "dim"))
