"""Cost per good output × good rate, as SVG that works without scripts.

x: US dollars per good output, logarithmic. y: good rate, even, cut to what there is. Bars: 95 % intervals both ways.
Where nothing is priced, y alone is drawn: one row for each version and model.
"""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct, field

from evalh.analysis.tradeoff import Point, TradeOff, finite
from evalh.report.charts.scales import AxisScale, even, line, logarithmic, short, spanned, svg, text
from evalh.report.html.markup import Child, Markup, el
from evalh.report.text import dollars

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 16, 48
_LETTER, _LINE = 6.7, 15.0  # of the labels' type, as good as a drawing needs them
_ROW = 26
_CROWD = 20  # points from which the intervals of those that matter less stand back
_MOST_ROWS = 60
Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom
_NAMES = 300  # width of the names in a drawing of rates alone


def chart(chosen: TradeOff) -> Markup | None:
    """Draw the points; None if there is none."""
    priced = [point for point in chosen.points if (point.summary.cost_per_good or 0.0) > 0]
    if priced:
        return _plane(priced, chosen.front)
    return _rates(chosen.points[:_MOST_ROWS]) if chosen.points else None


def _plane(points: Sequence[Point], front: Sequence[Point]) -> Markup:
    costs = [value for point in points for value in _costs(point)]
    rates = [value for point in points for value in finite(point.summary.good_rate) or ()]
    x = logarithmic(costs, _LEFT, _WIDTH - _RIGHT)
    y = even(rates, _HEIGHT - _BOTTOM, _TOP, (0.0, 1.0))
    labels = _Labels(_WIDTH - _RIGHT)
    for point in points:
        labels.keep_clear(x(_costs(point)[1]), y(point.summary.good_rate.value or 0.0))
        labels.rather_not(_reach(point, x, y))
    first = [*(point for point in points if point.here), *front]
    ordered = {id(point): point for point in [*first, *points]}
    placed = [_named(point, x, y, labels) for point in ordered.values()]
    return svg(
        "Cost per good output and good rate of each version and model",
        _WIDTH,
        _HEIGHT,
        "plane",
        el("desc", "; ".join(_told(point) for point in points)),
        _axes(x, y),
        _staircase(front, x, y),
        [_whiskers(point, x, y, crowded=len(points) > _CROWD) for point in points],
        [_mark(point, x, y) for point in points],
        placed,
    )


def _costs(point: Point) -> tuple[float, float, float]:
    return spanned(point.summary.cost_per_good_usd) or (0.0, 0.0, 0.0)


def _name(point: Point) -> str:
    return point.label if point.measured else f"{point.label}, not measured"


def _told(point: Point) -> str:
    rate = point.summary.good_rate.value or 0.0
    return f"{_name(point)}: {100 * rate:.1f} % good at {dollars(point.summary.cost_per_good)} a good output"


