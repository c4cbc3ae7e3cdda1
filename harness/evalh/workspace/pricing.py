"""`price` of a model in evalh.toml: what tokens cost, or an hour of compute."""

from evalh.core.attempt import MOST_TOKENS
from evalh.core.errors import WorkspaceError
from evalh.core.located import Table
from evalh.core.money import STANDARD, Price, Rates

_RATES = ("input", "output", "cached_input", "cache_write", "cache_write_1h")
KEYS = (*_RATES, "steps", "tiers", "per_hour")
"""The keys of a `price`."""


def price_of(table: Table) -> Price | None:
    """Read a model's `price`; None where it states none. Raises WorkspaceError."""
    if "price" not in table.values:
        return None
    price = table.table("price")
    price.refuse_unknown(KEYS)
    per_hour = price.number("per_hour")
    if per_hour is not None:
        for key in price.values:
            if key != "per_hour":
                raise WorkspaceError(
                    f"a price is per hour or per token: 'per_hour' excludes {key!r}", where=price.where()
                )
        return Price(per_hour=per_hour)
    base, *steps = _rates(price)
    tiers = price.table("tiers")
    return Price(
        **{key: getattr(base, key) for key in _RATES},
        steps=tuple(steps),
        tiers=tuple((_tier(name, tiers), tuple(_rates(tier))) for name, tier in tiers.tables()),
    )


def _tier(name: str, tiers: Table) -> str:
    tiers.table(name).refuse_unknown((*_RATES, "steps"))
    if not name or name != name.strip().lower() or name in STANDARD:
        raise WorkspaceError(
            f"{name!r} cannot name a tier, a speed or a region: the price's own keys are the standard's",
            where=tiers.where(name),
            hint="the name that the answer says, in small letters: tiers = {batch = {input = 0.5, output = 2}}",
        )
    return name


def _rates(table: Table) -> list[Rates]:
    """Read the base and its steps, ascending."""
    rates = [_rate(table, 0)]
    for step in table.listed("steps"):
        step.refuse_unknown(("above", *_RATES))
        above = step.count("above", MOST_TOKENS)
        if above is None or above <= rates[-1].above:
            raise WorkspaceError(
                "a step states the input tokens 'above' which it holds, more than the step before it",
                where=step.where("above"),
                hint="steps = [{above = 200_000, input = 6, output = 22.5}]",
            )
        rates.append(_rate(step, above))
    return rates


def _rate(table: Table, above: int) -> Rates:
    stated = {key: table.number(key) for key in _RATES}
    if stated["input"] is None or stated["output"] is None:
        # Half a price would make every cost unknown without saying why.
        raise WorkspaceError(
            "a price states both 'input' and 'output', in USD per million tokens, or 'per_hour'",
            where=table.where(),
            hint="what is free is written as 0",
        )
    return Rates(**stated, above=above)
