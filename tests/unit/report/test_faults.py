"""What a terminal says of a pipeline's faults."""

from io import StringIO

import pytest
from rich.console import Console

from chained import sample, several, summed
from evalh.core.run import PipelineSummary
from evalh.report.terminal.faults import show_faults


def printed(pipeline: PipelineSummary) -> list[str]:
    console = Console(width=100, record=True, file=StringIO())
    show_faults(console, pipeline)
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_each_step_has_a_line_and_each_kind_of_sample_a_share() -> None:
    lines = printed(summed([*several(GG_G=30, GG_B=5, GB_B=12, BG_G=3), sample("Bxx,B", 60)]))

    assert lines[0] == "step ran stopped good bad first bad cost p50"
    assert "read 51 · 47 4 4 $0.051 10 ms" in lines
    assert "find 50 1 38 12 12 $1.00 20 ms" in lines
    assert "samples 58.8 % clean 30" in lines
    assert "5.9 % recovered 3" in lines
    assert "23.5 % poisoned 12" in lines
    assert "11.8 % failed at the end 6" in lines
    assert "propagation 80.0 % [54.8, 93.0] 12 of 15 steps that read a bad output are bad" in lines
    assert "recovery 20.0 % [7.0, 45.2] 3 of 15 are good" in lines


def test_what_was_spent_too_late_is_a_bound_that_names_its_price() -> None:
    text = " ".join(printed(summed(several(GG_G=30, GB_B=12, BG_G=3))))

    assert (
        "$4.56 behind a bad step, in 15 samples: a bound on what stopping there saves; it loses 3 good outputs" in text
    )


@pytest.mark.parametrize(
    ("letters", "why"),
    [
        ("BB-,B", "2 of 2 (too few cases for a rate)"),
        ("?B-,B", "1 of 1 (too many samples are not known for a rate)"),
    ],
)
def test_a_rate_that_is_none_says_why(letters: str, why: str) -> None:
    text = " ".join(printed(summed([sample(letters, 0)] + ([sample("?G-,G", 1)] if "?" in letters else []))))

    assert f"propagation {why}" in text


def test_nothing_behind_a_bad_step_is_nothing_spent() -> None:
    assert "spent too late nothing behind a bad step" in printed(summed(several(GG_G=12)))
