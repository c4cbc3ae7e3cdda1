"""A judge's calibration and a grader's trial as a person reads them.

What a person who labels is shown. Nothing here tells who wrote the output.
"""

from collections.abc import Sequence
from shlex import quote

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table

from evalh.analysis.calibration.feedback import FeedbackAgreement
from evalh.core.calibration import (
    FEWEST_DISAGREEMENTS,
    GOOD,
    AgreementTable,
    Calibration,
    JudgeRubric,
    JudgeStanding,
    PositionBias,
    VersionDifference,
)
from evalh.core.case import ABSENT, Case
from evalh.core.log import GraderTrial
from evalh.core.request import ToolCall
from evalh.core.run import Estimate
from evalh.core.verdict import Outcome, Verdict
from evalh.report.documents.judging import LabelsDocument
from evalh.report.terminal.console import StyledText, block, columns, named
from evalh.report.terminal.steps import part_lines
from evalh.report.text import json_line, milliseconds, one_line, p_text, percent, plural, safe
from evalh.report.words import unused_labels


def show_calibration(console: Console, calibration: Calibration) -> None:
    """Print what the judge is worth: in words first, then in numbers."""
    asked = "is this output good?" if calibration.about == GOOD else f"should it pass {calibration.about}?"
    about, words, rates = f"compared with people's labels: {asked}", _words(calibration), _rates(calibration)
    meaning = _RATES_MEAN
    warnings = _warnings(calibration)
    if (position := calibration.position) is not None:
        about, words, rates = "which of two outputs is better", _order(calibration, position), _win_rates(calibration)
        meaning = _WIN_RATES_MEAN
        warnings = _pair_warnings(calibration, position)
    title = (calibration.judge, "bold")
    console.print(StyledText.assemble(title, f" · suite {calibration.suite} · {about}"))
    console.print()
    for line in words:
        console.print(line)
    console.print()
    if calibration.agreement is not None:
        _show_agreement(console, calibration.agreement, calibration.people)
        console.print()
    console.print(rates)
    console.print(StyledText(meaning, "dim"))
    if calibration.differences:
        console.print()
        console.print(_differences(calibration.differences))
        console.print(StyledText(_DIFFERENCES_MEAN, "dim"))
    if warnings:
        console.print()
    for line in warnings:
        console.print(StyledText(line, "yellow"), soft_wrap=True)  # it may end in a command to copy


def show_feedback(console: Console, found: FeedbackAgreement) -> None:
    """Print how often a judge and users agree, and of whom that is true."""
    console.print(StyledText.assemble((found.judge, "bold"), f" · suite {found.suite} · compared with users' votes"))
    console.print()
    share = f"{found.voted:,} of {plural(found.workflows, 'workflow')}"
    console.print(
        StyledText(f"users who voted: {share}; they do not represent all users, and votes are never gold", "yellow")
    )
    cells = found.confusion
    console.print(
        f"of {found.both:,} that are judged and have a vote, both agree on {cells.both_good + cells.both_bad:,}"
    )
    console.print(f"the judge passes {cells.judge_only:,} that users called bad")
    console.print(f"the judge refuses {cells.people_only:,} that users called good")
    if found.torn:
        console.print(f"left out: {plural(found.torn, 'workflow')} with as many good votes as bad ones")
    if found.agreement is not None:
        console.print()
        _show_agreement(console, found.agreement, None)


_AGREEMENT_MEANS = (
    "raw: the share of outputs on which both say the same. The other three leave out agreement by chance:"
    " 1 is always the same, 0 is no better than random answers, below 0 is worse."
    " kappa is the usual one; AC1 is steadier if nearly all outputs are good, or nearly all bad;"
    " alpha also works for more than two people. [ ]: 95 % interval; more labels make it narrower."
)
_RATES_MEAN = (
    "the judge's: the share of outputs that it passes. as people would: the share that people would call good,"
    " computed from their labels and the judge's verdicts. If the two differ, trust the second."
)
_WIN_RATES_MEAN = (
    "head, base, ties: in how many cases the judge prefers head's output, base's, or neither. p: how likely so uneven"
    " a split is if neither version is better; below 0.05 it is rarely chance. A win rate of 50 % says that both are"
    " equally good; the judge's and people's win rates are head's, and a tie counts half."
)
_DIFFERENCES_MEAN = (
    "head - base. people - judge: if its interval does not include 0, the judge favours one version,"
    " and its difference cannot be trusted: use the one that people would see."
)


