r"""The default dialect: nothing but `{{name}}`, so that a body reads the same in Handlebars, Jinja2 and Mustache.

`\{{` stands for `{{`, and so do `\{%` and `\{#` for what Jinja2 would take; two backslashes before them are one.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.workspace.prompt.bodies import BodyError, MissingInput, RenderError, Token, TokenKind

# A run of backslashes is looked at from its beginning alone: from each of them would take its length squared.
_OPENS = re.compile(r"(?<!\\)(\\*)\{[{%#]")
_ESCAPED = re.compile(r"(?<!\\)(\\+)(?=\{[{%#])")
_TRAILING = re.compile(r"(?<!\\)\\+\Z")
_SLOT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")
_OPT_IN = "for logic, put `evalh.template: jinja2` (or handlebars) into the front matter; a literal {{ is written \\{{"

# A name that Handlebars or Jinja2 reads as something other than an input.
_WORDS = frozenset(
    {"and", "caller", "each", "elif", "else", "false", "False", "for", "history", "if", "in", "is", "kwargs", "log"}
    | {"lookup", "loop", "media", "none", "None", "not", "null", "or", "role", "section", "self", "super", "this"}
    | {"true", "True", "undefined", "unless", "varargs", "with"}
)
# A part after a dot that Jinja2 reads as a method of the object, not as its field.
_METHODS = frozenset(name for name in dir(dict) if not name.startswith("_"))

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

HISTORY = "messages"

Path: TypeAlias = tuple[str, ...]


class Portable:
    """The portable grammar."""

    whole_line_comments = True
    most_code = None

    def lex(self, text: str) -> Iterator[Token]:
        """Split a text into tokens. Raises BodyError."""
        place, line = 0, 1
        while place < len(text):
            end, kind = _next(text, place, line)
            source = text[place:end]
            yield Token(kind, source, line, source[2:-2].strip() if kind is TokenKind.TAG else "")
            line += source.count("\n")
            place = end

    def check_tag(self, token: Token) -> None:
        """Refuse a tag that is not a slot. Raises BodyError."""
        slot_path(token)

    def compile(self, text: str) -> "Slots":
        """Compile a text without markers. Raises BodyError."""
        segments: list[str | Path] = []
        tokens = list(self.lex(text))
        for token in tokens:
            if token.kind is TokenKind.TEXT:
                literal = _ESCAPED.sub(_halved, token.source)
                segments.append(literal if token is tokens[-1] else _TRAILING.sub(_halved, literal))
            elif token.kind is TokenKind.TAG:
                segments.append(slot_path(token))
        return Slots(tuple(segments))


def _next(text: str, start: int, line: int) -> tuple[int, TokenKind]:
    """Return where the token that begins at `start` ends, and its kind."""
    if text.startswith("{{", start):
        return _tag_end(text, start, line)
    place = start
    while (match := _OPENS.search(text, place)) is not None:
        slashes = match.end(1) - match.start(1)
        if slashes % 2:  # escaped: part of the text
            place = match.end()
            continue
        if text[match.end() - 1] != "{":
            here = line + text.count("\n", start, match.end())
            raise BodyError(f"{text[match.end() - 2 : match.end()]} starts Jinja2 logic", here, _OPT_IN)
        if slashes and text.startswith("{{!", match.end(1)):
            raise BodyError("a backslash is right before a comment", line, "put a space between them")
        return match.end(1), TokenKind.TEXT
    return len(text), TokenKind.TEXT


def _tag_end(text: str, start: int, line: int) -> tuple[int, TokenKind]:
    if text.startswith("{{{", start):
        raise BodyError(
            "{{{ is read differently by the template languages", line, f"put a space between {{ and {{{{; {_OPT_IN}"
        )
    comment = text.startswith("{{!", start)
    close = "--}}" if text.startswith("{{!--", start) else "}}"
    end = text.find(close, start + 5 if close == "--}}" else start + 2)
    if end < 0:
        raise BodyError(f"{{{{ without {close}", line, "a literal {{ is written \\{{")
    return end + len(close), TokenKind.COMMENT if comment else TokenKind.TAG


def _halved(match: re.Match[str]) -> str:
    return "\\" * (len(match[0]) // 2)


def slot_path(token: Token) -> Path:
    """Return the keys that lead to a slot's value. Raises BodyError if it is not a portable slot."""
    if not _SLOT.fullmatch(token.content):
        raise BodyError(f"{token.source} is not a slot", token.line, _hint(token.content))
    name, *fields = token.content.split(".")
    if name == HISTORY:
        raise refused_history(token.line)
    if name in _WORDS:
        raise BodyError(f"{name!r} means something else to template languages", token.line, "rename the input")
    for field in fields:
        if field in _METHODS:
            raise BodyError(f".{field} is a method to Jinja2", token.line, "rename the field")
    return (name, *fields)


def refused_history(line: int) -> BodyError:
    """Return the refusal of a slot for what is sent as messages of its own: it would be sent twice."""
    return BodyError(f"`{HISTORY}` is the case's history", line, "write {{history}} where it belongs")


def _hint(content: str) -> str:
    if content.startswith("role"):
        return 'write {{role "user"}}'
    return _OPT_IN


class Slots(Value):
    """A compiled text: literal strings and the paths of values."""

    segments: tuple[str | Path, ...]

    @property
    def required(self) -> frozenset[str]:
        """The inputs that the text uses."""
        return frozenset(segment[0] for segment in self.segments if not isinstance(segment, str))

    @property
    def flat(self) -> bool:
        """Whether every slot is an input of its own, none a field of one."""
        return all(isinstance(segment, str) or len(segment) == 1 for segment in self.segments)

    def render(self, inputs: Mapping[str, JsonValue]) -> str:
        """Fill the slots. Raises MissingInput, RenderError."""
        return "".join([s if isinstance(s, str) else text_of(value_at(inputs, s)) for s in self.segments])


def value_at(inputs: Mapping[str, JsonValue], path: Path) -> JsonValue:
    """Return the value that a slot's path leads to. Raises MissingInput."""
    value: JsonValue = inputs
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            raise MissingInput(".".join(path))
        value = value[key]
    return value


def text_of(value: JsonValue) -> str:
    """Return how a value stands in a prompt: a string as it is, anything else as compact JSON in its own order."""
    if isinstance(value, str):
        return value
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as exc:
        raise RenderError(f"a value is not JSON: {exc}") from None
