"""Cases by version and model: what a cell tells, which rows differ, in which order they stand."""

from msgspec.structs import replace

from evalh.analysis.folding import fold
from evalh.analysis.matrix import Matrix, MatrixColumn, MatrixOrder, holds
from evalh.core.attempt import NOT_KNOWN, Usage
from evalh.core.case import Case
from evalh.core.log import RunRow, SampleRow, SampleStory
from evalh.core.run import RunKind
from evalh.core.sample import Graded, Standing, StepGrade, StepResult, StepState
from evalh.core.verdict import Outcome, Verdict
from unit.report.test_tradeoff import run

G, B, U = Standing.GOOD, Standing.BAD, Standing.UNGRADED


def story(case_id: str, standing: Standing, output: str | None = "yes", trial: int = 0, **more: object) -> SampleStory:
    case = Case(case_id, {"ticket": f"about {case_id}"}, {"label": "billing"})
    outcome = {G: Outcome.PASS, B: Outcome.FAIL, U: Outcome.ABSTAIN}[standing]
    sample = SampleRow(
        id=f"r/{case_id}/{trial}",
        run_id="r",
        case_id=case_id,
        case_digest=str(more.pop("digest", "d")),
        case_index=0,
        trial=trial,
        standing=standing,
        call_id="r:1",
        answered_by=None,
        cache_hit=False,
        cost_usd=None,
        cached_cost_usd=None,
        judge_cost_usd=None,
        attempts=1,
        latency=NOT_KNOWN,
        finish="stop",
        error_kind=None,
        error=None,
        output_digest=None,
        verdicts=(Graded("equals", True, Verdict(outcome, None, f"because {standing}")),),
    )
    sample = replace(sample, **more)
    empty = Usage()
    return SampleStory(
        sample=sample, case=case, output=output, reasoning=None, tool_calls=(), usage=empty, model_answered=None
    )


def matrix(**columns: dict[str, Standing]) -> Matrix:
    made = Matrix([MatrixColumn(run(name, 1, None)) for name in columns])
    for place, cells in enumerate(columns.values()):
        for case_id, standing in cells.items():
            made.add(place, story(case_id, standing, f"{standing} answer"))
    return made


def ids(made: Matrix, order: MatrixOrder) -> list[str]:
    return [row.case.id for row in made.chosen(order)]


def test_rows_differ_where_one_column_is_good_and_another_is_not() -> None:
    made = matrix(v1={"a": G, "b": G, "c": B, "d": U}, v2={"a": G, "b": B, "c": B, "d": G})

    assert {row.case.id for row in made.rows.values() if row.differs} == {"b", "d"}


def test_most_disagreement_stands_first_and_equal_rows_as_in_the_dataset() -> None:
    made = matrix(
        v1={"a": G, "b": G, "c": G, "d": B}, v2={"a": G, "b": B, "c": B, "d": B}, v3={"a": G, "b": B, "c": G, "d": B}
    )

    assert ids(made, MatrixOrder.DISAGREEMENT) == ["b", "c", "a", "d"]
    assert ids(made, MatrixOrder.DATASET) == ["a", "b", "c", "d"]
    assert ids(made, MatrixOrder.WORST) == ["d", "b", "c", "a"]


def test_a_cell_counts_its_trials_and_shows_the_first_that_is_not_good() -> None:
    made = matrix(v1={})
    for trial, (standing, output) in enumerate([(G, "one"), (B, "two"), (B, "three"), (G, "four")]):
        made.add(0, story("a", standing, output, trial))
    (cell,) = next(iter(made.rows.values())).cells
    assert cell is not None

    assert (cell.trials, cell.good, cell.bad, cell.standing) == (4, 2, 2, B)
    assert (cell.output, cell.reason) == ("two", "equals: because bad")


def test_a_case_that_one_run_lacks_and_an_edited_row_are_not_mixed_up() -> None:
    made = matrix(v1={"a": G}, v2={})
    made.add(1, story("a", B, digest="edited"))

    assert [[cell is None for cell in row.cells] for row in made.rows.values()] == [[False, True], [True, False]]
    assert not any(row.differs for row in made.rows.values())


def test_the_cell_of_a_step_is_what_the_step_gave() -> None:
    made = Matrix([MatrixColumn(run("v1", 1, None), "read")])
    read = StepResult(
        step="read", state=StepState.RAN, grade=StepGrade.BAD, reason="no number", output={"number": None}
    )
    skipped = StepResult(step="read", state=StepState.SKIPPED, reason="the condition was false")
    made.add(0, story("a", G, steps=(read,)))
    made.add(0, story("b", G, steps=(skipped,)))
    (first,), (second,) = (row.cells for row in made.rows.values())
    assert first is not None
    assert second is not None

    assert (first.standing, first.output, first.reason) == (B, '{"number": null}', "no number")
    assert (second.standing, second.output, second.reason) == (None, None, "the condition was false")


def test_a_search_looks_into_ids_inputs_gold_outputs_and_reasons() -> None:
    row = next(iter(matrix(v1={"t-7": B}).rows.values()))

    for words in ("T-7", "about t", "BILLING", "bad answer", "because bad"):
        assert holds(row, words), words
    assert not holds(row, "shipping")


def made_by(name: str, at: float, kind: RunKind = RunKind.RUN, attempts: int = 0, **more: object) -> RunRow:
    row = run(name, 50, None)
    record = replace(row.record, id=f"r{at:g}", started_at=at, kind=kind, **more)
    assert row.summary is not None
    return replace(row, record=record, summary=replace(row.summary, attempts=attempts))


def test_replays_stand_in_the_row_of_what_they_show_again() -> None:
    first, replay, compared = made_by("v1", 1, attempts=9), made_by("v1", 2), made_by("v1", 3, RunKind.COMPARE)
    fresh = made_by("v1", 4, attempts=9)

    rows = fold([first, replay, compared, fresh]).rows

    assert [(row.run.record.id, [one.record.id for one in row.same]) for row in rows] == [
        ("r4", []),
        ("r2", ["r1", "r3"]),
    ]


def test_what_a_gate_ran_stands_under_the_same_version_and_model_or_apart() -> None:
    mine = made_by("v1", 1, attempts=9)
    gate = made_by("v1", 2, RunKind.GATE, attempts=9, trials=5)
    compared = made_by("v2", 3, RunKind.COMPARE, attempts=9)
    alone = made_by("v3", 4, RunKind.GATE, attempts=9)

    folded = fold([mine, gate, compared, alone])

    assert [(row.run.record.id, [one.record.id for one in row.added]) for row in folded.rows] == [
        ("r3", []),
        ("r1", ["r2"]),
    ]
    assert [row.run.record.id for row in folded.loose] == ["r4"]
