"""What a gateway says that an answer costs: read where the workspace says `cost_from`, and nowhere else."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from evalh.providers.http_errors import at
from evalh.providers.mending import Json

HEADER = "header:"
_MOST_USD = 100_000
"""No answer costs more. What says more is not an amount."""
_LONGEST = 40  # characters of an amount

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Bill:
    """Where the amount stands: `usage.cost`, a path into the body, or `header:<name>`; None: nowhere."""

    def __init__(self, place: str | None) -> None:
        place = place or ""
        self._header = place.removeprefix(HEADER) if place.startswith(HEADER) else None
        self._path = tuple(place.split(".")) if place and self._header is None else ()
        self._key = self._path[-1].encode() if self._path else b""

    def of_headers(self, headers: Mapping[str, str]) -> Decimal | None:
        """Read the amount from a response's headers; None where it is not there, or not an amount."""
        return None if self._header is None else _amount((headers.get(self._header) or "").strip())

    def of_body(self, body: bytes) -> Decimal | None:
        """Read the amount from a body, or from an event of a stream; None where it is not there, or not an amount."""
        if not self._path or self._key not in body:
            return None
        try:
            value = at(Json().read(_decode, body), *self._path)
        except (ValueError, RecursionError):
            return None
        return _amount(str(value)) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _amount(text: str) -> Decimal | None:
    plain = len(text) <= _LONGEST and text.isascii() and "_" not in text
    try:
        amount = Decimal(text if plain else "NaN")
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= _MOST_USD else None
