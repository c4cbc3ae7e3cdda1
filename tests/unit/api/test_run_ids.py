"""Ids of runs."""

from evalh.engine.session import new_run_id


def test_runs_that_begin_at_one_instant_have_ids_of_their_own() -> None:
    """Three random digits alone would repeat among 500 ids with near certainty."""
    given = [new_run_id(1_795_000_000.25) for _ in range(500)]

    assert len(set(given)) == 500
    assert len({one[:20] for one in given}) == 1  # the instant by which a gate's runs know each other
