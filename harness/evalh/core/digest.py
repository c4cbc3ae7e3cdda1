"""Digests: SHA-256 over one canonical JSON text, so that equal content has equal digests everywhere."""

import json
import signal
from collections.abc import Mapping
from hashlib import sha256

from evalh.core.strict_json import JsonValue

# An interrupt inside orjson's own start is a segmentation fault: it waits until orjson is there. Windows holds none.
_held = (
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM}) if hasattr(signal, "SIG_BLOCK") else None
)
try:
    import orjson
finally:
    if _held is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _held)

_SORTED = orjson.OPT_SORT_KEYS


def canonical(value: JsonValue) -> bytes:
    """Encode as JSON with sorted keys and no blanks, UTF-8; integers of any size stay exact.

    Raises TypeError for what JSON cannot carry, and for NaN and infinities.
    """
    try:
        encoded = orjson.dumps(value, option=_SORTED)
    except TypeError:  # integers past 64 bits, lone surrogates, mappings other than dict: the slow, exact way
        return _exact(value)
    # orjson writes NaN and infinities as null: two contents would share one digest.
    return _exact(value) if b"null" in encoded else encoded


def _exact(value: JsonValue) -> bytes:
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
        )
    except ValueError as exc:
        raise TypeError(str(exc)) from exc
    return text.encode("utf-8", "surrogatepass")


def _plain(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def digest(value: JsonValue) -> str:
    """Return `sha256:<64 hex digits>` of the canonical JSON."""
    return digest_bytes(canonical(value))


def digest_bytes(data: bytes) -> str:
    """Return `sha256:<64 hex digits>` of the bytes."""
    return f"sha256:{sha256(data).hexdigest()}"


class RowsDigest:
    """A digest of rows in any order, in constant memory: the sum of the rows' SHA-256 and their number."""

    def __init__(self) -> None:
        self._sum = 0
        self._rows = 0

    def add(self, row: JsonValue) -> None:
        """Add one row."""
        self._sum += int.from_bytes(sha256(canonical(row)).digest())
        self._rows += 1

    def value(self) -> str:
        """Return the digest of all rows added so far."""
        return digest([self._rows, f"{self._sum % 2**256:x}"])
