"""What the columns of a file are for: as `--map` says, otherwise guessed by their names and by what all rows hold.

The order of the rows does not change a guess.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

from msgspec.structs import replace

from evalh.core.case import ABSENT
from evalh.core.errors import UsageError, did_you_mean
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.bodies import is_conversation
from evalh.interop.foreign.mapping import HISTORY, LIFTED, Columns, names_input, says, value_at
from evalh.interop.foreign.transfer import ColumnRole, OwnColumn, free_name, slug

LONGEST_ID = 200
_MOST_INPUTS = 200
_MOST_COLUMNS = 10_000
_LONGEST_NAME = 40
_FEW = 20  # different values of a column that may be labels
_ROWS_PER_LABEL = 5

_IDS = ("id", "caseid", "caseids", "uuid", "rowid", "exampleid")
_GOLD = (
    *("expected", "label", "labels", "gold", "groundtruth", "target", "ideal", "expectedoutput", "expectedanswer"),
    *("reference", "referenceoutput", "referenceanswer", "correctanswer", "goldlabel", "humanlabel"),
    *("category", "intent", "class", "answer", "solution", "output", "response", "completion"),
)
"""Names of the column with what is expected, the surest first: only one column is it."""
_OUTPUTS = ("output", "modeloutput", "modelanswer", "modelresponse", "llmoutput", "prediction", "completion")
"""Names of columns with what a model answered, where another column is what is expected."""


class InOrder:
    """Names in the order in which objects hold them, whichever object comes first."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self.counts: Counter[str] = Counter()

    def add(self, names: Iterable[str]) -> None:
        """Add the names of one object."""
        for place, name in enumerate(names):
            self._places[name] = max(place, self._places.get(name, 0))
            self.counts[name] += 1

    def names(self) -> list[str]:
        """Return all names."""
        return sorted(self._places, key=lambda name: (self._places[name], name))


