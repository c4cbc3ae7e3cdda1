"""What a suite of another program becomes: prompts, datasets, suites, models, and what is told of each part.

A reader of a format makes a `Transfer` of an `ImportRequest`; `layout` and `api.foreign` write it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from msgspec import Struct, field

from evalh.core.digest import digest
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

_PLACES = 20  # of equal items, listed by file:line; the others are counted
_SLUG = 48
_FROM_INPUT = 24
_DIGITS = 6

Row: TypeAlias = dict[str, JsonValue]
"""A row of a dataset: `id`, `inputs`, and any of `expected`, `tags`, `cluster`, `graders`, in this order."""


class Fidelity(StrEnum):
    """What became of a part of the source."""

    SAME = "same"  # the same verdict, or the same request, for every output
    NEAR = "near"  # differs in the way that is told
    NOT = "not"  # decides or changes something, and was left out
    NOTE = "note"  # decides nothing; worth knowing


class Subject(StrEnum):
    """What an item is about."""

    GRADER = "grader"
    PROMPT = "prompt"
    MODEL = "model"
    CASE = "case"
    OTHER = "other"


class Item(Value, kw_only=True):
    """One line of the proof sheet. Equal items are one, with their places."""

    where: tuple[str, ...]  # file:line, the first 20
    what: str
    subject: Subject
    status: Fidelity
    why: str | None  # needed unless `same`
    do: str | None  # what a person can do about it
    count: int


class ProofSheet:
    """Collects items; those that say the same are one item with several places."""

    def __init__(self) -> None:
        self._places: dict[tuple[Subject, str, Fidelity, str | None, str | None], list[str]] = {}
        self._counts: Counter[tuple[Subject, str, Fidelity, str | None, str | None]] = Counter()

    def add(
        self,
        status: Fidelity,
        where: str,
        what: str,
        why: str | None = None,
        *,
        subject: Subject = Subject.OTHER,
        do: str | None = None,
    ) -> None:
        """Tell of one part. `what`: in the source's own words; `why`: needed unless it is `same`."""
        key = (subject, what, status, why, do)
        places = self._places.setdefault(key, [])
        if len(places) < _PLACES and where not in places:
            places.append(where)
        self._counts[key] += 1

    def items(self) -> tuple[Item, ...]:
        """Return what was told, what was lost first."""
        order = (Fidelity.NOT, Fidelity.NEAR, Fidelity.NOTE, Fidelity.SAME)
        found = [
            Item(
                where=tuple(places),
                what=what,
                subject=subject,
                status=status,
                why=why,
                do=do,
                count=self._counts[subject, what, status, why, do],
            )
            for (subject, what, status, why, do), places in self._places.items()
        ]
        return tuple(sorted(found, key=lambda item: order.index(item.status)))

    def count(self, subject: Subject) -> dict[str, int]:
        """Return how many parts of this kind are the same, near, and not there."""
        counts = dict.fromkeys((Fidelity.SAME.value, Fidelity.NEAR.value, Fidelity.NOT.value), 0)
        for (about, _, status, _, _), number in self._counts.items():
            if about is subject and status in counts:
                counts[status.value] += number
        return counts


class ColumnRole(StrEnum):
    """What a column is for."""

    ID = "id"
    INPUT = "input"
    EXPECTED = "expected"
    TAGS = "tags"
    CLUSTER = "cluster"
    OUTPUT = "output"
    SKIP = "skip"


class OwnColumn(Value):
    """One column, or a path into one: its name in the file, and what it is for."""

    name: str
    role: ColumnRole
    key: str = ""  # of an input its name, of what is expected its path there, of an output its model
    guessed: bool = False  # by its name


class NewVersion(Value):
    """A version to be written: what stands between the `---` lines, and the body below them."""

    body: str
    front: Mapping[str, JsonValue] = {}


class NewDataset(Value):
    """A dataset to be written. `rows` may be an iterator: they are written as they come."""

    name: str
    rows: Iterable[Row]


class Transfer(Struct, kw_only=True):
    """All that is to be written, and what is told of it."""

    sheet: ProofSheet
    columns: tuple[OwnColumn, ...] = ()  # of rows that anybody wrote
    prompts: dict[str, list[NewVersion]] = field(default_factory=dict)  # by name; v1 first
    datasets: list[NewDataset] = field(default_factory=list)
    suites: dict[str, dict[str, JsonValue]] = field(default_factory=dict)  # by name: the file's content
    models: dict[str, dict[str, JsonValue]] = field(default_factory=dict)  # by name: the table's content
    recordings: dict[str, Iterable[Row]] = field(default_factory=dict)  # by path; the rows of `replay`
    files: dict[str, bytes] = field(default_factory=dict)  # code and media that are kept, by path in the workspace


class ImportRequest(Value, kw_only=True):
    """What the user asked for."""

    source: Path
    into: Path  # the workspace's root; what lies below it already is named in place and not copied
    name: str | None  # of what is written, instead of the source's
    allow_code: bool  # whether programs of the source may be kept as graders and providers
    taken: frozenset[str]  # models and routes that the workspace has already
    mapping: tuple[str, ...] = ()  # of `rows`: what --map says
    engine: Path | None = None  # of promptfoo: Nunjucks, to compare what is rendered with
    data_only: bool = False  # no first prompt and suite for what is data alone


class SuiteReader(Protocol):
    """Reads one format."""

    def __call__(self, request: ImportRequest) -> Transfer:
        """Read the source. Raises EvalhError where it cannot be read at all."""


def slug(text: str, longest: int = _SLUG) -> str:
    """Return a name made of a text: letters and digits of ASCII, with hyphens; "" if there are none in it."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()[: 20 * longest]).strip("-")[:longest].strip("-")


def free_name(wanted: str, taken: Iterable[str], joint: str = "-") -> str:
    """Return the name, or `name-2` … if it is taken."""
    names = set(taken)
    number, name = 1, wanted
    while name in names:
        number += 1
        name = f"{wanted}{joint}{number}"
    return name


class CaseIds:
    """Gives each row an id that does not depend on its place: a row that is inserted moves no other."""

    def __init__(self, sheet: ProofSheet) -> None:
        self._used: set[str] = set()
        self._next: dict[str, int] = {}
        self._sheet = sheet

    def of(self, row: Row, where: str, *, own: str | None = None, about: str | None = None) -> str:
        """Return an id: the source's own, else of the description, else of the first text and the row's digest."""
        wanted = (own or "").strip() or slug(about or "") or self.of_content(row)
        if wanted not in self._used:
            self._used.add(wanted)
            return wanted
        number = self._next.get(wanted, 1) + 1
        while (name := f"{wanted}-{number}") in self._used:
            number += 1
        self._next[wanted] = number
        self._used.add(name)
        why = "the source has the same id or description several times: from the second row on, a number is added to it"
        do = "give each case an id of its own; if such rows are alike: --map cluster=COLUMN"
        self._sheet.add(Fidelity.NOTE, where, "ids", why, subject=Subject.CASE, do=do)
        return name

    @staticmethod
    def of_content(row: Row) -> str:
        """Return an id made of what the row holds."""
        inputs = row.get("inputs")
        texts = (value for value in inputs.values() if isinstance(value, str)) if isinstance(inputs, Mapping) else ()
        begin = next((name for text in texts if (name := slug(text, _FROM_INPUT))), "case")
        content = {key: value for key, value in row.items() if key != "id"}
        return f"{begin}-{digest(content).removeprefix('sha256:')[:_DIGITS]}"
