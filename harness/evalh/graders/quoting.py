"""Foreign text in a reason: short, on one line, and unable to move a cursor or turn the reading direction."""

import json

from evalh.core.strict_json import JsonValue

SHOWN = 80  # characters of a value that a reason shows
SAID = 200  # characters of an error's message


def shown(value: JsonValue) -> str:
    """Show a JSON value as JSON text, cut to `SHOWN` characters, with unprintable characters escaped."""
    if isinstance(value, str):
        # json.dumps escapes quotes and control characters; what else cannot be printed is escaped after it.
        return one_line(json.dumps(value[: SHOWN + 1], ensure_ascii=False), SHOWN)
    try:
        return one_line(json.dumps(value, ensure_ascii=False), SHOWN)
    except (TypeError, ValueError, RecursionError):  # what no JSON file holds: a literal built in Python
        return one_line(f"a {type(value).__name__}", SHOWN)


def one_line(text: str, limit: int = SAID) -> str:
    """Cut text to `limit` characters, marked with an ellipsis, and escape what cannot be printed."""
    if len(text) > limit:
        text = text[:limit] + "…"
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004 (two hex digits)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 (four hex digits)


def kind_of(value: JsonValue) -> str:
    """Name the JSON type of a value, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"
