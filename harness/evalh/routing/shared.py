"""What every layer of one run's stack is handed."""

from msgspec import field

from evalh.core.ports import Clock, Progress
from evalh.core.values import Value
from evalh.routing.decisions import Decisions
from evalh.routing.halt import Halt
from evalh.routing.pause import until_writable


class RetryBudget:
    """Bounds the retries of a run to a share of its calls, so that an outage is not answered with a storm."""

    _FREE = 10  # a share of a run's first few calls would be none

    def __init__(self) -> None:
        self._calls = 0
        self._retries = 0

    def call(self) -> None:
        """Count a call."""
        self._calls += 1

    def take(self, share: float) -> bool:
        """Take one retry; False: there is none left."""
        if self._retries >= self._FREE + share * self._calls:
            return False
        self._retries += 1
        return True


class Shared(Value):
    """The run's log of decisions, its clock, its end, who watches it, and the retries that all its models share."""

    decisions: Decisions
    clock: Clock
    halt: Halt
    progress: Progress | None = None
    retries: RetryBudget = field(default_factory=RetryBudget)

    async def until_writable(self) -> None:
        """Wait while the log cannot be written. Raises NotSent, EvalhError."""
        await until_writable(self.decisions.log, self.halt.sleep, self.progress)
