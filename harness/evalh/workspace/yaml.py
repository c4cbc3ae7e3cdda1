"""YAML 1.2 (core schema), strictly: one document, no duplicate keys, no tags, no explosion.

Built from PyYAML's events and not from its constructors: those read YAML 1.1, where `no` is false, `1:30` is 90 and
a date is not text, and they recurse.
"""

import math
import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from evalh.core.errors import WorkspaceError
from evalh.core.located import Located, Path
from evalh.core.strict_json import JsonValue

if TYPE_CHECKING:
    import yaml

__all__ = ["Located", "parse_yaml"]

_DEEPEST = 100
_MOST_ALIASED = 100_000
_MOST_ALIASED_FOREIGN = 1_000_000  # tests by the thousand share their assertions
_MERGE = "<<"
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_STR_TAGS = ("!", "tag:yaml.org,2002:str")


def parse_yaml(text: str, path: str, *, first_line: int = 1, foreign: bool = False) -> Located:
    """Read one document; an empty one is null. `first_line` is the line of the file on which the text begins.

    `foreign`: read what other programs take, too: merges (`<<`), keys that are not text, many aliases.
    Raises WorkspaceError with `path:line`.
    """
    import yaml

    document = _Document(path, first_line, foreign=foreign)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # builds without libyaml exist
    try:
        for event in yaml.parse(text, Loader=loader):
            document.take(event)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        what = ", ".join(part for part in (exc.context, exc.problem) if part)
        at_mark = (text.split("\n")[mark.line :] or [""])[0][mark.column :] if mark else ""
        hint = "indent with spaces, not with a tab" if at_mark.startswith("\t") else None
        raise WorkspaceError(f"is not YAML: {what}", where=document.at(mark.line if mark else 0), hint=hint) from None
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position)
        raise WorkspaceError(f"is not YAML: {exc.reason}", where=document.at(line)) from None
    except UnicodeEncodeError as exc:
        raise WorkspaceError(
            "is not YAML: half a surrogate pair", where=document.at(text.count("\n", 0, exc.start))
        ) from None
    return Located(document.value, path, document.lines)


class _Anchor(Struct):
    value: JsonValue
    nodes: int
    depth: int


class _Open(Struct):
    """A collection whose end has not been read yet."""

    value: dict[str, JsonValue] | list[JsonValue]
    anchor: str | None
    path: Path
    nodes: int = 1
    depth: int = 1  # levels in it
    key: str | None = None  # a mapping's key that waits for its value
    key_lines: dict[str, int] = field(default_factory=dict)


