"""The breaker against a model of its words: closed until the window's rate is too high, then one probe at a time."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from evalh.core.route import BreakerPolicy
from evalh.routing.breaker import Breaker, State


class BreakerMachine(RuleBasedStateMachine):
    """Requests leave and come back in any order, at any time."""

    flying = Bundle("flying")

    @initialize(
        rate=st.floats(0.01, 1.0),
        least=st.integers(1, 5),
        window_s=st.floats(0.0, 20.0),
        cooldown_s=st.floats(0.0, 10.0),
    )
    def start(self, rate: float, least: int, window_s: float, cooldown_s: float) -> None:
        self.policy = BreakerPolicy(rate=rate, min=least, window_s=window_s, cooldown_s=cooldown_s)
        self.breaker = Breaker(self.policy)
        self.now = 100.0
        self.epoch = 0  # how often it has closed
        self.ended: list[tuple[float, bool]] = []  # of this epoch's requests
        self.probing = False
        self.reopened = 0
        self.may_probe_at = 0.0

    @rule(seconds=st.floats(0.0, 30.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=flying)
    def ask(self) -> Any:
        before = self.breaker.state
        admitted = self.breaker.admit(self.now)
        match before:
            case State.CLOSED:
                assert admitted
                return (self.now, self.epoch, False)
            case State.OPEN:
                assert admitted == (self.now >= self.may_probe_at)
            case State.HALF_OPEN:
                assert not admitted  # exactly one goes through
        if not admitted:
            return multiple()
        assert not self.probing
        self.probing = True
        return (self.now, self.epoch, True)

    @rule(sent=consumes(flying), failed=st.booleans())
    def settle(self, sent: tuple[float, int, bool], failed: bool) -> None:
        began, epoch, probe = sent
        before = self.breaker.state
        change = self.breaker.settle(self.now, began=began, failed=failed, probe=probe)
        if probe:
            assert change is (State.OPEN if failed else State.CLOSED)
            self._probed(failed=failed)
        elif before is not State.CLOSED or (epoch != self.epoch and began < self.closed_at):
            assert change is None
            assert self.breaker.state is before
        else:
            self.ended.append((self.now, failed))
            seen = [one for at, one in self.ended if at >= self.now - self.policy.window_s]
            trips = failed and len(seen) >= self.policy.min and sum(seen) / len(seen) >= self.policy.rate
            assert (change is State.OPEN) == trips
            if trips:
                self.may_probe_at = self.now + self.policy.cooldown_s

    closed_at = 0.0

    def _probed(self, *, failed: bool) -> None:
        self.probing = False
        if failed:
            self.reopened += 1
            self.may_probe_at = self.now + self.policy.cooldown_s
        else:
            self.reopened = 0
            self.epoch += 1
            self.closed_at = self.now
            self.ended = []

    @rule(sent=consumes(flying))
    def cancel(self, sent: tuple[float, int, bool]) -> None:
        if sent[2]:
            self.breaker.abandon(self.now)
            self.probing = False
            self.may_probe_at = self.now

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "breaker"):
            return
        assert self.probing == (self.breaker.state is State.HALF_OPEN)
        assert self.breaker.failed_probes == self.reopened
        assert 0.0 <= self.breaker.rate <= 1.0


TestBreaker = BreakerMachine.TestCase
