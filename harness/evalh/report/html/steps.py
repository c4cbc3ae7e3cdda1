"""Where a pipeline's run goes wrong first, on the page: kinds of sample, the picture, a table of the steps, rates."""

from collections.abc import Mapping, Sequence

from evalh.analysis.traffic import Traffic
from evalh.core.log import RunRow
from evalh.core.money import plus
from evalh.core.run import StepRecord, StepTally
from evalh.core.sample import SampleWord, StepGrade, StepState
from evalh.report.charts.pipeline import Filters, drawn, width_ahead
from evalh.report.html.markup import Child, Markup, el
from evalh.report.html.parts import facts, row, scrollable, section, shown_json, table
from evalh.report.terminal.pipeline import WORDS, told_rates
from evalh.report.text import dollars, milliseconds, percent
from evalh.report.words import anchor

_WIDEST = 1320  # that a page can show from left to right, hardly smaller than drawn

_MEANINGS = {
    SampleWord.CLEAN: "good, and no step was bad",
    SampleWord.RECOVERED: "good: a step was bad, and a later one corrected it",
    SampleWord.LATENT: "a bad step leads to the good result: it did no harm, or a grader is wrong",
    SampleWord.UNEXPLAINED: "the step at fault has no grader, or too lenient a grader",
    SampleWord.POISONED: "bad: an earlier step went wrong, and the fault spread to the result",
    SampleWord.FAILED_AT_END: "bad: only the step that it ended with went wrong",
    SampleWord.NOT_KNOWN: "this depends on a step that could not be graded",
}
_DIGESTED = frozenset({"prompt", "function"})  # already shown with the step's name
_STATES = (StepState.RAN, StepState.SKIPPED, StepState.STOPPED, StepState.GIVEN, StepState.FAILED)
_ALWAYS = frozenset({"ran", "good", "bad", "first bad here"})
_CLASSES = {"good": "good", "bad": "bad", "first bad here": "bad", "unknown": "ungraded"}


def where_first(run: RunRow, traffic: Traffic, of: str, suffix: str, filters: Filters) -> Markup:
    """Build the section of a run's steps; `of` names the run."""
    summary = None if run.summary is None else run.summary.pipeline
    told = {one.step: _told(one) for one in run.record.steps}
    wide = width_ahead(traffic) <= _WIDEST
    pictures = [drawn(traffic, told, filters, down=down) for down in ((False, True) if wide else (True,))]
    picture = el("div", pictures, class_="flows both" if wide else "flows")
    return section(
        f"steps{suffix}",
        f"Where {of} goes wrong first",
        _kinds(traffic, filters),
        scrollable(picture, "The pipeline", 0 if wide else len(traffic.reads)),
        _legend(),
        _table(traffic, () if summary is None else summary.steps, filters),
        None if summary is None else facts(list(told_rates(summary))),
    )


def pipeline(run: RunRow, suffix: str) -> Markup:
    """Show the pipeline as it ran: each step with its inputs, its condition, and its policy for a bad output."""
    record = run.record
    steps = record.prompt_document.get("steps")
    stated = steps if isinstance(steps, Mapping) else {}
    parts: list[Child] = []
    for one in record.steps:
        found = stated.get(one.step)
        keys = found if isinstance(found, Mapping) else {}
        told: list[tuple[str, Child]] = [("is", _told(one))]
        for key, value in keys.items():
            if value and key not in _DIGESTED and (key != "on_bad" or keys.get("checks")):
                told.append((key.replace("_", " "), el("code", value if isinstance(value, str) else shown_json(value))))
        parts += [el("h3", one.step), facts(told)]
    output = record.prompt_document.get("output")
    parts += [el("h3", "output"), el("p", "the first that ran of ", el("code", shown_json(output)))]
    fold = el("details", el("summary", "Steps, conditions and policies"), parts)
    return section(f"prompt{suffix}", f"The pipeline, {record.prompt}", fold)


def _told(record: StepRecord) -> str:
    return record.function or f"{record.prompt} on {record.model}"


def _kinds(traffic: Traffic, filters: Filters) -> Markup:
    """Show each kind of sample with its share; a click shows these samples."""
    total, items, left, parts = traffic.words.total() or 1, [], 0.0, []
    for place, (word, name) in enumerate(WORDS.items()):
        count = traffic.words[word]
        if not count:
            continue
        width = round(1000 * count / total, 1)
        parts.append(el("rect", x=round(left, 1), y=0, width=width, height=12, class_=f"k{place}"))
        left += width
        swatch = el("svg", el("rect", width=12, height=12, rx=3, class_=f"k{place}"), viewBox="0 0 12 12", class_="key")
        link = el("a", f"{count:,} {name}", href=anchor(run=filters.run, kind=word.value), data_kind=word.value)
        share = el("span", f"{percent(count / total)} · {_MEANINGS[word]}", class_="dim")
        items.append(el("li", swatch, link, " ", share))
    bar = el("svg", parts, viewBox="0 0 1000 12", preserveAspectRatio="none", aria_hidden="true", class_="kindbar")
    return el("div", bar, el("ul", items), class_="kinds")


def _legend() -> Markup:
    return el(
        "p",
        "A line is as thick as the share of the samples that went along it; its ",
        el("span", "red part", class_="bad"),
        " is the share that carried something bad: the step that it leaves was bad, or has no grade of its own and was"
        " handed something bad. The bar in a box is what was good, bad and unknown of what ran. Choose a box, a line or"
        " a number to see its samples.",
        class_="note",
    )


def _table(traffic: Traffic, tallies: Sequence[StepTally], filters: Filters) -> Markup:
    counts = {step: _counts(traffic, step) for step in traffic.reads}
    heads = [
        head for head in next(iter(counts.values())) if head in _ALWAYS or any(one[head] for one in counts.values())
    ]
    told = {one.step: one for one in tallies}
    rows = []
    for step, found in counts.items():
        cells: list[Child] = [_count(step, head, found[head], filters) for head in heads]
        if one := told.get(step):
            cells += [dollars(plus(one.cost_usd, one.cached_cost_usd)), milliseconds(one.latency_p50_ms)]
        rows.append(row(step, *cells, class_="num"))
    heads += ["cost", "median latency"] if told else []
    numbers = [el("th", head, scope="col", class_="num") for head in heads]
    return table("Steps", [el("th", "step", scope="col"), *numbers], rows)


def _counts(traffic: Traffic, step: str) -> Mapping[str, int]:
    states, grades = traffic.states(step), traffic.grades(step)
    found = {one.value: states[one] for one in _STATES}
    found |= {one.value: grades[one] for one in StepGrade}
    return found | {"first bad here": traffic.first_bad[step]}


def _count(step: str, head: str, count: int, filters: Filters) -> Child:
    if not count:
        return el("span", "·", class_="dim")
    token = f"{step}.{'first' if head == 'first bad here' else head}"
    words = f"{step}: {count:,} {head}"
    return el("a", f"{count:,}", aria_label=words, class_=_CLASSES.get(head), **filters.at(token))
