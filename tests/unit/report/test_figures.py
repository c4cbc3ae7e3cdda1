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
from evalh.core.run import RunStatus
from evalh.report.charts.figures import FIGURES, drawn, figure_of, png
from evalh.report.charts.history import history_chart
from evalh.report.html.sections import spread
from evalh.report.text import fine_milliseconds, tokens
from evalh.report.words import RunReport
from unit.report.test_tradeoff import run


def at(row: RunRow, commit: str, started_at: float) -> RunRow:
    return replace(row, record=replace(row.record, commit=commit, dirty=False, started_at=started_at))


def edited(row: RunRow, content: str) -> RunRow:
    """Give a run another prompt under the same name, as an edited draft has it."""
    prints = replace(row.record.fingerprint, prompt=content)
    return replace(row, record=replace(row.record, fingerprint=prints))


def replayed(row: RunRow) -> RunRow:
    """Let the log have answered everything."""
    assert row.summary is not None
    return replace(row, summary=replace(row.summary, cache_hits=row.summary.calls))


def runs() -> list[RunRow]:
    """Newest first: v2 with two contents, v1 with one, on two models."""
    return [
        at(edited(run("v2", 80, 0.002), "edited"), "bbbbbbbbbb", 4.0),
        at(run("v2", 95, 0.02, model="strong"), "aaaaaaaaaa", 3.0),
        at(run("v2", 70, 0.001), "aaaaaaaaaa", 2.0),
        at(run("v1", 50, 0.001), "aaaaaaaaaa", 1.0),
    ]


def test_history_is_by_content_and_model_oldest_first() -> None:
    newest, *older = runs()
    again = at(run("v1", 40, 0.001), "aaaaaaaaaa", 0.5)
    elsewhere = at(run("v1", 99, 0.001, graders="other"), "aaaaaaaaaa", 0.6)
    stopped = replace(at(run("v7", 99, 0.001), "aaaaaaaaaa", 0.7), status=RunStatus.INTERRUPTED)

    past = history([newest, *older, again, elsewhere, stopped], newest)

    assert [(one.version, one.commit, one.record.model, one.summary.good) for one in past.moments] == [
        ("v1", "aaaaaaa", "small", 50),
        ("v2", "aaaaaaa", "small", 70),
        ("v2", "aaaaaaa", "strong", 95),
        ("v2", "bbbbbbb", "small", 80),
    ]
    assert (past.repeated, past.moments[-1].here) == (1, True)


def test_a_replay_moves_no_point_and_the_newest_measurement_stands() -> None:
    measured, earlier = at(run("v1", 50, 0.001), "a" * 10, 2.0), at(run("v1", 50, 0.001), "9" * 10, 1.0)
    replay = replayed(at(run("v1", 50, 0.001), "b" * 10, 9.0))
    other = at(run("v2", 60, 0.001), "a" * 10, 3.0)

    past = history([replay, other, measured, earlier], replay)

    assert [(one.version, one.commit, one.record.started_at, one.here) for one in past.moments] == [
        ("v1", "aaaaaaa", 2.0, True),
        ("v2", "aaaaaaa", 3.0, False),
    ]
    assert past.repeated == 2


def test_a_run_that_was_not_complete_is_no_point_even_if_it_is_the_readers() -> None:
    stopped = replace(at(run("v1", 99, 0.001), "a" * 10, 2.0), status=RunStatus.INTERRUPTED)
    whole = at(run("v2", 60, 0.001), "a" * 10, 1.0)

    assert [one.version for one in history([stopped, whole], stopped).moments] == ["v2"]
    assert [one.version for one in trade_off([stopped, whole], stopped).points] == ["v2"]


def test_two_contents_of_one_version_at_one_commit_have_names_of_their_own() -> None:
    drafts = [at(edited(run("draft", 50 + n, 0.001), f"content {n}"), "a" * 10, n) for n in range(3)]

    past = history(drafts, drafts[0])
    points = trade_off(drafts, drafts[0]).points

    assert len({(one.version, one.mark) for one in past.moments}) == 3
    assert len({point.label for point in points}) == 3
    assert all(point.label.startswith("draft on small (") for point in points)


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


@pytest.mark.parametrize(
    "latencies", [(0.00007, 0.0004), (0.02, 0.4), (0.3, 8.0), (1.0, 3.0), (2.0, 900.0), (9e3, 4e6)]
)
def test_the_ticks_of_latencies_all_differ_and_none_reads_zero(latencies: tuple[float, float]) -> None:
    drawn = spread(latencies, "latency", fine_milliseconds) or ""

    ticks = re.findall(r'class="tick middle">([^<]+)<', drawn)
    assert len(ticks) > 1
    assert len({*ticks}) == len(ticks)
    assert not any(tick.startswith("0 ") or "e" in tick for tick in ticks)


def test_the_ticks_of_few_tokens_all_differ() -> None:
    drawn = spread([1, 2, 3], "output tokens", tokens) or ""

    ticks = re.findall(r'class="tick middle">([^<]+)<', drawn)
    assert ticks == ["1", "1.5", "2", "3"]
