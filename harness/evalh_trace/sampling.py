"""Workflows that are open, what belongs to them, and whether they are kept: decided for each as a whole, at its end."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from evalh_trace.config import Sample
from evalh_trace.records import AnyRecord, Attempt, Call, Step, Workflow

MOST_OPEN = 10_000
MOST_DECIDED = 10_000
_MOST_RECORDS = 2_000  # of one workflow that waits for its end
_MOST_BYTES = 8 * 1024 * 1024
_MOST_HELD = 64 * 1024 * 1024  # of all that wait
_HEX = 13

Write = Callable[[AnyRecord], None]


class _Open(msgspec.Struct):
    """A workflow that has not ended."""

    record: Workflow
    sample: Sample  # that holds for it: a program may configure another one meanwhile
    held: dict[str, AnyRecord] = {}
    size: int = 0
    failed: set[str] = msgspec.field(default_factory=set)  # calls and steps without a good end
    marks: set[str] = msgspec.field(default_factory=set)  # check, feedback
    until: float | None = None  # a call that stands alone may be sent again until then


class Workflows:
    """Passes records on at once, or holds them until their workflow ends where only a sample is kept."""

    def __init__(self, sample: Sample, write: Write, lose: Callable[[str], None]) -> None:
        self.sample = sample
        self._write = write
        self._lose = lose
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._decided: OrderedDict[str, bool] = OrderedDict()
        self._held = 0

    def begin(self, record: Workflow) -> None:
        """Note a workflow that has begun, and write that it has: without content while it is not decided."""
        if record.id in self._open:
            return
        self._open[record.id] = _Open(record, self.sample)
        self._write(record if self.sample.keeps_all else replace(record, inputs=None))
        if len(self._open) > MOST_OPEN:
            self.decide(next(iter(self._open)))

    def known(self, workflow_id: str) -> Workflow | None:
        """Return the record of an open workflow."""
        found = self._open.get(workflow_id)
        return None if found is None else found.record

    def take(self, record: Step | Call | Attempt, size: int = 0, *, final: bool = True) -> None:
        """Take what belongs to a workflow; if not `final`, more of the same will come."""
        opened = self._open.get(record.workflow_id)
        if opened is None:
            if self._decided.get(record.workflow_id, True):  # or a parent process decides
                self._write(record)
            return
        self._mark_failed(opened, record)
        if opened.sample.keeps_all:
            self._write(record)
        elif not self._hold(opened, record, size) and final:
            self._lose("full")

    def mark(self, workflow_id: str, why: str) -> None:
        """Note a reason to keep a workflow: check, feedback."""
        if (opened := self._open.get(workflow_id)) is not None:
            opened.marks.add(why)

    def end(self, record: Workflow, until: float | None = None) -> None:
        """Note the end of a workflow; with `until` it may go on until then, and is decided after."""
        opened = self._open.get(record.id)
        if opened is None:
            opened = self._open[record.id] = _Open(record, self.sample)
        opened.record, opened.until = record, until
        if until is None:
            self.decide(record.id)
        elif opened.sample.keeps_all:
            self._write(replace(record, kept="all"))

    def decide(self, workflow_id: str) -> None:
        """Keep a workflow with all that belongs to it, or leave a stub."""
        opened = self._open.pop(workflow_id, None)
        if opened is None:
            return
        self._held -= opened.size
        record = opened.record
        why, probability = self._reason(opened)
        self._decided[record.id] = why is not None
        if len(self._decided) > MOST_DECIDED:
            self._decided.popitem(last=False)
        if why is not None:
            self._write(replace(record, kept=why, probability=probability))
            for held in opened.held.values():
                self._write(held)
        else:
            error = record.error and record.error.partition(":")[0]
            stub = replace(record, inputs=None, output=None, error=error, kept="stub", probability=probability)
            self._write(stub)

    def tick(self, now: float) -> None:
        """Decide what has waited long enough."""
        late = [key for key, one in self._open.items() if one.until is not None and one.until <= now]
        for workflow_id in late:
            self.decide(workflow_id)

    def end_all(self) -> None:
        """Decide everything: the process ends."""
        for workflow_id in list(self._open):
            self.decide(workflow_id)

    def _reason(self, opened: _Open) -> tuple[str | None, float]:
        """Return why a workflow is kept (None: it is not), and how likely it was."""
        sample, record = opened.sample, opened.record
        if sample.keeps_all:
            return "all", 1.0
        reasons = set(opened.marks)
        if record.status == "error" or opened.failed:
            reasons.add("error")
        for why in ("error", "check", "feedback"):
            if why in reasons and why in sample.always:
                return why, 1.0
        took = None if record.ended_at is None else record.ended_at - record.started_at
        if sample.slow_s is not None and took is not None and took >= sample.slow_s:
            return "slow", 1.0
        # By the id's own random part: all processes of a workflow agree.
        return ("rate" if int(record.id[-_HEX:], 16) / 16**_HEX < sample.rate else None), sample.rate

    def _mark_failed(self, opened: _Open, record: Step | Call | Attempt) -> None:
        key = record.call_id if isinstance(record, Attempt) else record.id
        if isinstance(record, Call):
            return
        if record.status == "error":
            opened.failed.add(key)
        elif record.status == "ok":
            opened.failed.discard(key)

    def _hold(self, opened: _Open, record: Step | Call | Attempt, size: int) -> bool:
        new = record.id not in opened.held
        full = len(opened.held) >= _MOST_RECORDS or opened.size + size > _MOST_BYTES or self._held + size > _MOST_HELD
        if new and full:
            return False
        opened.held[record.id] = record
        opened.size += size
        self._held += size
        return True
