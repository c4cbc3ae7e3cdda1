"""The base of values: immutable, compared by their fields, created and hashed in C."""

from typing import dataclass_transform

import msgspec

__all__ = ["Value"]


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Value(msgspec.Struct, frozen=True):
    """A value. Change one with `msgspec.structs.replace`."""
