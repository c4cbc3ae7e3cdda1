"""`dataclass` as the standard library has it, made by msgspec.

`dataclasses` writes and compiles six functions for every class, 0.7 ms, and a run knows 200 classes before its first
request. A `msgspec.Struct` takes a twentieth of that, and its values are made, compared and hashed in C. What it has no
word for (`init=False`, `repr=False`, `compare=False`) is made here with one compiled function instead of six.
`replace`, `fields`, `asdict` and the type checker see the library's own dataclasses either way.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

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
            if issubclass(cls, msgspec.Struct):  # its parent made it one
                if cls.__struct_config__.frozen != frozen or any(
                    isinstance(one, Field) for one in cls.__struct_defaults__
                ):
                    raise TypeError("a child is as frozen as its parent, and has plain defaults")
                cls.__dataclass_fields__ = _Fields()
                return cls
            if _is_plain(cls):
                return _struct(cls, frozen=frozen, kw_only=kw_only, eq=eq)
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


class _Fields:
    """The fields of a struct as `dataclasses` keeps them, made when it first asks."""

    def __get__(self, _: object, cls: Any) -> dict[str, Field[Any]]:
        names, defaults = cls.__struct_fields__, cls.__struct_defaults__
        first = len(names) - len(defaults)  # those before it have none
        likeness = [
            (name, Any, _field(defaults[at - first]) if at >= first else dataclasses.field())
            for at, name in enumerate(names)
        ]
        made: Any = dataclasses.make_dataclass(cls.__name__, likeness, kw_only=True)
        known: dict[str, Field[Any]] = made.__dataclass_fields__
        cls.__dataclass_fields__ = known
        return known


def _field(default: Any) -> Any:
    if default is msgspec.NODEFAULT:
        return dataclasses.field()
    if type(default).__name__ == "Factory":
        return dataclasses.field(default_factory=default.factory)
    return dataclasses.field(default=default)


def _is_plain(cls: type) -> bool:
    own = (value for value in cls.__dict__.values() if isinstance(value, Field))
    return all(field.init and field.repr and field.compare for field in own)


def _struct(cls: type, **options: bool) -> type:
    body = {name: value for name, value in cls.__dict__.items() if name not in {"__dict__", "__weakref__"}}
    for name, value in body.items():
        if isinstance(value, Field):
            factory: Any = value.default_factory
            body[name] = value.default if factory is MISSING else msgspec.field(default_factory=factory)
    body |= {"__qualname__": cls.__qualname__, "__dataclass_fields__": _Fields()}
    kind: Any = type(msgspec.Struct)
    made: type = kind(cls.__name__, (msgspec.Struct,), body, **options)
    return made


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
