"""Which should I ship? In words, as far as the numbers go."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from evalh.analysis.tradeoff import Point, TradeOff, apart
from evalh.report.text import dollars, percent, plural

_NAMED = 4
_WHOLE = 10  # from there on a factor needs no digits behind the point


def advice(chosen: TradeOff) -> list[str]:
    """Answer "which should I ship?" in sentences, as far as these numbers go."""
    if not chosen.points:
        return ["No complete run of this suite has numbers yet: there is nothing to choose from."]
    return [*_choice(chosen), *_unmeasured(chosen.points)]


def _choice(chosen: TradeOff) -> list[str]:
    if not chosen.measured:
        return ["Nothing here is measured: there is nothing to choose from."]
    if len(chosen.measured) == 1:
        only = chosen.measured[0]
        which = "this version on this model" if only.here else only.label
        return [f"Only {which} was measured with these cases and graders: there is nothing to choose between."]
    front = chosen.front
    if not front:
        return [*_without_prices(chosen.measured)]
    cheapest = front[0]
    rate, usd = percent(cheapest.summary.good_rate.value), dollars(cheapest.summary.cost_per_good)
    sentences = [f"{cheapest.label} has the cheapest good output, {usd} each, at a good rate of {rate}."]
    sentences += [_step(before, after) for before, after in pairwise(front)]
    if len(front) == 1:
        sentences[0] = sentences[0][:-1] + ", and none is good more often: ship it unless you have another reason."
        sentences += _close_second(cheapest, chosen.measured)
    unpriced = [point.label for point in chosen.measured if point.summary.cost_per_good_usd.method == "unpriced"]
    if unpriced:
        sentences.append(f"Not priced, so left out of this: {', '.join(unpriced[:5])}.")
    return sentences


def _unmeasured(points: Sequence[Point]) -> Iterable[str]:
    """Name what has too many ungraded samples: its rate may be wrong by as much."""
    found = [
        f"{point.label} ({point.summary.ungraded:,} of {plural(point.summary.samples, 'sample')} ungraded)"
        for point in points
        if not point.measured
    ]
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        yield f"Not measured, so left out of this: {', '.join(found[:_NAMED])}{more}."


def _without_prices(points: Sequence[Point]) -> Iterable[str]:
    best, second = points[0], points[1]
    if not best.summary.good:
        yield "None of these ever gave a good output."
        return
    rate = percent(best.summary.good_rate.value)
    if best.rate == second.rate:
        alike = [point.label for point in points if point.rate == best.rate]
        yield f"{', '.join(alike[:_NAMED])} are good equally often, {rate}. Nothing here is priced."
        return
    yield f"{best.label} is good most often, {rate}. Nothing here is priced, so its cost is unknown."
    yield from _close_second(best, [second])


def _step(before: Point, after: Point) -> str:
    gain = 100 * ((after.summary.good_rate.value or 0) - (before.summary.good_rate.value or 0))
    cheap, costly = before.summary.cost_per_good or 0.0, after.summary.cost_per_good or 0.0
    times = costly / cheap if cheap else 0.0
    price = (
        f"{f'{times:,.0f}' if times >= _WHOLE else f'{times:.2g}'} × the price"
        if cheap
        else f"{dollars(costly)} instead of nothing"
    )
    hedge = "" if apart(before, after) else " Their intervals overlap: evalh compare tests whether that is real."
    return f"{after.label} buys {gain:.1f} points over {before.label} for {price} of a good output.{hedge}"


def _close_second(best: Point, others: Sequence[Point]) -> list[str]:
    close = [point for point in others if point is not best and not apart(point, best)]
    if not close:
        return []
    names = [point.label for point in close[:3]]
    several = f"The intervals of {', '.join(names[:-1])} and {names[-1]} overlap"
    which = several if len(names) > 1 else f"The interval of {names[0]} overlaps"
    return [f"{which} with it: evalh compare tests whether the difference is real."]
