"""Good rate and cost per good output over time, as SVG that works without scripts: two panels over one row of places.

x: versions at commits in the order in which they were first measured; models measured there stand side by side.
y above: good rate; y below: US dollars per good output, logarithmic. Bars: 95 % intervals. A line joins the moments
of one model, which has its own colour and its own mark.
"""

from collections.abc import Callable, Iterator, Sequence

from evalh.analysis.history import History, Moment
from evalh.core.values import Value
from evalh.report.charts.scales import AxisScale, even, line, logarithmic, short, spanned, svg, text
from evalh.report.html.markup import Child, Markup, el
from evalh.report.text import dollars, percent

_WIDTH, _RIGHT = 760, 24
_PANEL, _GAP, _LEGEND = 170, 34, 26
_STEP, _WIDEST, _UPRIGHT = 15, 130, 64  # px a place: at least, at most, and below what names are turned
_COLOURS = 5
_FITS = 9  # letters of a version under its moment
_SLANTED, _STRAIGHT = 84, 44


class _Panel(Value):
    """One of the two drawings: where its values stand, and what they are."""

    title: str
    y: AxisScale
    top: float
    of: Callable[[Moment], tuple[float, float, float] | None]  # low, value, high
    written: Callable[[float], str]


class _Places(Value):
    """Where the moments stand from left to right."""

    left: float
    width: float
    step: float
    slots: dict[tuple[str, str, str], Moment]  # the first moment of each place names it
    models: tuple[str, ...]

    def of(self, moment: Moment) -> float:
        """Return where a moment stands: models beside each other in their place."""
        slot = list(self.slots).index(moment.place)
        apart = min(12.0, 0.6 * self.step / max(1, len(self.models)))
        beside = (self.models.index(moment.record.model) - (len(self.models) - 1) / 2) * apart
        return round(self.left + self.step * (slot + 0.5) + beside, 1)

    def named(self) -> Iterator[tuple[float, Moment]]:
        """Yield the middle of each place, and a moment to name it by."""
        for slot, moment in enumerate(self.slots.values()):
            yield round(self.left + self.step * (slot + 0.5), 1), moment


def history_chart(past: History) -> Markup | None:
    """Draw the moments; None if there are fewer than two."""
    if len(past.moments) < 2:  # noqa: PLR2004 (one moment is not a history)
        return None
    panels = _panels(past.moments)
    places = _places(past, panels)
    bottom = panels[-1].top + _PANEL
    straight = places.step >= _UPRIGHT
    return svg(
        "Good rate and cost per good output over time",
        places.width,
        bottom + (_STRAIGHT if straight else _SLANTED),
        "plane",
        el("desc", "; ".join(_told(moment) for moment in past.moments)),
        _legend(past.models, places),
        [_drawn(panel, past, places) for panel in panels],
        [_name(moment, left, bottom, straight=straight) for left, moment in places.named()],
    )


def _places(past: History, panels: Sequence[_Panel]) -> _Places:
    slots: dict[tuple[str, str, str], Moment] = {}
    for moment in past.moments:
        if moment.place not in slots or moment.here:
            slots[moment.place] = moment
    left = max(20 + 6.7 * len(panel.written(tick)) for panel in panels for tick in panel.y.ticks())
    width = max(_WIDTH, left + _RIGHT + _STEP * len(slots))
    step = min(_WIDEST, (width - left - _RIGHT) / len(slots))
    return _Places(round(left, 1), round(width, 1), step, slots, past.models)


def _panels(moments: Sequence[Moment]) -> list[_Panel]:
    top = float(_LEGEND + 16)
    rates = [value for moment in moments for value in _rate(moment) or ()]
    y = even(rates, top + _PANEL, top, (0.0, 1.0))
    panels = [_Panel("good rate", y, top, _rate, lambda share: f"{100 * share:.4g} %")]
    costs = [value for moment in moments for value in _cost(moment) or ()]
    if costs:
        top += _PANEL + _GAP
        scale = logarithmic(costs, top + _PANEL, top)
        panels.append(_Panel("cost per good output, logarithmic", scale, top, _cost, dollars))
    return panels


