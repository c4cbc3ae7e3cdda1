"""The confusion matrix on a page: each number leads to its samples."""

from math import ceil

from evalh.analysis.confusion import LabelConfusion
from evalh.report.html.markup import Markup, el
from evalh.report.html.parts import captioned, scrollable, section
from evalh.report.text import plural
from evalh.report.words import anchor

_UPRIGHT = 140  # characters of all heads, up to which they stand as words do: as many as 1,200 pixels hold
_BESIDE = 3  # characters that the space around a head takes
_LEAST = 4  # characters of a column
_MISTAKES = 3
_CORNER = "gold ↓ · said →"
_LAST = ("samples", "found")


def confusion_section(confusion: LabelConfusion, suffix: str, of: str) -> Markup:
    """Show which label was expected, and which one the outputs say."""
    corner = el("td", el("span", _CORNER, class_="dim"))
    heads = [el("th", said, scope="col") for said in confusion.said]
    last = [el("th", name, scope="col", class_="dim") for name in _LAST]
    rows = [_row(confusion, gold) for gold in confusion.golds]
    beside = max(map(len, [_CORNER, *confusion.golds]))
    wide = sum(max(len(head), _LEAST) + _BESIDE for head in (*confusion.said, *_LAST))
    upright = beside + _BESIDE + wide <= _UPRIGHT
    table = el(
        "div",
        captioned("Confusion matrix", [corner, *heads, *last], [*rows, _right(confusion)]),
        class_="confusion" if upright else "confusion turned",
    )
    note = (
        f"Rows: the gold label that {confusion.grader} expects. Columns: the label in the output. The column “found”:"
        " of the samples with this gold label, the share whose output says so. The row “right”: of the outputs that"
        " say so, the share that is right."
    )
    return section(
        f"confusion{suffix}",
        f"Which labels {of} confuses",
        _worst(confusion),
        scrollable(table, f"Confusion matrix{suffix}", len(rows)),
        el("p", note, class_="note"),
    )


def _worst(confusion: LabelConfusion) -> Markup | None:
    items = [
        el("li", el("a", f"{gold} → {said}: {plural(count, 'sample')}", href=anchor(gold=gold, said=said)))
        for gold, said, count in confusion.mistakes()[:_MISTAKES]
    ]
    return el("ul", items, class_="most") if items else None


def _row(confusion: LabelConfusion, gold: str) -> Markup:
    total = confusion.of_gold(gold)
    cells = [_cell(confusion, gold, said, total) for said in confusion.said]
    every = el("td", el("a", f"{total:,}", href=anchor(gold=gold)), class_="num dim")
    return el(
        "tr", el("th", gold, scope="row"), cells, every, el("td", _short(confusion.found(gold).value), class_="num")
    )


def _cell(confusion: LabelConfusion, gold: str, said: str, total: int) -> Markup:
    count = confusion.counts.get((gold, said), 0)
    if not count:
        return el("td", "·", class_="num dim")
    tone = "g" if gold == said else "h"
    label = f"gold {gold}, said {said}: {plural(count, 'sample')}"
    link = el("a", f"{count:,}", href=anchor(gold=gold, said=said), title=label, aria_label=label)
    return el("td", link, class_=f"num {tone}{ceil(9 * count / total)}")


def _short(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _right(confusion: LabelConfusion) -> Markup:
    shares = [
        el("td", _short(confusion.right(said).value) if said in confusion.golds else "", class_="num")
        for said in confusion.said
    ]
    return el("tr", el("th", "right", scope="row", class_="dim"), shares, el("td"), el("td"), class_="last")
