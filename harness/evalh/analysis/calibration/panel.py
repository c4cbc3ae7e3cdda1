"""A panel over a run: how its jurors voted, how often they agree, how many jurors they are worth, what each cost."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Outcome
from evalh.stats.judges import effective_jurors

_COUNTED = tuple(outcome.value for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.ERROR))
_TWO = 2


class Jurors:
    """Takes the votes of one sample after the other; memory does not grow with them."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._cost: dict[str, float | None] = {}
        self._whole = 0  # samples in which everybody voted
        self._agreed = 0
        self._sums: dict[tuple[str, str], list[float]] = {}  # of pairs: n, x, y, xx, yy, xy

    def add(self, votes: Sequence[Mapping[str, JsonValue]]) -> None:
        """Count the votes of one sample: `juror`, `outcome`, `score`, `cost_usd`."""
        for vote in votes:
            juror, cost = str(vote["juror"]), vote["cost_usd"]
            counts = self._counts.setdefault(juror, dict.fromkeys(_COUNTED, 0))
            counts[str(vote["outcome"])] += 1
            known = self._cost.get(juror, 0.0)
            failed = vote["outcome"] == Outcome.ERROR.value and cost is None
            self._cost[juror] = known if failed else None if known is None or cost is None else known + float(cost)
        scores = {str(vote["juror"]): vote["score"] for vote in votes if vote["score"] is not None}
        if len(scores) < len(votes):
            return
        self._whole += 1
        self._agreed += len({vote["outcome"] for vote in votes}) == 1
        for left, right in combinations(scores, 2):
            x, y = float(scores[left]), float(scores[right])
            sums = self._sums.setdefault((left, right), [0.0] * 6)
            for place, value in enumerate((1.0, x, y, x * x, y * y, x * y)):
                sums[place] += value

    def document(self) -> dict[str, JsonValue] | None:
        """Return the numbers; None if no panel voted. `effective` is None if no two jurors' votes vary."""
        if not self._counts:
            return None
        return {
            "jurors": [
                {"juror": juror, **counts, "cost_usd": self._cost[juror]} for juror, counts in self._counts.items()
            ],
            "agreement": self._agreed / self._whole if self._whole else None,
            "effective": effective_jurors(len(self._counts), [self._correlation(sums) for sums in self._sums.values()]),
        }

    def _correlation(self, sums: Sequence[float]) -> float | None:
        n, x, y, xx, yy, xy = sums
        spread = (n * xx - x * x) * (n * yy - y * y)
        return None if n < _TWO or spread <= 0 else (n * xy - x * y) / spread**0.5
