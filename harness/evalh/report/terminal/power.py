"""What a suite can see."""

from rich.console import Console
from rich.table import Table

from evalh.analysis.compare.comparison import Comparison
from evalh.analysis.gate.decision import points
from evalh.analysis.power import Power
from evalh.report.terminal.console import StyledText, columns
from evalh.report.text import dollars, in_clusters, p_text, percent, safe

_SOURCES = {
    "option": "as stated",
    "policy": "assumed (`discordance` of the suite's gate): the log compares no two versions over all cases",
}


def show_power(console: Console, plan: Power) -> None:
    """Print a plan: what the suite sees, what more would take, what that costs."""
    seen = "too few cases to show a drop"
    if plan.detectable_drop is not None:
        seen = f"80 % power to show a drop of {points(plan.detectable_drop)}"
    console.print(StyledText(f"{safe(plan.suite)}, {in_clusters(plan.cases, plan.clusters)}: ").append(seen, "bold"))
    console.print()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    asked = points(plan.drop)
    cost = "cost not known" if plan.cost_usd is None else f"{dollars(plan.cost_usd)} a side"
    table.add_row(f"a drop of {asked}", f"shows {percent(plan.power)} of the time over these cases")
    table.add_row("", f"80 % of the time over {plan.cases_needed:,} cases · {cost}")
    margin = points(plan.margin)
    table.add_row("no worse", f"excluding a drop of {margin} takes {plan.cases_for_no_worse:,} cases, with 80 % power")
    kind = "gate" if plan.discordance_from.startswith("g") else "comparison"
    source = _SOURCES.get(plan.discordance_from, f"as in {kind} {plan.discordance_from}")
    table.add_row("disagreement", f"two versions differ on {percent(plan.discordance)} of the cases: {source}")
    console.print(table)
    if plan.thin:
        console.print()
        console.print(StyledText(f"a margin of {margin} is too small for {plan.cases} cases", "yellow"))
    if plan.with_trials:
        console.print()
        console.print(_trials(plan))
    elif plan.trials == 1:
        console.print()
        console.print(StyledText("to learn whether more trials help, compare once with --trials 3", "dim"))


def tested(comparison: Comparison) -> list[str]:
    """Say what was tested over which cases, and how small a drop that could have shown."""
    lines = []
    if comparison.p_value is not None and not comparison.identical:
        drop, cases = comparison.detectable_drop, in_clusters(comparison.n, comparison.clusters)
        shown = "too few cases to show a drop"
        if drop is not None:
            shown = f"80 % power to show a drop of {100 * drop:.1f} points, if cases differ as often as here"
        lines.append(f"p {p_text(comparison.p_value)} ({comparison.test}) · {cases}: {shown}")
    if comparison.uneven:
        lines.append("clusters differ in size: the difference is the mean over clusters, not over cases")
    return lines


def _trials(plan: Power) -> Table:
    table = columns(">trials", f">{plan.cases} cases show", f">cases for {points(plan.drop)}", ">cost a side")
    for row in plan.with_trials:
        seen = "nothing" if row.detectable_drop is None else points(row.detectable_drop)
        cost = "not known" if row.cost_usd is None else dollars(row.cost_usd)
        table.add_row(str(row.trials), seen, f"{row.cases_needed:,}", cost)
    return table
