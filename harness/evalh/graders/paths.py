"""JSON paths: `label`, `order.id`, `items[0].name`, `items[-1]`, `["a.b"].c`, and `$` for the whole value.

No wildcards and no filters: a path names one place, so it finds one value or none.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from evalh.core.case import ABSENT, Absent
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

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
            raise BadPath("an empty path names nothing; the whole value is `$`")
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


def _step(found: re.Match[str]) -> str | int:
    if found["index"] is not None:
        return int(found["index"])
    if found["quoted"] is not None:
        try:
            return str(json.loads(found["quoted"]))
        except ValueError:
            raise BadPath(f"{found['quoted']} is not a JSON string") from None
    return found["plain"] if found["plain"] is not None else found["name"]