def _rate(moment: Moment) -> tuple[float, float, float] | None:
    return spanned(moment.summary.good_rate)


def _cost(moment: Moment) -> tuple[float, float, float] | None:
    limits = spanned(moment.summary.cost_per_good_usd)
    return limits if limits is not None and min(limits) > 0 else None


def _told(moment: Moment) -> str:
    summary, at = moment.summary, f" at {moment.mark}" if moment.mark else ""
    cost = "" if summary.cost_per_good is None else f", {dollars(summary.cost_per_good)} a good output"
    doubt = "" if moment.measured else ", not measured"
    return f"{moment.version} on {moment.record.model}{at}{doubt}: {percent(summary.good_rate.value)} good{cost}"


def _drawn(panel: _Panel, past: History, places: _Places) -> list[Child]:
    left, right = places.left, places.width - _RIGHT
    parts: list[Child] = [text(panel.title, left, panel.top - 6, "title")]
    for tick in panel.y.ticks():
        parts.append(line(left, panel.y(tick), right, panel.y(tick), "grid"))
        parts.append(text(panel.written(tick), left - 8, panel.y(tick) + 4, "tick end"))
    for number, model in enumerate(past.models):
        found = [
            (places.of(moment), limits, moment)
            for moment in past.moments
            if moment.record.model == model and (limits := panel.of(moment)) is not None
        ]
        steps = " ".join(f"{at},{panel.y(limits[1])}" for at, limits, _ in found)
        parts.append(el("polyline", points=steps, class_=f"path {_colour(number)}", fill="none"))
        parts += [line(at, panel.y(limits[0]), at, panel.y(limits[2]), "whisker") for at, limits, _ in found]
        parts += [_mark(number, at, panel.y(limits[1]), moment) for at, limits, moment in found]
    return parts


def _colour(number: int) -> str:
    return f"m{min(number, _COLOURS)}"


def _mark(number: int, left: float, top: float, moment: Moment | None = None) -> Markup:
    """Draw a model's mark: a circle, a square, a diamond, a triangle, a square on its side for all others."""
    here = moment is not None and moment.here
    class_, size = f"moment {_colour(number)}{' here' if here else ''}", 6.0 if here else 4.5
    title = None if moment is None else el("title", _told(moment))
    if number % 4 == 0:
        return el("circle", title, cx=left, cy=top, r=size, class_=class_)
    corners = {
        1: [(-size, -size), (size, -size), (size, size), (-size, size)],
        2: [(0, -size - 1), (size + 1, 0), (0, size + 1), (-size - 1, 0)],
        3: [(0, -size - 1), (size + 0.5, size), (-size - 0.5, size)],
    }[number % 4]
    points = " ".join(f"{round(left + dx, 1)},{round(top + dy, 1)}" for dx, dy in corners)
    return el("polygon", title, points=points, class_=class_)


def _legend(models: Sequence[str], places: _Places) -> list[Child]:
    parts: list[Child] = []
    left = places.left
    for number, model in enumerate(models):
        name = short(model, 28)
        if left + 16 + 7 * len(name) > places.width - _RIGHT:
            return [*parts, text(f"and {len(models) - number} more", left, 16, "tick")]
        parts += [_mark(number, left + 5, 12), text(name, left + 16, 16, "tick")]
        left += 36 + 7 * len(name)
    return parts


def _name(moment: Moment, left: float, bottom: float, *, straight: bool) -> list[Child]:
    class_ = f"tick{' here' if moment.here else ''}"
    if straight:
        second = text(moment.mark, left, bottom + 34, f"{class_} middle") if moment.mark else None
        return [text(short(moment.version, _FITS), left, bottom + 18, f"{class_} middle"), second]
    words = f"{short(moment.version, _FITS)} {moment.mark}".strip()
    turned = f"rotate(-60 {left} {bottom + 14})"
    return [el("text", words, x=left + 3, y=bottom + 16, transform=turned, class_=f"{class_} end")]
