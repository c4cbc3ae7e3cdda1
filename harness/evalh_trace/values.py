"""Values as JSON bytes, made at once on the caller's path: the program goes on changing its lists.

What JSON cannot hold stands as the name of its type. Nothing here raises.
"""

import math
from typing import Any

from evalh_trace.importing import imported

MOST_BYTES = 8 * 1024 * 1024
"""Of one value on its way to the tracer's thread, which cuts it to `MOST_KEPT`."""
MOST_KEPT = 1024 * 1024
MOST_PARSED = 16 * 1024 * 1024  # of a request
MOST_DEPTH = 64
_MOST_NODES = 10_000  # of a value that is walked on the caller's path

_encode: Any = None


def encode(value: Any) -> bytes:
    """Return a value as JSON. Of one that is too large, a text that says so."""
    global _encode  # noqa: PLW0603 (msgspec is imported when it is first needed: the tracer's own import is light)
    if _encode is None:
        _encode = imported("msgspec").json.Encoder(enc_hook=_named).encode
    try:
        encoded: bytes = _encode(_shown(value))
    except Exception:  # noqa: BLE001 (a program's own objects may raise anything)
        encoded = _walked(value)
    return encoded if len(encoded) <= MOST_BYTES else _encode(cut_note(len(encoded)))


def cut_note(size: int) -> str:
    """Say that something was cut, and how large it was."""
    return f"[cut: {size:,} bytes]"


def type_name(value: Any) -> str:
    """Return what stands for a value that JSON cannot hold."""
    kind = type(value)
    return f"<{kind.__module__}.{kind.__qualname__}>"


def _shown(value: Any) -> Any:
    """Leave out, at the top of a value, what is large or not text: it would only be cut later."""
    if type(value) is dict:
        return {key: _shown_one(one) for key, one in value.items()}
    return _shown_one(value)


def _shown_one(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return type_name(value)
    if isinstance(value, str | list | tuple) and len(value) > MOST_BYTES:
        return cut_note(len(value))
    return value


def _named(value: Any) -> Any:
    """Return the fields of a pydantic model; of everything else the name of its type."""
    if "__pydantic_fields__" in type(value).__dict__ or "__pydantic_core_schema__" in type(value).__dict__:
        return dict(vars(value))  # no code of the model's own runs
    return type_name(value)


def _walked(value: Any) -> bytes:
    """Encode what msgspec refuses: cycles, broken text, keys that are not text, numbers of any size."""
    left = [_MOST_NODES]
    try:
        encoded: bytes = _encode(_plain(value, 0, left))
    except Exception:  # noqa: BLE001 (see `encode`)
        return b'"<unreadable>"'
    return encoded


def _plain(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth >= MOST_DEPTH or left[0] < 0:
        return "[cut]"
    if isinstance(value, dict):
        pairs = list(value.items())[: left[0] + 1]
        return {_plain(str(key), depth + 1, left): _plain(one, depth + 1, left) for key, one in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one, depth + 1, left) for one in list(value)[: left[0] + 1]]
    if value is None or isinstance(value, bool | int | float | str):
        return _scalar(value)
    named = _named(value)
    return named if isinstance(named, str) else _plain(named, depth + 1, left)


def whole_text(text: str) -> str:
    """Return a text that can be written: two halves of a character side by side are one, a single half is "\ufffd"."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else type_name(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def bounded(value: Any, most: int = MOST_KEPT) -> Any:
    """Cut a JSON value to so many bytes and to `MOST_DEPTH`; what is left out is said where it was."""
    left = [most]
    return _bounded(value, 0, left)


def _bounded(value: Any, depth: int, left: list[int]) -> Any:
    if isinstance(value, str):
        value = whole_text(value)
        room = left[0] if depth == 0 else left[0] * 3 // 4  # beside others, one text does not take it all
        left[0] -= min(len(value), room) + 2
        return value if len(value) <= room else f"{value[: max(0, room)]}{cut_note(len(value))}"
    if isinstance(value, dict | list) and depth >= MOST_DEPTH:
        return "[cut: too deep]"
    left[0] -= 8
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, one in value.items():
            if left[0] <= 0:
                kept["…"] = f"[cut: {len(value) - len(kept):,} keys]"
                break
            shown = _bounded(key, depth + 1, left)
            kept[shown] = _bounded(one, depth + 1, left)
        return kept
    if isinstance(value, list):
        items: list[Any] = []
        for one in value:
            if left[0] <= 0:
                items.append(f"[cut: {len(value) - len(items):,} items]")
                break
            items.append(_bounded(one, depth + 1, left))
        return items
    return _scalar(value)


_LONGEST_NOTE = 40


def cut_in(value: Any) -> str | None:
    """Return the note of what was cut from a value; None: it is whole."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            note = one[max(0, one.rfind("[cut: ")) :]
            if note.startswith("[cut: ") and note.endswith("]") and len(note) <= _LONGEST_NOTE:
                return note
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return None
