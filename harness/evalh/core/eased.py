"""Where a suite asks less than it did: a bar that is lowered alone today is not there for tomorrow's change."""

from collections.abc import Iterator
from math import inf

from evalh.core.policy import DEFAULT_CANARY, About, Doubt, GatePolicy, MustPass, Require
from evalh.core.suite import Suite

_LENIENT = (Doubt.REFUSE, Doubt.INCONCLUSIVE, Doubt.ACCEPT)


def eased(before: Suite, after: Suite) -> Iterator[str]:
    """Yield the keys of a suite that ask less of a change than they did."""
    old, new = before.gate, after.gate
    if old.require is Require.NO_WORSE and new.require is not old.require:
        yield "gate.require"
    if old.target is About.POPULATION and new.target is not old.target:
        yield "gate.target"
    if (new.trials or after.trials) < (old.trials or before.trials):
        yield "trials"
    if old.must_pass is not None and _asks_less(old.must_pass, new.must_pass):
        yield "gate.must_pass"
    if (new.good_rate or 0.0) < (old.good_rate or 0.0):
        yield "gate.good_rate"
    if _canary(new) < _canary(old):
        yield "gate.canary"
    if old.net_loss_may_rise is not None and before.value != after.value:
        yield "value"
    for key, was, now in _ceilings(before, after):
        if now > was:
            yield key


def _asks_less(old: MustPass, new: MustPass | None) -> bool:
    if new is None or not (old.tags <= new.tags and old.cases <= new.cases):
        return True
    return new.trials < old.trials or new.passes * old.trials < old.passes * new.trials


def _canary(policy: GatePolicy) -> int:
    return DEFAULT_CANARY if policy.canary is None else policy.canary


def _ceilings(before: Suite, after: Suite) -> Iterator[tuple[str, float, float]]:
    """Yield what must not be exceeded, as it was and as it is; infinity where there is no such rule."""
    old, new = before.gate, after.gate
    yield "gate.margin", old.margin, new.margin
    yield "gate.discordance", old.discordance, new.discordance  # larger, it bets on larger drops alone
    yield "gate.doubt", _LENIENT.index(old.doubt), _LENIENT.index(new.doubt)
    yield "gate.cost_per_good", _or_none(old.cost_may_rise), _or_none(new.cost_may_rise)
    yield "gate.latency_p95", _or_none(old.latency_may_rise), _or_none(new.latency_may_rise)
    yield "gate.net_loss", _or_none(old.net_loss_may_rise), _or_none(new.net_loss_may_rise)
    yield "max_ungraded", _ungraded(before), _ungraded(after)
    yield "baseline.max_age", _or_none(before.baseline.max_age_days), _or_none(after.baseline.max_age_days)
    margins = {rule.grader: rule.margin for rule in new.graders}
    for one in old.graders:
        yield f"gate.graders.{one.grader}", one.margin, margins.get(one.grader, inf)
    never = {rule.grader: rule.at_most or 0.0 for rule in new.never}
    for rule in old.never:
        yield f"gate.never.{rule.grader}", rule.at_most or 0.0, never.get(rule.grader, inf)


def _or_none(ceiling: float | None) -> float:
    return inf if ceiling is None else ceiling


def _ungraded(suite: Suite) -> float:
    return suite.max_ungraded if suite.gate.max_ungraded is None else suite.gate.max_ungraded
