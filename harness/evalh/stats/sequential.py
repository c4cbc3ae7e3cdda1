"""The sequential gate: look at a growing, ordered set of paired cases, and stop as soon as the answer is known.

Two hypotheses are tested side by side by betting (`eprocess`): that head is worse, and that it is no worse than by the
margin. `advance` computes the state after a look from the state before it and the cases in between; `_stop` decides

whether to stop there. The interval of the mean difference is from the same bets, valid at any stopping point. The
stakes against a mean of 0, or of -margin, also bet against every other mean. The interval leaves out the means that
they refute at a look, so that verdict and interval cannot contradict each other.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from hashlib import sha256
from math import fsum, log
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.core.suite import DEFAULT_DISCORDANCE, DEFAULT_MARGIN, About, Require
from evalh.core.values import Value
from evalh.stats.eprocess import (
    NOTHING_STAKED,
    ROUNDING,
    WEIGHTS,
    DatasetBets,
    best_to_come,
    mixed,
    no_worse_bets,
    p_value,
    play,
    worse_bets,
)
from evalh.stats.intervals import Interval
from evalh.stats.multiplicity import holm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

BATCH = 25


def order_seed(dataset_digest: str, base_prompt_digest: str, head_prompt_digest: str) -> str:
    """Return the seed of the order. It depends only on the compared contents, so nobody can try for a lucky one.

    Neither commit nor time is in it: a rebase does not reshuffle.
    """
    return sha256(f"{dataset_digest}{base_prompt_digest}{head_prompt_digest}".encode()).hexdigest()


def look_order(seed: str, case_ids: Iterable[str]) -> list[int]:
    """Return the positions of the cases in the order of asking: by sha256(seed + case id)."""
    keyed = [(sha256((seed + case_id).encode()).digest(), position) for position, case_id in enumerate(case_ids)]
    return [position for _, position in sorted(keyed)]


def next_look(seen: int, cases: int, batch: int = BATCH) -> int:
    """Return the number of cases at which to look next: 25, 50, ... and finally all of them."""
    return min(cases, (seen // batch + 1) * batch)


class SequentialDesign(Value, kw_only=True):
    """Everything that is fixed before the first answer. `tests`: how many tests of one gate share `alpha`."""

    cases: int
    margin: float = DEFAULT_MARGIN
    discordance: float = DEFAULT_DISCORDANCE
    alpha: float = 0.05
    batch: int = BATCH
    require: Require = Require.NOT_WORSE_SHOWN
    target: About = About.POPULATION
    waits: bool = False  # another rule is judged over all cases: only a refusal may stop early
    tests: int = 1
    max_ungraded: float = 0.02

    @property
    def log_threshold(self) -> float:
        """Return the log e-value from which something is shown."""
        return log(1 / self.alpha)

    @property
    def log_refusal(self) -> float:
        """Return the log e-value from which one test of several shows something, whatever the others find."""
        return self.log_threshold + log(self.tests)


class PairedDifference(Value):
    """Head minus base of one case, over its trials, in [-1, 1]; an ungraded sample supports no claim.

    `low` counts it against head (0 for head, 1 for base), `high` in head's favour; equal if all are graded.
    """

    low: float
    high: float
    ungraded: int = 0  # samples, of both sides
    samples: int = 2


class Stop(StrEnum):
    """The reason to stop."""

    WORSE_SHOWN = "worse_shown"
    NO_WORSE_SHOWN = "no_worse_shown"
    CANNOT_REFUSE = "cannot_refuse"  # not even if head lost every case to come
    CANNOT_DECIDE = "cannot_decide"  # neither hypothesis could still be decided
    TOO_MANY_UNGRADED = "too_many_ungraded"  # even if every sample to come were graded
    ALL_CASES = "all_cases"


_ANSWERED = (Stop.WORSE_SHOWN, Stop.NO_WORSE_SHOWN, Stop.TOO_MANY_UNGRADED)


class LookState(Value):
    """The state after a look. Start from `LookState()`."""

    seen: int = 0
    ungraded: int = 0  # samples
    samples: int = 0
    no_worse: tuple[float, ...] = NOTHING_STAKED  # logarithms of the bets that head is no worse than by the margin
    worse: tuple[float, ...] = NOTHING_STAKED
    low_sum: float = 0.0
    high_sum: float = 0.0
    log_e_no_worse: float = 0.0  # the largest at any look so far
    log_e_worse: float = 0.0
    stop: Stop | None = None


class Conclusion(StrEnum):
    """The result of a test, before the policy is applied."""

    WORSE = "worse"
    NO_WORSE = "no_worse"
    NEITHER = "neither"
    UNMEASURED = "unmeasured"  # more samples are ungraded than the design allows


def advance(design: SequentialDesign, state: LookState, differences: Sequence[PairedDifference]) -> LookState:
    """Look once more: `differences` are those of the cases between the last look and the next.

    Raises ValueError if they are not exactly those, or the test is over. (A gate about
    a population that had too few cases may continue with more: give it a design with more `cases`.)
    """
    over = state.stop in _ANSWERED or state.seen >= design.cases
    look = next_look(state.seen, design.cases, design.batch)
    if over or len(differences) != look - state.seen:
        raise ValueError(f"{len(differences)} cases after {state.seen} are not those up to the look at {look}")
    no_worse, worse = _bet(design, state, differences)
    after = replace(
        state,
        seen=look,
        ungraded=state.ungraded + sum(one.ungraded for one in differences),
        samples=state.samples + sum(one.samples for one in differences),
        no_worse=no_worse,
        worse=worse,
        low_sum=state.low_sum + sum(one.low for one in differences),
        high_sum=state.high_sum + sum(one.high for one in differences),
        log_e_no_worse=max(state.log_e_no_worse, mixed(no_worse)),
        log_e_worse=max(state.log_e_worse, mixed(worse)),
        stop=None,
    )
    return replace(after, stop=_stop(design, after))


def _bet(
    design: SequentialDesign, state: LookState, differences: Sequence[PairedDifference]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    low, high = [one.low for one in differences], [one.high for one in differences]
    if design.target is About.DATASET:
        for_head, against = (DatasetBets(design.cases, design.margin, design.discordance, sign) for sign in (1, -1))
        return (
            for_head.play(state.no_worse, state.low_sum, state.seen, low),
            against.play(state.worse, -state.high_sum, state.seen, high),
        )
    return (
        play(no_worse_bets(design.margin, design.discordance), state.no_worse, low),
        play(worse_bets(design.margin, design.discordance), state.worse, high),
    )


def _stop(design: SequentialDesign, state: LookState) -> Stop | None:
    rest = design.cases - state.seen
    # The share of ungraded samples can still fall; if it cannot fall enough, more cases are useless.
    if state.ungraded > design.max_ungraded * (state.samples + rest * state.samples / state.seen):
        return Stop.TOO_MANY_UNGRADED
    if not rest:
        return Stop.ALL_CASES
    return None if too_many_ungraded(design, state) else _answered(design, state, rest)


def _answered(design: SequentialDesign, state: LookState, rest: int) -> Stop | None:
    if state.log_e_worse >= design.log_refusal:
        return Stop.WORSE_SHOWN
    if design.waits:
        return None
    # A test beyond its own threshold may still be shown worse once the gate's other tests have stopped.
    may_be_refused = design.tests > 1 and state.log_e_worse >= design.log_threshold
    if state.log_e_no_worse >= design.log_threshold and not may_be_refused:
        return Stop.NO_WORSE_SHOWN
    return None if design.target is About.DATASET else _futile(design, state, rest)


def _futile(design: SequentialDesign, state: LookState, rest: int) -> Stop | None:
    worse = best_to_come(worse_bets(design.margin, design.discordance), state.worse, rest)
    if max(worse, state.log_e_worse) >= design.log_threshold:
        return None
    if design.require is Require.NOT_WORSE_SHOWN:
        return Stop.CANNOT_REFUSE
    no_worse = best_to_come(no_worse_bets(design.margin, design.discordance), state.no_worse, rest)
    return Stop.CANNOT_DECIDE if max(no_worse, state.log_e_no_worse) < design.log_threshold else None


def too_many_ungraded(design: SequentialDesign, state: LookState) -> bool:
    """Return whether too many samples are ungraded for a verdict."""
    return state.ungraded > design.max_ungraded * state.samples


def findings(states: Sequence[tuple[SequentialDesign, LookState]]) -> list[Conclusion]:
    """Return the conclusion of each test of one gate, in order; "worse" is adjusted by Holm's method.

    If both worse and no worse are shown (a real drop within the margin), the conclusion is worse.
    """
    p_values = holm([p_value(state.log_e_worse) for _, state in states])
    return [_finding(design, state, p) for (design, state), p in zip(states, p_values, strict=True)]


def _finding(design: SequentialDesign, state: LookState, p_worse: float) -> Conclusion:
    if too_many_ungraded(design, state):
        return Conclusion.UNMEASURED
    if design.target is About.DATASET and state.seen == design.cases:
        return _over_the_dataset(design, state)
    if p_worse <= design.alpha * (1 + 1e-12):
        return Conclusion.WORSE
    return Conclusion.NO_WORSE if state.log_e_no_worse >= design.log_threshold else Conclusion.NEITHER


def _over_the_dataset(design: SequentialDesign, state: LookState) -> Conclusion:
    """Decide when all cases are evaluated: only ungraded samples are uncertain."""
    bound = -design.margin * design.cases
    slack = 1e-9 * design.cases
    if state.low_sum > bound + slack:
        return Conclusion.NO_WORSE
    return Conclusion.WORSE if state.high_sum <= bound + slack else Conclusion.NEITHER


def within_margin(design: SequentialDesign, state: LookState) -> bool:
    """Return whether head is shown to be worse and shown to be worse by less than the margin."""
    return state.log_e_worse >= design.log_threshold and state.log_e_no_worse >= design.log_threshold


_HALVINGS = 32


def stopped_interval(design: SequentialDesign, differences: Sequence[PairedDifference]) -> Interval:
    """Bound the mean of differences, given in the order of the looks.

    Each limit alone lies beyond the true mean with a probability of at most `design.alpha`, at any stopping point:
    `low` is the highest mean that the bets on "no worse" refute at a look, `high` the lowest that those on "worse" do.
    So `high` < 0 exactly if E of "worse" ever reached 1 / alpha, and `low` > -margin exactly if E of "no worse"
    did. About a dataset, "worse" means by the margin: there `high` < -margin is the bound. If later looks contradict
    earlier ones, the mean so far may lie outside. Without cases: (-1, 1).
    """
    if not differences:
        return Interval(-1.0, 1.0)
    import numpy as np

    low = np.array([one.low for one in differences])
    high = np.array([one.high for one in differences])
    if design.target is About.DATASET and len(differences) == design.cases:
        return Interval(fsum(low) / len(low), fsum(high) / len(high))  # nothing is left to bet on
    drop = design.margin if design.target is About.DATASET else 0.0
    highest = _highest_refuted(lambda mean: _refutes(design, low, mean, 1), -design.margin)
    lowest = -_highest_refuted(lambda mean: _refutes(design, -high, mean, -1), drop)
    return Interval(min(highest, lowest), lowest)  # if the limits cross, "worse" takes precedence


def _highest_refuted(refuted: Callable[[float], bool], asked: float) -> float:
    """Find the highest mean that is refuted, by halving; `asked` first, to agree with the gate."""
    low, high, middle = -1.0, 1.0, asked
    for _ in range(_HALVINGS):
        if refuted(middle):
            low = middle
        else:
            high = middle
        middle = (low + high) / 2
    return middle if low > -1.0 else -1.0


def _refutes(design: SequentialDesign, values: "Values", mean: float, sign: int) -> bool:
    """Whether bets that the mean of `values`, sign * D, is higher than `mean` ever reach the threshold."""
    import numpy as np

    if design.target is About.DATASET:
        steps = _dataset_steps(design, values, mean)
    else:
        staked = (no_worse_bets if sign > 0 else worse_bets)(design.margin, design.discordance, sign * mean)
        steps = [np.log1p(fraction * (values - mean)) for fraction in staked.fractions]
    looks = [*range(design.batch - 1, len(values) - 1, design.batch), len(values) - 1]
    logs = [np.log(weight) + step.cumsum()[looks] for weight, step in zip(WEIGHTS, steps, strict=True)]
    return bool(np.logaddexp.reduce(logs).max() >= design.log_threshold)


def _dataset_steps(design: SequentialDesign, values: "Values", mean: float) -> list["Values"]:
    """Return what each case adds to the logarithms of the bets: `DatasetBets.play` for all cases at once."""
    import numpy as np

    left = design.cases - np.arange(len(values))
    rest = (mean * design.cases - (values.cumsum() - values)) / left  # the mean of the rest, under the hypothesis
    beyond = np.flatnonzero((rest < -1 - ROUNDING) | (rest >= 1))
    known = len(values) if not len(beyond) else int(beyond[0])
    bets = DatasetBets(design.cases, design.margin, design.discordance, 1)
    steps = []
    for fractions in np.transpose(
        [bets.fractions(one, some) for one, some in zip(rest[:known].tolist(), left.tolist(), strict=False)]
    ):
        step = np.zeros(len(values))
        step[:known] = np.log1p(fractions * (values[:known] - rest[:known]))
        if known < len(values):
            step[known] = np.inf if rest[known] < 0 else -np.inf
        steps.append(step)
    return steps
