"""The page's pictures as files of their own, on white: SVG, and PNG made from that very SVG.

Where a run fails, grader by tag, is a table on the page and a picture here, for people who paste pictures.
"""

import re
from collections.abc import Callable, Mapping
from math import ceil
from types import MappingProxyType

from evalh.analysis.failures import Heat
from evalh.core.errors import UsageError, did_you_mean
from evalh.report.charts.history import history_chart
from evalh.report.charts.scales import short, svg, text
from evalh.report.charts.tradeoff import chart
from evalh.report.html.markup import Child, Markup, el, own
from evalh.report.html.sections import spread
from evalh.report.text import fine_milliseconds, percent, tokens
from evalh.report.words import RunReport

KINDS = ("svg", "png")
_EXTRA = "pip install 'evalh[png]'"
_ZOOM = 2  # of a PNG: sharp on a dense screen
_ROW, _COLUMN, _LETTER, _MOST = 30, 92, 6.7, 24
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')

_STYLE = (
    "text{font:12px sans-serif;fill:#1b1f24}.tick,.title{fill:#5b6470}.middle{text-anchor:middle}.end{text-anchor:end}"
    ".grid{stroke:#e1e4e8}.axis{stroke:#d5d9df}.whisker{stroke:#5b6470;stroke-opacity:.55;stroke-width:1.5}.faint{stroke-opacity:.14}"
    ".front{stroke:#1f5fbf;stroke-opacity:.5;stroke-dasharray:4 3}.mark{fill:#fff;stroke:#5b6470;stroke-width:2}"
    ".mark.on{fill:#1f5fbf;stroke:#1f5fbf}circle.here{stroke:#1b1f24}text.here{font-weight:700}"
    ".path{stroke-width:1.5;stroke-opacity:.45}.moment{fill:#fff;stroke-width:2.5}.m0{stroke:#1f5fbf}.m1{stroke:#b4540a}"
    ".m2{stroke:#146b3d}.m3{stroke:#8b3fae}.m4{stroke:#a01f5c}.m5{stroke:#5b6470}"
    ".column{fill:#1f5fbf;fill-opacity:.55}.value{stroke:#1b1f24;stroke-dasharray:2 2}"
    + "".join(f".h{level}{{fill:#bb2b32;fill-opacity:{0.02 + 0.04 * level:.2f}}}" for level in range(1, 10))
)


def _heat(heat: Heat) -> Markup | None:
    """Draw how often each grader did not pass, by tag; None if nothing was graded."""
    if not heat.graders:
        return None
    names = [short(grader, _MOST) for grader in heat.graders]
    left = round(24 + _LETTER * max(map(len, names)), 1)
    width, height = left + _COLUMN * len(heat.tags) + 12, 46 + _ROW * (len(names) + 1)
    ends = [(tag, left + _COLUMN * (place + 1) - 8) for place, tag in enumerate(heat.tags)]
    heads = [text(short(tag or "all samples", 13), end, 26, "tick end") for tag, end in ends]
    sizes = [text(f"of {heat.totals[tag]:,}", end, height - 14, "tick end") for tag, end in ends]
    rows: list[Child] = []
    for number, (grader, name) in enumerate(zip(heat.graders, names, strict=True)):
        top = 42 + _ROW * number
        rows.append(text(name, left - 12, top + 19, "label end"))
        rows += [_square(heat, grader, tag, end, top) for tag, end in ends]
    return svg("Samples that did not pass, by grader and tag", width, height, "heat", heads, rows, sizes)


def _square(heat: Heat, grader: str, tag: str, end: float, top: float) -> Child:
    missed, total = heat.missed.get((grader, tag), 0), heat.totals[tag]
    if not missed:
        return text("·", end, top + 19, "tick end")
    share = missed / max(1, total)
    level = f"h{ceil(9 * share)}"
    ground = el("rect", x=end - _COLUMN + 8, y=top, width=_COLUMN - 2, height=_ROW - 2, rx=3, class_=level)
    return [ground, text(percent(share), end, top + 19, "label end")]


FIGURES: Mapping[str, tuple[Callable[[RunReport], Markup | None], str]] = MappingProxyType(
    {
        "tradeoff": (lambda run: chart(run.chosen), "no finished sample"),
        "history": (lambda run: history_chart(run.past), "no other version or commit that the same cases measured"),
        "fails": (lambda run: _heat(run.failings.heat()), "no graded sample"),
        "latency": (lambda run: spread(run.failings.latencies_ms, "latency", fine_milliseconds), "no latency"),
        "tokens": (lambda run: spread(run.failings.output_tokens, "output tokens", tokens), "no token count"),
    }
)
"""Every figure: how it is drawn, and what is lacking where it cannot be."""


def figure_of(file_name: str) -> tuple[str, str]:
    """Return which figure a file's name asks for, and as what: `v3-history.png` is the history as PNG.

    Raises UsageError for a name that ends with no figure's name, and for other kinds of files.
    """
    stem, _, kind = file_name.rpartition(".")
    have = f"have {', '.join(FIGURES)}, each as .svg or .png"
    if kind.lower() not in KINDS or not stem:
        raise UsageError(f"{file_name}: a figure is an SVG or a PNG", hint=have)
    for name in FIGURES:
        if re.search(rf"(^|[-_. ]){name}$", stem.lower()):
            return name, kind.lower()
    last = re.split(r"[-_. ]", stem)[-1]
    guess = did_you_mean(last, FIGURES)
    meant = f"{guess} " if guess.startswith("did") else ""
    hint = f"{meant}{have}; something may stand before it: v3-tradeoff.svg"
    raise UsageError(f"{file_name}: no figure is called {last!r}", hint=hint)


def drawn(name: str, run: RunReport) -> str:
    """Return a figure as an SVG file. Raises UsageError if there is nothing to draw."""
    draw, lacking = FIGURES[name]
    made = draw(run)
    if made is None:
        raise UsageError(f"run {run.run.record.id} has {lacking}: there is no {name} to draw", hint="evalh run")
    found = _SIZE.search(made)
    assert found is not None
    opening, _, rest = made.partition(">")
    opening += f' xmlns="http://www.w3.org/2000/svg" width="{found[1]}" height="{found[2]}">'
    ground = el("rect", width="100%", height="100%", fill="#fff")
    return f"{opening}{own('style', _STYLE)}{ground}{rest}\n"


def png(picture: str) -> bytes:
    """Return an SVG as PNG, twice as large. Raises UsageError if the extra is not installed."""
    try:
        import font_roboto
        import resvg_py
    except ImportError:
        raise UsageError("a PNG needs a package that is not installed", hint=f"{_EXTRA}; or name a FILE.svg") from None
    # The font comes along, so a picture looks alike everywhere and has its words on a machine that has no font; the
    # machine's own fonts are there for what it lacks.
    fonts = [font_roboto.Roboto, font_roboto.RobotoBold]
    return bytes(resvg_py.svg_to_bytes(svg_string=picture, zoom=_ZOOM, font_files=fonts, sans_serif_family="Roboto"))
