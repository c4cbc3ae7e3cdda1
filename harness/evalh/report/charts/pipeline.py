"""A pipeline as a picture: steps as boxes, what they read as lines as thick as the share of samples that went there.

The part of a line that carried something bad is drawn on it in colour. Everything with a count is a link that filters
the samples; without scripts the picture stands.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from evalh.analysis.traffic import RESULT, Handover, Traffic, Travelled
from evalh.core.sample import Standing, StepGrade, StepState
from evalh.core.values import Value
from evalh.report.charts.layers import Sizes, lay_out
from evalh.report.charts.scales import short
from evalh.report.html.markup import Child, Markup, el
from evalh.report.text import plural
from evalh.report.words import anchor

_WIDTH, _HEIGHT = 168.0, 106.0  # of a box
_GAP = 24.0  # between the boxes of a layer
_AHEAD, _BELOW = 104.0, 64.0  # between layers: sideways, downwards
_THICK, _THIN = 14.0, 1.5  # of a line: every sample went along, hardly one did
_MARGIN = 10.0
_NARROW = 460  # a phone shows it whole, a little smaller; what is wider is moved sideways
_LETTER = 6.1  # of 12 px type, as good as a drawing needs it
_PORT = 18.0  # between lines at a box
_SHARES = (0.5, 0.36, 0.64, 0.22, 0.78)  # of a curve, where its words may stand

_TOLD_FIRST = (StepState.RAN, StepState.FAILED, StepState.SKIPPED, StepState.GIVEN, StepState.STOPPED)
_CLASSES = {StepGrade.GOOD: "good", StepGrade.BAD: "bad", StepGrade.UNKNOWN: "ungraded"}

Point: TypeAlias = tuple[float, float]
Curve: TypeAlias = tuple[Point, Point]


class Filters(Value):
    """How the links of a picture or a table filter samples."""

    run: str = ""  # its place on the page, where there are several

    def at(self, token: str) -> dict[str, str]:
        """Return the attributes of a link; the script reads `step`, `step.bad`, `step>reader` and `step>reader.bad`."""
        return {"href": anchor(run=self.run, at=token), "data_at": token, "data_run": self.run}


def drawn(traffic: Traffic, told: Mapping[str, str], filters: Filters, *, down: bool) -> Markup:
    """Draw a run's pipeline from left to right, or downwards. `told`: a few words about each step."""
    plan = _Plan(traffic, down=down)
    lines = sorted(traffic.lines.items(), key=lambda pair: -pair[1].samples)
    width, height = plan.size()
    return el(
        "svg",
        [_line(plan, line, travelled, filters) for line, travelled in lines],
        [_label(plan, line, travelled, filters) for line, travelled in lines],
        [_step(plan, step, told.get(step, ""), filters) for step in traffic.reads],
        _result(plan, filters),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="group",
        aria_label="The steps, and how many samples went where",
        class_=f"flow {'down' if down else 'ahead'}{' narrow' if width <= _NARROW else ''}",
    )


def width_ahead(traffic: Traffic) -> int:
    """Return how wide the picture is from left to right."""
    return _Plan(traffic, down=False).size()[0]


