"""What of an imported record is kept: as `[trace]` says it, by the redactor that programs have, too."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec import structs

from evalh.api.parts import Parts
from evalh.core.errors import WorkspaceError
from evalh_trace.config import read_config
from evalh_trace.privacy import Policy
from evalh_trace.records import AnyRecord
from evalh_trace.redaction import RedactionError

_IDS = ("id", "trace_id", "custom_id")  # of attributes: they say nothing, and votes may name them


class KeptContent:
    """Takes out of records what may not be kept. A value that the redactor cannot read is dropped, and counted."""

    def __init__(self, parts: Parts) -> None:
        """Raise WorkspaceError for a rule of `redact` that cannot be applied here."""
        config = read_config(parts.config.trace.stated)
        self.on = config.content
        self.dropped = 0
        try:
            redactor = config.redactor()
        except RedactionError as exc:
            raise WorkspaceError(f"[trace] redact: {exc}", where=parts.config.where) from None
        self._policy = Policy(config, b"", lambda _: None)
        self.idle = redactor.idle  # nothing is taken out
        self._how: Mapping[str, Callable[[Any], Any]] = {
            **dict.fromkeys(("inputs", "output", "attributes"), redactor.value),
            **dict.fromkeys(("messages", "tool_calls"), redactor.messages),
            **dict.fromkeys(("text", "reasoning", "note", "error"), redactor.text),
        }

    def of(self, records: Iterable[AnyRecord]) -> Iterator[AnyRecord]:
        """Yield each record with what may be kept of it."""
        return (one for one in records) if self.on and self.idle else map(self.kept, records)

    def kept(self, record: AnyRecord) -> AnyRecord:
        """Return a record with what may be kept of it."""
        changed: dict[str, Any] = {}
        for name, redact in self._how.items():
            value = getattr(record, name, None)
            if value in (None, {}):
                continue
            changed[name] = self._redacted(redact, value) if self.on else None
            if name == "attributes" and changed[name] is None:
                changed[name] = {key: value[key] for key in _IDS if isinstance(value.get(key), str)}
        settings = getattr(record, "settings", None)
        if settings is not None:
            changed["settings"] = self._policy.settings(settings)
        return structs.replace(record, **changed) if changed else record

    def _redacted(self, redact: Callable[[Any], Any], value: Any) -> Any:
        try:
            return redact(value)
        except Exception:  # noqa: BLE001 (whatever the redactor fails on may not be kept)
            self.dropped += 1
            return None
