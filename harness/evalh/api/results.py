"""Reading a stored run as one side of a comparison."""

from typing import TYPE_CHECKING

from evalh.analysis.compare.pairing import Results, by_case

if TYPE_CHECKING:
    from evalh.core.log import RunRow
    from evalh.store import Reader


def results_of(log: "Reader", run: "RunRow") -> Results:
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
    )