class Survey:
    """What all rows say about the columns."""

    def __init__(self, stated: Sequence[OwnColumn], source: Path) -> None:
        self.rows = 0
        self.source = source
        self.order = InOrder()
        self._stated = stated
        self._missing = {one.name for one in stated}
        self._said: Counter[str] = Counter()
        self._ids: dict[str, set[str]] = {}
        self._few: dict[str, set[str] | None] = {}  # a column's values; None: too many, or too long, for labels
        self._talks = True

    def add(self, record: Mapping[str, JsonValue]) -> None:
        """Take one row into account. Raises UsageError for a file with too many columns."""
        self.rows += 1
        self.order.add(_names(record))
        for name in _names(record):
            value = value_at(record, name)
            self._said[name] += says(value, blank=True)
            if _bare(name) in _IDS and isinstance(value, str | int) and 0 < len(str(value).strip()) <= LONGEST_ID:
                self._ids.setdefault(name, set()).add(str(value).strip())
            self._note_value(name, value)
            if name.rpartition(".")[2] == HISTORY:
                self._talks = self._talks and is_conversation(value)
        self._missing = {name for name in self._missing if value_at(record, name) is ABSENT}
        if len(self.order.counts) > _MOST_COLUMNS:
            what = f"has more than {_MOST_COLUMNS:,} columns"
            raise UsageError(what, where=str(self.source), hint="each row needs the same keys")

    def _note_value(self, name: str, value: JsonValue) -> None:
        values = self._few.setdefault(name, set())
        if values is None or not says(value, blank=False):
            return
        values.add(str(value))
        if len(values) > _FEW or not isinstance(value, str | int) or len(str(value)) > _LONGEST_NAME:
            self._few[name] = None

    def like_labels(self, columns: Columns) -> list[tuple[str, int]]:
        """Return inputs that look like labels, and how many different values each has: few of them, often repeated."""
        counted = [(one.name, len(self._few.get(one.name) or ())) for one in columns.of(ColumnRole.INPUT)]
        return sorted((one for one in counted if 1 < one[1] <= self.rows / _ROWS_PER_LABEL), key=lambda one: one[1])

    def columns(self, models: Iterable[str] = ()) -> Columns:
        """Return what each column is for. `models`: names that a column's model cannot have. Raises UsageError."""
        stated = [self._found(one) for one in self._stated]
        taken = {one.name for one in stated}
        free = [
            name for name in self.order.names() if not any(one.startswith((f"{name}.", f"{name}[")) for one in taken)
        ]
        free = [name for name in free if name not in taken]
        guessed = self._guessed(free, {one.role for one in stated})
        lifted = any(_is_lifted(name) for name in self.order.counts)
        named = any(one.role is ColumnRole.INPUT for one in stated)
        by_name = {one.name: one for one in guessed}
        keys = {one.key for one in stated if one.role is ColumnRole.INPUT}
        for name in free:
            if name in by_name:
                continue
            if named or (lifted and not _is_lifted(name)) or not name or name.startswith("Unnamed:"):
                by_name[name] = OwnColumn(name, ColumnRole.SKIP)
            else:
                by_name[name] = OwnColumn(name, ColumnRole.INPUT, free_name(self._key(name), keys, "_"))
                keys.add(by_name[name].key)
        places = {name: place for place, name in enumerate(self.order.names())}
        listed = sorted([*stated, *by_name.values()], key=lambda one: places.get(one.name, len(places)))
        self._refuse([one for one in listed if one.role is ColumnRole.INPUT])
        return Columns(_with_models(listed, models))

    def lacking(self, columns: Columns) -> Iterator[tuple[OwnColumn, int]]:
        """Yield each input without a value in some rows, and in how many."""
        for one in columns.of(ColumnRole.INPUT):
            if one.name in self._said and self._said[one.name] < self.rows:
                yield one, self.rows - self._said[one.name]

    def _found(self, column: OwnColumn) -> OwnColumn:
        known = self.order.counts
        stripped = {name.strip(): name for name in known}
        for name in (column.name, *(f"{outer}.{column.name}" for outer in LIFTED)):
            if name in known or name in stripped:
                return replace(column, name=name if name in known else stripped[name])
        if column.name in self._missing:
            what = f"--map: there is no column {column.name!r}"
            raise UsageError(what, where=str(self.source), hint=did_you_mean(column.name, known))
        return column

    def _guessed(self, free: Sequence[str], have: set[ColumnRole]) -> list[OwnColumn]:
        """Guess by names what is not an input: each role once, but outputs and what is inside `expected`."""
        found: list[OwnColumn] = []
        others = ColumnRole.INPUT in have or any(map(_is_lifted, free))  # that are inputs
        left = sorted((name for name in free if not _is_lifted(name)), key=lambda name: (_bare(name) != name, name))

        def first(role: ColumnRole, words: Sequence[str], names: Sequence[str]) -> None:
            name = next((name for word in words for name in names if _bare(name) == word), None)
            if role not in have and name is not None:
                found.append(OwnColumn(name, role, guessed=True))
                left.remove(name)

        distinct = [name for name in left if len(self._ids.get(name, ())) == self.rows]
        first(ColumnRole.ID, _IDS, distinct or [name for name in left if _bare(name) == "id"])
        first(ColumnRole.TAGS, ("tags", "tag"), left)
        first(ColumnRole.CLUSTER, ("cluster",), left)
        inside = [name for name in left if name.startswith("expected.")]
        if ColumnRole.EXPECTED not in have and inside and "expected" not in left:
            found += [OwnColumn(name, ColumnRole.EXPECTED, name.partition(".")[2], guessed=True) for name in inside]
            left = [name for name in left if name not in inside]
        elif others or len(left) > 1:
            first(ColumnRole.EXPECTED, _GOLD, left)
        gold = ColumnRole.EXPECTED in have or any(one.role is ColumnRole.EXPECTED for one in found)
        if gold and ColumnRole.OUTPUT not in have:
            outputs = [OwnColumn(name, ColumnRole.OUTPUT, guessed=True) for name in left if _bare(name) in _OUTPUTS]
            found += outputs if others or len(outputs) < len(left) else []
        return found

    def _key(self, name: str) -> str:
        """Return the name of an input in a prompt: the column's own, if a prompt can say it."""
        inner = name.partition(".")[2] if _is_lifted(name) else name
        if inner == HISTORY:
            return HISTORY if self._talks else f"{HISTORY}_text"
        if names_input(inner) and len(inner) <= _LONGEST_NAME:
            return inner
        plain = identifier(inner) or "text"
        return plain if names_input(plain) and plain != HISTORY else f"{plain}_text"

    def _refuse(self, inputs: Sequence[OwnColumn]) -> None:
        where = str(self.source)
        name = next(iter(self.order.names()), "COLUMN")
        if not inputs:
            raise UsageError("no column is an input of the prompt", where=where, hint=f"--map text={name}")
        if len(inputs) > _MOST_INPUTS:
            what = f"has {len(inputs):,} columns that would be inputs of the prompt; at most {_MOST_INPUTS}"
            raise UsageError(what, where=where, hint=f"name those that the prompt needs: --map text={name}")


def identifier(name: str) -> str:
    """Return a name as a key of JSON: small letters, digits and _; "" if none is in it."""
    plain = slug(name.casefold(), _LONGEST_NAME).replace("-", "_")
    return plain if not plain or plain[0].isalpha() else f"c_{plain}"


def _with_models(columns: Sequence[OwnColumn], models: Iterable[str]) -> tuple[OwnColumn, ...]:
    """Name the model of each column of outputs, by the column if `--map` does not."""
    taken = set(models)
    named: list[OwnColumn] = []
    for one in columns:
        if one.role is ColumnRole.OUTPUT:
            key = free_name(one.key or slug(one.name) or "recorded", taken)
            taken.add(key)
            named.append(replace(one, key=key))
        else:
            named.append(one)
    return tuple(named)


def _names(record: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield the names of a row's columns; those of its inputs, where it holds them in an object, one by one."""
    for name, value in record.items():
        if name in LIFTED and isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in value)
        else:
            yield name


def _is_lifted(name: str) -> bool:
    return name.startswith(tuple(f"{outer}." for outer in LIFTED))


def _bare(name: str) -> str:
    return "".join(one for one in normalize("NFKC", name).casefold() if one.isascii() and one.isalnum())
