"""Which outputs a person is asked about."""

from collections import Counter

from evalh.analysis.calibration.outputs import ordered
from evalh.core.calibration import LabelCandidate


def candidate(number: int, stratum: str, run: str = "r1") -> LabelCandidate:
    return LabelCandidate(
        case_id=f"c{number}",
        case_digest=f"row{number}",
        output_digest=f"out{number}",
        stratum=stratum,
        run_id=run,
        trial=0,
    )


POOL = [candidate(number, "bad" if number % 10 == 0 else "good") for number in range(100)]


def test_rare_outcomes_are_asked_about_as_often_as_common_ones() -> None:
    asked = ordered(POOL, set(), "seed")[:16]

    assert Counter(one.stratum for one in asked) == {"good": 8, "bad": 8}


def test_the_order_depends_on_neither_the_runs_nor_the_rows_order() -> None:
    assert ordered(reversed(POOL), set(), "seed") == ordered(POOL, set(), "seed")
    assert ordered(POOL, set(), "another") != ordered(POOL, set(), "seed")


def test_a_person_who_stops_and_goes_on_is_asked_the_same_as_one_who_never_stopped() -> None:
    whole = ordered(POOL, set(), "seed")
    rest = ordered(POOL, {one.shown for one in whole[:7]}, "seed")

    assert rest == whole[7:]


def test_equal_outputs_for_a_row_are_asked_about_once() -> None:
    twice = [*POOL, *(candidate(number, "good", run="r2") for number in range(100) if number % 10)]

    assert len(ordered(twice, set(), "seed")) == len(POOL)
