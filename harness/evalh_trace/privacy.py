"""What of a record may be kept: everything, what a redactor leaves, or no content at all."""

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from evalh_trace.config import Config
from evalh_trace.records import Json
from evalh_trace.redaction import Redactor
from evalh_trace.values import MOST_KEPT, bounded

_PLAIN_PARAMS = frozenset(
    {"reasoning_effort", "service_tier", "verbosity", "truncation", "tool_choice", "encoding_format"}
)
"""Params whose texts are words of the API; other texts may be content."""
_MANY_BRACKETS = 64  # with fewer nothing is too deep


class Policy:
    """Applies a configuration to what was taken. Content that the redactor fails on is dropped, and counted."""

    def __init__(self, config: Config, salt: bytes, lose: Callable[[str], None]) -> None:
        self.keeps_content = config.content
        self._salt = salt
        self._lose = lose
        self._redactor = Redactor(())
        if self.keeps_content:
            try:
                self._redactor = config.redactor()
            except Exception:  # noqa: BLE001 (whatever it is, content is not kept)
                self.keeps_content = False
                lose("redaction")

    def value(self, encoded: bytes | None) -> Json:
        """Return a value that was encoded on the caller's path; None without content."""
        if encoded is None or not self.keeps_content:
            return None
        try:
            value = msgspec.json.decode(encoded)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._lose("unreadable")
            return None
        return self.content(value)

    def content(self, value: Json) -> Json:
        """Return a JSON value; None without content."""
        return self._redacted(self._redactor.value, self._cut_depth(value)) if self.keeps_content else None

    def text(self, text: str | None) -> str | None:
        """Return a text; None without content."""
        if text is None or not self.keeps_content:
            return None
        kept = self._redacted(self._redactor.text, self._cut_depth(text))
        return kept if isinstance(kept, str) else None

    def structure(self, value: Json) -> Json:
        """Return messages, tool calls or settings in the log's form; None without content."""
        if value is None or not self.keeps_content:
            return None
        return self._redacted(self._redactor.messages, self._cut_depth(value))

    def settings(self, settings: dict[str, Json]) -> dict[str, Json]:
        """Return settings; without content only names, numbers and words of the API."""
        if self.keeps_content:
            kept = self.structure({name: value for name, value in settings.items() if name != "model"})
            if isinstance(kept, dict):
                return {"model": settings.get("model"), **kept}
        params = {
            name: value
            for name, value in (settings.get("params") or {}).items()
            if isinstance(value, int | float) or (name in _PLAIN_PARAMS and isinstance(value, str))
        }
        tools = [{"name": tool["name"]} for tool in settings.get("tools") or ()]
        return {**settings, **bounded({"params": params, "tools": tools}), "output_schema": None}

    def digest(self, value: Json) -> str:
        """Return the digest of what was sent; salted unless the content itself is kept as it is."""
        try:
            canonical = msgspec.json.encode(self._cut_depth(value), order="deterministic")
        except (TypeError, ValueError, OverflowError, RecursionError):
            canonical = repr(type(value)).encode()
        if self.keeps_content and self._redactor.idle:
            return f"sha256:{sha256(canonical).hexdigest()}"
        return f"salted:{hmac.new(self._salt, canonical, sha256).hexdigest()}"

    def _cut_depth(self, value: Json) -> Json:
        """Cut what is too deep before it is walked; what is too large is cut when it is redacted."""
        return value if _fits(value) else bounded(value, 16 * MOST_KEPT)

    def _redacted(self, redact: Callable[[Any], Any], value: Json) -> Json:
        try:
            kept = redact(value)
            return kept if _fits(kept) else bounded(kept)
        except Exception:  # noqa: BLE001 (a redactor that fails drops the content, whatever it was)
            self._lose("redaction")
            return None


def _fits(value: Json) -> bool:
    """Whether a value can be written as it is; most can, and need no walk."""
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return len(encoded) <= MOST_KEPT and encoded.count(b"[") + encoded.count(b"{") <= _MANY_BRACKETS