class _Plan:
    """The places of boxes and lines, in one of two directions. Along: from layer to layer. Across: within a layer."""

    def __init__(self, traffic: Traffic, *, down: bool) -> None:
        self.traffic, self.down = traffic, down
        self._side = _WIDTH if down else _HEIGHT  # of a box, across
        self._length = _HEIGHT if down else _WIDTH
        self._pitch = self._length + (_BELOW if down else _AHEAD)
        reads = {**traffic.reads, RESULT: traffic.outputs}
        self._layout = lay_out(reads, Sizes(box=self._side, line=_THICK, gap=_GAP))
        self._ports = self._spread_ports()
        self._taken: list[Curve] = []  # by words, as left upper and right lower corner
        self._passed = [
            (self._on(curve, share / 8), max(_THICK * travelled.samples / (traffic.samples or 1), _THIN))
            for line, travelled in traffic.lines.items()
            for curve in self.curves(line)
            for share in range(9)
        ]

    def size(self) -> tuple[int, int]:
        """Return the width and the height of the picture."""
        along = round(2 * _MARGIN + (self._layout.layers - 1) * self._pitch + self._length)
        across = round(2 * _MARGIN + self._layout.breadth)
        return (across, along) if self.down else (along, across)

    def _at(self, along: float, across: float) -> Point:
        along, across = round(_MARGIN + along, 1), round(_MARGIN + across, 1)
        return (across, along) if self.down else (along, across)

    def corner(self, name: str) -> Point:
        """Return the left upper corner of a box."""
        layer, middle = self._layout.places[name]
        return self._at(layer * self._pitch, middle - self._side / 2)

    def _spread_ports(self) -> dict[tuple[Handover, str], float]:
        """Return where each line touches its boxes: side by side, in the order of where they come from or lead."""
        touching: dict[str, dict[Handover, float]] = defaultdict(dict)
        for line in self.traffic.lines:
            bends = self._layout.bends.get((line.producer, line.reader), ())
            start, end = self._layout.places[line.producer][1], self._layout.places[line.reader][1]
            touching[f"{line.producer}>"][line] = bends[0][1] if bends else end
            touching[f">{line.reader}"][line] = bends[-1][1] if bends else start
        found = {}
        for side, lines in touching.items():
            name, middle = side.strip(">"), (len(lines) - 1) / 2
            apart = min(_PORT, (self._side - 2 * _PORT) / max(1, len(lines) - 1))
            for place, line in enumerate(sorted(lines, key=lines.__getitem__)):
                found[line, side] = self._layout.places[name][1] + (place - middle) * apart
        return found

    def curves(self, line: Handover) -> list[Curve]:
        """Return the curved parts of a line; between them it runs straight through a layer."""
        at = (
            self._layout.places[line.producer][0] * self._pitch + self._length,
            self._ports[line, f"{line.producer}>"],
        )
        found = []
        for layer, across in self._layout.bends.get((line.producer, line.reader), ()):
            found.append((self._at(*at), self._at(layer * self._pitch, across)))
            at = layer * self._pitch + self._length, across
        end = self._layout.places[line.reader][0] * self._pitch, self._ports[line, f">{line.reader}"]
        return [*found, (self._at(*at), self._at(*end))]

    def handles(self, curve: Curve) -> Curve:
        """Return what bends a curve so that it leaves and enters straight."""
        (left, top), (right, bottom) = curve
        if self.down:
            return (left, round((top + bottom) / 2, 1)), (right, round((top + bottom) / 2, 1))
        return (round((left + right) / 2, 1), top), (round((left + right) / 2, 1), bottom)

    def clear_place(self, line: Handover, thick: float, wide: float) -> Point:
        """Return the middle of words of this width beside a line, or on it, where they cover the least."""
        high = 15.0
        aside = ((0.0, -thick / 2 - 10), (0.0, thick / 2 + 10), (wide / 2 + thick / 2 + 5, 0.0))
        best: tuple[float, Curve] | None = None
        for curve in self.curves(line):
            for place, share in enumerate(_SHARES):
                x, y = self._on(curve, share)
                for right, below in (*aside, (-aside[2][0], 0.0), (0.0, 0.0)):
                    middle = x + right, y + below
                    box = (middle[0] - wide / 2, middle[1] - high / 2), (middle[0] + wide / 2, middle[1] + high / 2)
                    covered = self._covered(box) + place
                    if best is None or covered < best[0]:
                        best = covered, box
        assert best is not None
        self._taken.append(best[1])
        (left, top), (right, bottom) = best[1]
        return (left + right) / 2, (top + bottom) / 2

    def _covered(self, box: Curve) -> float:
        """Weigh what words would cover: other words, boxes, lines, and what is outside of the picture."""
        (left, top), (right, bottom) = box
        width, height = self.size()
        inside = min(left, top, width - right, height - bottom) >= 0
        found = 0.0 if inside else 1000.0
        corners = [self.corner(name) for name in self._layout.places]
        for other in (*self._taken, *(((x, y), (x + _WIDTH, y + _HEIGHT)) for x, y in corners)):
            wide, high = (min(box[1][axis], other[1][axis]) - max(box[0][axis], other[0][axis]) for axis in (0, 1))
            found += 10 + wide * high if wide > 0 and high > 0 else 0
        for (x, y), thick in self._passed:
            found += 8 * (left - thick / 2 < x < right + thick / 2 and top - thick / 2 < y < bottom + thick / 2)
        return found

    def _on(self, curve: Curve, share: float) -> Point:
        one, two = self.handles(curve)
        rest = 1 - share
        weights = (rest**3, 3 * rest**2 * share, 3 * rest * share**2, share**3)
        points = (curve[0], one, two, curve[1])
        x, y = (sum(weight * point[axis] for weight, point in zip(weights, points, strict=True)) for axis in (0, 1))
        return x, y


def _line(plan: _Plan, line: Handover, travelled: Travelled, filters: Filters) -> Markup:
    carried = f", {travelled.bad:,} of them with something bad" if travelled.bad else ""
    words = f"{_ends(line)}: {plural(travelled.samples, 'sample')}{carried}"
    path = _path(plan, plan.curves(line))
    bad = max(_thick(plan, travelled.bad), 2.0)
    never = None if travelled.samples else "never"
    return el(
        "a",
        el("title", words),
        el("path", d=path, class_="hit"),
        el("path", d=path, class_=never, stroke_width=round(_thick(plan, travelled.samples), 1)),
        el("path", d=path, class_="bad", stroke_width=round(bad, 1)) if travelled.bad else None,
        aria_label=words,
        class_="line",
        **filters.at(_token(line)),
    )


