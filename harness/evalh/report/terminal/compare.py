"""A comparison as a person reads it: the verdict first, then the numbers, then what to look at."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table

from evalh.analysis.compare.comparison import (
    Comparison,
    ComparisonVerdict,
    Example,
    Flip,
    IncidentGoods,
    IncidentPair,
    PartComparison,
    Preferred,
    Side,
    listed,
)
from evalh.analysis.compare.differences import TWO_SIDED
from evalh.analysis.prompt_diff import PromptDiff
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.report.documents.compare import ConfirmedDocument, confirmed_document
from evalh.report.terminal.console import BREAK, StyledText, columns, lines
from evalh.report.terminal.power import tested
from evalh.report.terminal.prompts import show_diff
from evalh.report.text import (
    BY_THE_HOUR,
    cost_per_good,
    dollars,
    latency,
    limit,
    one_line,
    p_text,
    percent,
    plural,
    rate,
    safe,
)
from evalh.report.words import sides_differ, worth

_STYLES = {
    ComparisonVerdict.BETTER: "bold green",
    ComparisonVerdict.NO_WORSE: "bold green",
    ComparisonVerdict.WORSE: "bold red",
    ComparisonVerdict.INCONCLUSIVE: "bold yellow",
}
_FLIP_STYLES = {Flip.REGRESSED: "red", Flip.UNSTABLE: "yellow", Flip.NOISE: "dim"}
_PARTS = {"dataset": "the datasets", "graders": "the graders"}
_TAGS_SHOWN = 12
_HALF = 46  # characters of one of two outputs side by side
_OUTPUT_LINES = 6


class ComparisonView(Value, kw_only=True):
    """A comparison with what is shown beside its numbers."""

    id: str
    comparison: Comparison
    difference: PromptDiff | None  # between the prompts; None: the same, or no longer there
    examples: tuple[Example, ...]


def show_comparison(console: Console, view: ComparisonView) -> None:
    comparison = view.comparison
    console.print(sentence(comparison))
    console.print(_title(comparison))
    console.print(StyledText(sides_differ(comparison), "dim"))
    if not comparison.comparable:
        _show_mismatches(console, comparison)
        for line in told_incidents(comparison.incidents):
            console.print(StyledText(line, "dim"))
        return
    console.print()
    console.print(_numbers(comparison))
    _show_notes(console, comparison)
    console.print()
    console.print(_parts("grader", comparison.graders))
    if comparison.tags:
        console.print()
        console.print(_parts("tag", _telling(comparison.tags)))
        if len(comparison.tags) > _TAGS_SHOWN:
            console.print(StyledText(f"and {len(comparison.tags) - _TAGS_SHOWN} more tags: --json", "dim"))
    if view.difference is not None:
        console.print()
        console.print(Rule("what differs", align="left", style="dim"))
        show_diff(console, view.difference)
    _show_cases(console, comparison, view.examples)


def _title(comparison: Comparison) -> StyledText:
    base, head = labels(comparison)
    models = "" if base.endswith(comparison.base.model) else f" on {comparison.head.model}"
    return StyledText.assemble((base, "bold"), " → ", (head, "bold"), f"{models} · suite {comparison.head.suite}")


def labels(comparison: Comparison) -> tuple[str, str]:
    """Name both sides: by version, and by model where the models differ."""
    base, head = comparison.base, comparison.head
    if base.model == head.model:
        return base.prompt, head.prompt
    return f"{base.prompt} on {base.model}", f"{head.prompt} on {head.model}"


# -- the verdict


def sentence(comparison: Comparison) -> StyledText:
    """State the result."""
    word = comparison.verdict.value.replace("_", " ")
    if not comparison.comparable:
        parts = " and ".join(_PARTS.get(mismatch.part, mismatch.part) for mismatch in comparison.mismatches)
        why = f"{parts} differ" if parts else comparison.reason
        return StyledText("not comparable", "bold yellow").append(f": {safe(why)}", "")
    said = {
        ComparisonVerdict.BETTER: f"head is good more often: {points(comparison.difference)}",
        ComparisonVerdict.WORSE: f"head is good less often: {points(comparison.difference)}",
        ComparisonVerdict.NO_WORSE: f"a drop of {_margin(comparison)} or more is excluded, at 5 % error",
        ComparisonVerdict.INCONCLUSIVE: f"no difference is shown, and a drop of {_margin(comparison)} is not excluded",
    }[comparison.verdict]
    if comparison.identical or not comparison.measured:
        said = comparison.reason
    relative = ", judge-relative" if comparison.judge_relative else ""
    return StyledText(word, _STYLES[comparison.verdict]).append(f"{relative}: {said}", "")


def _margin(comparison: Comparison) -> str:
    return f"{100 * comparison.margin:g} points"


def points(estimate: Estimate) -> str:
    """Write a difference of rates as points, with its interval."""
    if estimate.value is None:
        return "unknown"
    value = f"{100 * estimate.value:+.1f}"
    if estimate.low is None or estimate.high is None:
        return f"{value} points"
    return f"{value} points  [{limit(estimate.low)}, {limit(estimate.high)}]"


def _show_mismatches(console: Console, comparison: Comparison) -> None:
    for mismatch in comparison.mismatches:
        line = StyledText.assemble(BREAK, (f"{mismatch.part}  ", "dim")).append(one_line(mismatch.what, 300), "")
        line.append(BREAK).append(f"base {mismatch.base[:19]} · head {mismatch.head[:19]}", "dim")
        console.print(Padding(line, (0, 0, 0, 2)))
    if comparison.missing:
        cases = [f"{safe(one.case_id)} (absent from {one.absent_from})" for one in comparison.missing]
        console.print(
            Padding(StyledText.assemble(BREAK, ("missing  ", "dim")).append(listed(cases, 5), ""), (0, 0, 0, 2))
        )


# -- the numbers


def _numbers(comparison: Comparison) -> Table:
    base, head = comparison.base, comparison.head
    same = base.prompt == head.prompt and base.model != head.model
    sides = (one_line(side.model if same else side.prompt, 26) for side in (base, head))
    table = columns("", *sides, "head - base")
    table.columns[0].style = "dim"
    cases = f"{comparison.wins} better, {comparison.losses} worse, {comparison.ties} alike"
    table.add_row("good", *(_counts(side) for side in (base, head)), cases)
    table.add_row("good rate", *(rate(side.good_rate) for side in (base, head)), points(comparison.difference))
    # The interval stands below its value: side by side they leave no room for the third column.
    costs = [_two_lines(cost_per_good(side.cost_per_good_usd)) for side in (base, head)]
    table.add_row("cost per good", *costs, _ratio(comparison.cost_per_good_ratio))
    if base.by_the_hour or head.by_the_hour:
        table.add_row("", *(BY_THE_HOUR if side.by_the_hour else "" for side in (base, head)), "")
    if comparison.downstream is not None:
        nets = (comparison.downstream.base, comparison.downstream.head)
        table.add_row("net per good", *(_two_lines(cost_per_good(one.net_cost_per_good_usd)) for one in nets))
    table.add_row(
        "latency", lines(latency(base)), lines(latency(head)), _milliseconds(comparison.latency.difference_ms)
    )
    if (pass_at := comparison.pass_at) is not None:
        table.add_row(f"pass@{pass_at.k}", rate(pass_at.base_any), rate(pass_at.head_any))
        table.add_row(f"pass^{pass_at.k}", rate(pass_at.base_all), rate(pass_at.head_all))
    return table


def _two_lines(text: str) -> StyledText:
    return lines(text.replace("  [", "\n[").replace("; ", ";\n").split("\n"))


def _counts(side: Side) -> str:
    ungraded = f", {side.ungraded} ungraded" if side.ungraded else ""
    return f"{side.good} of {side.samples}{ungraded}"


def _ratio(ratio: Estimate) -> str | StyledText:
    if ratio.method == "unpriced":
        return "not priced"
    if ratio.method == "zero-goods":
        return lines(("no finite ratio:", "a side has no good output"))
    if ratio.value is None:
        return "unknown"
    if ratio.low is None:
        return f"× {ratio.value:.2f}"
    high = "no finite upper limit" if ratio.high is None else f"{ratio.high:.2f}"
    return f"× {ratio.value:.2f}  [{ratio.low:.2f}, {high}]"


def _milliseconds(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not compared" if estimate.method == "other-definition" else "unknown"
    value, low, high = (
        None if number is None else round(number) for number in (estimate.value, estimate.low, estimate.high)
    )
    interval = "" if low is None or high is None else f"  [{low:+d}, {high:+d}]"
    return f"mean {value:+d} ms{interval}"


def _show_notes(console: Console, comparison: Comparison) -> None:
    lines = tested(comparison)
    if comparison.cases_needed is not None:
        lines.append(
            f"to exclude a drop of {_margin(comparison)}, about {comparison.cases_needed:,} cases: evalh power"
        )
    if comparison.downstream is not None:
        lines.append(worth(comparison.downstream, *map(safe, labels(comparison))))
    if comparison.undecided:
        lines.append(f"{comparison.undecided} of the cases counted as the same depend on ungraded samples")
    lines += told_incidents(comparison.incidents)
    if comparison.unstable:
        lines.append(f"{len(comparison.unstable)} unstable: their trials disagree ({_listed(comparison.unstable)})")
    if comparison.intersection and (comparison.mismatches or comparison.missing):
        left_out = {case for mismatch in comparison.mismatches for case in mismatch.cases}
        left_out |= {one.case_id for one in comparison.missing}
        lines.append(f"only the common cases: {len(left_out)} left out ({_listed(sorted(left_out))})")
    if lines:
        console.print()
    warnings = [*doubts(comparison), *(f"warning: {notice}" for notice in comparison.notices)]
    for style, told in (("dim", lines), ("yellow", warnings), ("dim", as_people_would(comparison))):
        for line in told:
            console.print(StyledText(line, style))
    for preferred in comparison.preferred:
        _show_preferred(console, preferred)


def told_incidents(incidents: Sequence[IncidentPair]) -> list[str]:
    """Say what the incidents did on both sides: counts, without a test; empty if there are none."""
    if not incidents:
        return []
    base, head = [_kept(one.base) for one in incidents], [_kept(one.head) for one in incidents]
    whole = plural(len(incidents), "incident")
    told = f"{whole} counted apart: {sum(base)} good in every trial on base, {sum(head)} on head"
    lost = [one.case_id for one, was, now in zip(incidents, base, head, strict=True) if was and not now]
    won = [one.case_id for one, was, now in zip(incidents, base, head, strict=True) if now and not was]
    parts = [f"{word}: {_listed(cases)}" for word, cases in (("lost", lost), ("now good", won)) if cases]
    return ["; ".join([told, *parts])]


def _kept(side: IncidentGoods) -> bool:
    return side.good == side.trials


def doubts(comparison: Comparison) -> list[str]:
    """Say why the verdict is relative to its judges, or close to being another one."""
    told = [f"judge-relative: {why}" for why in comparison.judge_relative]
    low, high, p_value = comparison.difference.low, comparison.difference.high, comparison.p_value
    if low is None or high is None or p_value is None or not comparison.comparable:
        return told
    if (low > 0 or high < 0) == (p_value < TWO_SIDED):
        return told
    decides = "the interval decides, and the p-value of another test does not agree: more cases would tell"
    return [*told, f"a close call: {decides}"]


def as_people_would(comparison: Comparison) -> list[str]:
    """Say how far apart people would see the sides, where labels cover both: a line for each judge."""
    return [
        f"{judge.judge} as people would: {points(one.corrected) if one.known else 'not known'}"
        f" (the judge itself: {100 * one.judge_difference:+.1f};"
        f" {one.labels} of {one.cases} cases are labelled on both sides)"
        for judge in comparison.judges
        if (one := judge.difference) is not None
    ]


def _show_preferred(console: Console, one: Preferred) -> None:
    told = preference(one)
    console.print()
    console.print(StyledText(one_line(one.grader, 40), "bold").append(f"  {told[0]}", ""))
    for line in told[1:]:
        console.print(
            Padding(StyledText(line, "yellow" if line.startswith(("warning", "unjudged")) else "dim"), (0, 0, 0, 2))
        )


def preference(one: Preferred) -> list[str]:
    """Say what a judge of two outputs prefers, the order's part, and what is missing: a line each."""
    unjudged = f", {one.unjudged} unjudged" if one.unjudged else ""
    p_value = "none" if one.p_value is None else p_text(one.p_value)
    lines = [
        f"prefers head on {one.head}, base on {one.base}; {one.ties} ties{unjudged} · p {p_value}",
        f"judge {one_line(one.model, 40)} · both orders · {dollars(one.judge_cost_usd)} spent",
    ]
    if one.first + one.second:
        torn = f"the order decided on {one.first + one.second}: first {one.first}, second {one.second}"
        lines.append(f"{torn} · p {p_text(one.position_p)} · consistency {percent(one.consistency)}")
    if one.unsteady:
        lines.append("warning: the order of the outputs decides too often to rely on this judge")
    if one.why_unjudged is not None:
        lines.append(f"unjudged: {one_line(one.why_unjudged, 160)}")
    return lines


