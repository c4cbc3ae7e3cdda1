"""JSON paths: `label`, `order.id`, `items[0].name`, `items[-1]`, `["a.b"].c`, and `$` for the whole value.

A path names one place, so it finds one value or none. `Places` may hold `[*]` too: `items[*].id`. There are no filters.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from evalh.core.case import ABSENT, Absent
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.graders.quoting import shown

_STEP = re.compile(
    r"""\.?(?P<name>[^.\[\]"'\s][^.\[\]"']*)"""  # a bare name; the dot before the first is optional
    r"""|\[(?P<index>-?[0-9]{1,9})\]"""
    r"""|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]"""  # as JSON writes a string
    r"""|\['(?P<plain>[^']*)'\]"""
)
_ROOT = re.compile(r"\$(?=$|[.\[])")


class BadPath(ValueError):
    """The text is not a path; the message says at which character."""


class JsonPath(Value):
    """A compiled path. `str()` is what the user wrote."""

    text: str
    steps: tuple[str | int, ...]

    @classmethod
    def parse(cls, text: str) -> "JsonPath":
        """Compile a path. Raises BadPath."""
        root = _ROOT.match(text)
        place = root.end() if root else 0
        if not text:
            raise BadPath("an empty path names nothing: write $ for the whole value")
        steps: list[str | int] = []
        while place < len(text):
            found = _STEP.match(text, place)
            dot_missing = found and found["name"] and steps and text[place] != "."
            if found is None or dot_missing or (not steps and not root and text[place] == "."):
                raise BadPath(
                    f"path {text!r} cannot be read at character {place + 1}: "
                    'write order.id, items[0].name, items[-1] or ["a.b"]'
                )
            steps.append(_step(found))
            place = found.end()
        return cls(text, tuple(steps))

    def find(self, value: JsonValue) -> JsonValue | Literal[Absent.ABSENT]:
        """Return what stands at the path; `core.case.ABSENT` where nothing does."""
        for step in self.steps:
            if isinstance(step, str):
                if not isinstance(value, Mapping) or step not in value:
                    return ABSENT
            elif not isinstance(value, Sequence) or isinstance(value, str) or not -len(value) <= step < len(value):
                return ABSENT
            value = value[step]
        return value

    def __str__(self) -> str:
        return self.text


EVERY = "[*]"
"""Every item of a list, or every value of an object."""


class NoPlace(LookupError):
    """Nothing stands at a place; the message says what is missing."""


class Places(Value):
    """A path that may name several places: `items[*].id`."""

    text: str
    paths: tuple[JsonPath, ...]  # before, between and behind the `[*]`

    @classmethod
    def parse(cls, text: str) -> "Places":
        """Compile a path. Raises BadPath."""
        first, *rest = text.split(EVERY)
        if any(piece and piece[0] not in ".[" for piece in rest):
            raise BadPath(f"path {text!r} cannot be read behind {EVERY}: write items{EVERY}.id")
        paths = [JsonPath.parse(first or "$" if rest else first), *(JsonPath.parse(f"${piece}") for piece in rest)]
        return cls(text, tuple(paths))

    def find_all(self, value: JsonValue) -> Iterator[tuple[str, JsonValue]]:
        """Yield each place, long keys cut, and what stands there; null has no items. Raises NoPlace."""
        yield from self._find(value, 0, "")

    def _find(self, value: JsonValue, number: int, place: str) -> Iterator[tuple[str, JsonValue]]:
        path = self.paths[number]
        place += path.text if number == 0 else path.text[1:]
        found = path.find(value)
        if found is ABSENT:
            raise NoPlace(f"there is no {place}")
        if number == len(self.paths) - 1:
            yield place, found
            return
        if found is not None and not isinstance(found, Mapping | list | tuple):
            raise NoPlace(f"{place} is neither a list nor an object")
        items = found.items() if isinstance(found, Mapping) else enumerate(found or ())
        for key, inner in items:
            yield from self._find(inner, number + 1, f"{place}[{shown(key)}]")

    def __str__(self) -> str:
        return self.text


def _step(found: re.Match[str]) -> str | int:
    if found["index"] is not None:
        return int(found["index"])
    if found["quoted"] is not None:
        try:
            return str(json.loads(found["quoted"]))
        except ValueError:
            raise BadPath(f"{found['quoted']} is not a JSON string") from None
    return found["plain"] if found["plain"] is not None else found["name"]
