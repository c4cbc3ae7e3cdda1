"""Good, bad or ungraded."""

from collections.abc import Iterable

from evalh.core.sample import Graded, Standing
from evalh.core.verdict import Outcome


def standing(verdicts: Iterable[Graded]) -> Standing:
    """Judge a sample by its required verdicts: any fail is bad, all pass is good, anything else is ungraded."""
    outcomes = {graded.verdict.outcome for graded in verdicts if graded.required}
    if Outcome.FAIL in outcomes:
        return Standing.BAD
    return Standing.GOOD if outcomes == {Outcome.PASS} else Standing.UNGRADED