def _telling(tags: Sequence[PartComparison]) -> list[PartComparison]:
    surprising = sorted(tags, key=lambda part: (1.0 if part.p_value is None else part.p_value, part.name))
    shown = {part.name for part in surprising[:_TAGS_SHOWN]}
    return [part for part in tags if part.name in shown]


def _parts(kind: str, parts: Sequence[PartComparison]) -> Table:
    table = columns(kind, ">cases", ">base", ">head", ">better", ">worse", "difference", "p adjusted", "")
    table.columns[0].no_wrap = True  # what people group by stays whole
    for part in parts:
        counts = [str(count) if count else StyledText("·", "dim") for count in (part.wins, part.losses)]
        rates = [percent(estimate.value) for estimate in (part.base_rate, part.head_rate)]
        note = "shown" if part.shown else "" if part.required or kind == "tag" else "not required"
        style = "bold" if part.shown else "dim"
        cells = (points(part.difference).replace(" points", ""), p_text(part.p_adjusted), StyledText(note, style))
        table.add_row(one_line(part.name, 60), str(part.n), *rates, *counts, *cells)
    return table


def _show_cases(console: Console, comparison: Comparison, examples: Sequence[Example]) -> None:
    worse = [one for one in examples if not one.better]
    better = [one for one in examples if one.better]
    for title, style, cases, shown in (
        ("worse", "red", comparison.regressed, worse),
        ("better", "green", comparison.fixed, better),
    ):
        if not cases:
            continue
        console.print()
        console.print(StyledText(f"{title}: {len(cases)}  ", style).append(_listed(cases, 8), "dim"))
        for example in shown:
            _show_example(console, example)
    if comparison.confirmed:
        console.print()
        show_confirmed(console, [confirmed_document(case) for case in comparison.confirmed])


