"""A run's samples as they are compared."""

from decimal import Decimal

from evalh.api.results import results_of
from evalh.core.case import Case
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
