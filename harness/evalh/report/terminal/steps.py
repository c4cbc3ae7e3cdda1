"""One sample of a pipeline: its steps on a time axis, then each step's inputs, output and failures."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule

from evalh.core.log import SampleDetail
from evalh.core.money import plus
from evalh.core.run import StepRecord
from evalh.core.sample import Graded, SampleWord, StepGrade, StepResult, StepState, StepWord, Story
from evalh.core.verdict import Outcome, Verdict, parts_of
from evalh.report.terminal.console import StyledText, columns
from evalh.report.text import dollars, json_line, milliseconds, one_line, safe

_BAR = 24
_NAME = 24
_REASON = 50
_VALUE = 400
_DEEPEST = 8  # levels of parts in parts that are shown
_GRADES = {StepGrade.GOOD: "green", StepGrade.BAD: "red", StepGrade.UNKNOWN: "yellow"}
_OUTCOMES = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.ABSTAIN: "yellow", Outcome.ERROR: "yellow"}

STORIES = {
    SampleWord.CLEAN: "no step was bad",
    SampleWord.RECOVERED: "{first} was bad, and a later step corrected it",
    SampleWord.LATENT: "bad step, good result: {first} was bad; it did no harm, or a grader is wrong",
    SampleWord.UNEXPLAINED: "no bad step leads to the output: the step at fault has no grader, or too lenient a grader",
    SampleWord.POISONED: "{first} was bad first; the output is bad because of {responsible}",
    SampleWord.FAILED_AT_END: "only {responsible} leads to the bad output",
    SampleWord.NOT_KNOWN: "this depends on a step that could not be graded",
}
"""Each kind of sample in a sentence."""


def show_steps(console: Console, detail: SampleDetail) -> None:
    """Print the steps of a sample, and why it is good or bad."""
    sample, story = detail.sample, detail.sample.story
    if story is not None:
        console.print(StyledText.assemble((story.word.value, "bold"), f": {story_sentence(story)}"))
    if sample.review is not None:
        console.print(StyledText.assemble(("for review by a person  ", "yellow"), one_line(sample.review, 90)))
    table = columns("step", "", "grade", ">cost", ">latency", "when")
    spans = _spans(sample.steps, {one.step: one.reads for one in detail.asked})
    for one in sample.steps:
        table.add_row(*_row(one, story, spans))
    console.print(table)
    records = {one.step: one for one in detail.asked}
    for one in sample.steps:
        if one.gave or one.state is StepState.FAILED:
            _show_step(console, one, records.get(one.step))


def story_sentence(story: Story, quotes: str = "``") -> str:
    """Say what a sample was: the step that was bad first, and those at fault, each between two `quotes`."""

    def named(step: str) -> str:
        return f"{quotes[0]}{one_line(step, _NAME)}{quotes[1]}"

    first = "a step" if story.first_bad is None else named(story.first_bad)
    return STORIES[story.word].format(first=first, responsible=" and ".join(map(named, story.responsible)))


def verdict_lines(graded: Graded) -> Iterator[StyledText]:
    """Yield a grader's verdict as a line, and below it those of its parts."""
    verdict = graded.verdict
    required = "" if graded.required else " (not required)"
    word = (f"{verdict.outcome.value:8s}", _OUTCOMES[verdict.outcome])
    yield StyledText.assemble(word, f"{safe(graded.grader)}{required}  ", (one_line(verdict.reason, 70), "dim"))
    yield from part_lines(verdict)


def part_lines(verdict: Verdict, level: int = 1) -> Iterator[StyledText]:
    """Write what the parts of a grader said."""
    for part in parts_of(verdict):
        said = part.verdict
        word = (f"{'  ' * level}{said.outcome.value:8s}", _OUTCOMES[said.outcome])
        weight = "" if part.weight in (0, 1) else f" ×{part.weight:g}"
        told = one_line(said.reason, max(20, 70 - 2 * level))
        yield StyledText.assemble(word, f"{one_line(part.label, 40)}{weight}  ", (told, "dim"))
        if level < _DEEPEST:
            yield from part_lines(said, level + 1)


def _spans(steps: Sequence[StepResult], reads: Mapping[str, Sequence[str]]) -> dict[str, tuple[float, float]]:
    """Return when each step began and ended, in ms. A step begins when all the steps that it reads have ended."""
    spans: dict[str, tuple[float, float]] = {}
    for one in steps:
        begin = max((spans[name][1] for name in reads.get(one.step, ()) if name in spans), default=0.0)
        spans[one.step] = begin, begin + ((one.latency.total_ms or 0.0) if one.state is StepState.RAN else 0.0)
    return spans


def _row(one: StepResult, story: Story | None, spans: Mapping[str, tuple[float, float]]) -> Iterator[StyledText | str]:
    yield StyledText(one_line(one.step, _NAME), "bold" if one.gave else "dim")
    yield f"{one.state.value}, from the log" if one.cache_hit else one.state.value
    yield _grade(one, story)
    ran = one.state is StepState.RAN
    yield dollars(plus(one.cost_usd, one.cached_cost_usd)) if one.call_id is not None else ""
    yield milliseconds(one.latency.total_ms) if ran else ""
    if not one.gave:
        yield StyledText(one_line(one.reason or "", _REASON), "dim")
        return
    whole = max(end for _, end in spans.values()) or 1.0
    begin, end = (round(_BAR * at / whole) for at in spans[one.step])
    style = "dim" if one.grade is None else _GRADES[one.grade]
    yield StyledText.assemble(" " * min(begin, _BAR - 1), ("█" * max(1, end - begin) if ran else "·", style))


def _grade(one: StepResult, story: Story | None) -> StyledText:
    """Return a step's grade, with a mark if it was the first bad one or is tainted."""
    cell = StyledText() if one.grade is None else StyledText(one.grade.value, _GRADES[one.grade])
    if story is not None and story.first_bad == one.step:
        marks = ["first"]
    elif one.tainted and one.word is not StepWord.ORIGIN:
        marks = ["tainted"]
    else:
        marks = []
    for mark in marks:
        cell.append(f"{' · ' if one.grade is not None else ''}{mark}", "red")
    return cell


def _show_step(console: Console, one: StepResult, record: StepRecord | None) -> None:
    console.print(Rule(f"{one_line(one.step, _NAME)}{_what(one, record)}", align="left", style="dim"))
    handed = one.inputs if isinstance(one.inputs, Mapping) else {}
    for name, value in handed.items():
        shown = one_line(json_line(value), _VALUE)
        console.print(StyledText.assemble(("handed in  ", "dim"), f"{one_line(name, _NAME)}  ", shown))
    if one.gave:
        output = one.output if isinstance(one.output, str) else json_line(one.output)
        console.print(StyledText.assemble(("came out   ", "dim"), one_line(output, _VALUE)))
    for graded in one.verdicts:
        for line in verdict_lines(graded):
            console.print(Padding(line, (0, 0, 0, 2)))
    if one.reason and not any(one.reason.endswith(graded.verdict.reason) for graded in one.verdicts):
        console.print(Padding(StyledText(one_line(one.reason, 2 * _REASON), "red"), (0, 0, 0, 2)))


def _what(one: StepResult, record: StepRecord | None) -> str:
    """Name what gave the output, and its call."""
    asked = ""
    if record is not None:
        asked = f" · {record.function}" if record.function else f" · {record.prompt} on {record.model}"
    call = "" if one.call_id is None else f" · call {one.call_id}"
    return f"{'' if one.state is not StepState.GIVEN else ' · given'}{safe(asked)}{call}"
