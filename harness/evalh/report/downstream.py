"""What follows outputs, in words: with what a bad output costs, which version is worth its price."""

from collections.abc import Mapping
from typing import Any

from evalh.core.run import Downstream, DownstreamComparison, Estimate
from evalh.report.text import cost_per_good, dollars

_SURE = 0.999


def consequences_line(one: Downstream) -> str:
    """Say what became of one version's outputs, and what that costs."""
    parts = [f"{one.accepted_bad} bad at {dollars(one.bad_usd)}"]
    if one.reviewed or one.review_usd:
        parts.append(f"{one.reviewed} reviewed at {dollars(one.review_usd)}")
    if one.withheld or one.abstain_usd:
        parts.append(f"{one.withheld} withheld at {dollars(one.abstain_usd)}")
    return " · ".join(parts)


def net_line(one: Downstream) -> str:
    """Write the net cost per good output, and what it is made of."""
    return f"{cost_per_good(one.net_cost_per_good_usd)} · {consequences_line(one)}"


def worth(one: DownstreamComparison, base: str, head: str) -> str:
    """Say at which price of a bad output the preferred version flips."""
    if one.chance_of_head is None or one.loss_usd.value is None:
        return "which version is worth its price is not known: an answer is not priced"
    if one.crossing_bad_usd is None:
        told = _one_way(one.loss_usd.value, base, head)
    elif one.head_above:
        told = f"{head} is worth its price as soon as a bad output costs more than {dollars(one.crossing_bad_usd)}"
    else:
        told = f"{head} saves more than it spoils while a bad output costs less than {dollars(one.crossing_bad_usd)}"
    chance = _chance(one.chance_of_head)
    return f"{told}; at {dollars(one.base.bad_usd)} {head} is cheaper in {chance} of resamples of these cases"


def _one_way(loss: float, base: str, head: str) -> str:
    if loss == 0:
        return f"{base} and {head} cost the same, whatever a bad output costs"
    return f"{head if loss < 0 else base} costs less, whatever a bad output costs"


def _chance(chance: float) -> str:
    if chance >= _SURE:
        return "> 99.9 %"
    return "< 0.1 %" if chance <= 1 - _SURE else f"{100 * chance:.1f} %"


def worth_of(document: Mapping[str, Any], base: str, head: str) -> str:
    """Say it from a comparison's document."""
    return worth(compared_from(document), base, head)


def compared_from(document: Mapping[str, Any]) -> DownstreamComparison:
    """Read it from a comparison's document."""
    return DownstreamComparison(
        base=_side(document["base"]),
        head=_side(document["head"]),
        loss_usd=Estimate(**document["loss_usd"]),
        crossing_bad_usd=document["crossing_bad_usd"],
        head_above=document["head_above"],
        chance_of_head=document["chance_of_head"],
    )


def net_lines(document: Mapping[str, Any]) -> tuple[str, str]:
    """Write both sides' net cost per good output from a comparison's document."""
    base, head = (cost_per_good(_side(document[side]).net_cost_per_good_usd) for side in ("base", "head"))
    return base, head


def _side(document: Mapping[str, Any]) -> Downstream:
    return Downstream(**{**document, "net_cost_per_good_usd": Estimate(**document["net_cost_per_good_usd"])})
