"""`--map`: which column of a file becomes what of a row."""

from collections.abc import Mapping, Sequence

from evalh.core.case import ABSENT
from evalh.core.errors import UsageError, did_you_mean
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.graders.paths import BadPath, JsonPath
from evalh.interop.foreign.transfer import Row

_HINT = "--map question=prompt,expected=answer,id=key,tags=topic"


class Mapped(Value, kw_only=True):
    """Where each part of a row comes from. `rest`: every other column is an input of its name."""

    inputs: Mapping[str, str] = {}
    expected: Mapping[str, str] = {}  # by its path below expected; "": all of it
    tags: tuple[str, ...] = ()
    id: str | None = None
    cluster: str | None = None
    rest: bool = False

    @classmethod
    def read(cls, stated: Sequence[str]) -> "Mapped":
        """Read `input=question,expected=answer`, stated once or more often. Raises UsageError."""
        inputs: dict[str, str] = {}
        expected: dict[str, str] = {}
        tags: list[str] = []
        own: dict[str, str] = {}
        for pair in (one.strip() for text in stated for one in text.split(",")):
            name, equals, column = (part.strip() for part in pair.partition("="))
            if not equals or not name or not column:
                raise UsageError(f"--map cannot be read: {pair!r}", hint=_HINT)
            target = own if name in ("id", "cluster") else expected if name.partition(".")[0] == "expected" else inputs
            key = name.partition(".")[2] if target is expected else name.removeprefix("inputs.")
            if name == "tags":
                tags.append(column)
            elif key in target:
                raise UsageError(f"--map names {name!r} twice", hint=_HINT)
            else:
                target[key] = column
        if "" in expected and len(expected) > 1:
            raise UsageError("--map names expected, and what is inside it", hint="one of the two")
        return cls(
            inputs=inputs,
            expected=expected,
            tags=tuple(tags),
            id=own.get("id"),
            cluster=own.get("cluster"),
            rest=not inputs,
        )

    @property
    def named(self) -> frozenset[str]:
        """The columns that are named."""
        single = (one for one in (self.id, self.cluster) if one is not None)
        return frozenset((*self.inputs.values(), *self.expected.values(), *self.tags, *single))

    def takes(self, column: str) -> bool:
        """Whether a column, or what is inside it, is named: then it is no input by itself."""
        return any(name == column or name.startswith((f"{column}.", f"{column}[")) for name in self.named)

    def check(self, columns: Sequence[str], first: Mapping[str, JsonValue]) -> None:
        """Raise UsageError for a column that the first row does not have."""
        for name in sorted(self.named):
            if name not in columns and value_at(first, name) is ABSENT:
                raise UsageError(f"no column {name!r}", hint=did_you_mean(name, columns))

    def row(self, record: Mapping[str, JsonValue]) -> Row:
        """Return a row without its id; what the record lacks is left out."""
        row: Row = {"inputs": self._inputs(record)}
        expected = {
            path: value for path, name in self.expected.items() if (value := value_at(record, name)) is not ABSENT
        }
        if expected:
            row["expected"] = expected[""] if "" in expected else _nested(expected)
        tags = [tag for name in self.tags for tag in _texts(value_at(record, name))]
        if tags:
            row["tags"] = list(dict.fromkeys(tags))
        if self.cluster is not None and (clusters := _texts(value_at(record, self.cluster))):
            row["cluster"] = clusters[0]
        return row

    def id_of(self, record: Mapping[str, JsonValue]) -> str | None:
        """Return the record's own id, as text."""
        texts = [] if self.id is None else _texts(value_at(record, self.id))
        return texts[0] if texts else None

    def _inputs(self, record: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        if self.rest:
            return {name: value for name, value in record.items() if not self.takes(name)}
        found = {name: value_at(record, column) for name, column in self.inputs.items()}
        return {name: value for name, value in found.items() if value is not ABSENT}


def guessed(columns: Sequence[str]) -> Mapped:
    """Return what columns mean by their names alone: id, expected, tags and cluster; all others are inputs."""

    def own(name: str) -> str | None:
        return name if name in columns else None

    expected = {"": "expected"} if "expected" in columns else {}
    tags = ("tags",) if "tags" in columns else ()
    return Mapped(expected=expected, tags=tags, id=own("id"), cluster=own("cluster"), rest=True)


def value_at(record: Mapping[str, JsonValue], name: str) -> JsonValue:
    """Return a column, or what stands at a path (`answers.text[0]`); ABSENT if there is neither."""
    if name in record:
        return record[name]
    try:
        return JsonPath.parse(name).find(record)
    except BadPath:
        return ABSENT


def _nested(expected: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    tree: dict[str, JsonValue] = {}
    for path, value in expected.items():
        *parents, last = path.split(".")
        place = tree
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    return tree


def _texts(value: JsonValue) -> list[str]:
    """Return a value as texts: of a list each of its items; nothing for what is empty."""
    listed = value if isinstance(value, list | tuple) else [value]
    texts = (one if isinstance(one, str) else _number(one) for one in listed)
    return [text for one in texts if (text := one.strip())]


def _number(value: JsonValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else ""