def _words(calibration: Calibration) -> list[str]:
    cells = calibration.confusion
    passed, failed = cells.both_good + cells.judge_only, cells.people_only + cells.both_bad
    who = plural(calibration.authors, "person", "people")
    good, bad = ("good", "bad") if calibration.about == GOOD else ("should pass", "should fail")
    lines = [f"{who} labelled {calibration.labelled} of the {plural(calibration.outputs, 'output')} that it judged"]
    if passed:
        lines.append(
            f"the judge passed {passed} of these; people say: {cells.both_good} {good}, {cells.judge_only} {bad}"
        )
    if failed:
        lines.append(
            f"the judge failed {failed} of these; people say: {cells.people_only} {good}, {cells.both_bad} {bad}"
        )
    return lines


def _show_agreement(console: Console, judge: AgreementTable, people: AgreementTable | None) -> None:
    table = columns("agreement", "judge and people", *(["people among themselves"] if people else []))
    both = [judge, *([people] if people else [])]
    table.add_row("raw", *(_share(one.raw) for one in both))
    table.add_row("Gwet's AC1", *(_coefficient(one.ac1) for one in both))
    table.add_row("Cohen's kappa", *("" if one.kappa is None else _coefficient(one.kappa) for one in both))
    table.add_row("Krippendorff's alpha", *(_coefficient(one.alpha) for one in both))
    console.print(table)
    console.print(StyledText(_AGREEMENT_MEANS, "dim"))


