"""Keys never leave through an answer: whatever a server echoes, the exact key is taken out of it."""

import json
import re
from collections.abc import Iterable

from evalh.core.attempt import CallError

MASK = "[key]"
_ESCAPED = re.compile(rb"\\u00([2-7][0-9a-fA-F])")  # the characters that a header may hold
_TOO_SHORT = 6
"""A shorter secret would be found in ordinary words, and masking it would say more than it hides."""


class Redactor:
    """Takes a set of secrets out of whatever came from outside."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(
            sorted({secret for secret in secrets if len(secret) >= _TOO_SHORT}, key=len, reverse=True)
        )
        spellings = dict.fromkeys(spelling for secret in self._secrets for spelling in _spellings(secret))
        self._encoded = tuple((spelling.encode(), MASK.encode()) for spelling in spellings)

    def body(self, body: bytes) -> bytes:
        """Return the bytes without any secret, as it stands or as JSON writes it."""
        for secret, mask in self._encoded:
            if secret in body:
                body = body.replace(secret, mask)
        return body

    def hides(self, body: bytes) -> bool:
        """Tell whether a secret is spelled in the body in JSON's escapes, where `body` cannot take it out."""
        if b"\\u00" not in body:
            return False
        plain = _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), body)
        return any(secret in plain for secret, _ in self._encoded)

    def text(self, text: str) -> str:
        """Return the text without any secret."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def holds(self, text: str) -> bool:
        """Tell whether a secret stands in the text."""
        return any(secret in text for secret in self._secrets)

    def error(self, error: CallError) -> CallError:
        """Return the error without any secret."""
        if not self.holds(error.message) and not (error.request_id and self.holds(error.request_id)):
            return error
        redacted = CallError(
            error.kind,
            self.text(error.message),
            status=error.status,
            retry_after_s=error.retry_after_s,
            request_id=error.request_id and self.text(error.request_id),
            begun=error.begun,
        )
        redacted.reached, redacted.hung_up = error.reached, error.hung_up
        return redacted


def _spellings(secret: str) -> tuple[str, ...]:
    quoted = json.dumps(secret)[1:-1]
    return secret, quoted, quoted.replace("/", "\\/")  # some servers escape the slash