def _show_example(console: Console, example: Example) -> None:
    console.print()
    trial = f" trial {example.trial}" if example.trial else ""
    console.print(StyledText(f"{one_line(example.case_id, 60)}{trial}", "bold"))
    inputs = StyledText()
    for name, value in example.inputs.items():
        text = value if isinstance(value, str) else repr(value)
        inputs.append(f"{safe(name)}  ", "dim").append(one_line(text, 92 - len(name)), "").append(BREAK)
    inputs.rstrip()
    console.print(Padding(inputs, (0, 0, 0, 2)))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, width=2 * (_HALF + 2))
    table.add_column(width=_HALF, overflow="fold")
    table.add_column(width=_HALF, overflow="fold")
    table.add_row(StyledText("base", "dim"), StyledText("head", "dim"))
    table.add_row(_output(example.base_output), _output(example.head_output))
    table.add_row(_reasons(example.base_reasons), _reasons(example.head_reasons))
    console.print(Padding(table, (0, 0, 0, 2)))


def _output(output: str | None) -> StyledText:
    if output is None:
        return StyledText("no answer", "yellow")
    said = [one_line(line, _HALF * 2) for line in output.splitlines() if line.strip()]
    more = [f"… {len(said) - _OUTPUT_LINES} more lines"] if len(said) > _OUTPUT_LINES else []
    return lines([*said[:_OUTPUT_LINES], *more])


def _reasons(reasons: Sequence[tuple[str, str]]) -> StyledText:
    if not reasons:
        return StyledText("good", "green")
    return lines((f"{grader}: {one_line(reason, _HALF * 2)}" for grader, reason in reasons), "red")


def show_confirmed(console: Console, confirmed: Sequence[ConfirmedDocument]) -> None:
    """Print cases that were asked again, with their fresh trials on both sides."""
    console.print(StyledText("asked again", "bold").append("  good fresh trials on both sides", "dim"))
    table = columns("case", ">base", ">head", ">p adjusted", ">P(worse)", "")
    for case in confirmed:
        table.add_row(
            one_line(case.case_id, 40),
            *(f"{side.good}/{side.trials}" for side in (case.base, case.head)),
            p_text(case.p_adjusted),
            "unknown" if case.p_worse is None else f"{case.p_worse:.3f}",
            StyledText(case.label.value, _FLIP_STYLES[case.label]),
        )
    console.print(table)


def _listed(cases: Sequence[str], most: int = 5) -> str:
    return listed([one_line(case, 40) for case in cases], most)