def _share(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "not defined"
    return f"{percent(estimate.value)}  [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _coefficient(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "not defined"
    return f"{estimate.value:.2f}  [{estimate.low:.2f}, {estimate.high:.2f}]"


def _rates(calibration: Calibration) -> Table:
    table = columns("rate of passing", ">outputs", ">labels", ">the judge's", "as people would")
    for rate in calibration.rates:
        corrected = rate.corrected
        shown = _share(corrected) if corrected.value is not None else "unknown: some kind of verdict has no label"
        if corrected.value is not None and corrected.low is None:
            shown = f"{percent(corrected.value)}; too few labels for an interval"
        table.add_row(safe(rate.name), str(rate.judged), str(rate.labels), percent(rate.judge_rate), shown)
    return table


def _order(calibration: Calibration, position: PositionBias) -> list[str]:
    lines = [f"{plural(position.pairs, 'pair')} of outputs were judged twice, each output first once"]
    share = percent(position.consistency)
    lines.append(f"in {position.consistent} the same output won both times ({share} of the pairs with a winner)")
    if position.first + position.second:
        told = (
            f"in {position.first + position.second} the place decided: first {position.first}, second {position.second}"
        )
        lines.append(f"{told} (p {p_text(position.p_value)}; below 0.05 the judge favours one place)")
    if calibration.labelled:
        cells, who = calibration.confusion, plural(calibration.authors, "person", "people")
        same = cells.both_good + cells.both_bad
        lines.append(f"{who} labelled both outputs of {plural(calibration.labelled, 'pair')}")
        lines.append(f"in {cells.labelled} both people and the judge prefer one output: the same one in {same}")
    return lines


def _win_rates(calibration: Calibration) -> Table:
    table = columns("win rate of head", ">head", ">base", ">ties", ">p", ">labels", ">the judge's", "as people would")
    for one, rate in zip(calibration.preferences, calibration.rates, strict=True):
        counts = [str(count) for count in (one.head, one.base, one.ties)]
        p_value = "none" if one.p_value is None else p_text(one.p_value)
        people = "unknown: no label" if rate.corrected.value is None else _share(rate.corrected)
        table.add_row(safe(one.name), *counts, p_value, str(rate.labels), percent(rate.judge_rate), people)
    return table


def _pair_warnings(calibration: Calibration, position: PositionBias) -> list[str]:
    label, lines = f"evalh label {quote(calibration.suite)}", _doubts(calibration, "pairs")
    if position.unsteady:
        lines.append(
            "the place of the outputs decides too often to rely on this judge: change its rubric, or use another model"
        )
    if not calibration.labelled:
        lines.append(f"no pair has labels for both outputs: whether people agree is unknown ({label})")
    if calibration.torn:
        on = plural(calibration.torn, "pair")
        lines.append(f"people rate both outputs of {on} the same; the agreement leaves them out, nothing to do")
    if calibration.unjudged:
        again = f"evalh compare BASE HEAD --suite {quote(calibration.suite)}"
        lines.append(f"{plural(calibration.unjudged, 'pair')} not judged by this judge as it is now ({again})")
    return [*lines, *unused_labels(calibration.unused, calibration.suite, calibration.judge, pairs=True)]


def _differences(differences: Sequence[VersionDifference]) -> Table:
    table = columns(
        "difference of versions, in points", ">cases", ">labels", ">the judge's", "as people would", "people - judge"
    )
    for one in differences:
        judge = f"{100 * one.judge_difference:+.1f}"
        name = f"{safe(one.base)} → {safe(one.head)}"
        table.add_row(
            name,
            str(one.cases),
            str(one.labels),
            judge,
            _points(one.corrected, one.labels),
            _points(one.shift, one.labels),
        )
    return table


def _points(estimate: Estimate, labels: int) -> str:
    if estimate.value is None:
        return "not known"
    if estimate.low is None or estimate.high is None:
        if labels < FEWEST_DISAGREEMENTS:
            return f"not known: {plural(labels, 'label')}"
        return f"{100 * estimate.value:+.1f}; {labels} labels show no interval"
    return f"{100 * estimate.value:+.1f}  [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def _doubts(calibration: Calibration, outputs: str) -> list[str]:
    """Warn about the judge, and about the intervals of its agreement."""
    table, lines = calibration.confusion, []
    kappa = None if calibration.agreement is None else calibration.agreement.kappa
    if kappa is not None and kappa.low is not None and kappa.high is not None and kappa.low <= 0 <= kappa.high:
        lines.append(
            "nothing shows that this judge is better than random answers, for the interval of kappa includes 0"
            f" ({_label(calibration)}, or change its rubric)"
        )
    if calibration.agreement is not None and calibration.agreement.worse_than_chance:
        lines.append(
            "this judge is worse than chance: people and the judge disagree more often than random answers would"
            " (change its rubric or its model, run the suite, and calibrate again)"
        )
    if table.labelled and table.disagreements < FEWEST_DISAGREEMENTS:
        few = (
            f"too few to estimate its errors ({_label(calibration)})"
            if calibration.few_labels
            else "enough to show that it is rarely wrong, but not in which way"
        )
        lines.append(
            f"people and the judge disagree on {table.disagreements} of {table.labelled} labelled {outputs}: {few}"
        )
        lines.append(
            f"with fewer than {FEWEST_DISAGREEMENTS} disagreements, the intervals of kappa and of differences between"
            " versions are narrower than they should be: do not rely on their ends"
        )
    return lines


def _label(calibration: Calibration) -> str:
    about = "" if calibration.about == GOOD else f" --about {quote(calibration.about)}"
    return f"evalh label {quote(calibration.suite)}{about}"


def _warnings(calibration: Calibration) -> list[str]:
    lines = _doubts(calibration, "outputs")
    if any(rate.corrected.value is None for rate in calibration.rates):
        lines.append(
            f"to know a rate as people would, label outputs that passed and outputs that failed ({_label(calibration)})"
        )
    if calibration.torn:
        on = plural(calibration.torn, "output")
        lines.append(
            f"on {on} as many people say good as bad: the agreement leaves them out (let one more person label:"
            f" {_label(calibration)} --author NAME)"
        )
    if calibration.unjudged:
        on, again = plural(calibration.unjudged, "output"), f"evalh run {quote(calibration.suite)}"
        lines.append(
            f"on {on} the judge erred or abstained: no rate includes them (if it was down, ask again: {again})"
        )
    lines += unused_labels(calibration.unused, calibration.suite, calibration.judge)
    for one in calibration.differences:
        if one.favoured is not None:
            kinder = one.head if one.favoured == "head" else one.base
            lines.append(
                f"it is kinder to {safe(kinder)} than people are: for {safe(one.base)} → {safe(one.head)},"
                " use the difference as people would"
            )
    return lines


# -- what a report says of its judges


def judge_facts(judges: Sequence[JudgeStanding]) -> dict[str, str]:
    """Say for each judge whether it is calibrated now."""
    return {f"judge {judge.judge}": _fact(judge) for judge in judges}


def show_judges(console: Console, judges: Sequence[JudgeStanding]) -> None:
    if judges:
        console.print()
    for name, fact in judge_facts(judges).items():
        console.print(StyledText.assemble((f"{safe(name)}  ", "dim"), safe(fact)))


def _fact(judge: JudgeStanding) -> str:
    decides = "" if judge.required else "not required; "
    if judge.at is None:
        return f"{decides}{judge.why}"
    kappa = None if judge.kappa is None else judge.kappa.value
    agreed = "" if kappa is None else f", Cohen's kappa {kappa:.2f}"
    held = f"calibrated with {judge.labels} labels on {judge.at[:10]}{agreed}"
    return f"{decides}{held}{'' if judge.why is None else f'; {judge.why}'}"


def show_question(
    console: Console, case: Case, text: str, tool_calls: Sequence[ToolCall], *, title: str, expected: bool
) -> None:
    console.print(Rule(title, align="left", style="dim"))
    for name, value in case.inputs.items():
        console.print(named(name, value if isinstance(value, str) else json_line(value)))
    if expected and case.expected is not ABSENT:
        console.print(StyledText.assemble(("expected  ", "dim"), json_line(case.expected)))
    console.print(Rule("output", align="left", style="dim"))
    console.print(block(text, "bold") if text else StyledText("(empty)", "dim"))
    for call in tool_calls:
        console.print(block(f"{call.name}({call.arguments})", "bold"))


def show_rubrics(console: Console, rubrics: Sequence[JudgeRubric]) -> None:
    """Print what each judge judges by: its rubric, or the command that shows the prompt that judges."""
    for one in rubrics:
        console.print(Rule(safe(f"rubric of {one.judge}"), align="left", style="dim"))
        console.print(
            StyledText(f"  evalh prompt show {quote(str(one.where))}") if one.text is None else block(one.text)
        )


def show_status(console: Console, labels: LabelsDocument) -> None:
    """Print how far the labelling has come."""
    question = "is this output good?" if labels.about == GOOD else f"would it pass {labels.about}?"
    console.print(StyledText.assemble((labels.suite, "bold"), f" · {safe(question)}"))
    console.print(f"{labels.labelled} of {labels.outputs} distinct outputs are labelled")
    for row in labels.strata:
        console.print(StyledText(f"  {row.stratum:10s} {row.labelled} of {row.outputs}", "dim"))
    for author in labels.authors:
        console.print(StyledText(f"  {safe(author.author)}  {author.labels} labels", "dim"))
    if labels.of_other_outputs:
        text = f"{labels.of_other_outputs} labels are of outputs that are not in the log (any more)"
        console.print(StyledText(text, "yellow"))


_OUTCOME_STYLES = {"pass": "green", "fail": "red", "error": "bold red", "abstain": "yellow"}


def show_trials(console: Console, trials: Sequence[GraderTrial]) -> None:
    """Print each grader: how often it said what, how long it took, a few outputs with its reasons."""
    for trial in trials:
        stated = f"  {json_line(trial.params)}" if trial.params else ""
        console.print(StyledText.assemble((trial.grader, "bold"), (safe(f"{stated}  {trial.where}"), "dim")))
        if not trial.outputs:
            console.print("  it is valid; the log has no output to try it on")
            continue
        counts = ", ".join(f"{count} {name}" for name, count in trial.counts.items() if count)
        console.print(f"  {counts} of {trial.outputs} outputs of run {trial.run} · {milliseconds(trial.ms_each)} each")
        for one in trial.examples:
            line = StyledText.assemble(
                (f"{one.outcome:8s}", _OUTCOME_STYLES[one.outcome]), f"{one_line(one.case_id, 30)}  "
            )
            line.append(one_line(one.reason, 70)).append(f"  {one_line(one.output, 40)}", "dim")
            console.print(Padding(line, (0, 0, 0, 2)), soft_wrap=True)
            whole = Verdict(Outcome(one.outcome), one.score, one.reason, {"parts": list(one.parts)})
            for part in part_lines(whole):
                console.print(Padding(part, (0, 0, 0, 2)), soft_wrap=True)
