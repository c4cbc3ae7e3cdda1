"""What an answer says of its tokens, believed only where it does not contradict itself."""

from dataclasses import replace

from evalh.core.attempt import MOST_TOKENS, Usage


def count(value: object) -> int | None:
    """Read a number of tokens; None for what is not a whole number that can be."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def added(*values: object) -> int | None:
    """Add up counts, where what is left out is 0; None if one of them cannot be read."""
    counts = [0 if value is None else count(value) for value in values]
    known = [one for one in counts if one is not None]
    return sum(known) if len(known) == len(counts) else None


def name_of_tier(value: object) -> str | None:
    """Read the name of a service tier, a speed or a region, as the price table writes it."""
    return value.lower().removeprefix("service_tier_") if isinstance(value, str) else None


def usage_of(parts: Usage, total: object = None, *, said: bool = True) -> Usage:
    """Return the usage, checked as a whole: unknown where it contradicts itself, since half of it would read as cheap.

    Where the total says more than the parts the rest is output: some servers count reasoning nowhere else. `said`:
    something was written, which takes tokens.
    """
    whole = count(total)
    if whole is None and isinstance(total, int | float):
        return Usage()  # a total that cannot be
    known_in, known_out = parts.input_tokens, parts.output_tokens
    if whole is not None and known_in is not None and known_out is not None:
        if whole < known_in + known_out:
            return Usage()
        if whole > known_in + known_out:
            parts = replace(parts, output_tokens=whole - known_in)
    nothing = known_in == 0 or (said and parts.output_tokens == 0)
    return Usage() if nothing or not parts.sound else parts
