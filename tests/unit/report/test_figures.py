"""Pictures as files: which one a file's name asks for, and that a PNG shows what its SVG says."""

import re
import struct
import zlib

import pytest
from msgspec.structs import replace

from evalh.analysis.failures import Failings
from evalh.analysis.history import MOST, history
from evalh.analysis.tradeoff import trade_off
from evalh.core.errors import UsageError
from evalh.core.log import RunRow
from evalh.report.charts.figures import FIGURES, drawn, figure_of, png
from evalh.report.charts.history import history_chart
from evalh.report.words import RunReport
from unit.report.test_tradeoff import run


def at(row: RunRow, commit: str, started_at: float) -> RunRow:
    return replace(row, record=replace(row.record, commit=commit, dirty=False, started_at=started_at))


def runs() -> list[RunRow]:
    """Newest first: v2 at two commits, v1 at one, on two models."""
    return [
        at(run("v2", 80, 0.002), "bbbbbbbbbb", 4.0),
        at(run("v2", 95, 0.02, model="strong"), "aaaaaaaaaa", 3.0),
        at(run("v2", 70, 0.001), "aaaaaaaaaa", 2.0),
        at(run("v1", 50, 0.001), "aaaaaaaaaa", 1.0),
    ]


def test_history_is_by_version_and_commit_oldest_first() -> None:
    newest, *older = runs()
    again = at(run("v1", 40, 0.001), "aaaaaaaaaa", 0.5)
    elsewhere = at(run("v1", 99, 0.001, graders="other"), "aaaaaaaaaa", 0.6)

    past = history([newest, *older, again, elsewhere], newest)

    assert [(one.version, one.commit, one.record.model, one.summary.good) for one in past.moments] == [
        ("v1", "aaaaaaa", "small", 50),
        ("v2", "aaaaaaa", "small", 70),
        ("v2", "aaaaaaa", "strong", 95),
        ("v2", "bbbbbbb", "small", 80),
    ]
    assert (past.repeated, past.moments[-1].here) == (1, True)


def test_the_chart_draws_every_moment_in_both_panels_with_its_intervals() -> None:
    made = history_chart(history(runs(), runs()[0])) or ""

    assert len(re.findall('class="moment', made)) == 2 * 4 + 2  # the legend's two
    assert len(re.findall('class="whisker"', made)) == 2 * 4
    assert re.findall("bbbbbbb</text>", made)


def test_a_picture_holds_the_newest_moments_and_counts_the_others() -> None:
    many = [at(run(f"v{number}", 50, None), "c" * 10, -number) for number in range(MOST + 5)]

    past = history(many, many[0])

    assert (len(past.moments), past.older) == (MOST, 5)
    assert "logarithmic" not in (history_chart(past) or "")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("tradeoff.svg", ("tradeoff", "svg")),
        ("v3-history.PNG", ("history", "png")),
        ("pr 12.fails.svg", ("fails", "svg")),
    ],
)
def test_the_files_name_says_which_figure(name: str, asked: tuple[str, str]) -> None:
    assert figure_of(name) == asked


@pytest.mark.parametrize("name", ["chart.svg", "tradeoff", "tradeoff.pdf", "svg", ".png", "mytradeoff.svg"])
def test_other_names_are_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        figure_of(name)

    assert "latency" in (refused.value.hint or "")


def test_a_misspelt_figure_is_guessed() -> None:
    with pytest.raises(UsageError) as refused:
        figure_of("histroy.svg")

    assert (refused.value.hint or "").startswith("did you mean 'history'?")


def test_a_run_without_samples_says_what_is_lacking() -> None:
    here = run("v1", 60, None)
    empty = RunReport(run=here, chosen=trade_off([here], here), past=history([here], here), failings=Failings())

    for name in FIGURES.keys() - {"tradeoff"}:
        with pytest.raises(UsageError, match=f"no {name} to draw"):
            drawn(name, empty)


def test_a_png_is_the_svg_twice_as_large_with_its_words() -> None:
    pytest.importorskip("resvg_py")
    here, *_ = runs()
    run_ = RunReport(run=here, chosen=trade_off(runs(), here), past=history(runs(), here), failings=Failings())
    svg = drawn("tradeoff", run_)

    picture, wordless = png(svg), png(re.sub("<text.*?</text>", "", svg))

    assert struct.unpack(">II", picture[16:24]) == (2 * 760, 2 * 400)
    assert _ink(picture) > _ink(wordless)


def _ink(picture: bytes) -> int:
    """Count what is not white, without a library for pictures: the rows' bytes as they are filtered differ."""
    chunks, place = b"", 8
    while place < len(picture):
        (size,) = struct.unpack(">I", picture[place : place + 4])
        if picture[place + 4 : place + 8] == b"IDAT":
            chunks += picture[place + 8 : place + 8 + size]
        place += size + 12
    return len(zlib.compress(zlib.decompress(chunks)))
