"""Samples of a chain of three steps, written as letters."""

from decimal import Decimal

from evalh.analysis.pipelines import PipelineFold
from evalh.core.attempt import Latency
from evalh.core.case import Case
from evalh.core.run import PipelineSummary
from evalh.core.sample import Sample, Standing, StepGrade, StepResult, StepState
from evalh.pipeline.taint import StepGraph, mark

CHAIN = StepGraph({"read": (), "find": ("read",), "reply": ("find",)}, ("reply",))
STATES = {"s": StepState.SKIPPED, "x": StepState.STOPPED, "d": StepState.GIVEN, "f": StepState.FAILED}
GRADES = {"G": StepGrade.GOOD, "B": StepGrade.BAD, "?": StepGrade.UNKNOWN, "-": None}
STANDINGS = {"G": Standing.GOOD, "B": Standing.BAD, "?": Standing.UNGRADED}
COSTS = (Decimal("0.001"), Decimal("0.02"), Decimal("0.3"))


def sample(letters: str, case: int, trial: int = 0) -> Sample:
    """`GB-,B` is good, bad, nothing grades it; and the sample was bad."""
    steps, standing = letters.split(",")
    results = [
        StepResult(
            step=step,
            state=STATES.get(letter, StepState.RAN),
            grade=GRADES.get(letter),
            cost_usd=cost if letter in GRADES else Decimal(0),
            latency=Latency(10.0 * (place + 1) + case / 1000, 0.0, 0.0),
        )
        for place, (step, letter, cost) in enumerate(zip(CHAIN.parents, steps, COSTS, strict=True))
    ]
    marked, story = mark(CHAIN, results, STANDINGS[standing])
    return Sample(
        case=Case(f"c-{case}", {}),
        case_index=case,
        trial=trial,
        standing=STANDINGS[standing],
        verdicts=(),
        call_id="c",
        steps=marked,
        story=story,
    )


def summed(samples: list[Sample], trials: int = 1, max_ungraded: float = 0.02) -> PipelineSummary:
    fold = PipelineFold(CHAIN.parents, trials, {}, max_ungraded)
    for one in samples:
        fold.add(one)
    return fold.summary()


def several(**counts: int) -> list[Sample]:
    """`several(GG_G=12)`: twelve cases of `GG-,G`."""
    letters = [f"{name[:2]}-,{name[3]}" for name, count in counts.items() for _ in range(count)]
    return [sample(one, case) for case, one in enumerate(letters)]