class _Document:
    """Builds one document from events, without recursion."""

    def __init__(self, file: str, first_line: int, *, foreign: bool) -> None:
        self.value: JsonValue = None
        self._foreign = foreign
        self._most_aliased = _MOST_ALIASED_FOREIGN if foreign else _MOST_ALIASED
        self.lines: dict[Path, int] = {(): first_line}
        self._file = file
        self._first_line = first_line
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchor] = {}
        self._documents = 0
        self._aliased = 0

    def at(self, line: int) -> str:
        """Return `file:line`, counted from 0."""
        return f"{self._file}:{self._first_line + line}"

    def take(self, event: "yaml.Event") -> None:
        """Read the next event."""
        import yaml

        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.CollectionStartEvent():
                self._start(event)
            case yaml.CollectionEndEvent():
                self._end()
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refusal(event, "holds more than one YAML document")
            case _:
                pass

    def _refusal(self, event: "yaml.Event", what: str, hint: str | None = None) -> WorkspaceError:
        return WorkspaceError(what, where=self.at(_line(event)), hint=hint)

    def _scalar(self, event: "yaml.ScalarEvent") -> None:
        if event.tag is not None and event.tag not in _STR_TAGS:
            raise self._refusal(
                event,
                f"the tag {event.tag} is not read here",
                "write plain YAML without tags; text that begins with ! is quoted",
            )
        if self._awaits_key():
            bare = event.tag is None and event.implicit[0] and not self._foreign
            if bare and not isinstance(self._plain(event), str):
                raise self._refusal(event, f"the key {event.value} is not text", f'quote it: "{event.value}"')
            self._take_key(event)
            return
        plain = event.tag is None and event.implicit[0]
        value = self._plain(event) if plain else event.value
        self._place(event, value)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, 1, 0)

    def _plain(self, event: "yaml.ScalarEvent") -> JsonValue:
        text = event.value
        if text in _WORDS:
            return _WORDS[text]
        try:
            if _INT.fullmatch(text):
                return int(text)
            if _OCTAL_OR_HEX.fullmatch(text):
                return int(text, 0)
        except ValueError:  # longer than the interpreter converts
            raise self._refusal(event, "this number is too long", "quote it") from None
        number = float(text) if _FLOAT.fullmatch(text) else None
        if _NOT_FINITE.fullmatch(text) or (number is not None and math.isinf(number)):
            raise self._refusal(event, f"{text} is not a number that JSON has", "quote it if it is text")
        return text if number is None else number

    def _take_key(self, event: "yaml.ScalarEvent") -> None:
        parent = self._open[-1]
        key = event.value
        line = _line(event)
        if key in parent.key_lines:
            first = self._first_line + parent.key_lines[key]
            raise self._refusal(event, f"duplicate key {key!r}, first on line {first}")
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(key, 1, 0)
        parent.key = key
        parent.key_lines[key] = line
        self.lines[(*parent.path, key)] = self._first_line + line

    def _alias(self, event: "yaml.AliasEvent") -> None:
        name = str(event.anchor)
        if self._awaits_key():
            raise self._refusal(event, f"*{name} is used as a key", "write the key out")
        anchor = self._anchors.get(name)
        if anchor is None:
            inside = any(collection.anchor == name for collection in self._open)
            what = "lies inside itself" if inside else f"has no anchor &{name} before it"
            raise self._refusal(event, f"*{name} {what}")
        self._aliased += anchor.nodes
        if self._aliased > self._most_aliased:
            raise self._refusal(event, f"aliases expand to more than {self._most_aliased:,} values")
        if len(self._open) + anchor.depth > _DEEPEST:
            raise self._refusal(event, f"nested more than {_DEEPEST} levels deep")
        self._place(event, anchor.value, anchor.nodes, anchor.depth)

    def _start(self, event: "yaml.CollectionStartEvent") -> None:
        if event.tag is not None:
            raise self._refusal(
                event,
                f"the tag {event.tag} is not read here",
                "write plain YAML without tags; text that begins with ! is quoted",
            )
        if self._awaits_key():
            raise self._refusal(event, "a mapping or list is used as a key", "quote text that begins with { or [")
        if len(self._open) >= _DEEPEST:
            raise self._refusal(event, f"nested more than {_DEEPEST} levels deep")
        import yaml

        value: dict[str, JsonValue] | list[JsonValue] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._place(event, value)
        if event.anchor:
            self._anchors.pop(event.anchor, None)  # the name is this collection's now; it may be used after its end
        self._open.append(_Open(value, event.anchor, path))

    def _end(self) -> None:
        closed = self._open.pop()
        if self._foreign and isinstance(closed.value, dict) and _MERGE in closed.value:
            _merge(closed.value)
        if self._open:
            parent = self._open[-1]
            parent.nodes += closed.nodes
            parent.depth = max(parent.depth, closed.depth + 1)
        if closed.anchor:
            self._anchors[closed.anchor] = _Anchor(closed.value, closed.nodes, closed.depth)

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _place(self, event: "yaml.NodeEvent", value: JsonValue, nodes: int = 0, depth: int = 0) -> Path:
        """Put a value where it belongs and return its path; `nodes` and `depth` are what an alias unfolds to."""
        if not self._open:
            self.value = value
            self.lines[()] = self._first_line + _line(event)
            return ()
        parent = self._open[-1]
        parent.nodes += nodes or int(not isinstance(value, dict | list))
        parent.depth = max(parent.depth, depth + 1)
        if isinstance(parent.value, dict):
            assert parent.key is not None
            path: Path = (*parent.path, parent.key)
            parent.value[parent.key] = value
            parent.key = None
            return path
        path = (*parent.path, len(parent.value))
        self.lines[path] = self._first_line + _line(event)
        parent.value.append(value)
        return path


def _merge(mapping: dict[str, JsonValue]) -> None:
    """Put the keys of the mappings under `<<` in its place, except those that the mapping states itself."""
    stated = dict(mapping)
    mapping.clear()
    for key, value in stated.items():
        if key != _MERGE:
            mapping[key] = value
            continue
        for source in value if isinstance(value, list) else [value]:
            for name, item in source.items() if isinstance(source, dict) else ():
                if name not in stated:
                    mapping.setdefault(name, item)


def _line(event: "yaml.Event") -> int:
    assert event.start_mark is not None  # of every event that a parser makes
    return event.start_mark.line
