"""What a terminal says of a pipeline's run."""

from io import StringIO

import pytest
from rich.console import Console

from chained import sample, several, summed
from evalh.core.run import PipelineSummary
from evalh.report.terminal.pipeline import show_pipeline


def printed(pipeline: PipelineSummary) -> list[str]:
    console = Console(width=140, record=True, file=StringIO())
    show_pipeline(console, pipeline)
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_each_step_has_a_line_and_each_kind_of_sample_a_share() -> None:
    lines = printed(summed([*several(GG_G=30, GG_B=5, GB_B=12, BG_G=3), sample("Bxx,B", 60)]))

    assert lines[0] == "step ran stopped good bad first bad here cost p50"
    assert "read 51 · 47 4 4 $0.051 10 ms" in lines
    assert "find 50 1 38 12 12 $1.00 20 ms" in lines
    assert "samples 30 clean 59 % · 3 recovered 6 % · 12 poisoned 24 % · 6 failed at the end 12 %" in lines
    assert "propagation 80.0 % [54.8, 93.0] 12 of 15 steps that read something bad were bad too" in lines
    assert "recovery 20.0 % [7.0, 45.2] 3 of 15 were still good" in lines


def test_money_spent_after_a_bad_step_is_shown_as_a_bound_with_what_it_would_lose() -> None:
    lines = printed(summed(several(GG_G=30, GB_B=12, BG_G=3)))

    assert (
        "after a bad step $4.56 spent in 15 samples: stopping there would save at most that and lose 3 good samples"
        in lines
    )


@pytest.mark.parametrize(
    ("letters", "why"),
    [
        (["BB-,B"], "2 of 2 steps that read something bad were bad too (too few cases for a rate)"),
        (["?B-,B", "?G-,G"], "(too many unknown samples for a rate)"),
    ],
)
def test_a_missing_rate_says_why(letters: list[str], why: str) -> None:
    assert why in " ".join(printed(summed([sample(one, case) for case, one in enumerate(letters)])))


def test_a_run_without_faults_has_no_lines_about_faults() -> None:
    text = " ".join(printed(summed(several(GG_G=12))))

    assert "propagation" not in text
    assert "after a bad step" not in text
