"""Blame in a terminal: chance first, then what each step loses, and which step to fix."""

from collections import Counter

from rich.console import Console

from evalh.analysis.blame import BlameCost, Blamed, Design
from evalh.core.run import Estimate
from evalh.report.terminal.console import StyledText, columns
from evalh.report.text import dollars, percent, plural, rate, safe
from evalh.stats.blame import FEWEST_MOVED, Effect


def show_blame(console: Console, found: Blamed) -> None:
    """Print the result of a blame run."""
    blame = found.blame
    console.print(StyledText(headline(found), "bold" if blame.leading else "yellow"))
    console.print(_about(found), style="dim")
    console.print()
    table = columns("", ">share of the bad cases", "interval", ">helped", ">harmed")
    table.add_row("good when run again", percent(blame.chance.value), _limits(blame.chance), "", "")
    for one in blame.steps:
        effect = one.effect
        estimate = _share(effect)
        few = effect.raised + effect.lowered < FEWEST_MOVED
        told = StyledText("too few cases changed", "dim") if few else StyledText(_limits(estimate))
        style = "bold red" if one.step in blame.leading else ""
        name = StyledText(f"lost in {safe(one.step)}", style)
        table.add_row(name, StyledText(percent(effect.mean), style), told, str(effect.raised), str(effect.lowered))
    table.add_row("still bad", percent(blame.residual.value), _limits(blame.residual), "", "")
    console.print(table)
    console.print()
    for line in _notes(found):
        console.print(StyledText(line))


def headline(found: Blamed) -> str:
    """Say which step to fix, or why none can be named."""
    blame = found.blame
    if not blame.measured:
        return f"{blame.ungraded} of {blame.reruns} reruns are ungraded: too many for a result"
    effects = {one.step: one.effect for one in blame.steps}
    match blame.leading:
        case (step,):
            effect = effects[step]
            share = rate(_share(effect))
            return f"{share} of the bad cases are lost in `{safe(step)}`: fix that step first"
        case ():
            return "no step is shown to lose the bad cases"
        case several:
            names = " and ".join(f"`{safe(step)}`" for step in several)
            return f"{names} cannot be distinguished: use more cases or more reruns"


def _about(found: Blamed) -> str:
    blame = found.blame
    by = "gold" if found.stand_in is None else f"{found.stand_in}'s outputs, which are not gold"
    of = plural(blame.cases, "bad case")
    return safe(f"{of} of {found.prompt} on {found.model} · {blame.reruns} reruns · outputs replaced by {by}")


def _notes(found: Blamed) -> list[str]:
    blame = found.blame
    lines = [f"spent {dollars(found.spent_usd)}"]
    if found.incidents:
        lines.append(f"{plural(found.incidents, 'bad incident')} beside these: chosen because they failed, in no share")
    if found.left_out:
        lines.append(f"{plural(found.left_out, 'bad case')} left out: no gold for the steps that they ran")
    if not blame.monotone:
        lines.append("good outputs of a step make later steps worse: use --design single")
    if blame.design is Design.HALVING:
        counts = Counter(one.step for one in blame.found)
        told = ", ".join(f"{safe(step)} {count}" for step, count in counts.most_common())
        lines.append(f"case by case: {told or 'no step was found'}")
    if blame.residual.value:
        lines.append("still bad with every output replaced: look at the graders, or at steps without gold")
    return lines


def _share(effect: Effect) -> Estimate:
    """Return an effect as a share of cases, with limits between -1 and 1."""
    low, high = (None if one is None else max(-1.0, min(1.0, one)) for one in (effect.low, effect.high))
    return Estimate(effect.mean, low, high, "t")


def _limits(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]"


def show_cost(console: Console, cost: BlameCost) -> None:
    """Print what a blame run would ask and cost at most."""
    steps = ", ".join(map(safe, cost.steps))
    console.print(f"{plural(cost.cases, 'bad case')}, {plural(cost.samples, 'sample')} to run again at most")
    console.print(f"steps whose outputs are replaced, one after the other: {steps}")
    most = f"{dollars(cost.worst_case_usd)}: answers as long as max_tokens allows, and every retry"
    if cost.worst_case_usd is None:
        most = "unknown" if cost.why_unknown is None else f"unknown: {safe(cost.why_unknown)}"
    console.print(f"cost at most {most}")
