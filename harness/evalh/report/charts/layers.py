"""Where the boxes of a graph stand: in layers by what each one reads, close to those that it is joined to.

The layered drawing of Sugiyama, Tagawa and Toda (1981). Longest paths give the layers. What a line passes between its
ends is a place of its own, so that no line crosses a box. The order in a layer follows the mean of the neighbours, and
places across it are as close to that mean, in least squares, as the distances allow.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import TypeAlias

from evalh.core.values import Value

_SWEEPS = 8

Joined: TypeAlias = tuple[str, str]  # a box, and one that reads it


class Spot(Value):
    """A box, or the place in a layer that a line passes."""

    layer: int
    name: str = ""
    passing: Joined | None = None  # None: a box


class Sizes(Value, kw_only=True):
    """How broad a box is across its layer, how broad a line that passes, and what is between them."""

    box: float
    line: float
    gap: float

    def of(self, spot: Spot) -> float:
        """Return how broad it is."""
        return self.box if spot.passing is None else self.line


class Layers(Value):
    """A finished layout. Places across begin at 0."""

    places: Mapping[str, tuple[int, float]]  # by box: its layer, and its middle across
    bends: Mapping[Joined, Sequence[tuple[int, float]]]  # what a line passes, layer by layer
    layers: int
    breadth: float


class _Layering:
    """The layers under way: what stands in each, in order, and what it is joined to."""

    def __init__(self, reads: Mapping[str, Sequence[str]]) -> None:
        layer: dict[str, int] = {}
        self.joined: dict[Spot, list[Spot]] = defaultdict(list)
        for name, parents in reads.items():
            layer[name] = max((layer[one] + 1 for one in parents), default=0)
        self.rows: list[list[Spot]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
        for name, parents in reads.items():
            self.rows[layer[name]].append(Spot(layer[name], name))
            for parent in parents:
                passed = [Spot(at, "", (parent, name)) for at in range(layer[parent] + 1, layer[name])]
                for spot in passed:
                    self.rows[spot.layer].append(spot)
                for one, other in pairwise([Spot(layer[parent], parent), *passed, Spot(layer[name], name)]):
                    self.joined[one].append(other)
                    self.joined[other].append(one)

    def order(self) -> None:
        """Sort each layer by where the neighbours on one side stand, forwards and backwards in turn."""
        place = {spot: (at + 0.5) / len(row) for row in self.rows for at, spot in enumerate(row)}
        for sweep in range(_SWEEPS):
            forwards = sweep % 2 == 0
            for row in self.rows if forwards else reversed(self.rows):
                means = {}
                for spot in row:
                    near = [place[one] for one in self.joined[spot] if (one.layer < spot.layer) is forwards]
                    means[spot] = fmean(near) if near else place[spot]
                row.sort(key=means.__getitem__)
                place |= {spot: (at + 0.5) / len(row) for at, spot in enumerate(row)}

    def spread(self, sizes: Sizes) -> dict[Spot, float]:
        """Return where everything stands across its layer."""
        across = dict.fromkeys((spot for row in self.rows for spot in row), 0.0)
        for _ in range(_SWEEPS):
            for row in (*self.rows, *reversed(self.rows)):
                wanted = [fmean([across[one] for one in self.joined[spot]] or [across[spot]]) for spot in row]
                apart = [(sizes.of(one) + sizes.of(other)) / 2 + sizes.gap for one, other in pairwise(row)]
                across |= zip(row, _kept_apart(wanted, apart), strict=True)
        return across


def lay_out(reads: Mapping[str, Sequence[str]], sizes: Sizes) -> Layers:
    """Lay out a graph; `reads` has each box after all that it reads."""
    rows = _Layering(reads)
    rows.order()
    across = rows.spread(sizes)
    low = min((at - sizes.of(spot) / 2 for spot, at in across.items()), default=0.0)
    high = max((at + sizes.of(spot) / 2 for spot, at in across.items()), default=0.0)
    places: dict[str, tuple[int, float]] = {}
    bends: dict[Joined, list[tuple[int, float]]] = defaultdict(list)
    for spot, at in across.items():
        if spot.passing is None:
            places[spot.name] = spot.layer, at - low
        else:
            bends[spot.passing].append((spot.layer, at - low))
    return Layers(places, bends, len(rows.rows), high - low)


def _kept_apart(wanted: Sequence[float], apart: Sequence[float]) -> list[float]:
    """Return the places closest to the wanted ones that keep these distances: pool adjacent violators."""
    offsets = [0.0]
    for distance in apart:
        offsets.append(offsets[-1] + distance)
    pools: list[list[float]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        pools.append([want - offset])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    levels = [fmean(pool) for pool in pools for _ in pool]
    return [level + offset for level, offset in zip(levels, offsets, strict=True)]
