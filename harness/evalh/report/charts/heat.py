"""Grader × tag as SVG: what the page shows as a table, for people who paste pictures."""

from math import ceil

from evalh.analysis.failures import Heat
from evalh.report.html.markup import Child, Markup, el
from evalh.report.text import percent

_ROW, _COLUMN, _LETTER, _MOST = 30, 92, 6.7, 24


def heat_chart(heat: Heat) -> Markup | None:
    """Draw how often each grader did not pass, by tag; None where nothing was graded."""
    if not heat.graders:
        return None
    names = [_short(grader) for grader in heat.graders]
    left = round(24 + _LETTER * max(map(len, names)), 1)
    width, height = left + _COLUMN * len(heat.tags) + 12, 46 + _ROW * (len(names) + 1)
    ends = [(tag, left + _COLUMN * (place + 1) - 8) for place, tag in enumerate(heat.tags)]
    heads = [_text(_short(tag or "all samples", 13), end, 26, "tick end") for tag, end in ends]
    sizes = [_text(f"of {heat.totals[tag]:,}", end, height - 14, "tick end") for tag, end in ends]
    rows: list[Child] = []
    for number, (grader, name) in enumerate(zip(heat.graders, names, strict=True)):
        top = 42 + _ROW * number
        rows.append(_text(name, left - 12, top + 19, "label end"))
        rows += [_square(heat, grader, tag, end, top) for tag, end in ends]
    title = el("title", "Samples that did not pass, by grader and tag")
    return el(
        "svg",
        title,
        heads,
        rows,
        sizes,
        viewBox=f"0 0 {width} {height}",
        role="img",
        class_="chart heat",
        xmlns="http://www.w3.org/2000/svg",
    )


def _square(heat: Heat, grader: str, tag: str, end: float, top: float) -> Child:
    missed, total = heat.missed.get((grader, tag), 0), heat.totals[tag]
    if not missed:
        return _text("·", end, top + 19, "tick end")
    share = missed / max(1, total)
    level = f"h{ceil(9 * share)}"
    ground = el("rect", x=end - _COLUMN + 8, y=top, width=_COLUMN - 2, height=_ROW - 2, rx=3, class_=level)
    return [ground, _text(percent(share), end, top + 19, "label end")]


def _short(name: str, most: int = _MOST) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _text(words: str, x: float, y: float, class_: str) -> Markup:
    return el("text", words, x=round(x, 1), y=round(y, 1), class_=class_)
