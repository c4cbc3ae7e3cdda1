"""What came of trying graders, as a person reads it."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding

from evalh.core.log import GraderTrial
from evalh.report.text import StyledText, json_line, milliseconds, one_line, safe

_STYLES = {"pass": "green", "fail": "red", "error": "bold red", "abstain": "yellow"}


def show_trials(console: Console, trials: Sequence[GraderTrial]) -> None:
    """Print each grader: how often it said what, how long it took, a few outputs with its reasons."""
    for trial in trials:
        stated = f"  {json_line(trial.params)}" if trial.params else ""
        console.print(StyledText.assemble((safe(trial.grader), "bold"), (safe(f"{stated}  {trial.where}"), "dim")))
        if not trial.outputs:
            console.print("  it is well formed; the log holds no output to try it on")
            continue
        counts = ", ".join(f"{count} {name}" for name, count in trial.counts.items() if count)
        console.print(f"  {counts} of {trial.outputs} outputs of run {trial.run} · {milliseconds(trial.ms_each)} each")
        for one in trial.examples:
            line = StyledText.assemble((f"{one.outcome:8s}", _STYLES[one.outcome]), f"{one_line(one.case_id, 30)}  ")
            line.append(one_line(one.reason, 70)).append(f"  {one_line(one.output, 40)}", "dim")
            console.print(Padding(line, (0, 0, 0, 2)), soft_wrap=True)
