"""An interval as a bar, and a distribution as bars: SVG that works without scripts."""

from collections.abc import Callable, Sequence

from evalh.core.run import Estimate
from evalh.report.charts.scales import AxisScale, line, logarithmic, svg, text
from evalh.report.html.markup import Markup, el

_BAR, _THICK = 160, 14
_WIDTH, _HEIGHT, _BASE, _BINS = 420, 120, 92, 28


def interval_bar(rate: Estimate) -> Markup | None:
    """Draw a rate from 0 to 1 with its interval; None if it is not known."""
    if rate.value is None or rate.low is None or rate.high is None:
        return None
    x = AxisScale(0.0, 1.0, 1.0, _BAR - 1.0)
    return el(
        "svg",
        line(1, 7, _BAR - 1, 7, "track"),
        el("rect", x=x(rate.low), y=4, width=round(max(2.0, x(rate.high) - x(rate.low)), 1), height=6, class_="range"),
        line(x(rate.value), 1, x(rate.value), 13, "value"),
        viewBox=f"0 0 {_BAR} {_THICK}",
        class_="bar",
        aria_hidden="true",
    )


def histogram(
    values: Sequence[float], name: str, written: Callable[[float], str], quantiles: Sequence[tuple[str, float]]
) -> Markup | None:
    """Draw a distribution on a logarithmic axis, with quantiles marked; None without a positive value."""
    positive = [value for value in values if value > 0]
    if not positive:
        return None
    x = logarithmic(positive, 8.0, _WIDTH - 8.0)
    width = (_WIDTH - 16) / _BINS
    counts = [0] * _BINS
    for value in positive:
        counts[min(_BINS - 1, int((x(value) - 8) / width))] += 1
    return svg(
        f"Distribution of {name}",
        _WIDTH,
        _HEIGHT,
        "histogram",
        [_column(index, count, max(counts), width) for index, count in enumerate(counts) if count],
        line(8, _BASE, _WIDTH - 8, _BASE, "axis"),
        _ticks(x, written),
        _marks(x, quantiles),
    )


def _column(index: int, count: int, most: int, width: float) -> Markup:
    height = round(max(1.5, count / most * (_BASE - 26)), 1)
    left = round(8 + index * width, 1)
    title = el("title", f"{count}")
    return el("rect", title, x=left, y=_BASE - height, width=round(width - 1.5, 1), height=height, class_="column")


def _ticks(x: AxisScale, written: Callable[[float], str]) -> list[Markup]:
    drawn, edge = [], -100.0
    for tick in x.ticks():
        half = len(written(tick)) * 3.4
        if x(tick) - half > edge + 6 and x(tick) + half < _WIDTH:
            drawn.append(text(written(tick), x(tick), _BASE + 18, "tick middle"))
            edge = x(tick) + half
    return drawn


def _marks(x: AxisScale, quantiles: Sequence[tuple[str, float]]) -> list[Markup]:
    drawn = []
    for level, (word, value) in enumerate(quantiles):
        left, top = x(value), 10 + 12 * (level % 2)
        drawn.append(line(left, top - 4, left, _BASE, "value"))
        side, dx = ("end", -4) if left > _WIDTH - 60 else ("", 4)
        drawn.append(text(word, left + dx, top + 3, f"tick {side}".strip()))
    return drawn
