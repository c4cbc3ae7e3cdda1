"""TOML, with the line of each table and key. Decimal numbers stay exact; dates are refused: JSON has none."""

import math
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from evalh.core.errors import WorkspaceError
from evalh.core.located import Located, Path

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
# A dotted key of so many parts: tomllib takes the square of their number, and nothing here is that deep.
_TOO_DEEP = re.compile(r"""(?:(?<![\w-])(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){200}""")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}'  # texts over several lines
    r'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
    r"|\#[^\n]*|[\[\]{}=\n]|[A-Za-z0-9_-]+|[.]|.",
    re.DOTALL,
)


def parse_toml(text: str, path: str) -> Located:
    """Read a file. Its floats are `Decimal`. Raises WorkspaceError with `path:line`."""
    if (deep := _TOO_DEEP.search(text)) is not None:
        line = text.count("\n", 0, deep.start()) + 1
        raise WorkspaceError("a key has more than 200 parts", where=f"{path}:{line}")
    try:
        value = tomllib.loads(text, parse_float=_number)
    except tomllib.TOMLDecodeError as exc:
        raise _not_toml(exc, text, path) from None
    except RecursionError:
        raise WorkspaceError("is nested too deeply", where=path) from None
    except ValueError as exc:  # an integer longer than the interpreter converts
        raise WorkspaceError(f"cannot be read: {str(exc).partition(';')[0]}", where=path) from None
    lines: dict[Path, int] = {}
    for key, line in _lines(text):
        lines[key] = line
        for depth in range(1, len(key)):  # `[models.small]` opens `models` too
            lines.setdefault(key[:depth], line)
    located = Located(value, path, lines)
    _refuse_what_json_lacks(located)
    return located


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent past all bounds
        return Decimal("Infinity")


def _not_toml(exc: tomllib.TOMLDecodeError, text: str, path: str) -> WorkspaceError:
    message = str(exc)
    position = _POSITION.search(message)
    line = int(position[1]) if position and position[1] else text.count("\n") + 1
    source = text.split("\n")[line - 1] if line <= text.count("\n") + 1 else ""
    hint = 'TOML has no null; write "null"' if re.search(r"=\s*null\b", source) else None
    return WorkspaceError(f"is not TOML: {_POSITION.sub('', message)}", where=f"{path}:{line}", hint=hint)


def _refuse_what_json_lacks(located: Located) -> None:
    waiting: list[tuple[Path, object]] = [((), located.value)]
    while waiting:
        path, value = waiting.pop()
        match value:
            case dict():
                waiting += [((*path, key), item) for key, item in value.items()]
            case list():
                waiting += [((*path, number), item) for number, item in enumerate(value)]
            case Decimal() if not math.isfinite(float(value)):
                raise WorkspaceError("infinities and NaN are not read here", where=located.where(*path))
            case bool() | int() | str() | Decimal():
                pass
            case _:
                raise WorkspaceError("dates are not read here", where=located.where(*path), hint="quote it")


def _lines(text: str) -> Iterator[tuple[Path, int]]:
    """Find the line of each `[table]` and each `key =` in valid TOML."""
    table: Path = ()
    statement: list[str] = []
    line, depth = 1, 0
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word == "\n" and depth == 0:
            if statement[:1] == ["["]:
                table = _key(statement)
                yield table, line
            statement = []
        elif word == "=" and depth == 0 and "=" not in statement:
            yield (*table, *_key(statement)), line
            statement.append(word)
        elif word[0] not in "# \t":
            # Brackets open a value only after `=`; before it they are the table's.
            depth += (word in "[{") - (word in "]}") if "=" in statement else 0
            statement.append(word)
        line += word.count("\n")
    if statement[:1] == ["["]:
        yield _key(statement), line


def _key(words: list[str]) -> Path:
    """Return the names in a dotted key."""
    names = []
    for word in words:
        if word[0] == '"':
            names.append(tomllib.loads(f"k = {word}")["k"])
        elif word[0] == "'":
            names.append(word[1:-1])
        elif word not in "[].":
            names.append(word)
    return tuple(names)
