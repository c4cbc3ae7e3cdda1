"""The verdict of runs that are not as they should be."""

from msgspec.structs import replace

from evalh.core.run import RunStatus
from evalh.report.words import verdict
from unit.report.test_tradeoff import run


def test_a_run_without_numbers_gets_no_verdict() -> None:
    killed = replace(run("v1", 1, 0.1), summary=None, status=RunStatus.INTERRUPTED)

    assert verdict(killed).startswith("triage@v1 on small is interrupted: it has no numbers yet")


def test_a_run_that_stopped_early_says_how_far_it_came() -> None:
    stopped = replace(run("v1", 50, 0.1), status=RunStatus.STOPPED)

    assert verdict(stopped).endswith("so far: it is stopped at 100 of 100.")


def test_all_ungraded_is_no_rate() -> None:
    whole = run("v1", 0, 0.1)
    assert whole.summary is not None
    ungraded = replace(whole, summary=replace(whole.summary, bad=0, ungraded=100))

    assert "could not be judged: all 100 samples are ungraded" in verdict(ungraded)
