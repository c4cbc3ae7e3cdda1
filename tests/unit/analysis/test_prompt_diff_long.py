"""Differences of prompts that somebody made to be long: they end at once, and both sides can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.analysis.prompt_diff import Edit, Op, _edits
from hanging import ends


def sides(edits: list[Edit]) -> tuple[str, str]:
    return tuple("".join(one.text for one in edits if one.op is not op) for op in (Op.INSERT, Op.DELETE))  # type: ignore[return-value]


@pytest.mark.parametrize("lines", [3_000, 15_000, 60_000])
@pytest.mark.parametrize("mark", ["\n", " "])
def test_the_same_parts_again_and_again_are_compared_at_once(lines: int, mark: str) -> None:
    base, head = f"a{mark}b{mark}" * (lines // 2), f"x{mark}" + f"a{mark}c{mark}" * (lines // 2)
    with ends():  # cubic time would take an hour
        edits = _edits(base, head)

    assert sides(edits) == (base, head)


@given(st.lists(st.sampled_from("abcd"), max_size=400), st.lists(st.sampled_from("abce"), max_size=400))
def test_both_sides_can_be_read_back_whatever_their_length(base: list[str], head: list[str]) -> None:
    texts = "".join(f"{one}\n" for one in base), "".join(f"{one}\n" for one in head)

    assert sides(_edits(*texts)) == texts
