"""What every drawing has: scales that turn values into places, and the elements of SVG."""

from collections.abc import Sequence
from math import ceil, floor, log10

from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.report.html.markup import Child, Markup, el


class AxisScale(Value):
    """Maps [low, high] to [start, end], evenly or by logarithms. Values outside are drawn at the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return where a value stands, to a tenth of a pixel."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = log10(value / self.low) / log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Return a handful of round values inside."""
        return _log_ticks(self.low, self.high) if self.log else _even_ticks(self.low, self.high)


def even(values: Sequence[float], start: float, end: float, bounds: tuple[float, float]) -> AxisScale:
    """Return an even scale around the values with a margin, inside `bounds`, never empty."""
    low, high = (min(values), max(values)) if values else bounds
    margin = max((high - low) * 0.08, (bounds[1] - bounds[0]) * 0.02)
    return AxisScale(max(bounds[0], low - margin), min(bounds[1], high + margin), start, end)


def logarithmic(values: Sequence[float], start: float, end: float) -> AxisScale:
    """Return a logarithmic scale around positive values with a margin. Raises ValueError without any."""
    low, high = log10(min(values)), log10(max(values))
    margin = max((high - low) * 0.08, 0.08)
    return AxisScale(10 ** (low - margin), 10 ** (high + margin), start, end, log=True)


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(found) <= 8:  # noqa: PLR2004 (as many labels as fit)
            return found
    return found[:: ceil(len(found) / 8)]


def _even_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [index * step for index in range(ceil(low / step), floor(high / step + 1e-9) + 1)]


def spanned(estimate: Estimate) -> tuple[float, float, float] | None:
    """Return low, value and high; a limit that is not finite, or 0, stands at the value. None without a value."""
    value = estimate.value
    return None if value is None else (estimate.low or (0.0 if value == 0 else value), value, estimate.high or value)


def svg(title: str, width: float, height: float, kind: str, *children: Child) -> Markup:
    """Build a picture with a title that is read aloud."""
    size = f"0 0 {width} {height}"
    return el("svg", el("title", title), children, viewBox=size, role="img", class_=f"chart {kind}")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Draw a line."""
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(words: str, x: float, y: float, class_: str) -> Markup:
    """Write words at a place, to a tenth of a pixel."""
    return el("text", words, x=round(x, 1), y=round(y, 1), class_=class_)


def short(words: str, most: int) -> str:
    """Shorten a name to what fits."""
    return words if len(words) <= most else f"{words[: most - 1]}…"