def _label(plan: _Plan, line: Handover, travelled: Travelled, filters: Filters) -> Markup:
    """Write a line's counts: a click on them does what one on the line does; the bad ones are a link of their own."""
    count, bad = f"{travelled.samples:,}", f"{travelled.bad:,} bad"
    wide = _LETTER * len(f"{count} · {bad}" if travelled.bad else count)
    x, y = plan.clear_place(line, _thick(plan, travelled.samples), wide)
    parts: list[Child] = [el("a", count, tabindex=-1, aria_hidden="true", **filters.at(_token(line)))]
    if travelled.bad:
        words = f"{_ends(line)}: {plural(travelled.bad, 'sample')} with something bad"
        link = filters.at(f"{_token(line)}.bad")
        parts += [" · ", el("a", el("title", words), bad, class_="bad", aria_label=words, **link)]
    return el("text", parts, x=round(x, 1), y=round(y + 4, 1), class_="label middle")


def _ends(line: Handover) -> str:
    return f"{line.producer} → {line.reader or 'result'}"


def _token(line: Handover) -> str:
    return f"{line.producer}>{line.reader}"


def _thick(plan: _Plan, samples: int) -> float:
    return max(_THICK * samples / (plan.traffic.samples or 1), _THIN)


def _path(plan: _Plan, curves: Sequence[Curve]) -> str:
    drawn_path = ""
    for curve in curves:
        (left, top), end = curve
        one, two = plan.handles(curve)
        points = " ".join(f"{x} {y}" for x, y in (one, two, end))
        drawn_path += f"{'L' if drawn_path else 'M'}{left} {top}C{points}"
    return drawn_path


def _step(plan: _Plan, step: str, told: str, filters: Filters) -> Iterator[Markup]:
    traffic, (x, y) = plan.traffic, plan.corner(step)
    states, grades, first = traffic.states(step), traffic.grades(step), traffic.first_bad[step]
    became = [(f"{states[one]:,} {one.value}", "") for one in _TOLD_FIRST if states[one]]
    graded = [(f"{grades[one]:,} {one.value}", _CLASSES[one]) for one in StepGrade if grades[one]]
    words = f"{step}: {', '.join(words for words, _ in (*became, *graded)) or 'in no sample'}"
    yield el(
        "a",
        el("title", f"{words}{f' ({told})' if told else ''}"),
        el("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=9, class_="frame"),
        _fitted([(short(step, 28), "name")], x, y + 21),
        _fitted([(short(told, 34), "what")], x, y + 37),
        _fitted(_as_fits(became), x, y + 55),
        _fitted(graded or [("not graded" if states[StepState.RAN] else "", "what")], x, y + 72),
        _bar([(grades[one], _CLASSES[one]) for one in StepGrade], x + 12, y + _HEIGHT - 7),
        aria_label=words,
        class_="step",
        **filters.at(step),
    )
    if first:
        words = f"{step}: {plural(first, 'sample')} went wrong here first"
        mark = el("text", f"{first:,} first bad here", x=x + 12, y=y + 88, class_="bad")
        yield el("a", el("title", words), mark, aria_label=words, **filters.at(f"{step}.first"))


def _result(plan: _Plan, filters: Filters) -> Markup:
    traffic, (x, y) = plan.traffic, plan.corner(RESULT)
    counts = [(f"{traffic.standings[one]:,} {one.value}", one.value) for one in Standing if traffic.standings[one]]
    missing = traffic.samples - traffic.standings.total()
    without = [(f"{missing:,} without one", "what")] if missing else []
    words = f"result: {', '.join(words for words, _ in (*counts, *without)) or 'none'}"
    return el(
        "a",
        el("title", words),
        el("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=9, class_="frame end"),
        _fitted([("result", "name")], x, y + 21),
        _fitted(counts, x, y + 46),
        _fitted(without, x, y + 63),
        _bar([(traffic.standings[one], one.value) for one in Standing], x + 12, y + _HEIGHT - 7),
        aria_label=words,
        class_="step",
        **filters.at(">"),
    )


def _as_fits(parts: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Leave out what does not fit a line of a box; the table has it."""
    shown = list(parts)
    while len(shown) > 1 and _LETTER * len(" · ".join(words for words, _ in shown)) > _WIDTH - 24:
        shown.pop()
    return shown if len(shown) == len(parts) else [*shown, ("…", "")]


def _fitted(parts: Sequence[tuple[str, str]], x: float, y: float) -> Markup | None:
    """Write parts with their classes on one line of a box; what is too long is set narrower."""
    room = int(_WIDTH) - 24
    letter = _LETTER * (1.3 if parts and parts[0][1] == "name" else 1)
    long = letter * len(" · ".join(words for words, _ in parts)) > room
    spans = [
        [" · " if place else None, el("tspan", words, class_=class_ or None)]
        for place, (words, class_) in enumerate(parts)
    ]
    narrow: dict[str, int | str] = {"textLength": room, "lengthAdjust": "spacingAndGlyphs"} if long else {}
    return el("text", spans, x=x + 12, y=y, **narrow) if parts else None


def _bar(counts: Sequence[tuple[int, str]], x: float, y: float) -> list[Markup]:
    """Draw the shares of counts beside each other."""
    room, total = _WIDTH - 24, sum(count for count, _ in counts)
    found = []
    for count, class_ in counts:
        if count:
            width = round(room * count / total, 1)
            found.append(el("rect", x=round(x, 1), y=y, width=width, height=3, class_=class_))
            x += width
    return found