def _axes(x: AxisScale, y: AxisScale) -> list[Markup]:
    drawn = [text(_percent(tick), _LEFT - 8, y(tick) + 4, "tick end") for tick in y.ticks()]
    drawn += [line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "grid") for tick in y.ticks()]
    drawn += [text(dollars(tick), x(tick), _HEIGHT - _BOTTOM + 18, "tick middle") for tick in x.ticks()]
    drawn += [line(x(tick), _HEIGHT - _BOTTOM, x(tick), _HEIGHT - _BOTTOM + 4, "axis") for tick in x.ticks()]
    drawn.append(line(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, "axis"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(text("cost per good output, logarithmic; left is cheaper", middle, _HEIGHT - 8, "title middle"))
    return drawn


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _staircase(front: Sequence[Point], x: AxisScale, y: AxisScale) -> Markup | None:
    """Join the front by steps: what lies right of or below them is worse in both."""
    places = [(x(_costs(point)[1]), y(point.summary.good_rate.value or 0.0)) for point in front]
    if len(places) < 2:  # noqa: PLR2004 (a line joins two)
        return None
    steps = [f"M{places[0][0]} {places[0][1]}", *(f"H{left}V{top}" for left, top in places[1:])]
    return el("path", d="".join(steps), class_="front", fill="none")


def _whiskers(point: Point, x: AxisScale, y: AxisScale, *, crowded: bool) -> list[Markup]:
    class_ = "whisker faint" if crowded and not (point.front or point.here) else "whisker"
    low, value, high = _costs(point)
    rate = finite(point.summary.good_rate) or (0.0, 0.0, 0.0)
    return [
        line(x(low), y(rate[1]), x(high), y(rate[1]), class_),
        line(x(value), y(rate[0]), x(value), y(rate[2]), class_),
    ]


def _reach(point: Point, x: AxisScale, y: AxisScale) -> list[Box]:
    """Return where a point's intervals stand."""
    low, value, high = _costs(point)
    worst, rate, best = finite(point.summary.good_rate) or (0.0, 0.0, 0.0)
    return [(x(low), y(rate) - 1, x(high), y(rate) + 1), (x(value) - 1, y(best), x(value) + 1, y(worst))]


def _mark(point: Point, x: AxisScale, y: AxisScale) -> Markup:
    class_ = f"mark{' on' if point.front else ''}{' here' if point.here else ''}"
    left, top = x(_costs(point)[1]), y(point.summary.good_rate.value or 0.0)
    return el("circle", el("title", _told(point)), cx=left, cy=top, r=6 if point.here else 5, class_=class_)


def _named(point: Point, x: AxisScale, y: AxisScale, labels: "_Labels") -> Markup | None:
    place = labels.place(_name(point), x(_costs(point)[1]), y(point.summary.good_rate.value or 0.0))
    if place is None:
        return None  # the title of the mark, and the table, name it
    return text(_name(point), *place, f"label{' here' if point.here else ''}")


class _Labels(Struct):
    """Puts names beside their marks, where no other name or mark stands."""

    right: float
    _taken: list[Box] = field(default_factory=list)
    _rather_not: list[Box] = field(default_factory=list)

    def keep_clear(self, left: float, top: float) -> None:
        """Keep names off a mark."""
        self._taken.append((left - 6, top - 6, left + 6, top + 6))

    def rather_not(self, boxes: Sequence[Box]) -> None:
        """Keep names off these too, where there is room beside them."""
        self._rather_not += boxes

    def place(self, name: str, left: float, top: float) -> tuple[float, float] | None:
        """Return where a name begins, and its base line; None if there is no room."""
        clear = [*self._taken, *self._rather_not]
        return self._first_free(name, left, top, clear) or self._first_free(name, left, top, self._taken)

    def _first_free(self, name: str, left: float, top: float, taken: Sequence[Box]) -> tuple[float, float] | None:
        width = len(name) * _LETTER
        away = -width - 10
        for dx, dy in ((10, -8), (10, 16), (away, -8), (away, 16), (10, -24), (away, 32), (10, 32)):
            box = (left + dx, top + dy - _LINE + 4, left + dx + width, top + dy + 4)
            if box[0] < _LEFT or box[2] > self.right or box[1] < 0 or box[3] > _HEIGHT - _BOTTOM:
                continue
            if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
                self._taken.append(box)
                return round(left + dx, 1), round(top + dy, 1)
        return None


def _rates(points: Sequence[Point]) -> Markup:
    """Draw good rates alone, a row for each."""
    height = _ROW * len(points) + 44
    values = [value for point in points for value in finite(point.summary.good_rate) or ()]
    x = even(values, _NAMES, _WIDTH - _RIGHT, (0.0, 1.0))
    rows: list[Child] = [_row(point, x, 14 + _ROW * index) for index, point in enumerate(points)]
    ticks = [text(_percent(tick), x(tick), height - 22, "tick middle") for tick in x.ticks()]
    grid = [line(x(tick), 2, x(tick), height - 38, "grid") for tick in x.ticks()]
    name = text("good rate", (_NAMES + _WIDTH - _RIGHT) / 2, height - 4, "title middle")
    title = "Good rate of each version and model; none is priced"
    return svg(title, _WIDTH, height, "plane", grid, rows, ticks, name)


def _row(point: Point, x: AxisScale, middle: float) -> list[Markup]:
    low, value, high = finite(point.summary.good_rate) or (0.0, 0.0, 0.0)
    here = " here" if point.here else ""
    title = el("title", f"{_name(point)}: {_percent(value)}")
    return [
        text(short(_name(point), 40), _NAMES - 12, middle + 4, f"label end{here}"),
        line(x(low), middle, x(high), middle, "whisker"),
        el("circle", title, cx=x(value), cy=middle, r=5, class_=f"mark{here}"),
    ]
