"""The one redactor behind every door: it takes personal data out of JSON values, keys included.

A text that is JSON itself (a tool call's arguments, a whole answer) is read, so that escapes hide nothing and fields
have names there too. Keys of services are always taken out. The caller drops the content if it raises.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from evalh_trace.importing import imported
from evalh_trace.personal import KINDS, find_personal, mask_secrets

__all__ = ["KINDS", "Redactor", "pattern_problem"]

_MOST_DEPTH = 64
_MOST_JSON = 1024 * 1024  # characters of a text that is tried as JSON


class Redactor:
    """Applies rules: kinds by name, `{"pattern": …}` in RE2's syntax, `{"field": "customer.name"}`.

    A field is named by the last keys of its path; lists between them do not count. Raises RedactionError for a rule
    that it cannot apply.
    """

    def __init__(self, rules: Sequence[Any]) -> None:
        self._kinds = [kind for kind in KINDS if kind in [rule for rule in rules if isinstance(rule, str)]]
        tables = [rule for rule in rules if not isinstance(rule, str)]
        self._fields = [tuple(rule["field"].split(".")) for rule in tables if "field" in rule]
        self._patterns = [_compiled(rule["pattern"]) for rule in tables if "pattern" in rule]
        self.idle = not (self._kinds or self._fields or self._patterns)

    def value(self, value: Any) -> Any:
        """Return a JSON value without personal data."""
        return self._value(value, (), 0)

    def messages(self, messages: Any) -> Any:
        """Return messages in the log's form without personal data; their own keys and roles stay."""
        return self._structured(messages, ())

    def text(self, text: str) -> str:
        """Return a text without personal data."""
        return self._text(text, ())

    def _structured(self, value: Any, path: tuple[str, ...]) -> Any:
        """Redact the texts of a structure of ours, whose keys are names that we gave."""
        if isinstance(value, list):
            return [self._structured(one, path) for one in value]
        if isinstance(value, dict):
            return {key: one if key == "role" else self._structured(one, path) for key, one in value.items()}
        return self._text(value, path) if isinstance(value, str) else value

    def _value(self, value: Any, path: tuple[str, ...], depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise RedactionError("a value is too deep to be read")
        if isinstance(value, dict):
            redacted: dict[str, Any] = {}
            for key, one in value.items():
                inner = (*path, key)
                shown = self._plain(key)
                while shown in redacted:
                    shown += "'"  # two addresses as keys stay two
                redacted[shown] = "[field]" if self._is_named(inner) else self._value(one, inner, depth + 1)
            return redacted
        if isinstance(value, list):
            return [self._value(one, path, depth + 1) for one in value]
        if isinstance(value, str):
            return self._text(value, path, depth)
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = str(value)
            shown = self._plain(written)
            return value if shown == written else shown
        return value

    def _is_named(self, path: tuple[str, ...]) -> bool:
        return any(path[-len(field) :] == field for field in self._fields)

    def _text(self, text: str, path: tuple[str, ...], depth: int = 0) -> str:
        if text[:256].lstrip()[:1] in {"{", "[", '"'} and len(text) <= _MOST_JSON:
            try:
                value = msgspec.json.decode(text)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                return self._plain(text)
            redacted = self._value(value, path, depth + 1)
            if redacted == value:
                return self._plain(text)
            return self._plain(msgspec.json.encode(redacted).decode())
        return self._plain(text)

    def _plain(self, text: str) -> str:
        text = mask_secrets(text)
        for kind in self._kinds:
            if found := list(find_personal(text, kind)):
                text = _without(text, found, f"[{kind}]")
        for replace in self._patterns:
            text = replace(text)
        return text


class RedactionError(Exception):
    """A rule cannot be applied, so nothing that it should have read may be kept."""


def pattern_problem(pattern: str) -> str | None:
    """Say why a pattern cannot be a rule; None if it can."""
    try:
        _compiled(pattern)
    except RedactionError as error:
        return str(error)
    return None


def _compiled(pattern: str) -> Callable[[str], str]:
    try:
        re2 = imported("re2")
    except ImportError:
        # Python's own patterns may take forever on a hostile text.
        raise RedactionError("patterns need google-re2 (pip install google-re2)") from None
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
        empty = compiled.search("") is not None
    except re2.error as error:
        raise RedactionError(f"the pattern {pattern[:50]!r} is not one of RE2: {error}"[:300]) from None
    if empty:
        raise RedactionError(f"the pattern {pattern[:50]!r} fits an empty text")
    return lambda text: str(compiled.sub("[pattern]", text))


def _without(text: str, spans: Sequence[tuple[int, int]], mark: str) -> str:
    kept, place = [], 0
    for begin, end in spans:
        kept += [text[place:begin], mark]
        place = end
    return "".join([*kept, text[place:]])
