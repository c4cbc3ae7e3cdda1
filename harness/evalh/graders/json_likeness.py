"""How far one JSON value is like another: the leaves that fit, numbers within a tolerance, lists in any order."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, DecimalException
from typing import Literal

from msgspec import Struct

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.graders.compare import same

MOST_COMPARISONS = 200_000
"""Pairs of values beyond which two values are too much to compare: lists in any order compare each with each."""


class TooMuchError(ValueError):
    """The values are too large to compare."""


class Tolerance(Value):
    """How far numbers may differ: by `abs_tol`, or by `rel_tol` times the wanted one."""

    abs_tol: float = 0.0
    rel_tol: float = 0.0

    def close(self, got: Decimal, wanted: Decimal) -> bool:
        """Whether |got - wanted| <= max(abs_tol, rel_tol * |wanted|)."""
        if got == wanted or not (self.abs_tol or self.rel_tol):
            return got == wanted
        try:
            return abs(got - wanted) <= max(Decimal(str(self.abs_tol)), Decimal(str(self.rel_tol)) * abs(wanted))
        except DecimalException:  # an exponent past what decimals reach: far from anything
            return False

    def fits(self, got: JsonValue, wanted: JsonValue) -> bool:
        """Whether a value is the wanted one; numbers may be as far from it as is allowed."""
        if same(got, wanted) or not (_is_number(got) and _is_number(wanted)):
            return same(got, wanted)
        try:
            return self.close(Decimal(str(got)), Decimal(str(wanted)))
        except (DecimalException, ValueError):  # more digits than the interpreter writes
            return False


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Subset(Struct):
    """Counts the leaves of a wanted value that another one holds; keys that are not wanted are overlooked."""

    tolerance: Tolerance
    lists: Literal["ordered", "any_order"]
    missing: str | None = None  # the first place that does not fit
    _compared: int = 0

    def count(self, got: JsonValue, wanted: JsonValue, place: str = "") -> tuple[int, int]:
        """Return how many leaves fit, and how many there are. Raises TooMuchError."""
        self._compared += 1
        if self._compared > MOST_COMPARISONS:
            raise TooMuchError("too large to compare")
        if isinstance(wanted, Mapping) and wanted and isinstance(got, Mapping):
            return self._in_object(got, wanted, place)
        if isinstance(wanted, list) and isinstance(got, list):
            if wanted and self.lists == "any_order":
                return self._in_any_order(got, wanted, place)
            if self.lists == "ordered" and (wanted or got):
                return self._in_order(got, wanted, place)
            fits = True  # an empty list, of which any list holds all
        else:
            fits = isinstance(got, Mapping) if wanted == {} else self.tolerance.fits(got, wanted)
        return (leaves(wanted) if fits else self._miss(place), leaves(wanted))

    def _in_object(self, got: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue], place: str) -> tuple[int, int]:
        fit = of = 0
        for key, inner in wanted.items():
            there = f"{place}.{key}" if place else key
            some, all_of_them = self.count(got[key], inner, there) if key in got else (self._miss(there), leaves(inner))
            fit, of = fit + some, of + all_of_them
        return fit, of

    def _in_order(self, got: Sequence[JsonValue], wanted: Sequence[JsonValue], place: str) -> tuple[int, int]:
        fit = of = 0
        for number, inner in enumerate(wanted):
            there = f"{place}[{number}]"
            some, all_of_them = (
                self.count(got[number], inner, there) if number < len(got) else (self._miss(there), leaves(inner))
            )
            fit, of = fit + some, of + all_of_them
        if len(got) > len(wanted):  # one leaf that does not fit, however many there are
            self._miss(f"{place}[{len(wanted)}]")
            of += 1
        return fit, of

    def _in_any_order(self, got: Sequence[JsonValue], wanted: Sequence[JsonValue], place: str) -> tuple[int, int]:
        def holds(number: int, other: int) -> bool:
            before = self.missing
            fit, of = self.count(got[other], wanted[number])
            self.missing = before  # another pair may fit
            return fit == of

        found = pairs(len(wanted), len(got), holds)
        for number in range(len(wanted)):
            if number not in found:
                self._miss(f"{place}[{number}]")
        return sum(leaves(wanted[number]) for number in found), sum(map(leaves, wanted))

    def _miss(self, place: str) -> int:
        if self.missing is None:
            self.missing = place or "$"
        return 0


def leaves(value: JsonValue) -> int:
    """Count the values that hold no others; an empty list or object is one."""
    count, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        inside = one.values() if isinstance(one, Mapping) else one if isinstance(one, list) else ()
        if inside:
            waiting.extend(inside)
        else:
            count += 1
    return count


def pairs(wanted: int, got: int, fits: Callable[[int, int], bool]) -> dict[int, int]:
    """Pair as many of the wanted as possible with one each of the others (Kuhn's augmenting paths, without recursion).

    Raises TooMuchError beyond `MOST_COMPARISONS` pairs.
    """
    if wanted * got > MOST_COMPARISONS:
        raise TooMuchError(f"too large to compare: {wanted} items with {got}")
    edges = [[other for other in range(got) if fits(number, other)] for number in range(wanted)]
    owners: dict[int, int] = {}
    found: dict[int, int] = {}
    for number in range(wanted):
        came_from: dict[int, int] = {}
        waiting, free = [number], None
        while waiting and free is None:
            here = waiting.pop()
            for other in edges[here]:
                if other in came_from:
                    continue
                came_from[other] = here
                if other not in owners:
                    free = other
                    break
                waiting.append(owners[other])
        while free is not None:  # give each on the path its next one, back to where the path began
            owner = owners[free] = came_from[free]
            found[owner], free = free, found.get(owner)
    return found
