"""Stored runs as the sides of a comparison, and outputs to look at: cases that got worse or better."""

from typing import TYPE_CHECKING

from evalh.analysis.compare.comparison import Comparison, Example
from evalh.analysis.compare.differing import answering
from evalh.analysis.compare.pairing import Results, by_case
from evalh.core.errors import NotFound
from evalh.core.log import RunRow, SampleDetail
from evalh.core.sample import Standing
from evalh.core.verdict import Outcome

if TYPE_CHECKING:
    from evalh.store import Reader


def results_of(log: "Reader", run: RunRow) -> Results:
    """Read a run's samples; one that was cut off gives what it has. `log.run` finds a run by what a person types."""
    record = run.record
    cases = by_case(log.results(record.id))
    graders: dict[str, bool] = {}
    for case in cases.values():
        for sample in case.samples:
            graders |= {name: name in sample.required for name in sample.outcomes if name not in graders}
    return Results(
        run=record.id,
        suite=record.suite,
        prompt=record.prompt,
        model=record.model,
        fingerprint=record.fingerprint,
        trials=record.trials,
        graders=tuple(graders.items()),
        cases=cases,
        max_ungraded=record.max_ungraded,
        by_the_hour=run.summary is not None and run.summary.by_the_hour,
        judged_by={document["name"]: document for document in record.graders_document},
        answering=answering(record),
    )


def examples_of(log: "Reader", comparison: Comparison, most: int) -> tuple[Example, ...]:
    """Read up to `most` cases that got worse and as many that got better; none if a side is not a stored run."""
    base, head = comparison.base.run, comparison.head.run
    if base is None or head is None:
        return ()
    worse = [_example(log, case, (base, head), better=False) for case in comparison.regressed[:most]]
    better = [_example(log, case, (base, head), better=True) for case in comparison.fixed[:most]]
    return tuple(one for one in (*worse, *better) if one is not None)


def _example(log: "Reader", case_id: str, runs: tuple[str, str], *, better: bool) -> Example | None:
    try:
        sides = [{one.sample.trial: one for one in log.case(case_id, run).samples} for run in runs]
    except NotFound:  # rows were removed since
        return None
    trials = sorted(sides[0].keys() & sides[1].keys())
    wanted = (Standing.BAD, Standing.GOOD) if better else (Standing.GOOD, Standing.BAD)
    telling = [trial for trial in trials if tuple(side[trial].sample.standing for side in sides) == wanted]
    if not trials:
        return None
    trial = (telling or trials)[0]
    base, head = (side[trial] for side in sides)
    return Example(
        case_id=case_id,
        better=better,
        trial=trial,
        inputs=dict(head.case.inputs),
        base_output=_output(base),
        head_output=_output(head),
        base_reasons=_reasons(base),
        head_reasons=_reasons(head),
    )


def _output(detail: SampleDetail) -> str | None:
    if detail.sample.step_output is not None:
        return detail.sample.step_output
    if detail.sample.answered_by is None:  # of a pipeline: its last call gave no result
        return None
    for call in detail.calls:
        if call.id == detail.sample.call_id and call.answer is not None and call.answer.completion is not None:
            completion = call.answer.completion
            asked = [f"{one.name}({one.arguments})" for one in completion.tool_calls]
            return "\n".join([completion.text, *asked] if completion.text or not asked else asked)
    return None


def _reasons(detail: SampleDetail) -> tuple[tuple[str, str], ...]:
    sample = detail.sample
    if sample.error is not None:
        return (("no answer", sample.error),)
    return tuple(
        (graded.grader, graded.verdict.reason)
        for graded in sample.verdicts
        if graded.required and graded.verdict.outcome is not Outcome.PASS
    )
