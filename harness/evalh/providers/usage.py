"""Tokens that were written to a provider's cache: part of the input, and dearer than the rest of it."""

from evalh.core.attempt import Usage
from evalh.core.values import dataclass


@dataclass(frozen=True, slots=True)
class CachingUsage(Usage):
    """`Usage` of an answer whose input was partly written to a cache. Only a price looks at it."""

    cache_write_tokens: int = 0  # of the input
    cache_write_1h_tokens: int = 0  # of those, kept for an hour


def usage_of(plain: Usage, written: int | None, written_1h: int | None = None) -> Usage:
    """Return the usage with what was written to the cache, where anything was."""
    if not written:
        return plain
    return CachingUsage(
        plain.input_tokens,
        plain.output_tokens,
        plain.cached_tokens,
        plain.reasoning_tokens,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(written_1h or 0, written),
    )
