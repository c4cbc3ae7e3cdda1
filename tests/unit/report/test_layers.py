"""Where the boxes of a graph stand, for any graph."""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from evalh.report.charts.layers import Sizes, lay_out

SIZES = Sizes(box=100.0, line=10.0, gap=20.0)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    names = [f"s{number}" for number in range(draw(st.integers(1, 12)))]
    return {
        name: draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=4)) if place else []
        for place, name in enumerate(names)
    }


@given(graphs())
def test_nothing_overlaps_and_every_line_leads_on(reads: dict[str, list[str]]) -> None:
    found = lay_out(reads, SIZES)

    taken: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for layer, middle in found.places.values():
        taken[layer].append((middle - SIZES.box / 2, middle + SIZES.box / 2))
    for name, parents in reads.items():
        for parent in parents:
            bends = found.bends.get((parent, name), ())
            (first, _), (last, _) = found.places[parent], found.places[name]
            assert [layer for layer, _ in bends] == [*range(first + 1, last)]
            for layer, middle in bends:
                taken[layer].append((middle - SIZES.line / 2, middle + SIZES.line / 2))
    for spans in taken.values():
        for (_, end), (start, _) in pairwise(sorted(spans)):
            assert start - end >= SIZES.gap - 1e-6
        assert min(start for start, _ in spans) >= -1e-6
        assert max(end for _, end in spans) <= found.breadth + 1e-6
    assert {*taken} == {*range(found.layers)}


def test_a_chain_is_straight_and_what_runs_at_the_same_time_stands_side_by_side() -> None:
    chain = lay_out({"a": [], "b": ["a"], "c": ["b"]}, SIZES)
    fork = lay_out({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}, SIZES)

    assert chain.places == {"a": (0, 50.0), "b": (1, 50.0), "c": (2, 50.0)}
    assert fork.places == {"a": (0, 110.0), "b": (1, 50.0), "c": (1, 170.0), "d": (2, 110.0)}


def test_lines_do_not_cross_where_they_need_not() -> None:
    found = lay_out({"a": [], "b": [], "over": ["b"], "under": ["a"]}, SIZES).places

    assert (found["a"][1] < found["b"][1]) is (found["under"][1] < found["over"][1])
