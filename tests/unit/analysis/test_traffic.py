"""How samples went through a pipeline, and what was handed on."""

import pytest

from chained import CHAIN, sample
from evalh.analysis.traffic import RESULT, Handover, Traffic
from evalh.core.attempt import Latency
from evalh.core.log import SampleRow
from evalh.core.sample import Sample, SampleWord, Standing, StepGrade, StepState


def logged(one: Sample) -> SampleRow:
    """Return a sample as the log gives it back."""
    return SampleRow(
        id=f"r/{one.case.id}/0",
        run_id="r",
        case_id=one.case.id,
        case_digest="",
        case_index=one.case_index,
        trial=one.trial,
        standing=one.standing,
        call_id=one.call_id,
        answered_by=None,
        cache_hit=False,
        cost_usd=None,
        cached_cost_usd=None,
        judge_cost_usd=None,
        attempts=0,
        latency=Latency(1.0, 0.0, 0.0),
        finish=None,
        error_kind=None,
        error=None,
        output_digest=None,
        verdicts=(),
        steps=one.steps,
        story=one.story,
    )


def travelled(*letters: str) -> Traffic:
    traffic = Traffic(CHAIN.parents, CHAIN.outputs)
    for case, one in enumerate(letters):
        traffic.add(logged(sample(one, case)))
    return traffic


@pytest.mark.parametrize(
    ("letters", "lines"),
    [
        ("GG-,G", [(1, 0), (1, 0), (1, 0)]),
        ("GB-,B", [(1, 0), (1, 1), (1, 1)]),
        ("BG-,G", [(1, 1), (1, 0), (1, 0)]),  # what is mended is clean from there on
        ("B-G,G", [(1, 1), (1, 1), (1, 0)]),  # what has no grade hands on what it was handed
        ("BBB,G", [(1, 1), (1, 1), (1, 1)]),  # bad step, good result: the line is bad, the result is not
        ("dB-,B", [(1, 0), (1, 1), (1, 1)]),  # a double is not judged
        ("Bxx,B", [(0, 0), (0, 0), (0, 0)]),
        ("Gfx,?", [(1, 0), (0, 0), (0, 0)]),  # what failed was asked, and gave nothing
        ("G?-,?", [(1, 0), (1, 0), (1, 0)]),  # unknown is not bad
    ],
)
def test_a_line_counts_its_samples_and_the_bad_ones(letters: str, lines: list[tuple[int, int]]) -> None:
    found = travelled(letters).lines

    handovers = [Handover("read", "find"), Handover("find", "reply"), Handover("reply", RESULT)]
    assert [(found[one].samples, found[one].bad) for one in handovers] == lines


def test_steps_kinds_and_results_are_counted() -> None:
    traffic = travelled("GG-,G", "GG-,G", "GB-,B", "Bxx,B", "G?-,?")

    assert traffic.samples == 5
    assert traffic.words == {
        SampleWord.CLEAN: 2,
        SampleWord.POISONED: 1,
        SampleWord.FAILED_AT_END: 1,
        SampleWord.NOT_KNOWN: 1,
    }
    assert traffic.states("find") == {StepState.RAN: 4, StepState.STOPPED: 1}
    assert traffic.grades("find") == {StepGrade.GOOD: 2, StepGrade.BAD: 1, StepGrade.UNKNOWN: 1}
    assert traffic.first_bad == {"find": 1, "read": 1}
    assert traffic.standings == {Standing.GOOD: 2, Standing.BAD: 1, Standing.UNGRADED: 1}
