"""`dataclass` as the standard library has it, made in a fifth of the time.

`dataclasses` writes and compiles six functions for every class: at 150 classes that was 0.06 to 0.1 s before the first
request. Here the library finds the fields and makes the slots; of the functions only `__init__` is compiled, the others
are shared by all classes. `replace`, `fields`, `asdict` and the type checker see the library's own dataclasses.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        *, frozen: bool = False, slots: bool = True, kw_only: bool = False, eq: bool = True
    ) -> Callable[[type], type]:
        """Make a class of values; a subset of the library's words. Classes without slots are the library's to make."""
        if not slots:
            raise TypeError("values have slots")
        library = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)

        def make(cls: type) -> type:
            made = library(cls)
            own = fields(made)
            made.__init__ = _init(made, own, frozen=frozen)
            _add(made, "__repr__", _repr)
            if eq:
                made._compared = tuple(field.name for field in own if field.compare)  # noqa: SLF001 (our own mark)
                _add(made, "__eq__", _eq)
                # As the library has it: what changes and is compared by its values has no hash.
                _add(made, "__hash__", _hash if frozen else None)
            if frozen:
                made.__setattr__, made.__delattr__ = _setattr, _delattr
                made.__getstate__, made.__setstate__ = _getstate, _setstate
            return made

        return make


def _add(cls: type, name: str, function: object) -> None:
    if cls.__dict__.get(name) is None:  # what the class defines itself stays
        setattr(cls, name, function)


def _init(cls: type, own: tuple[Field[Any], ...], *, frozen: bool) -> Callable[..., None]:
    known: dict[str, Any] = {"_missing": MISSING}
    arguments = [field for field in own if field.init]
    named = [field for field in arguments if field.kw_only]
    head = [_parameter(field, known) for field in arguments if not field.kw_only]
    if named:
        head += ["*", *(_parameter(field, known) for field in named)]
    body = list(_assignments(cls, own, known, frozen=frozen))
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    source = f"def __init__(self, {', '.join(head)}):\n " + "\n ".join(body or ["pass"])
    exec(source, known)  # noqa: S102 (names are those of fields: as the library does it)
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _parameter(field: Field[Any], known: dict[str, Any]) -> str:
    if field.default is not MISSING:
        known[f"_default_{field.name}"] = field.default
        return f"{field.name}=_default_{field.name}"
    return field.name if field.default_factory is MISSING else f"{field.name}=_missing"


def _assignments(cls: type, own: tuple[Field[Any], ...], known: dict[str, Any], *, frozen: bool) -> Iterator[str]:
    for field in own:
        name = field.name
        value = name if field.init else f"_default_{name}"
        if field.default_factory is not MISSING:
            known[f"_factory_{name}"] = field.default_factory
            value = f"_factory_{name}() if {name} is _missing else {name}" if field.init else f"_factory_{name}()"
        elif not field.init:
            if field.default is MISSING:
                continue  # __post_init__ sets it
            known[value] = field.default
        if frozen:  # the slot's own door: __setattr__ is shut
            known[f"_set_{name}"] = getattr(cls, name).__set__
            yield f"_set_{name}(self, {value})"
        else:
            yield f"self.{name} = {value}"


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> Any:
    names = self._compared
    if other.__class__ is not self.__class__:
        return NotImplemented
    return all(getattr(self, name) == getattr(other, name) for name in names)


def _hash(self: Any) -> int:
    return hash(tuple([getattr(self, name) for name in self._compared]))


def _setattr(self: Any, name: str, value: object) -> NoReturn:  # noqa: ARG001 (Python's own shape)
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> NoReturn:  # noqa: ARG001 (Python's own shape)
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for field, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
