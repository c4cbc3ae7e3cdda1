"""A run's samples as they are compared."""

from decimal import Decimal

from evalh.api.results import results_of
from evalh.core.case import Case
from evalh.core.log import ComparisonRow
from evalh.core.sample import Graded, Standing
from evalh.core.verdict import Outcome, Verdict
from evalh.store import Reader
from unit.store.playing import FAIL, PASS, Play


def test_a_stored_run_reads_as_one_side_of_a_comparison(play: Play, reader: Reader) -> None:
    play.start(planned=2, trials=2)
    case = Case("sch\udce4n", {"ticket": "?"}, {"label": "bug"}, frozenset({"short"}))
    hint = Graded("tone", False, Verdict.check(False, "curt"))
    for trial, verdicts, standing in ((1, (PASS, hint), Standing.GOOD), (0, (FAIL, hint), Standing.BAD)):
        call = play.call(case.id, "?", trial=trial)
        play.answer(call, cost="0.0002")
        play.sample(case, call, verdicts, standing=standing)
    play.store.flush()

    side = results_of(reader, reader.run("r1"))

    first, second = side.cases["sch\udce4n"].samples
    assert (first.trial, first.standing, second.standing) == (0, Standing.BAD, Standing.GOOD)
    assert first.outcomes == {"equals": Outcome.FAIL, "tone": Outcome.FAIL}
    assert first.required == {"equals"}
    assert first.tags == {"short"}
    assert first.cost_usd == Decimal("0.0002")
    assert first.row_digest == second.row_digest is not None
    assert first.output_digest == second.output_digest is not None
    assert dict(side.graders) == {"schema": True, "equals": True, "tone": False}
    assert (side.run, side.prompt, side.trials) == ("r1", "triage@v3", 2)


def test_a_comparison_comes_back_as_it_was_stored(play: Play, reader: Reader) -> None:
    row = ComparisonRow(
        id="c20260728-101500-3f9c2e",
        at=1_785_233_700.125,
        suite="triage",
        base="triage@v2",
        head="triage@v3",
        base_model="small",
        head_model="small",
        base_run=None,
        head_run="r1",
        verdict="better",
        comparable=True,
        n=120,
        wins=14,
        losses=3,
        difference=0.092,
        low=0.03,
        high=0.17,
        p_value=0.0075,
        content='{"reason": "sch\udce4n"}',
    )
    play.store.put(row)
    play.store.flush()

    assert reader.comparison(row.id) == reader.show(row.id) == row
    assert reader.comparison("c20260728") is None


def test_what_graders_judged_by_comes_back(play: Play, reader: Reader) -> None:
    judged = ({"name": "equals", "kind": "equals", "params": {"path": "label"}},)
    play.start(graders_document=judged)
    play.store.flush()

    assert reader.run("r1").record.graders_document == judged
