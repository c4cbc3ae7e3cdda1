"""Our `dataclass` and the library's make classes that behave alike."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest

from evalh.core import values

Make = Callable[..., Callable[[type], type]]
BOTH = pytest.mark.parametrize("make", [values.dataclass, dataclasses.dataclass], ids=["ours", "library"])


def point(make: Make, **words: Any) -> Any:
    @make(slots=True, **words)
    class Point:
        """A point."""

        x: int
        name: str = field(default="p", compare=False)
        parts: list[int] = field(default_factory=list, repr=False)
        twice: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "twice", 2 * self.x)

    return Point


@values.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Can be found by pickle."""

    x: int
    y: int = 2


@BOTH
@pytest.mark.parametrize("words", [{}, {"frozen": True}, {"kw_only": True, "frozen": True}, {"eq": False}])
def test_values_are_made_shown_and_compared_alike(make: Make, words: dict[str, Any]) -> None:
    cls = point(make, **words)

    one, other = cls(x=1, name="a"), cls(x=1, name="b")

    assert repr(one).endswith("Point(x=1, name='a', twice=2)")
    assert (one == other) is words.get("eq", True)
    assert one != cls(x=2)
    assert one != (1, "a", [], 2)
    assert one.parts is not other.parts
    assert dataclasses.replace(one, x=5).twice == 10
    assert dataclasses.asdict(one) == {"x": 1, "name": "a", "parts": [], "twice": 2}
    assert not hasattr(one, "__dict__")
    assert cls.__match_args__ == (() if words.get("kw_only") else ("x", "name", "parts"))
    kind = inspect.Parameter.KEYWORD_ONLY if words.get("kw_only") else inspect.Parameter.POSITIONAL_OR_KEYWORD
    found = list(inspect.signature(cls).parameters.values())
    assert [(parameter.name, parameter.kind) for parameter in found] == [
        (name, kind) for name in ("x", "name", "parts")
    ]


@BOTH
def test_a_frozen_value_is_frozen_and_has_the_hash_of_its_fields(make: Make) -> None:
    @make(frozen=True, slots=True)
    class Pair:
        """A pair."""

        x: int
        y: int = 2

    one = Pair(1)  # type: ignore[call-arg]

    assert hash(one) == hash(Pair(1, 2))  # type: ignore[call-arg]
    assert hash(one) != hash(Pair(1, 3))  # type: ignore[call-arg]
    assert copy.copy(one) == copy.deepcopy(one) == one
    for change in (lambda: setattr(one, "x", 3), lambda: delattr(one, "x")):
        with pytest.raises(AttributeError):
            change()
    with pytest.raises(TypeError, match="x"):
        Pair()
    with pytest.raises(TypeError, match=r"(?i)unexpected keyword"):
        Pair(1, z=3)  # type: ignore[call-arg]


@BOTH
def test_what_changes_has_no_hash_and_own_methods_stay(make: Make) -> None:
    @make(slots=True)
    class Counter:
        """A counter."""

        x: int

        def __repr__(self) -> str:
            return "mine"

    one = Counter(1)  # type: ignore[call-arg]
    one.x = 2  # type: ignore[attr-defined]

    assert repr(one) == "mine"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@BOTH
def test_a_class_inherits_its_parents_fields(make: Make) -> None:
    @make(frozen=True, slots=True)
    class Parent:
        """Has one."""

        x: int

    @make(frozen=True, slots=True)
    class Child(Parent):
        """Has two."""

        y: int = 5

    assert repr(Child(1)).endswith("Child(x=1, y=5)")  # type: ignore[call-arg]
    assert Child(1) != Parent(1)  # type: ignore[call-arg]


def test_a_value_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Kept(x=1))) == Kept(x=1)


def test_fields_are_told_with_their_defaults_and_whatever_their_types_are_named() -> None:
    @values.dataclass(frozen=True, slots=True, kw_only=True)
    class Named:
        """Its type is known to the type checker alone."""

        here: "Nowhere"  # type: ignore[name-defined]  # noqa: F821
        one: int = 1
        many: list[int] = field(default_factory=list)
        plain: str = field(default="p")

    told = {one.name: (one.default, one.default_factory) for one in dataclasses.fields(Named)}

    missing = dataclasses.MISSING
    assert told == {
        "here": (missing, missing), "one": (1, missing), "many": (missing, list), "plain": ("p", missing)
    }  # fmt: skip
    assert dataclasses.replace(Named(here=0), one=5) == Named(here=0, one=5)


def test_a_child_of_a_frozen_value_is_frozen() -> None:
    with pytest.raises(TypeError, match="as frozen as its parent"):

        @values.dataclass(slots=True)
        class Child(Kept):
            """May not be changed."""
